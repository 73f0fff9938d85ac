"""One run from settings to result: reads what goes in, makes the passes, and concludes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import lightning as L
from rich.console import Console

from mspgt import data, models
from mspgt.callbacks.accumulate import Accumulate
from mspgt.callbacks.progress import Progressing
from mspgt.config.run import RunConfig, RunOptions
from mspgt.contracts import registry
from mspgt.contracts.signal import Fitted, Signal
from mspgt.core.errors import MachineError, not_fitted
from mspgt.core.provenance import command
from mspgt.experiments.launch import rank, refuse_late_launch
from mspgt.experiments.loop import Observe, make_trainer, predict, quiet_libraries
from mspgt.experiments.recompute import complete_state, conclude
from mspgt.experiments.rundir import RunDir
from mspgt.measure.assess import Say, make_signals
from mspgt.measure.collector import MASSIVE, Collector
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.models.capture import prove
from mspgt.results.result import Result


class Session:
    """What one run holds while it goes on.

    Parameters
    ----------
    say: told what is being done; where None, the user and the log of the run are.
    """

    def __init__(
        self, config: RunConfig, folder: RunDir, console: Console, trainer: L.Trainer, say: Say | None = None
    ) -> None:
        self.config, self.folder, self.console, self.trainer = config, folder, console, trainer
        self.say: Say = say or self._say
        self.options: RunOptions = config.options
        self.signals = make_signals(config, "cpu")
        self.notes: list[str] = []
        self.failures: dict[str, str] = {}

    def run(self) -> Result:
        """All passes that are not done yet, then the result."""
        started = time.time()
        corpora = open_corpora(self.options, self.signals)  # before the model: a fault in a file costs no loading
        sentences = announce(corpora, self.say)
        self.say(f"loading {name_of(self.options.model)}")
        resumed = self.measure(self._load(), corpora, sentences)
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        device = str(self.trainer.strategy.root_device)
        provenance = {"started": started, "command": command(), "device": device, "sequences_resumed": resumed}
        return conclude(self.folder, self.config, provenance, device, self.say)

    def measure(
        self, model: models.LoadedModel, corpora: Mapping[str, data.Corpus], sentences: Mapping[str, int]
    ) -> int:
        """All passes over the corpora that are not done yet.

        Parameters
        ----------
        sentences: in each corpus.

        Returns
        -------
        How many sequences were done already.
        """
        self.model, self.corpora, self.sentences = model, corpora, sentences
        needs = any("attention" in s.needs for s in self.signals.values())
        proof = prove(model.model, model.blocks, attention=needs)
        if proof.note:
            self.notes.append(proof.note)
        self.readings = self._readings()
        self.home = self._homes()
        resumed = self._open()
        self._announce(resumed)
        for corpus in self.readings:
            for number in range(self._passes(corpus)):
                self._pass(corpus, number)
        if self.trainer.global_rank == 0:
            self._close()
        return resumed

    def _say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        if rank() == 0:
            self.folder.log(sentence)

    # ------------------------------------------------------------------ what goes in

    def _load(self) -> models.LoadedModel:
        o = self.options
        return models.load(
            o.model,
            o.tokenizer,
            revision=o.revision,
            quantization=o.quantization,
            trust_remote_code=o.trust_remote_code,
            dtype=o.dtype,
            device_map=o.device_map,
            layers_path=o.layers_path,
            offline=o.offline,
        )

    def _readings(self) -> dict[str, data.Reading]:
        """The corpora as the model's tokenizer reads them."""
        self.longest = min(self.options.max_length, self.model.context_length or self.options.max_length)
        return {
            name: data.Reading(
                corpus,
                self.model.tokenizer,
                max_length=self.longest,
                batch_tokens=self.options.batch_tokens,
                context=self.options.context,
            )
            for name, corpus in self.corpora.items()
        }

    def _homes(self) -> dict[str, str]:
        """The corpus of each signal: labelled signals go to `labels` where it is given."""
        labels = "labels" if "labels" in self.readings else "data"
        return {name: labels if "labels" in s.needs else "data" for name, s in self.signals.items()}

    def _passes(self, corpus: str) -> int:
        return max((len(s.passes) for name, s in self.signals.items() if self.home[name] == corpus), default=1)

    # ------------------------------------------------------------------ the run directory

    def _open(self) -> int:
        """Write settings and manifest, or check them against those of the run to go on with."""
        manifest = self._manifest()
        if rank() > 0:
            return 0
        resumed = 0
        if not self.folder.anew:
            old = self.folder.manifest()
            check_fingerprint(old["fingerprint"], manifest["fingerprint"], f"the run in {self.folder.path}")
            check_fingerprint(_read(old), _read(manifest), f"the corpus of {self.folder.path}")
            resumed = sum(len(self.folder.done(c, s)) for c in self.readings for s in range(self._passes(c)))
            self.folder.clear_failures()
        self.folder.begin()
        self.folder.write_manifest(manifest)
        self.folder.write_config(self.config.as_dict())
        return resumed

    def _manifest(self) -> dict[str, Any]:
        m = self.model
        fingerprint: dict[str, Any] = {
            "mspgt": version("mspgt"),
            "model": m.name,
            "model_sha256": models.content_sha256(m),
            "tokenizer_sha256": models.tokenizer_sha256(m),
            "dtype": m.dtype,
            "context": self.options.context,
            "max_length": self.longest,
            "layers_path": self.options.layers_path,
            "massive": MASSIVE,
            "seed": self.options.seed,
        }
        plain = self.config.as_dict()
        for name in self.signals:
            fingerprint[f"plugin {name}"] = registry.signal(name).distribution
            fingerprint |= {f"{name}.{key}": value for key, value in plain[name].items()}
        return {
            "fingerprint": fingerprint,
            "model": m.facts,
            "data": {
                name: {
                    "name": r.corpus.name,
                    "sha256": r.corpus.sha256,
                    "limit": r.corpus.limit,
                    "flags": list(r.corpus.flags),
                }
                for name, r in self.readings.items()
            },
            "signals": self.home,
            "passes": max(self._passes(c) for c in self.readings),
            "notes": [],
            "left_out": [],
            "sequences": None,
        }

    def _close(self) -> None:
        """Every pass is done: states are complete."""
        changes = {
            "sequences": {corpus: len(self.folder.done(corpus, 0)) for corpus in self.readings},
            "notes": list(dict.fromkeys(self.notes)),
            "left_out": [note for reading in self.readings.values() for note in reading.notes],
            "world_size": self.trainer.world_size,
        }
        self.folder.write_manifest(self.folder.manifest() | changes)

    # ------------------------------------------------------------------ passes

    def _pass(self, corpus: str, number: int) -> None:
        signals = {name: s for name, s in self.signals.items() if self.home[name] == corpus and number < len(s.passes)}
        reading, done = self.readings[corpus], self.folder.done(corpus, number)
        tasks = reading.corpus.tasks if any("labels" in s.needs for s in signals.values()) else ()
        collector = Collector(signals, number, self._fitted(signals, number), dict(self.failures))
        title = f"pass {number + 1} over {reading.corpus.name}"
        callbacks: list[L.Callback] = [
            Accumulate(self.folder.pass_folder(corpus, number), collector.merged),
            Progressing(self.console, title, self.sentences[corpus], self.folder.sentences_done(corpus, number)),
        ]
        predict(self.trainer, Observe(self.model, collector), reading.batches(tasks), done, callbacks)
        self.failures |= collector.failures
        self.notes += collector.notes
        self.folder.write_failures(self.trainer.global_rank, self.failures)
        self.trainer.strategy.barrier()  # every rank's shards are there
        self.folder.begun = True  # by the first process, whichever this is
        if self.trainer.global_rank == 0:
            self._fit(corpus, number, signals)
        self.trainer.strategy.barrier()  # and the fits that the next pass reads
        self.failures |= self.folder.failures()

    def _fitted(self, signals: Mapping[str, Any], number: int) -> dict[str, Fitted | None]:
        return {name: self.folder.fitted(name, number - 1) for name in signals} if number else {}

    def _fit(self, corpus: str, number: int, signals: Mapping[str, Any]) -> None:
        """Estimate what the next pass needs; the last fit belongs to the conclusion."""
        fitting = [name for name, s in signals.items() if number + 1 < len(s.passes)]
        for name in sorted(set(fitting) - self.folder.failures().keys()):
            if self.folder.fitted(name, number) is not None:
                continue
            try:
                state = complete_state(self.folder, corpus, number, name, len(self.folder.done(corpus, number)))
                fitted = signals[name].fit(signals[name].passes[number], state)
                if fitted is not None:
                    self.folder.write_fitted(name, number, fitted)
            except MachineError:
                raise
            except Exception as error:  # a plugin's own fault must not take the others down
                self.failures[name] = not_fitted(name, error)
        self.folder.write_failures(0, self.failures)

    def _announce(self, resumed: int) -> None:
        """Say what will be done, and how much memory it may take."""
        m = self.model
        self.say(
            f"model: {m.name}, {m.n_layers} blocks of width {m.hidden_size}, {m.parameters / 1e6:,.1f} M parameters, "
            f"{m.dtype}; signals: {', '.join(self.signals)}; out: {self.folder.path}"
        )
        rows = sum(
            s.bytes_per_sentence(m.n_layers, m.hidden_size) * self.sentences[self.home[name]]
            for name, s in self.signals.items()
        )
        self.say(f"estimated memory: {_size(m.nbytes)} of weights, {_size(rows)} of rows, on disk and in evaluation")
        if resumed:
            self.say(f"going on: {resumed:,} sequences are done already")


