"""Where work begins: checked settings, a directory of its own, and one process that speaks for all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console

from mspgt import intervene_config
from mspgt.analysis.experiment import Experiment
from mspgt.analysis.launch import FOLDER, launching, rank
from mspgt.analysis.session import Session, name_of
from mspgt.behaviour import Behaviour
from mspgt.config import RunConfig, build
from mspgt.errors import Interrupted, UserError
from mspgt.intervene_config import InterveneConfig
from mspgt.result import Result
from mspgt.rundir import CONFIG, RunDir, fresh

RESUME_WHAT = "resume=true needs out=DIRECTORY, the work to go on with."
T = TypeVar("T")
Work = Callable[[RunDir, Console], T]
"""does all that is to be done in a directory"""


class Place(Protocol):
    """The settings that say where the work is kept."""

    @property
    def out(self) -> str | None: ...  # noqa: D102
    @property
    def overwrite(self) -> bool: ...  # noqa: D102
    @property
    def resume(self) -> bool: ...  # noqa: D102


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
    return _anywhere(settings.options, console, lambda c: start(settings, c), _session(settings))


def intervene(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Behaviour:
    """Disturb one scale of a model at a time while it generates; answer what breaks.

    Parameters
    ----------
    keys: any key of `mspgt intervene`: ``run`` (a run directory) or ``model`` with ``boundaries``, ``sigma``,
        ``metrics``, ...; options of an intervention or metric as ``gaussian={"per_dim": True}``. Without ``out`` the
        directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown; nowhere if None.

    Raises
    ------
    UserError: bad settings, run, corpus or model; the message says what to do.
    """
    settings = intervene_config.build(keys, config)
    return _anywhere(settings.options, console, lambda c: start_intervene(settings, c), _experiment(settings))


def start(settings: RunConfig, console: Console) -> Result:
    """Run with checked settings, in a fresh run directory or an interrupted one."""
    o = settings.options
    stem = f"{Path(name_of(o.model)).name}-{Path(name_of(o.data)).stem}"
    return _start(o, console, stem, _session(settings))


def start_intervene(settings: InterveneConfig, console: Console) -> Behaviour:
    """Experiment with checked settings, in a fresh directory or an interrupted one."""
    o = settings.options
    return _start(o, console, f"{Path(name_of(o.model or o.run)).name}-{o.intervention}", _experiment(settings))


def _session(settings: RunConfig) -> Work[Result]:
    return lambda folder, console: Session(settings, folder, console).run()


def _experiment(settings: InterveneConfig) -> Work[Behaviour]:
    return lambda folder, console: Experiment(settings, folder, console).run()


def _anywhere(place: Place, console: Console | None, begin: Callable[[Console], T], work: Work[T]) -> T:
    """Work where the settings say, or else in a temporary directory."""
    console = console or Console(quiet=True)
    if place.out is not None or FOLDER in os.environ:
        return begin(console)
    if place.resume:
        raise UserError(RESUME_WHAT)
    folder = Path(tempfile.mkdtemp(prefix="mspgt-"))
    try:
        result = _in_folder(RunDir(folder), console, work)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise  # after an interrupt it stays: the message names it, to go on from
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _start(place: Place, console: Console, stem: str, work: Work[T]) -> T:
    if rank() > 0:
        given = os.environ.get(FOLDER, place.out)
        if given is None:
            raise UserError("processes that this run did not start itself need out=DIRECTORY, on a disk they share.")
        return _follow(RunDir(Path(given)), work)
    if place.resume and place.out is None:
        raise UserError(RESUME_WHAT)
    out = None if place.out is None else Path(place.out).expanduser()
    if place.resume and out is not None and (out / CONFIG).is_file():
        return _in_folder(RunDir(out), console, work)
    return _in_folder(fresh(place.out, overwrite=place.overwrite or place.resume, stem=stem), console, work)


def _follow(folder: RunDir, work: Work[T]) -> T:
    """The part of a process other than the first; what stops it is left for the first to say."""
    try:
        return work(folder, Console(quiet=True))
    except UserError as error:
        folder.write_stopped(rank(), str(error))
        raise


def _in_folder(folder: RunDir, console: Console, work: Work[T]) -> T:
    with folder.locked(), launching(folder.path):
        return _interruptible(folder, console, work)


def _interruptible(folder: RunDir, console: Console, work: Work[T]) -> T:
    try:
        return work(folder, console)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "interrupted; what was computed is saved: run the same command "
            f"with out={folder.path} resume=true to go on."
        ) from None
    except RuntimeError as error:  # the others cannot be reached: perhaps one of them has said why
        if (why := folder.stopped()) is not None:
            raise UserError(why) from error
        raise
