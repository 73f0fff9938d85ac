"""Measuring a model in Lightning's predict loop, and what follows from its states: shared by runs and drifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import lightning as L

from mspgt import data, models
from mspgt.callbacks.accumulate import Accumulate
from mspgt.callbacks.progress import Progressing
from mspgt.config.run import RunConfig, RunOptions
from mspgt.config.shared import Machine
from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.core.provenance import Provenance, provenance
from mspgt.experiments.launch import refuse_late_launch
from mspgt.experiments.loop import Observe, make_trainer, predict, quiet_libraries
from mspgt.experiments.workspace import Workspace
from mspgt.measure.assess import evaluate_measured, make_signals
from mspgt.measure.collector import MASSIVE, Collector
from mspgt.measure.corpora import CorpusFacts, CorpusIdentity, corpus_facts
from mspgt.measure.evaluate import Evaluation, Say
from mspgt.measure.passes import Homes, make_passes, measured
from mspgt.measure.store import Manifest, Store
from mspgt.models import LoadedModel
from mspgt.models.capture import prove

Readings = Mapping[str, data.Reading]


def begin(options: Machine) -> L.Trainer:
    """The Trainer that makes all passes."""
    quiet_libraries()
    trainer = make_trainer(options)
    refuse_late_launch(trainer)
    return trainer


def load_model(options: RunOptions, offline: bool = False) -> LoadedModel:
    """The model that the settings name."""
    return models.load(
        options.model,
        options.tokenizer,
        revision=options.revision,
        quantization=options.quantization,
        trust_remote_code=options.trust_remote_code,
        dtype=options.dtype,
        device_map=options.device_map,
        layers_path=options.layers_path,
        offline=offline or options.offline,
    )


@dataclass(frozen=True)
class Corpora:
    """The corpora of a piece of work, opened and counted once, and the signals that are measured on them."""

    homes: Homes
    opened: Mapping[str, data.Corpus]
    sentences: Mapping[str, int]

    @classmethod
    def open(cls, config: RunConfig, say: Say) -> Corpora:
        """Open the corpora, go through them once, and say what there is to read."""
        o = config.options
        homes = Homes.given(make_signals(config, "cpu"), o.data, o.labels)
        opened = {
            name: data.load(source, limit=o.limit, seed=o.seed, corpus=name) for name, source in homes.sources.items()
        }
        sentences = {}
        for name, corpus in opened.items():
            documents, sentences[name] = corpus.count()
            say(f"{name}: {corpus.describe()}: {documents:,} documents, {sentences[name]:,} sentences")
        return cls(homes, opened, sentences)

    def read_by(self, model: LoadedModel, options: RunOptions) -> dict[str, data.Reading]:
        """The corpora as the model's tokenizer reads them."""
        return {name: data.Reading.of(corpus, model, options) for name, corpus in self.opened.items()}


class Predicting:
    """Runs passes in Lightning's predict loop and keeps their states in shards (`passes.Loop`)."""

    def __init__(self, w: Workspace, trainer: L.Trainer, corpora: Corpora, readings: Readings) -> None:
        self._w, self._trainer, self._corpora, self._readings = w, trainer, corpora, readings

    @property
    def first(self) -> bool:
        """Whether this process is the first."""
        return bool(self._trainer.global_rank == 0)

    def observe(self, model: LoadedModel, corpus: str, number: int, collector: Collector) -> None:
        """One pass, but for the sequences that are done."""
        reading = self._readings[corpus]
        labelled = any("labels" in signal.needs for signal in collector.signals.values())
        pass_over(
            *(self._w, self._trainer, Observe(model, collector), corpus, number),
            batches=reading.batches(reading.corpus.tasks if labelled else ()),
            progress=Progressing(
                self._w.console,
                f"pass {number + 1} over {reading.corpus.name}",
                self._corpora.sentences[corpus],
                self._w.store.sentences_done(corpus, number),
            ),
        )

    def agree(self, failures: Mapping[str, str]) -> dict[str, str]:
        """The failures of all processes; what the first fitted is on disk by then."""
        self._w.store.write_failures(self._trainer.global_rank, failures)
        self._trainer.strategy.barrier()
        return self._w.store.failures()


def pass_over(
    w: Workspace, trainer: L.Trainer, module: Any, corpus: str, number: int, *, batches: Any, progress: Progressing
) -> None:
    """One pass of any kind, its states kept in shards; every process's shards are there afterwards."""
    callbacks: list[L.Callback] = [Accumulate(w.store.folder(corpus, number), module.merged), progress]
    predict(trainer, module, batches, w.store.done(corpus, number), callbacks)
    trainer.strategy.barrier()
    w.mark_begun()


