"""The run directory: settings, fingerprint, shards, fits. Nothing here knows a model or Lightning.

config.yaml                      resolved settings
state/run.json                   fingerprint, model, data and plugin failures
state/<corpus>-<pass>/*.safetensors   shards, append-only
state/fitted/<signal>-<pass>.safetensors
result.json, signals.csv, figures/, report.html, run.log
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mspgt.config.keys import read_yaml, write_yaml
from mspgt.config.run import RunConfig, from_dict
from mspgt.contracts.signal import Fitted
from mspgt.core.errors import UserError
from mspgt.core.files import locked, write_json, writing
from mspgt.core.key import Key
from mspgt.core.state import State
from mspgt.measure.collector import READING
from mspgt.measure.shards import Shards, read_header, read_state, shards

CONFIG = "config.yaml"
KINDS = {"run": "a run", "experiment": "an experiment", "drift": "a drift"}
RESULTS = dict(zip(KINDS, ("result.json", "interventions.json", "drift.json"), strict=True))
WRITTEN = (
    *("signals.csv", "interventions.csv", "drift.csv", "boundaries.csv"),
    *("generations.jsonl", "report.html", "run.log"),
)
"""what stands beside a result"""
LOCK = "lock"
"""held by the process that is at work on a run"""


@dataclass
class RunDir:
    """A run, experiment or drift on disk."""

    path: Path
    anew: bool = False
    """whether what is there is to be replaced"""
    begun: bool = True
    """whether all is checked; until then nothing that is kept there changes"""
    made: Path | None = None
    """the topmost folder that was made for it, if any was"""
    _said: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        """Folder of shards and fits."""
        return self.path / "state"

    def pass_folder(self, corpus: str, number: int) -> Path:
        """Folder of the shards of one pass over one corpus."""
        return self.state / f"{corpus}-{number}"

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out while the run goes on.

        Raises
        ------
        UserError: another process is at work on this run.
        """
        return locked(
            self.state / LOCK,
            f"another process is at work on the run in {self.path}; wait for it, or give another out.",
        )

    def begin(self) -> None:
        """All is checked: clear what is to be replaced, and log what was said until now. Needs the lock."""
        if self.anew:
            _clear(self.path)
        self.begun = True
        for line in self._said:
            self._log(line)
        self._said.clear()

    def discard(self) -> None:
        """Leave no folder behind that was made for work which never began. Needs the lock."""
        if self.begun or self.made is None:
            return
        for path in (self.state / LOCK, *self.state.glob("stopped-*.json")):
            path.unlink(missing_ok=True)
        for folder in (self.state, *self.state.parents):
            if not folder.is_relative_to(self.made) or any(folder.iterdir()):
                return
            folder.rmdir()

    # ------------------------------------------------------------------ settings and fingerprint

    def config(self) -> RunConfig:
        """The settings with which the run was made."""
        if not (self.path / CONFIG).is_file():
            raise UserError(f"{self.path} is no run directory: it has no {CONFIG}.")
        return from_dict(read_yaml(self.path / CONFIG))

    def write_config(self, plain: Mapping[str, Any]) -> None:
        """Keep the resolved settings."""
        with writing(self.path / CONFIG) as temporary:
            write_yaml(plain, temporary)

    def manifest(self) -> dict[str, Any]:
        """Fingerprint, model, data and failures, as `write_manifest` left them.

        Raises
        ------
        UserError: there is none, or it is damaged.
        """
        path = self.state / "run.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path} has no states to work with ({path.name} is missing in state/).") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); run again with overwrite=true.") from error
        return found

    def complete_manifest(self) -> dict[str, Any]:
        """The manifest of a finished run whose states are all there.

        Raises
        ------
        UserError: the run is unfinished, or states were taken away.
        """
        manifest = self.manifest()
        if manifest.get("sequences") is None:
            raise UserError(
                f"{self.path} is unfinished; go on with it by `mspgt run ... out={self.path} resume=true` first."
            )
        for corpus, count in manifest["sequences"].items():
            if missing := count - len(self.done(corpus, 0)):
                raise UserError(
                    f"{self.pass_folder(corpus, 0)} lacks {missing:,} of the run's {count:,} sequences: put the files "
                    "back that were taken away, or run the same command with resume=true to measure them again."
                )
        return manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace run.json whole or not at all."""
        write_json(self.state / "run.json", manifest)

    def failures(self) -> dict[str, str]:
        """Signals that raised on any rank -> the sentence that says so."""
        found: dict[str, str] = {}
        for path in sorted(self.state.glob("failed-*.json")):
            found |= json.loads(path.read_text(encoding="utf-8"))
        return found

    def clear_failures(self) -> None:
        """Give plugins that raised another chance."""
        for path in (*self.state.glob("failed-*.json"), *self.state.glob("stopped-*.json")):
            path.unlink()

    def write_failures(self, rank: int, failures: Mapping[str, str]) -> None:
        """Keep what one rank's plugins raised."""
        write_json(self.state / f"failed-{rank}.json", failures)

    def stopped(self) -> str | None:
        """Why a process other than the first stopped, if one did."""
        found = sorted(self.state.glob("stopped-*.json"))
        return str(json.loads(found[0].read_text(encoding="utf-8"))) if found else None

    def write_stopped(self, rank: int, sentence: str) -> None:
        """Tell the first process why this one stops."""
        write_json(self.state / f"stopped-{rank}.json", sentence)

    def log(self, sentence: str) -> None:
        """Append a line to run.log, with the time; it is held back until the work begins."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {sentence}\n"
        if self.begun:
            self._log(line)
        else:
            self._said.append(line)

    def _log(self, line: str) -> None:
        with open(self.path / "run.log", "a", encoding="utf-8") as file:
            file.write(line)

    # ------------------------------------------------------------------ states and fits

    def done(self, corpus: str, number: int) -> set[Key]:
        """The sequences that are already in shards of a pass; none of those that are to be replaced."""
        if self.anew and not self.begun:
            return set()
        headers = (read_header(path) for path in shards(self.pass_folder(corpus, number)))
        return {key for header in headers for key in header[READING]["keys"]}  # type: ignore[attr-defined]

    def reading(self, corpus: str) -> State:
        """Tokens, sentences and labelled instances of every sequence of a corpus."""
        return read_state(self.pass_folder(corpus, 0), READING)

    def sentences_done(self, corpus: str, number: int) -> int:
        """How many sentences are in shards of a pass; none of those that are to be replaced."""
        if self.anew and not self.begun:
            return 0
        read = Shards(self.pass_folder(corpus, number), READING)
        return sum(int(state.tables["sequences"].columns["sentences"].sum()) for state in read)

    def states(self, corpus: str, number: int, signal: str) -> State:
        """The merged state of a signal."""
        return read_state(self.pass_folder(corpus, number), signal)

    def fitted(self, signal: str, number: int) -> Fitted | None:
        """What a signal fitted after a pass, if it is saved."""
        path = self._fitted_path(signal, number)
        if not path.is_file():
            return None
        try:
            tensors: Fitted = load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is damaged ({error}); delete it and run the same command with resume=true."
            ) from error
        return tensors

    def write_fitted(self, signal: str, number: int, fitted: Fitted) -> None:
        """Keep what a signal fitted."""
        with writing(self._fitted_path(signal, number)) as temporary:
            save_file({name: value.detach().cpu().contiguous() for name, value in fitted.items()}, temporary)

    def _fitted_path(self, signal: str, number: int) -> Path:
        return self.state / "fitted" / f"{signal}-{number}.safetensors"


# ---------------------------------------------------------------------------------------- making one


def fresh(out: str | None, *, overwrite: bool, stem: str, kind: str = "run") -> RunDir:
    """A directory for a new run or experiment; what it replaces stays until `RunDir.begin`.

    Parameters
    ----------
    overwrite: whether a run or experiment that is there may be replaced by one of the same kind.
    stem: what the directory is called, before a number, where `out` gives no name.
    kind: one of `KINDS`.

    Raises
    ------
    UserError: `out` exists and may not be replaced.
    """
    if out is None:
        made = None if Path("runs").exists() else Path("runs")
        path = _numbered(stem)
        (path / "state").mkdir()
        return RunDir(path, anew=True, begun=False, made=made or path)
    path = Path(out).expanduser()
    if path.is_file():
        raise UserError(f"out={out} is a file; name a directory.")
    if path.is_dir() and any(path.iterdir()):
        _check_replaceable(path, overwrite, kind)
    missing = [p for p in (path / "state", *(path / "state").parents) if not p.exists()]
    try:
        (path / "state").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"out={path} cannot be made ({error.strerror}); name a place that can be written to."
        ) from error
    return RunDir(path, anew=True, begun=False, made=missing[-1] if missing else None)


def _numbered(stem: str) -> Path:
    """The first free directory runs/STEM-NUMBER, made here and now: another run may start at the same time."""
    number = 1
    while True:
        path = Path("runs", f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(
                f"{path} cannot be made ({error.strerror}); give out= a place that can be written to."
            ) from error
        else:
            return path


def existing(path: str | Path) -> RunDir:
    """An existing run directory.

    Raises
    ------
    UserError: it does not exist, or holds no run.
    """
    run = RunDir(Path(path).expanduser())
    if not run.path.is_dir():
        raise UserError(f"{path}: there is no such run directory.")
    advice = {"experiment": "give the run that it disturbed", "drift": "give the directory of a run"}
    if (kind := kind_of(run.path)) in advice:
        raise UserError(f"{run.path} holds {KINDS[kind]}, not a run: {advice[kind]}.")
    run.manifest()
    return run


def kind_of(path: Path) -> str | None:
    """What a directory holds, one of `KINDS`, or None where nothing was begun."""
    try:
        manifest = RunDir(path).manifest()
    except UserError:
        manifest = {}
    if "fingerprint" in manifest:
        return "run" if "signals" in manifest else "drift" if "checkpoints" in manifest else "experiment"
    return next((kind for kind, name in RESULTS.items() if (path / name).is_file()), None)


def require_kind(path: Path, kind: str) -> None:
    """Refuse a directory that holds something else than is to be put there.

    Raises
    ------
    UserError: it does.
    """
    found = kind_of(path)
    if found not in (None, kind):
        raise UserError(f"out={path} holds {KINDS[found]}, not {KINDS[kind]}: name another directory.")


def finished(path: Path) -> bool:
    """Whether a directory holds a result."""
    return any((path / name).exists() for name in RESULTS.values())


def _check_replaceable(path: Path, overwrite: bool, kind: str) -> None:
    if not _is_ours(path):
        raise UserError(f"out={path} exists and is no run directory; name another.")
    require_kind(path, kind)
    begun = any((path / name).is_file() for name in (CONFIG, *RESULTS.values(), "state/run.json"))
    if begun and not overwrite:
        done = finished(path)
        way = "overwrite=true to replace it" if done else "resume=true to go on with it, overwrite=true to start anew"
        raise UserError(
            f"out={path} holds {'a finished' if done else 'an unfinished'} {kind}; give {way}, or another out."
        )


def _clear(path: Path) -> None:
    """Remove all that a run or experiment wrote, and nothing else; the lock stays, as it is held."""
    for part in (*(path / "state").glob("*"), path / "figures"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        elif part.name != LOCK:
            part.unlink(missing_ok=True)
    for name in (CONFIG, *RESULTS.values(), *WRITTEN):
        (path / name).unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether a folder holds a run, or what is left of one; a settings file or a state folder alone is no proof."""
    concluded = any((path / name).is_file() for name in RESULTS.values())
    if (path / "state" / "run.json").is_file() or ((path / CONFIG).is_file() and concluded):
        return True
    started = {"state", "run.log"}  # a run that was stopped before it wrote its manifest
    return {p.name for p in path.iterdir()} <= started and {p.name for p in (path / "state").glob("*")} <= {LOCK}
