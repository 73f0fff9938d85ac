"""The processes of a run: which one this is, what the others are told, and what they leave behind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from mspgt.core.errors import UserError

FOLDER = "MSPGT_RUN_DIRECTORY"
"""environment variable that tells processes started by Lightning where the first one put the run"""
LAUNCH = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
"""environment variables that Lightning sets when it starts processes, and leaves"""
_runs = itertools.count()
"""numbers the runs of this process"""


def rank() -> int:
    """0 in the first of the processes of a run; before there is a Trainer, the environment alone knows."""
    if os.environ.get("RANK"):
        return int(os.environ["RANK"])
    return max(int(os.environ.get(name) or 0) for name in ("LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"))


@contextmanager
def launching(folder: Path) -> Iterator[None]:
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


def refuse_late_launch(trainer: L.Trainer) -> None:
    """Processes that Lightning starts go through the script from its start, and take its first run for this one.

    Raises
    ------
    UserError: this is not the first run of the process, and would start others.
    """
    before, launcher = next(_runs), trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher) or before == 0:
        return
    if not launcher.cluster_environment.creates_processes_externally:
        raise UserError(
            "a script may start one run of several processes, before any other run: start this one by `mspgt run`, by "
            "a script of its own, or give strategy=ddp_fork."
        )


def _in_process_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