def begin(options: RunOptions) -> L.Trainer:
    """The Trainer that makes all passes."""
    quiet_libraries()
    trainer = make_trainer(options)
    refuse_late_launch(trainer)
    return trainer


def open_corpora(options: RunOptions, signals: Mapping[str, Signal]) -> dict[str, data.Corpus]:
    """The corpora to read: `data`, and `labels` where the probes have one of their own."""
    sources = {"data": options.data}
    if options.labels is not None and any("labels" in s.needs for s in signals.values()):
        sources["labels"] = options.labels
    return {
        name: data.load(source, limit=options.limit, seed=options.seed, corpus=name) for name, source in sources.items()
    }


def announce(corpora: Mapping[str, data.Corpus], say: Say) -> dict[str, int]:
    """Go through the corpora once, and say what there is to read; answers the sentences of each."""
    found: dict[str, int] = {}
    for name, corpus in corpora.items():
        documents, sentences = corpus.count()
        found[name] = sentences
        say(f"{name}: {corpus.describe()}: {documents:,} documents, {sentences:,} sentences")
    return found


def _size(nbytes: float) -> str:
    return f"{nbytes / 2**20:,.0f} MiB" if nbytes < 2**30 else f"{nbytes / 2**30:,.1f} GiB"


def _read(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What was read of each corpus: another limit cuts its last document elsewhere."""
    corpora = manifest["data"].items()
    return {c: d["sha256"] for c, d in corpora} | {f"limit of {c}": d.get("limit") for c, d in corpora}


def name_of(value: Any) -> str:
    """The name of a model or corpus, or the class of an object."""
    return value if isinstance(value, str) else type(value).__name__
