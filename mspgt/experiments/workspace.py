"""Workspace: the directory that one piece of work is kept in, for every verb.

A workspace owns the directory, its lock, its log, resuming, replacing and interruption. Until `begin` nothing that is
kept there changes, and where the work never begins nothing is left behind.

config.yaml    resolved settings
state/         manifest, shards and fits (`mspgt.measure.store`), the lock
run.log        what was said, with times
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from mspgt.config.keys import write_yaml
from mspgt.config.shared import Place
from mspgt.core.codec import plain
from mspgt.core.errors import Interrupted, UserError
from mspgt.core.files import locked, write_json, writing
from mspgt.experiments.directory import (
    CONFIG,
    LOCK,
    check_replaceable,
    clear,
    declared,
    kind_of,
    numbered,
    require_kind,
)
from mspgt.experiments.launch import FOLDER, launching, rank
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.store import MANIFEST, Manifest, Store
from mspgt.results.kinds import Kind
from mspgt.results.result import Result

R = TypeVar("R", bound=Result)
RESUME_WHAT = "resume=true needs out=DIRECTORY, the work to go on with."


@dataclass
class Workspace:
    """A directory with work in it.

    Attributes
    ----------
    anew: whether what is there is to be replaced; otherwise the work goes on with it.
    begun: whether all is checked; until then nothing that is kept there changes.
    stays: whether the directory is still there when the work is done.
    made: the topmost folder that was made for it, if any was.
    """

    path: Path
    kind: Kind
    console: Console = field(default_factory=lambda: Console(quiet=True))
    anew: bool = False
    begun: bool = False
    stays: bool = True
    made: Path | None = None
    _lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.path / "state", absent=self.anew)

    # ------------------------------------------------------------------ what is said

    def say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        self.log(sentence)

    def log(self, sentence: str) -> None:
        """Append a line to run.log, with the time; it is held back until the work begins."""
        if rank() == 0:
            self._lines.append(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {sentence}\n")
            self._write_lines()

    def _write_lines(self) -> None:
        if self.begun and self._lines:
            with open(self.path / "run.log", "a", encoding="utf-8") as file:
                file.writelines(self._lines)
            self._lines.clear()

    # ------------------------------------------------------------------ the work begins

    def open(self, manifest: Manifest, settings: Mapping[str, Any]) -> bool:
        """All is checked: begin, or go on with what is there, whose fingerprint must be the same.

        Parameters
        ----------
        settings: plain values for config.yaml.

        Returns
        -------
        Whether the work goes on with what is there; False in all processes but the first.

        Raises
        ------
        UserError: what is there has another fingerprint.
        """
        if rank() > 0:
            return False
        self.check(manifest)
        self.begin()
        self.store.clear_failures()
        self.store.write_manifest(manifest)
        with writing(self.path / CONFIG) as temporary:
            write_yaml(settings, temporary)
        return not self.anew

    def check(self, manifest: Manifest) -> None:
        """Refuse to go on with what is there where it belongs to something else.

        Raises
        ------
        UserError: the fingerprint or the corpus differs; the message names what is different.
        """
        if not self.anew:
            old = self.store.manifest()
            check_fingerprint(old.fingerprint, plain(manifest.fingerprint), f"the {self.kind.noun} in {self.path}")
            check_fingerprint(_read(old), _read(manifest), f"the corpus of {self.path}")

    def begin(self) -> None:
        """Clear what is to be replaced, and write what was said until now. Needs the lock."""
        if self.anew:
            clear(self.path)
        self.mark_begun()
        self._write_lines()

    def mark_begun(self) -> None:
        """The work has begun, by the first process, whichever this is."""
        self.begun, self.store.absent = True, False

    def save(self, result: R, beside: str) -> R:
        """Write a result with its tables, figures and page, and say where; it knows its place if that stays."""
        self.say("drawing figures and the page")
        result.save(self.path)
        self.say(f"written: {self.path / 'report.html'} and, beside it, {beside}")
        return result.kept_in(self.path if self.stays else None)

    def inner(self, name: str, kind: Kind) -> Workspace:
        """A part of this work that is kept in its state until it is done, and gone on with if it was begun."""
        folder = self.store.path / name
        return Workspace(folder, kind, self.console, anew=not (folder / "state" / MANIFEST).is_file())

    def discard(self) -> None:
        """Leave no folder behind that was made for work which never began. Needs the lock."""
        if self.begun or self.made is None:
            return
        state = self.store.path
        for path in (state / LOCK, *state.glob("stopped-*.json")):
            path.unlink(missing_ok=True)
        for folder in (state, *state.parents):
            if not folder.is_relative_to(self.made) or any(folder.iterdir()):
                return
            folder.rmdir()

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory; UserError if another process is at work there."""
        busy = f"another process is at work on the run in {self.path}; wait for it, or give another out."
        return locked(self.store.path / LOCK, busy)

    # ------------------------------------------------------------------ other processes

    def write_stopped(self, sentence: str) -> None:
        """Tell the first process why this one stops."""
        write_json(self.store.path / f"stopped-{rank()}.json", sentence)

    def stopped(self) -> str | None:
        """Why a process other than the first stopped, if one did."""
        paths = sorted(self.store.path.glob("stopped-*.json"))
        return str(json.loads(paths[0].read_text(encoding="utf-8"))) if paths else None


