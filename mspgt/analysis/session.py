"""One run from settings to result: prepares the run directory, makes the passes, and concludes."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from rich.console import Console

from mspgt import data, models, registry
from mspgt.analysis.loop import Observe, make_trainer, predict, quiet_libraries
from mspgt.callbacks.accumulate import Accumulate
from mspgt.callbacks.progress import Progressing
from mspgt.capture import prove
from mspgt.collect import MASSIVE, Collector
from mspgt.config import RunConfig, RunOptions, build
from mspgt.errors import Interrupted, MachineError, UserError
from mspgt.recompute import command, complete_state, conclude, make_signals, why_left_out
from mspgt.result import Result
from mspgt.rundir import CONFIG, RunDir, check_fingerprint, fresh
from mspgt.signal import Fitted

FOLDER = "MSPGT_RUN_DIRECTORY"
"""environment variable that tells processes started by Lightning where the first one put the run"""
LAUNCH = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
"""environment variables that Lightning sets when it starts processes, and leaves"""
_runs = itertools.count()
"""numbers the runs of this process"""
RESUME_WHAT = "resume=true needs out=DIRECTORY, the run to go on with."


def run(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Result:
    """Run a corpus through a model; answer where its layers change, and how sure that is.

    Parameters
    ----------
    keys: any key of `mspgt run`: ``model`` and ``tokenizer`` (names or loaded objects), ``data`` and ``labels``
        (names, paths, or iterables of documents), ``plugins``, ``limit``, ``out``, ...; options of a signal as
        ``cka={"estimator": "biased"}``. Without ``out`` the run directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown; nowhere if None.

    Raises
    ------
    UserError: bad settings, corpus or model; the message says what to do.
    """
    settings = build(keys, config)
    console = console or Console(quiet=True)
    if settings.options.out is not None or FOLDER in os.environ:
        return start(settings, console)
    if settings.options.resume:
        raise UserError(RESUME_WHAT)
    folder = Path(tempfile.mkdtemp(prefix="mspgt-"))
    try:
        result = _in_folder(settings, RunDir(folder), console)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise  # after an interrupt it stays: the message names it, to go on from
    shutil.rmtree(folder, ignore_errors=True)
    return result


def start(settings: RunConfig, console: Console) -> Result:
    """Run with checked settings, in a fresh run directory or an interrupted one."""
    options = settings.options
    if _rank() > 0:
        folder = os.environ.get(FOLDER, options.out)
        if folder is None:
            raise UserError("processes that this run did not start itself need out=DIRECTORY, on a disk they share.")
        return _follow(settings, RunDir(Path(folder)))
    if options.resume and options.out is None:
        raise UserError(RESUME_WHAT)
    if options.resume and (Path(str(options.out)).expanduser() / CONFIG).is_file():
        return _in_folder(settings, RunDir(Path(str(options.out)).expanduser()), console)
    stem = f"{Path(_name(options.model)).name}-{Path(_name(options.data)).stem}"
    return _in_folder(settings, fresh(options.out, overwrite=options.overwrite or options.resume, stem=stem), console)


def _follow(settings: RunConfig, folder: RunDir) -> Result:
    """The part of a process other than the first; what stops it is left for the first to say."""
    try:
        return Session(settings, folder, Console(quiet=True)).run()
    except UserError as error:
        folder.write_stopped(_rank(), str(error))
        raise


def _in_folder(settings: RunConfig, folder: RunDir, console: Console) -> Result:
    with _launching(folder.path):
        return _interruptible(settings, folder, console)


def _interruptible(settings: RunConfig, folder: RunDir, console: Console) -> Result:
    try:
        return Session(settings, folder, console).run()
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "interrupted; what was computed is saved: run the same command "
            f"with out={folder.path} resume=true to go on."
        ) from None
    except RuntimeError as error:  # the others cannot be reached: perhaps one of them has said why
        if (why := folder.stopped()) is not None:
            raise UserError(why) from error
        raise


@contextmanager
def _launching(folder: Path) -> Iterator[None]:
    """Tell processes started by Lightning where the run is; leave no trace of them for a later run to trip over."""
    before = {name: os.environ.get(name) for name in (FOLDER, *LAUNCH)}
    grouped = _in_process_group()
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if _in_process_group() and not grouped:
            torch.distributed.destroy_process_group()


def _refuse_late_launch(trainer: L.Trainer, before: int) -> None:
    """Processes that Lightning starts go through the script from its start, and take its first run for this one."""
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher) or before == 0:
        return
    if not launcher.cluster_environment.creates_processes_externally:
        raise UserError(
            "a script may start one run of several processes, before any other run: start this one by `mspgt run`, by "
            "a script of its own, or give strategy=ddp_fork."
        )


def _in_process_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class Session:
    """What one run holds while it goes on."""

    def __init__(self, config: RunConfig, folder: RunDir, console: Console) -> None:
        self.config, self.folder, self.console = config, folder, console
        self.options: RunOptions = config.options
        self.signals = make_signals(config, "cpu")
        self.notes: list[str] = []
        self.failures: dict[str, str] = {}

    def run(self) -> Result:
        """All passes that are not done yet, then the result."""
        started = time.time()
        quiet_libraries()
        self.trainer = make_trainer(self.options)
        _refuse_late_launch(self.trainer, next(_runs))
        self.say(f"loading {_name(self.options.model)}")
        self.model = self._load()
        self.readings = self._readings()
        self.home = self._homes()
        resumed = self._open()
        self._announce(resumed)
        for corpus in self.readings:
            for stage in range(self._stages(corpus)):
                self._pass(corpus, stage)
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        device = str(self.trainer.strategy.root_device)
        self._close()
        provenance = {"started": started, "command": command(), "device": device, "sequences_resumed": resumed}
        return conclude(self.folder, self.config, provenance, device, self.say)

    def say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        if _rank() == 0:
            self.folder.log(sentence)

    # ------------------------------------------------------------------ what goes in

    def _load(self) -> models.LoadedModel:
        o = self.options
        model = models.load(
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
        needs = any("attention" in s.needs for s in self.signals.values())
        proof = prove(model.model, model.blocks, attention=needs)
        if proof.note:
            self.notes.append(proof.note)
        return model

    def _readings(self) -> dict[str, data.Reading]:
        """The corpora to read: `data`, and `labels` where the probes have one of their own."""
        sources = {"data": self.options.data}
        if self.options.labels is not None and any("labels" in s.needs for s in self.signals.values()):
            sources["labels"] = self.options.labels
        self.longest = min(self.options.max_length, self.model.context_length or self.options.max_length)
        return {
            name: data.Reading(
                data.load(source, limit=self.options.limit, seed=self.options.seed, corpus=name),
                self.model.tokenizer,
                max_length=self.longest,
                batch_tokens=self.options.batch_tokens,
                context=self.options.context,
            )
            for name, source in sources.items()
        }

    def _homes(self) -> dict[str, str]:
        """The corpus of each signal: labelled signals go to `labels` where it is given."""
        labels = "labels" if "labels" in self.readings else "data"
        return {name: labels if "labels" in s.needs else "data" for name, s in self.signals.items()}

    def _stages(self, corpus: str) -> int:
        return max((len(s.stages) for name, s in self.signals.items() if self.home[name] == corpus), default=1)

    # ------------------------------------------------------------------ the run directory

    def _open(self) -> int:
        """Write settings and manifest, or check them against those of the run to go on with."""
        manifest = self._manifest()
        if _rank() > 0:
            return 0
        resumed = 0
        if (self.folder.path / CONFIG).is_file():
            old = self.folder.manifest()
            check_fingerprint(old["fingerprint"], manifest["fingerprint"], f"the run in {self.folder.path}")
            check_fingerprint(_read(old), _read(manifest), f"the corpus of {self.folder.path}")
            resumed = sum(len(self.folder.done(c, s)) for c in self.readings for s in range(self._stages(c)))
            self.folder.clear_failures()
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
            "precision": self.options.precision,
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
            "model": {
                "name": m.name,
                "family": m.family,
                "n_layers": m.n_layers,
                "hidden_size": m.hidden_size,
                "n_heads": m.n_heads,
                "parameters": m.parameters,
                "dtype": m.dtype,
            },
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
            "stages": max(self._stages(c) for c in self.readings),
            "notes": [],
            "left_out": [],
            "complete": False,
        }

    def _close(self) -> None:
        """Every pass is done: states are complete."""
        changes = {
            "complete": True,
            "notes": list(dict.fromkeys(self.notes)),
            "left_out": [note for reading in self.readings.values() for note in reading.notes],
            "world_size": self.trainer.world_size,
        }
        self.folder.write_manifest(self.folder.manifest() | changes)

    # ------------------------------------------------------------------ passes

    def _pass(self, corpus: str, stage: int) -> None:
        signals = {name: s for name, s in self.signals.items() if self.home[name] == corpus and stage < len(s.stages)}
        reading, done = self.readings[corpus], self.folder.done(corpus, stage)
        tasks = reading.corpus.tasks if any("labels" in s.needs for s in signals.values()) else ()
        collector = Collector(signals, stage, self._fitted(signals, stage), dict(self.failures))
        title = f"pass {stage + 1} over {reading.corpus.name}"
        callbacks: list[L.Callback] = [
            Accumulate(self.folder.stage(corpus, stage), collector.merged),
            Progressing(self.console, title, self.sentences[corpus], self.folder.sentences_done(corpus, stage)),
        ]
        predict(self.trainer, Observe(self.model, collector), reading.batches(tasks), done, callbacks)
        self.failures |= collector.failures
        self.notes += collector.notes
        self.folder.write_failures(self.trainer.global_rank, self.failures)
        self.trainer.strategy.barrier()  # every rank's shards are there
        if self.trainer.global_rank == 0:
            self._fit(corpus, stage, signals)
        self.trainer.strategy.barrier()  # and the fits that the next pass reads
        self.failures |= self.folder.failures()

    def _fitted(self, signals: Mapping[str, Any], stage: int) -> dict[str, Fitted | None]:
        return {name: self.folder.fitted(name, stage - 1) for name in signals} if stage else {}

    def _fit(self, corpus: str, stage: int, signals: Mapping[str, Any]) -> None:
        """Estimate what the next pass needs; the last fit belongs to the conclusion."""
        fitting = [name for name, s in signals.items() if stage + 1 < len(s.stages)]
        for name in sorted(set(fitting) - self.folder.failures().keys()):
            if self.folder.fitted(name, stage) is not None:
                continue
            try:
                state = complete_state(self.folder, corpus, stage, name, len(self.folder.done(corpus, stage)))
                fitted = signals[name].fit(signals[name].stages[stage], state)
                if fitted is not None:
                    self.folder.write_fitted(name, stage, fitted)
            except MachineError:
                raise
            except Exception as error:  # a plugin's own fault must not take the others down
                self.failures[name] = why_left_out(name, error)
        self.folder.write_failures(0, self.failures)

    def _announce(self, resumed: int) -> None:
        """Say what will be done, and how much memory it may take."""
        self.sentences: dict[str, int] = {}
        for name, reading in self.readings.items():
            documents, sentences = reading.corpus.count()
            self.sentences[name] = sentences
            self.say(f"{name}: {reading.corpus.describe()}: {documents:,} documents, {sentences:,} sentences")
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


def _size(nbytes: float) -> str:
    return f"{nbytes / 2**20:,.0f} MiB" if nbytes < 2**30 else f"{nbytes / 2**30:,.1f} GiB"


def _read(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What was read of each corpus: another limit cuts its last document elsewhere."""
    corpora = manifest["data"].items()
    return {c: d["sha256"] for c, d in corpora} | {f"limit of {c}": d.get("limit") for c, d in corpora}


def _rank() -> int:
    """0 in the first of the processes of a run; before there is a Trainer, the environment alone knows."""
    if os.environ.get("RANK"):
        return int(os.environ["RANK"])
    return max(int(os.environ.get(name) or 0) for name in ("LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"))


def _name(value: Any) -> str:
    return value if isinstance(value, str) else type(value).__name__
