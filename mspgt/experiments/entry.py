"""Where work begins: checked settings, a directory of its own, and one process that speaks for all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console

from mspgt.config import drift as drift_config
from mspgt.config import intervene as intervene_config
from mspgt.config.drift import DriftConfig
from mspgt.config.intervene import InterveneConfig
from mspgt.config.run import RunConfig, build
from mspgt.core.errors import Interrupted, UserError
from mspgt.experiments.drift import Follow
from mspgt.experiments.intervene import Experiment
from mspgt.experiments.launch import FOLDER, launching, rank
from mspgt.experiments.run import Session, begin, name_of
from mspgt.experiments.rundir import CONFIG, RunDir, finished, fresh, require_kind
from mspgt.results.drift import Drift
from mspgt.results.intervention import Behaviour
from mspgt.results.result import Result

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

    ::

        result = mspgt.run(model="tiny-llama-a", data="corpus.conllu", plugins="cka,probe,attn", out="runs/a")

    Parameters
    ----------
    keys: any key of `mspgt run`, which `mspgt run --help` lists: ``model`` (default "tiny-llama-a") and ``tokenizer``,
        names or loaded objects; ``data`` (default "grammar") and ``labels``, names, paths, or iterables of documents;
        ``plugins`` (default cka, probe and attn); ``limit``; ``out``; ...; options of a signal as
        ``cka={"estimator": "biased"}``. Without ``out`` the run directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    The result: verdicts, boundaries with intervals, curves. It shows itself in a notebook and has `plot`, `to_csv`
    and `save`.

    Raises
    ------
    UserError: bad settings, corpus or model; the message says what to do.
    """
    settings = build(keys, config)
    return _anywhere(settings.options, console, lambda c: start(settings, c), _session(settings))


