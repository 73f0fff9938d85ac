"""Where a result comes from: versions, hashes, command, machine."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "lightning", "transformers", "numpy", "scipy", "scikit-learn", "safetensors")


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    Attributes
    ----------
    git: commit of mspgt's own checkout, where it runs from one.
    device: that the model was on; dtype: of its weights.
    sequences_resumed: that an interrupted run had done already.
    started: date and time in UTC; seconds: from then to the end.
    data_sha256: corpus -> hash of what was read.
    model_sha256: hash of the weights; None for a model in training.
    """

    mspgt: str
    git: str | None
    python: str
    packages: Mapping[str, str | None]
    device: str
    dtype: str
    world_size: int
    sequences_resumed: int
    seed: int
    command: str
    started: str
    seconds: float
    data_sha256: Mapping[str, str | None]
    model_sha256: str | None

    def since(self, started: float) -> Provenance:
        """The same, started at that time (seconds since the epoch) and finished now."""
        return replace(self, started=_date(started), seconds=round(time.time() - started, 1))


def provenance(
    started: float,
    *,
    device: str,
    dtype: str,
    seed: int,
    data_sha256: Mapping[str, str | None],
    model_sha256: str | None,
    world_size: int = 1,
    sequences_resumed: int = 0,
) -> Provenance:
    """Where a result comes from that is finished now.

    Parameters
    ----------
    started: seconds since the epoch.
    Others: as in `Provenance`.
    """
    return Provenance(
        mspgt=version("mspgt"),
        git=_git_commit(),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        device=device,
        dtype=dtype,
        world_size=world_size,
        sequences_resumed=sequences_resumed,
        seed=seed,
        command=_command(),
        started=_date(started),
        seconds=round(time.time() - started, 1),
        data_sha256=dict(data_sha256),
        model_sha256=model_sha256,
    )


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _version(package: str) -> str | None:
    """The version of a package; None where it was installed without saying so."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of mspgt's own checkout, where it runs from one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()


def _command() -> str:
    """The command line that was given, or the name of the program that called."""
    return " ".join(["mspgt", *sys.argv[1:]]) if Path(sys.argv[0]).stem == "mspgt" else Path(sys.argv[0]).name
