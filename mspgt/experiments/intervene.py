"""One intervention experiment from settings to result: reads what goes in, generates, measures, concludes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import lightning as L
from rich.console import Console

from mspgt import data, models
from mspgt.callbacks.accumulate import Accumulate
from mspgt.callbacks.progress import Progressing
from mspgt.config.intervene import InterveneConfig, InterveneOptions
from mspgt.contracts import registry
from mspgt.contracts.intervention import Intervention
from mspgt.contracts.metric import Generated
from mspgt.core.errors import UserError
from mspgt.core.files import write_atomically
from mspgt.core.provenance import provenance
from mspgt.core.state import State, merge
from mspgt.experiments.conclude import Facts, conclude
from mspgt.experiments.generation import CORPUS, TEXTS, Continue, Design, Prompts, Written, dealt, named
from mspgt.experiments.launch import rank, refuse_late_launch
from mspgt.experiments.loop import Observe, make_trainer, predict, quiet_libraries
from mspgt.experiments.run import name_of
from mspgt.experiments.rundir import RunDir
from mspgt.experiments.shown import Shown
from mspgt.experiments.source import Source
from mspgt.generate.conditions import plan, scales
from mspgt.generate.decode import Decoding, check_generates, check_length
from mspgt.generate.metrics import NotMeasured, TextMetrics, guarded
from mspgt.generate.prompts import take_prompts
from mspgt.generate.statistics import ActivationStatistics, fold, spreads, statistics_of
from mspgt.measure.collector import Collector
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.shards import Shards
from mspgt.results.intervention import Behaviour, Scales
from mspgt.results.prediction_3_1 import NAME, check_comparable, judged

ACTIVATIONS = "activations"
"""corpus and signal of the pass that measures what block outputs are like"""
GENERATIONS = "generations.jsonl"
SETTINGS = (
    "intervention", "sigma", "apply", "dose", "controls", "samples", "prompt_tokens", "new_tokens", "decoding",
    "temperature", "top_p", "seed",
)  # fmt: skip
"""settings that the texts depend on"""


class Experiment:
    """What one experiment holds while it goes on."""

    def __init__(self, config: InterveneConfig, folder: RunDir, console: Console) -> None:
        self.config, self.folder, self.console = config, folder, console
        self.options: InterveneOptions = config.options
        self.notes: list[str] = []

    def run(self) -> Behaviour:
        """All passes that are not done yet, then the result."""
        started = time.time()
        quiet_libraries()
        o = self.options
        self.trainer = make_trainer(o)
        refuse_late_launch(self.trainer)
        self.source = Source.of(o)
        self.against = None if o.against is None else Behaviour.load(o.against)
        if self.against is not None:  # a fault in it shows now, not after hours
            check_comparable([o.intervention], o.sigma, self.against)
        self.make = partial(registry.create_intervention, o.intervention, self.config.intervention, seed=o.seed)
        for strength in o.sigma:
            self.make(strength=strength)  # a strength that is not allowed shows before anything is loaded
        r = self.source.options
        self.corpus = data.load(r.data, limit=r.limit, seed=r.seed, corpus="data")
        self.say(f"loading {name_of(r.model)}")
        self.model = self.source.load_model(o.offline)
        check_generates(self.model)
        self.weights = models.content_sha256(self.model)
        self.boundaries = self.source.boundaries(o.boundaries, self.model, self.weights)
        self.groups = scales(self.boundaries.blocks, self.model.n_layers)
        self.plan = plan(
            self.groups, self.model.n_layers, o.sigma, intervention=o.intervention, dose=o.dose, controls=o.controls
        )
        self.prompts = take_prompts(self.corpus, self.model.tokenizer, o.samples, o.prompt_tokens)
        check_length(self.model, max(len(p.ids) for p in self.prompts), o.new_tokens)
        resumed = self._open()
        self._announce(resumed)
        self._probe()
        self._statistics()
        self._generate()
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        texts = self._texts()
        return self._conclude(texts, started, resumed)

    def say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        if rank() == 0:
            self.folder.log(sentence)

    # ------------------------------------------------------------------ the directory

    def _open(self) -> int:
        """Write settings and manifest, or check them against those of the experiment to go on with."""
        manifest = self._manifest()
        if rank() > 0:
            return 0
        resumed = 0
        if not self.folder.anew:
            old = self.folder.manifest()
            check_fingerprint(old["fingerprint"], manifest["fingerprint"], f"the experiment in {self.folder.path}")
            resumed = len(self.folder.done(CORPUS, 0))
            self.folder.clear_failures()
        self.folder.begin()
        self.folder.write_manifest(manifest)
        self.folder.write_config(self.config.as_dict())
        return resumed

    def _probe(self) -> None:
        """Say now which metrics lack something, and not after hours; it may be there when they are measured."""
        if rank() > 0:
            return
        o, values = self.options, self.folder.state / "metrics"
        for name in o.metrics:
            try:
                with guarded(name):
                    metric = registry.create_metric(
                        name, self.config.plugins[name], seed=o.seed, device="cpu", offline=o.offline
                    )
                    if not (values / f"{name}.json").is_file():
                        metric.probe()
            except NotMeasured as error:
                self.say(f"as it is now, {name} will not be measured: {error}")

    def _manifest(self) -> dict[str, Any]:
        m, o, r = self.model, self.options, self.source.options
        plain = self.config.as_dict()
        entry = registry.intervention(o.intervention)
        fingerprint = {
            "mspgt": version("mspgt"),
            "model": m.name,
            "model_sha256": self.weights,
            "tokenizer_sha256": models.tokenizer_sha256(m),
            "dtype": m.dtype,
            "context": r.context,
            "max_length": r.max_length,
            "layers_path": r.layers_path,
            "boundaries": list(self.boundaries.blocks),
            "corpus": self.corpus.sha256,
            "limit": self.corpus.limit,
            f"plugin {o.intervention}": entry.distribution,
            **{key: plain[key] for key in SETTINGS},
            **{f"{o.intervention}.{key}": value for key, value in plain[o.intervention].items()},
        }
        return {
            "fingerprint": fingerprint,
            "model": m.facts,
            "data": {CORPUS: {"name": self.corpus.name, "sha256": self.corpus.sha256}},
        }

    def _announce(self, resumed: int) -> None:
        m, o = self.model, self.options
        a, b = self.boundaries.blocks
        self.say(
            f"model: {m.name}, {m.n_layers} blocks of width {m.hidden_size}, {m.parameters / 1e6:,.1f} M parameters, "
            f"{m.dtype}; boundaries after blocks {a} and {b}, {self.boundaries.source}; out: {self.folder.path}"
        )
        self.say(
            f"{o.intervention} of sigma {', '.join(f'{s:g}' for s in o.sigma)}: {len(self.prompts):,} prompts under "
            f"{len(self.plan.conditions)} conditions, up to {o.new_tokens} new tokens each"
        )
        if resumed:
            self.say(f"going on: {resumed:,} prompts are done already")

    # ------------------------------------------------------------------ passes

    def _statistics(self) -> None:
        """Measure what block outputs are like: the unit of noise, the mean, other texts' activations."""
        r, model = self.source.options, self.model
        reading = data.Reading(
            self.corpus,
            model.tokenizer,
            max_length=min(r.max_length, model.context_length or r.max_length),
            batch_tokens=r.batch_tokens,
            context=r.context,
        )
        collector = Collector({ACTIVATIONS: ActivationStatistics(seed=self.options.seed)})
        done = self.folder.done(ACTIVATIONS, 0)
        callbacks: list[L.Callback] = [
            Accumulate(self.folder.pass_folder(ACTIVATIONS, 0), collector.merged),
            Progressing(
                self.console, "outputs of blocks", self.corpus.count()[1], self.folder.sentences_done(ACTIVATIONS, 0)
            ),
        ]
        predict(self.trainer, Observe(model, collector), reading.batches(), done, callbacks)
        if collector.failures:
            raise UserError(" ".join(collector.failures.values()))
        self.notes += collector.notes
        self.trainer.strategy.barrier()
        self.folder.begun = True  # by the first process, whichever this is
        state = fold(Shards(self.folder.pass_folder(ACTIVATIONS, 0), ACTIVATIONS))
        self.statistics, self.spread = statistics_of(state), spreads(state)

    def _intervention(self, strength: float) -> Intervention:
        return named(self.make(strength=strength), registry.intervention(self.options.intervention))

    def _generate(self) -> None:
        o = self.options
        decoding = Decoding(o.new_tokens, o.decoding, o.temperature, o.top_p, o.seed)
        design = Design(self.plan.conditions, decoding, self._intervention, self.statistics, o.apply)
        conditions, done = len(self.plan.conditions), self.folder.done(CORPUS, 0)
        module = Continue(self.model, design)
        callbacks: list[L.Callback] = [
            Accumulate(self.folder.pass_folder(CORPUS, 0), _merged),
            Progressing(
                self.console,
                "generating",
                len(self.prompts) * conditions,
                len(done) * conditions,
                "texts",
                partial(_texts_of, conditions),
            ),
        ]
        batches = list(dealt(self.prompts, max(1, o.batch_size // conditions)))
        predict(self.trainer, module, batches, done, callbacks)
        self.notes += module.notes
        self.trainer.strategy.barrier()  # every rank's shards are there

    # ------------------------------------------------------------------ the result

    def _texts(self) -> dict[str, list[Generated]]:
        """Read the texts of all ranks, and write them out as one file."""
        self.written = Written.of(self.folder.states(CORPUS, 0, TEXTS), self.plan.conditions)
        texts = self.written.generated(self.prompts, self.model.tokenizer.decode)
        lines = [
            {"sample": text.sample, "condition": condition, "prompt": text.prompt, "text": text.text}
            for of_sample in zip(*texts.values(), strict=True)
            for condition, text in zip(texts, of_sample, strict=True)
        ]
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_atomically(self.folder.path / GENERATIONS, content)
        return texts

    def _conclude(self, texts: dict[str, list[Generated]], started: float, resumed: int) -> Behaviour:
        metrics = TextMetrics(self.config, texts, self.folder.state / "metrics", self._device)
        try:
            with Shown(self.console) as shown:
                metrics.run(shown)
            self.say("comparing conditions")
            found = conclude(self.config, self._facts(texts, started, resumed), metrics)
        finally:
            metrics.close()
        if self.against is not None:
            found = replace(found, verdicts={**found.verdicts, NAME: judged(found, self.against)})
        found = replace(found, provenance=found.provenance.lasted(started))
        self.say("drawing figures and the page")
        found.kept_in(found.save(self.folder.path))
        where = self.folder.path
        self.say(f"written: {where / 'report.html'} and, beside it, interventions.json, .csv, {GENERATIONS}, figures/")
        return found

    @property
    def _device(self) -> str:
        return str(self.trainer.strategy.root_device)

    def _facts(self, texts: dict[str, list[Generated]], started: float, resumed: int) -> Facts:
        empty = {name: sum(not t.text.strip() for t in found) for name, found in texts.items()}
        notes = [
            f"{count} of {len(self.prompts)} texts are empty under {name}." for name, count in empty.items() if count
        ]
        b, path = self.boundaries, None if self.source.path is None else str(self.source.path)
        return Facts(
            model=self.model.facts,
            run=Scales(path, b.blocks, b.source, b.accepted, self.groups),
            noise=tuple(replace(row, added=self.written.added_to(i)) for i, row in enumerate(self.spread)),
            conditions=self.plan.conditions,
            documents=[prompt.document for prompt in self.prompts],
            notes=[*self.plan.notes, *dict.fromkeys(self.notes), *notes],
            provenance=provenance(
                started,
                device=self._device,
                dtype=self.model.dtype,
                seed=self.options.seed,
                data_sha256={CORPUS: self.corpus.sha256},
                model_sha256=self.weights,
                world_size=self.trainer.world_size,
                sequences_resumed=resumed,
            ),
        )


def _merged(states: Sequence[Mapping[str, State]]) -> dict[str, State]:
    return {name: merge(batch[name] for batch in states) for name in states[0]}


def _texts_of(conditions: int, batch: Prompts) -> int:
    return len(batch.prompts) * conditions
