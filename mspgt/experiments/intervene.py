"""`mspgt intervene`: reads what goes in, generates, measures, concludes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
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
from mspgt.core.provenance import Provenance
from mspgt.experiments.conclude import Preliminaries, conclude
from mspgt.experiments.directory import GENERATIONS
from mspgt.experiments.generation import CORPUS, TEXTS, Continue, Design, Prompts, Written, dealt, named
from mspgt.experiments.launch import rank
from mspgt.experiments.loop import Observe
from mspgt.experiments.measuring import begin, describe, model_fingerprint, pass_over, provenance_of
from mspgt.experiments.metric_bar import MetricBar
from mspgt.experiments.run import name_of
from mspgt.experiments.subject import Subject
from mspgt.experiments.workspace import Workspace, workspace
from mspgt.generate.conditions import plan
from mspgt.generate.decode import Decoding, check_generates, check_length
from mspgt.generate.metrics import NotMeasured, TextMetrics, guarded
from mspgt.generate.prompts import take_prompts
from mspgt.generate.statistics import ActivationStatistics, fold, spreads, statistics_of
from mspgt.measure.collector import Collector
from mspgt.measure.corpora import CorpusIdentity
from mspgt.measure.shards import Shards, read_state
from mspgt.measure.store import Manifest
from mspgt.results.intervention import Behaviour, Scales
from mspgt.results.prediction_3_1 import NAME, check_comparable, judged

ACTIVATIONS = "activations"
"""corpus and signal of the pass that measures what block outputs are like"""
SETTINGS = (
    "intervention", "sigma", "apply", "dose", "controls", "samples", "prompt_tokens", "new_tokens", "decoding",
    "temperature", "top_p", "seed",
)  # fmt: skip
"""settings that the texts depend on"""


def start(config: InterveneConfig, console: Console | None, temporary: bool) -> Behaviour:
    """Experiment with checked settings, in a fresh directory or an interrupted one."""
    o = config.options
    with workspace(
        o, Behaviour.kind, f"{Path(name_of(o.model or o.run)).name}-{o.intervention}", console, temporary
    ) as w:
        return _Experiment(config, w).run()


@dataclass
class _Experiment:
    """What one experiment holds while it goes on."""

    config: InterveneConfig
    w: Workspace
    notes: list[str] = field(default_factory=list)

    def run(self) -> Behaviour:
        """All passes that are not done yet, then the result."""
        started, o = time.time(), self.config.options
        self.trainer = begin(o)
        subject = Subject.of(o)
        against = None if o.against is None else Behaviour.load(o.against)
        if against is not None:  # a fault in it shows now, not after hours
            check_comparable([o.intervention], o.sigma, against)
        self.make = partial(registry.create_intervention, o.intervention, self.config.intervention, seed=o.seed)
        for strength in o.sigma:
            self.make(strength=strength)  # a strength that is not allowed shows before anything is loaded
        r = subject.options
        corpus = data.load(r.data, limit=r.limit, seed=r.seed, corpus="data")
        self.w.say(f"loading {name_of(r.model)}")
        self.model = model = subject.load_model(o.offline)
        check_generates(model)
        weights = models.content_sha256(model)
        scales = subject.scales(o.boundaries, model, weights)
        self.plan = plan(
            scales.groups, model.n_layers, o.sigma, intervention=o.intervention, dose=o.dose, controls=o.controls
        )
        self.prompts = take_prompts(corpus, model.tokenizer, o.samples, o.prompt_tokens)
        check_length(model, max(len(p.ids) for p in self.prompts), o.new_tokens)
        manifest = self._manifest(subject, scales, corpus, weights)
        resumed = len(self.w.store.done(CORPUS, 0)) if self.w.open(manifest, self.config.as_dict()) else 0
        self._announce(scales, resumed)
        self._probe()
        self._statistics(data.Reading.of(corpus, model, r))
        self._generate()
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        written = Written.of(read_state(self.w.store.folder(CORPUS, 0), TEXTS), self.plan.conditions)
        manifest = replace(manifest, world_size=self.trainer.world_size)
        made = provenance_of(manifest, o.seed, started, self._device, resumed)
        behaviour = self._conclude(written, scales, made)
        if against is not None:
            behaviour = replace(behaviour, verdicts={**behaviour.verdicts, NAME: judged(behaviour, against)})
        beside = f"interventions.json, .csv, {GENERATIONS}, figures/"
        return self.w.save(replace(behaviour, provenance=made.since(started)), beside)

    def _manifest(self, subject: Subject, scales: Scales, corpus: data.Corpus, weights: str) -> Manifest:
        m, o, r, settings = self.model, self.config.options, subject.options, self.config.as_dict()
        fingerprint = {
            **model_fingerprint(m, r, r.max_length, weights),
            "boundaries": list(scales.boundaries),
            f"plugin {o.intervention}": registry.intervention(o.intervention).distribution,
            **{key: settings[key] for key in SETTINGS},
            **{f"{o.intervention}.{key}": value for key, value in settings[o.intervention].items()},
        }
        data = {CORPUS: CorpusIdentity.of(corpus)}
        return Manifest(Behaviour.kind.name, fingerprint, m.facts, data, model_sha256=weights)

    def _announce(self, scales: Scales, resumed: int) -> None:
        o, (a, b) = self.config.options, scales.boundaries
        self.w.say(f"{describe(self.model)}; boundaries after blocks {a} and {b}, {scales.source}; out: {self.w.path}")
        self.w.say(
            f"{o.intervention} of sigma {', '.join(f'{s:g}' for s in o.sigma)}: {len(self.prompts):,} prompts under "
            f"{len(self.plan.conditions)} conditions, up to {o.new_tokens} new tokens each"
        )
        if resumed:
            self.w.say(f"going on: {resumed:,} prompts are done already")

    def _probe(self) -> None:
        """Say now which metrics lack something, and not after hours; it may be there when they are measured."""
        if rank() > 0:
            return
        o = self.config.options
        for name in o.metrics:
            try:
                with guarded(name):
                    metric = registry.create_metric(
                        name, self.config.plugins[name], seed=o.seed, device="cpu", offline=o.offline
                    )
                    if not (self._values / f"{name}.json").is_file():
                        metric.probe()
            except NotMeasured as error:
                self.w.say(f"as it is now, {name} will not be measured: {error}")

    @property
    def _values(self) -> Path:
        return self.w.store.path / "metrics"

    # ------------------------------------------------------------------ passes

    def _statistics(self, reading: data.Reading) -> None:
        """Measure what block outputs are like: the unit of noise, the mean, other texts' activations."""
        collector, store = Collector({ACTIVATIONS: ActivationStatistics(seed=self.config.options.seed)}), self.w.store
        done = store.sentences_done(ACTIVATIONS, 0)
        pass_over(
            *(self.w, self.trainer, Observe(self.model, collector), ACTIVATIONS, 0),
            batches=reading.batches(),
            progress=Progressing(self.w.console, "outputs of blocks", reading.corpus.count()[1], done),
        )
        if collector.failures:
            raise UserError(" ".join(collector.failures.values()))
        self.notes += collector.notes
        state = fold(Shards(store.folder(ACTIVATIONS, 0), ACTIVATIONS))
        self.statistics, self.spread = statistics_of(state), spreads(state)

    def _intervention(self, strength: float) -> Intervention:
        return named(self.make(strength=strength), registry.intervention(self.config.options.intervention))

    def _generate(self) -> None:
        o, conditions = self.config.options, self.plan.conditions
        decoding = Decoding(o.new_tokens, o.decoding, o.temperature, o.top_p, o.seed)
        module = Continue(self.model, Design(conditions, decoding, self._intervention, self.statistics, o.apply))
        texts, done = len(conditions), len(self.w.store.done(CORPUS, 0))
        pass_over(
            *(self.w, self.trainer, module, CORPUS, 0),
            batches=list(dealt(self.prompts, max(1, o.batch_size // texts))),
            progress=Progressing(
                *(self.w.console, "generating", len(self.prompts) * texts, done * texts, "texts"),
                partial(_texts_of, texts),
            ),
        )
        self.notes += module.notes

    # ------------------------------------------------------------------ the result

    def _conclude(self, written: Written, scales: Scales, made: Provenance) -> Behaviour:
        texts = written.generated(self.prompts, self.model.tokenizer.decode)
        _write(self.w.path / GENERATIONS, texts)
        metrics = TextMetrics(self.config, texts, self._values, self._device)
        facts = Preliminaries(
            model=self.model.facts,
            run=scales,
            noise=tuple(replace(row, added=written.added_to(i)) for i, row in enumerate(self.spread)),
            conditions=self.plan.conditions,
            documents=[prompt.document for prompt in self.prompts],
            notes=(*self.plan.notes, *dict.fromkeys(self.notes), *_empty(texts)),
            provenance=made,
        )
        try:
            with MetricBar(self.w.console) as bar:
                metrics.run(bar)
            self.w.say("comparing conditions")
            return conclude(self.config, facts, metrics)
        finally:
            metrics.close()

    @property
    def _device(self) -> str:
        return str(self.trainer.strategy.root_device)


def _write(path: Path, texts: Mapping[str, Sequence[Generated]]) -> None:
    """All texts as one file, a line for each."""
    lines = [
        {"sample": text.sample, "condition": condition, "prompt": text.prompt, "text": text.text}
        for of_sample in zip(*texts.values(), strict=True)
        for condition, text in zip(texts, of_sample, strict=True)
    ]
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _empty(texts: Mapping[str, Sequence[Generated]]) -> list[str]:
    counts = {name: (sum(not text.text.strip() for text in those), len(those)) for name, those in texts.items()}
    return [f"{empty} of {of} texts are empty under {name}." for name, (empty, of) in counts.items() if empty]


def _texts_of(conditions: int, batch: Prompts) -> int:
    return len(batch.prompts) * conditions
