"""Where a run begins: checked settings, a run directory of its own, and one process that speaks for all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from mspgt.analysis.launch import FOLDER, launching, rank
from mspgt.analysis.session import Session, name_of
from mspgt.config import RunConfig, build
from mspgt.errors import Interrupted, UserError
from mspgt.result import Result
from mspgt.rundir import CONFIG, RunDir, fresh

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
    if rank() > 0:
        folder = os.environ.get(FOLDER, options.out)
        if folder is None:
            raise UserError("processes that this run did not start itself need out=DIRECTORY, on a disk they share.")
        return _follow(settings, RunDir(Path(folder)))
    if options.resume and options.out is None:
        raise UserError(RESUME_WHAT)
    if options.resume and (Path(str(options.out)).expanduser() / CONFIG).is_file():
        return _in_folder(settings, RunDir(Path(str(options.out)).expanduser()), console)
    stem = f"{Path(name_of(options.model)).name}-{Path(name_of(options.data)).stem}"
    return _in_folder(settings, fresh(options.out, overwrite=options.overwrite or options.resume, stem=stem), console)


def _follow(settings: RunConfig, folder: RunDir) -> Result:
    """The part of a process other than the first; what stops it is left for the first to say."""
    try:
        return Session(settings, folder, Console(quiet=True)).run()
    except UserError as error:
        folder.write_stopped(rank(), str(error))
        raise


def _in_folder(settings: RunConfig, folder: RunDir, console: Console) -> Result:
    with folder.locked(), launching(folder.path):
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
