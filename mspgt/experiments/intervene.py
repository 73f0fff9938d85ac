"""`mspgt intervene`: a model is disturbed while it generates, and what it writes is measured and compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from mspgt import data, models
from mspgt.callbacks.progress import Progressing
from mspgt.config.intervene import InterveneConfig
from mspgt.contracts import registry
from mspgt.contracts.intervention import Intervention
from mspgt.contracts.metric import Generated
from mspgt.core.errors import UserError
from mspgt.core.files import write_atomically
from mspgt.core.provenance import provenance
from mspgt.experiments.conclude import Facts, conclude
from mspgt.experiments.generation import CORPUS, TEXTS, Continue, Design, Prompts, Written, dealt, named
from mspgt.experiments.loop import Observe
from mspgt.experiments.measuring import begin, describe, pass_over
from mspgt.experiments.run import name_of
from mspgt.experiments.shown import Shown
from mspgt.experiments.source import Source
from mspgt.experiments.workspace import Workspace, workspace
from mspgt.generate.conditions import plan, scales
from mspgt.generate.decode import Decoding, check_generates, check_length
from mspgt.generate.metrics import NotMeasured, TextMetrics, guarded
from mspgt.generate.prompts import take_prompts
from mspgt.generate.statistics import ActivationStatistics, fold, spreads, statistics_of
from mspgt.measure.collector import Collector
from mspgt.measure.corpora import CorpusSource
from mspgt.measure.shards import Shards
from mspgt.measure.store import Manifest
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


def start(config: InterveneConfig, console: Console | None, temporary: bool) -> Behaviour:
    """Experiment with checked settings, in a fresh directory or an interrupted one."""
    o = config.options
    stem = f"{Path(name_of(o.model or o.run)).name}-{o.intervention}"
    with workspace(o, Behaviour.kind, stem, console, temporary) as w:
        return _Experiment(config, w).run()


@dataclass
class _Experiment:
    """What one experiment holds while it goes on."""

    config: InterveneConfig
    w: Workspace
    notes: list[str] = field(default_factory=list)

    def run(self) -> Behaviour:
        """All passes that are not done yet, then the result."""
        self.started, self.options = time.time(), self.config.options
        o = self.options
        self.trainer = begin(o)
        self.source = Source.of(o)
        against = None if o.against is None else Behaviour.load(o.against)
        if against is not None:  # a fault in it shows now, not after hours
            check_comparable([o.intervention], o.sigma, against)
        self.make = partial(registry.create_intervention, o.intervention, self.config.intervention, seed=o.seed)
        for strength in o.sigma:
            self.make(strength=strength)  # a strength that is not allowed shows before anything is loaded
        r = self.source.options
        self.corpus = data.load(r.data, limit=r.limit, seed=r.seed, corpus="data")
        self.w.say(f"loading {name_of(r.model)}")
        self.model = self.source.load_model(o.offline)
        check_generates(self.model)
        self.weights = models.content_sha256(self.model)
        self.boundaries = self.source.boundaries(o.boundaries, self.model, self.weights)
        self.groups, depth = scales(self.boundaries.blocks, self.model.n_layers), self.model.n_layers
        self.plan = plan(self.groups, depth, o.sigma, intervention=o.intervention, dose=o.dose, controls=o.controls)
        self.prompts = take_prompts(self.corpus, self.model.tokenizer, o.samples, o.prompt_tokens)
        check_length(self.model, max(len(p.ids) for p in self.prompts), o.new_tokens)
        self.resumed = len(self.w.store.done(CORPUS, 0)) if self.w.open(self._manifest(), self.config.as_dict()) else 0
        self._announce()
        self._probe()
        self._statistics()
        self._generate()
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        return self._conclude(self._texts(), against)

    # ------------------------------------------------------------------ before it begins

    def _manifest(self) -> Manifest:
        m, o, r = self.model, self.options, self.source.options
        plain = self.config.as_dict()
        fingerprint = {
            "mspgt": version("mspgt"),
            "model": m.name,
            "model_sha256": self.weights,
            "tokenizer_sha256": models.tokenizer_sha256(m),
            "dtype": m.dtype,
            "context": r.context,
            "max_length": r.max_length,
            "layers_path": r.layers_path,
            "boundaries": self.boundaries.blocks,
            f"plugin {o.intervention}": registry.intervention(o.intervention).distribution,
            **{key: plain[key] for key in SETTINGS},
            **{f"{o.intervention}.{key}": value for key, value in plain[o.intervention].items()},
        }
        return Manifest(Behaviour.kind.name, fingerprint, m.facts, {CORPUS: CorpusSource.of(self.corpus)})

    def _announce(self) -> None:
        o, (a, b) = self.options, self.boundaries.blocks
        self.w.say(
            f"{describe(self.model)}; boundaries after blocks {a} and {b}, {self.boundaries.source}; out: {self.w.path}"
        )
        self.w.say(
            f"{o.intervention} of sigma {', '.join(f'{s:g}' for s in o.sigma)}: {len(self.prompts):,} prompts under "
            f"{len(self.plan.conditions)} conditions, up to {o.new_tokens} new tokens each"
        )
        if self.resumed:
            self.w.say(f"going on: {self.resumed:,} prompts are done already")

    def _probe(self) -> None:
        """Say now which metrics lack something, and not after hours; it may be there when they are measured."""
        o = self.options
        for name in o.metrics if self.trainer.global_rank == 0 else ():
            try:
                with guarded(name):
                    options = self.config.plugins[name]
                    metric = registry.create_metric(name, options, seed=o.seed, device="cpu", offline=o.offline)
                    if not (self._values / f"{name}.json").is_file():
                        metric.probe()
            except NotMeasured as error:
                self.w.say(f"as it is now, {name} will not be measured: {error}")

    @property
    def _values(self) -> Path:
        """Where values of metrics are kept."""
        return self.w.store.path / "metrics"

    # ------------------------------------------------------------------ passes

    def _statistics(self) -> None:
        """Measure what block outputs are like: the unit of noise, the mean, other texts' activations."""
        collector = Collector({ACTIVATIONS: ActivationStatistics(seed=self.options.seed)})
        done = self.w.store.sentences_done(ACTIVATIONS, 0)
        pass_over(
            *(self.w, self.trainer, Observe(self.model, collector), ACTIVATIONS, 0),
            batches=data.Reading.of(self.corpus, self.model, self.source.options).batches(),
            progress=Progressing(self.w.console, "outputs of blocks", self.corpus.count()[1], done),
        )
        if collector.failures:
            raise UserError(" ".join(collector.failures.values()))
        self.notes += collector.notes
        state = fold(Shards(self.w.store.folder(ACTIVATIONS, 0), ACTIVATIONS))
        self.statistics, self.spread = statistics_of(state), spreads(state)

    def _intervention(self, strength: float) -> Intervention:
        return named(self.make(strength=strength), registry.intervention(self.options.intervention))

    def _generate(self) -> None:
        o, conditions, done = self.options, len(self.plan.conditions), len(self.w.store.done(CORPUS, 0))
        decoding = Decoding(o.new_tokens, o.decoding, o.temperature, o.top_p, o.seed)
        design = Design(self.plan.conditions, decoding, self._intervention, self.statistics, o.apply)
        module = Continue(self.model, design)
        texts: Callable[[Prompts], int] = lambda batch: len(batch.prompts) * conditions  # noqa: E731
        total = len(self.prompts) * conditions
        pass_over(
            *(self.w, self.trainer, module, CORPUS, 0),
            batches=list(dealt(self.prompts, max(1, o.batch_size // conditions))),
            progress=Progressing(self.w.console, "generating", total, done * conditions, "texts", texts),
        )
        self.notes += module.notes

    # ------------------------------------------------------------------ the result

    def _texts(self) -> dict[str, list[Generated]]:
        """Read the texts of all ranks, and write them out as one file."""
        self.written = Written.of(self.w.store.state(CORPUS, 0, TEXTS), self.plan.conditions)
        texts = self.written.generated(self.prompts, self.model.tokenizer.decode)
        lines = [
            {"sample": text.sample, "condition": condition, "prompt": text.prompt, "text": text.text}
            for of_sample in zip(*texts.values(), strict=True)
            for condition, text in zip(texts, of_sample, strict=True)
        ]
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_atomically(self.w.path / GENERATIONS, content)
        return texts

    def _conclude(self, texts: dict[str, list[Generated]], against: Behaviour | None) -> Behaviour:
        metrics = TextMetrics(self.config, texts, self._values, self._device)
        try:
            with Shown(self.w.console) as shown:
                metrics.run(shown)
            self.w.say("comparing conditions")
            found = conclude(self.config, self._facts(texts), metrics)
        finally:
            metrics.close()
        if against is not None:
            found = replace(found, verdicts={**found.verdicts, NAME: judged(found, against)})
        found = replace(found, provenance=found.provenance.since(self.started))
        self.w.say("drawing figures and the page")
        path = found.save(self.w.path)
        self.w.say(f"written: {path / 'report.html'} and, beside it, interventions.json, .csv, {GENERATIONS}, figures/")
        return found.kept_in(path if self.w.stays else None)

    @property
    def _device(self) -> str:
        return str(self.trainer.strategy.root_device)

    def _facts(self, texts: dict[str, list[Generated]]) -> Facts:
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
                self.started,
                device=self._device,
                dtype=self.model.dtype,
                seed=self.options.seed,
                data_sha256={CORPUS: self.corpus.sha256},
                model_sha256=self.weights,
                world_size=self.trainer.world_size,
                sequences_resumed=self.resumed,
            ),
        )
