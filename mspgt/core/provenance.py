"""Where a result comes from: versions, hashes, command, machine."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "lightning", "transformers", "numpy", "scipy", "scikit-learn", "safetensors")


def provenance(manifest: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The block `provenance` of a result.

    Parameters
    ----------
    manifest: of the run directory: fingerprint, model, data.
    given: what the caller knows: started (seconds since the epoch), command, device; perhaps world_size and
        sequences_resumed.
    """
    started = float(given["started"])
    return {
        "mspgt": version("mspgt"),
        "git": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": given["device"],
        "dtype": manifest["model"]["dtype"],
        "world_size": given.get("world_size", manifest.get("world_size", 1)),
        "sequences_resumed": given.get("sequences_resumed", 0),
        "seed": manifest["fingerprint"]["seed"],
        "command": given["command"],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "data_sha256": {corpus: entry["sha256"] for corpus, entry in manifest["data"].items()},
        "model_sha256": manifest["fingerprint"]["model_sha256"],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of mspgt's own checkout, where it runs from one."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()


def command() -> str:
    """The command line that was given, or the name of the program that called."""
    return " ".join(["mspgt", *sys.argv[1:]]) if Path(sys.argv[0]).stem == "mspgt" else Path(sys.argv[0]).name