def measure(w: Workspace, config: RunConfig, model: LoadedModel, corpora: Corpora, trainer: L.Trainer, say: Say) -> int:
    """All passes over the corpora that are not done yet.

    Returns
    -------
    How many sequences were done already.
    """
    homes, readings = corpora.homes, corpora.read_by(model, config.options)
    note = prove(model.model, model.blocks, attention=homes.needs_attention)
    notes = [note] if note else []
    manifest = _manifest(config, model, homes, readings)
    going_on = w.open(manifest, config.as_dict())
    pairs = [(corpus, number) for corpus in homes.sources for number in range(homes.passes(corpus))]
    resumed = sum(len(w.store.done(*pair)) for pair in pairs) if going_on else 0
    _announce(w, model, corpora, resumed, say)
    make_passes(homes, model, Predicting(w, trainer, corpora, readings), w.store, notes)
    if trainer.global_rank == 0:
        complete = replace(
            manifest,
            sequences={corpus: len(w.store.done(corpus, 0)) for corpus in readings},
            notes=tuple(dict.fromkeys(notes)),
            left_out=tuple(note for reading in readings.values() for note in reading.notes),
            world_size=trainer.world_size,
        )
        w.store.write_manifest(complete)
    return resumed


def model_fingerprint(model: LoadedModel, options: RunOptions, max_length: int, weights: str) -> dict[str, Any]:
    """What states depend on of the model and of how it reads.

    Parameters
    ----------
    weights: their hash.
    """
    return {
        "mspgt": version("mspgt"),
        "model": model.name,
        "model_sha256": weights,
        "tokenizer_sha256": models.tokenizer_sha256(model),
        "dtype": model.dtype,
        "context": options.context,
        "max_length": max_length,
        "layers_path": options.layers_path,
    }


def _manifest(config: RunConfig, model: LoadedModel, homes: Homes, readings: Readings) -> Manifest:
    plain, weights = config.as_dict(), models.content_sha256(model)
    max_length = next(iter(readings.values())).max_length
    fingerprint = model_fingerprint(model, config.options, max_length, weights)
    fingerprint |= {"massive": MASSIVE, "seed": config.options.seed}
    for name in homes.signals:
        fingerprint[f"plugin {name}"] = registry.signal(name).distribution
        fingerprint |= {f"{name}.{key}": value for key, value in plain[name].items()}
    return Manifest(
        "run",
        fingerprint,
        model.facts,
        {name: CorpusIdentity.of(reading.corpus) for name, reading in readings.items()},
        homes.of,
        max(homes.passes(corpus) for corpus in readings),
        model_sha256=weights,
    )


def _announce(w: Workspace, model: LoadedModel, corpora: Corpora, resumed: int, say: Say) -> None:
    """Say what will be done, and how much memory it may take."""
    signals, homes = corpora.homes.signals, corpora.homes.of
    say(f"{describe(model)}; signals: {', '.join(signals)}; out: {w.path}")
    rows = sum(
        s.bytes_per_sentence(model.n_layers, model.hidden_size) * corpora.sentences[homes[name]]
        for name, s in signals.items()
    )
    say(f"estimated memory: {_size(model.nbytes)} of weights, {_size(rows)} of rows, on disk and in evaluation")
    if resumed:
        say(f"going on: {resumed:,} sequences are done already")


def provenance_of(manifest: Manifest, seed: int, started: float, device: str, resumed: int = 0) -> Provenance:
    """Where a result comes from that was made of the states of a manifest.

    Parameters
    ----------
    started: seconds since the epoch.
    resumed: sequences that interrupted work had done.
    """
    return provenance(
        started,
        device=device,
        dtype=manifest.model.dtype if manifest.model else "",
        seed=seed,
        model_sha256=manifest.model_sha256,
        data_sha256=manifest.data_sha256,
        world_size=manifest.world_size,
        sequences_resumed=resumed,
    )


def describe(model: LoadedModel) -> str:
    """The model in one phrase, for what is said at the start."""
    shape = f"{model.n_layers} blocks of width {model.hidden_size}"
    return f"model: {model.name}, {shape}, {model.parameters / 1e6:,.1f} M parameters, {model.dtype}"


def _size(nbytes: float) -> str:
    return f"{nbytes / 2**20:,.0f} MiB" if nbytes < 2**30 else f"{nbytes / 2**30:,.1f} GiB"


# ------------------------------------------------------------------------------------------- from states


@dataclass(frozen=True)
class Assessment:
    """What follows from the states of a run."""

    evaluation: Evaluation
    data: CorpusFacts
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def assess(store: Store, config: RunConfig, device: str, say: Say) -> Assessment:
    """Fit what is not fitted yet, and evaluate the states of a run.

    Raises
    ------
    UserError: no signal is left to evaluate.
    """
    manifest = store.manifest()
    homes = Homes(make_signals(config, device), dict.fromkeys(manifest.data), manifest.signals)
    failures = store.failures()
    by_signal = measured(homes, store, failures, say)
    if manifest.model is None:
        raise UserError(f"{store.path} does not say which model it is of; run again with overwrite=true.")
    try:
        evaluation = evaluate_measured(by_signal, manifest.model.n_layers, config, failures, say)
    except UserError as error:  # what was not read may be why
        raise type(error)(" ".join([str(error), *manifest.left_out])) from error
    return Assessment(
        evaluation,
        corpus_facts(manifest.data, {corpus: store.census(corpus) for corpus in manifest.data}),
        (*manifest.notes, *evaluation.notes),
        (*manifest.left_out, *failures.values(), *evaluation.left_out),
    )