def intervene(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Behaviour:
    """Disturb one scale of a model at a time while it generates; answer what breaks.

    ::

        found = mspgt.intervene(run="runs/a", sigma=(0.1, 0.2), samples=200, out="runs/a-gaussian")
        found = mspgt.intervene(model="tiny-llama-a", boundaries="thirds", samples=200)

    Parameters
    ----------
    keys: any key of `mspgt intervene`, which `mspgt intervene --help` lists: ``run`` (a run directory, or the Result
        of a run with ``out``), or ``model`` (a name or a loaded object) with ``boundaries``; ``intervention``
        (default "gaussian"), ``sigma`` (default 0.1), ``samples`` (default 1,000 prompts), ``new_tokens`` (default
        100), ``metrics`` (default: all built-in ones), ...; options of an intervention or metric as
        ``gaussian={"per_dim": True}``. Without ``out`` the directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    What was found: the effect of disturbing each scale on each metric, with intervals and verdicts. It shows itself in
    a notebook and has `plot`, `to_csv` and `save`.

    Raises
    ------
    UserError: bad settings, run, corpus or model; the message says what to do.
    """
    if "run" in keys:
        keys["run"] = _directory(keys["run"])
    settings = intervene_config.build(keys, config)
    return _anywhere(settings.options, console, lambda c: start_intervene(settings, c), _experiment(settings))


def drift(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Drift:
    """Follow the boundaries over the checkpoints of a training run.

    ::

        found = mspgt.drift(checkpoints="training/checkpoint-*", data="heldout.txt", plugins="cka,attn", out="runs/d")
        found = mspgt.drift(model="EleutherAI/pythia-70m", revisions="step1000,step2000,step4000")

    Parameters
    ----------
    keys: any key of `mspgt drift`, which `mspgt drift --help` lists: ``checkpoints`` or ``revisions``, ``model``,
        ``against`` (drifts of other training runs), and the keys of `run`. Without ``out`` the directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    The drift: an evaluation of each checkpoint, and what changed from one to the next. It shows itself in a notebook
    and has `plot`, `to_csv`, `against` and `save`.

    Raises
    ------
    UserError: bad settings, checkpoints or corpus; the message says what to do.
    """
    settings = drift_config.build(keys, config)
    return _anywhere(settings.run.options, console, lambda c: start_drift(settings, c), _drift(settings))


def start(settings: RunConfig, console: Console) -> Result:
    """Run with checked settings, in a fresh run directory or an interrupted one."""
    o = settings.options
    stem = f"{Path(name_of(o.model)).name}-{Path(name_of(o.data)).stem}"

    def work(folder: RunDir, console: Console) -> Result:
        result = _session(settings)(folder, console)
        result.directory = folder.path
        return result

    return _start(o, console, "run", stem, work)


def start_intervene(settings: InterveneConfig, console: Console) -> Behaviour:
    """Experiment with checked settings, in a fresh directory or an interrupted one."""
    o = settings.options
    stem = f"{Path(name_of(o.model or o.run)).name}-{o.intervention}"
    return _start(o, console, "experiment", stem, _experiment(settings))


def start_drift(settings: DriftConfig, console: Console) -> Drift:
    """Follow checkpoints with checked settings, in a fresh directory or an interrupted one."""
    o = settings.run.options
    given = name_of(o.model) if settings.options.checkpoints is None else settings.options.checkpoints[0]
    return _start(o, console, "drift", f"{Path(given.rstrip('*')).name}-drift", _drift(settings))


def _directory(run: Any) -> Any:
    """The directory of a run that is given as its Result."""
    if isinstance(run, Result):
        run = run.directory
    elif run is None or isinstance(run, (str, os.PathLike)):
        return run
    else:
        run = None
    if run is None:
        raise UserError("run=: give the run's directory, the out= that it was made with.")
    return run


def _session(settings: RunConfig) -> Work[Result]:
    return lambda folder, console: Session(settings, folder, console, begin(settings.options)).run()


def _experiment(settings: InterveneConfig) -> Work[Behaviour]:
    return lambda folder, console: Experiment(settings, folder, console).run()


def _drift(settings: DriftConfig) -> Work[Drift]:
    return lambda folder, console: Follow(settings, folder, console).run()


def _anywhere(place: Place, console: Console | None, begin: Callable[[Console], T], work: Work[T]) -> T:
    """Work where the settings say, or else in a temporary directory."""
    console = console or Console(quiet=True)
    if place.out is not None or FOLDER in os.environ:
        return begin(console)
    if place.resume:
        raise UserError(RESUME_WHAT)
    folder = RunDir(Path(tempfile.mkdtemp(prefix="mspgt-")), anew=True, begun=False)
    kept = False
    try:
        return _in_folder(folder, console, work)
    except Interrupted:
        kept = folder.begun  # the message names it, to go on from
        raise
    finally:
        if not kept:
            shutil.rmtree(folder.path, ignore_errors=True)


def _start(place: Place, console: Console, kind: str, stem: str, work: Work[T]) -> T:
    if rank() > 0:
        given = os.environ.get(FOLDER, place.out)
        if given is None:
            raise UserError("processes that this run did not start itself need out=DIRECTORY, on a disk they share.")
        path = Path(given).expanduser()
        return _follow(RunDir(path, anew=not (place.resume and (path / CONFIG).is_file()), begun=False), work)
    if place.resume and place.out is None:
        raise UserError(RESUME_WHAT)
    if place.resume and place.overwrite:
        raise UserError("resume=true goes on with what is in out=, overwrite=true replaces it: give one of them.")
    out = None if place.out is None else Path(place.out).expanduser()
    if place.resume and out is not None and (out / CONFIG).is_file():
        require_kind(out, kind)
        return _in_folder(RunDir(out, begun=False), console, work)
    unfinished = place.resume and out is not None and not finished(out)
    return _in_folder(fresh(place.out, overwrite=place.overwrite or unfinished, stem=stem, kind=kind), console, work)


def _follow(folder: RunDir, work: Work[T]) -> T:
    """The part of a process other than the first; what stops it is left for the first to say."""
    try:
        return work(folder, Console(quiet=True))
    except UserError as error:
        folder.write_stopped(rank(), str(error))
        raise


def _in_folder(folder: RunDir, console: Console, work: Work[T]) -> T:
    with folder.locked(), launching(folder.path):
        try:
            return _interruptible(folder, console, work)
        finally:
            folder.discard()


def _interruptible(folder: RunDir, console: Console, work: Work[T]) -> T:
    try:
        return work(folder, console)
    except (Interrupted, KeyboardInterrupt):
        if folder.anew and not folder.begun:
            raise Interrupted("interrupted; nothing was computed yet.") from None
        folder.log("interrupted")
        raise Interrupted(
            "interrupted; what was computed is saved: run the same command "
            f"with out={folder.path} resume=true to go on."
        ) from None
    except RuntimeError as error:  # the others cannot be reached: perhaps one of them has said why
        if (why := folder.stopped()) is not None:
            raise UserError(why) from error
        raise