@contextmanager
def workspace(place: Place, kind: Kind, stem: str, console: Console | None, temporary: bool) -> Iterator[Workspace]:
    """A workspace for as long as the work lasts.

    Parameters
    ----------
    kind: of the result that the work leads to.
    stem: what the directory is called under runs/, before a number, where `out` gives no name.
    console: where progress is shown; nowhere if None.
    temporary: whether a directory without a name is temporary, and gone afterwards.

    Raises
    ------
    UserError: `out` may not be used, or another process is at work there.
    Interrupted: the work was interrupted; the message says how to go on.
    """
    if place.resume and place.out is None and FOLDER not in os.environ:
        raise UserError(RESUME_WHAT)
    if place.resume and place.overwrite:
        raise UserError("resume=true goes on with what is in out=, overwrite=true replaces it: give one of them.")
    if place.out is None and FOLDER not in os.environ and temporary:
        made = Workspace(Path(tempfile.mkdtemp(prefix="mspgt-")), kind, anew=True, stays=False)
    elif rank() > 0:
        made = _of_the_first(place, kind)
    else:
        made = _of_settings(place, kind, stem)
    if console is not None and rank() == 0:
        made.console = console
    with made.locked() if rank() == 0 else nullcontext(), launching(made.path):
        try:
            with _interruptible(made):
                yield made
        finally:
            made.discard()
            if not made.stays:
                shutil.rmtree(made.path, ignore_errors=True)


@contextmanager
def _interruptible(w: Workspace) -> Iterator[None]:
    """Say how to go on after an interruption, and what other processes say where they cannot be reached."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        if w.anew and not w.begun:
            raise Interrupted("interrupted; nothing was computed yet.") from None
        w.log("interrupted")
        w.stays = True  # the message names it, to go on from
        again = f"run the same command with out={w.path} resume=true to go on."
        raise Interrupted(f"interrupted; what was computed is saved: {again}") from None
    except UserError as error:
        if rank() > 0:
            w.write_stopped(str(error))
        raise
    except RuntimeError as error:  # the others cannot be reached: perhaps one of them has said why
        if (why := w.stopped()) is not None:
            raise UserError(why) from error
        raise


# ---------------------------------------------------------------------------------------- which directory


def _of_the_first(place: Place, kind: Kind) -> Workspace:
    """The directory that the first process works in."""
    given = os.environ.get(FOLDER, place.out)
    if given is None:
        raise UserError("processes that this run did not start itself need out=DIRECTORY, on a disk they share.")
    path = Path(given).expanduser()
    return Workspace(path, kind, anew=not (place.resume and (path / CONFIG).is_file()))


def _of_settings(place: Place, kind: Kind, stem: str) -> Workspace:
    """A directory to go on with, or a fresh one; what that replaces stays until the work begins."""
    if place.out is None:
        made = None if Path("runs").exists() else Path("runs")
        path = numbered(stem)
        (path / "state").mkdir()
        return Workspace(path, kind, anew=True, made=made or path)
    path = Path(place.out).expanduser()
    if place.resume and (path / CONFIG).is_file():
        require_kind(path, kind)
        return Workspace(path, kind)
    if path.is_file():
        raise UserError(f"out={place.out} is a file; name a directory.")
    if path.is_dir() and any(path.iterdir()):
        check_replaceable(path, place, kind)
    missing = [p for p in (path / "state", *(path / "state").parents) if not p.exists()]
    try:
        (path / "state").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"out={path} cannot be made ({error.strerror}); name a place that can be written to."
        ) from error
    return Workspace(path, kind, anew=True, made=missing[-1] if missing else None)


def existing(path: str | Path, kind: Kind) -> Workspace:
    """A directory that holds work of a kind.

    Raises
    ------
    UserError: it does not exist, or holds nothing or something else.
    """
    w = Workspace(Path(path).expanduser(), kind, begun=True)
    if not w.path.is_dir():
        raise UserError(f"{path}: there is no such run directory.")
    other = kind_of(w.path)
    if other not in (None, kind.name):
        raise UserError(f"{w.path} holds {declared(other).what}, not {kind.what}: give the directory of {kind.what}.")
    w.store.manifest()
    return w


def _read(manifest: Manifest) -> dict[str, Any]:
    """What was read of each corpus: another limit cuts its last document elsewhere."""
    limits = {f"limit of {corpus}": source.limit for corpus, source in manifest.data.items()}
    return manifest.data_sha256 | limits
