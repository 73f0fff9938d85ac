"""Reading back what was found, by a run, by an experiment or while a model trained."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.results import result
from mspgt.results.drift import drift
from mspgt.results.drift import schema as dynamics
from mspgt.results.drift.drift import Drift
from mspgt.results.intervention import behaviour
from mspgt.results.intervention import schema as experiment
from mspgt.results.intervention.behaviour import Behaviour
from mspgt.results.result import Result

Loaded = Result | Behaviour | Drift

KINDS: dict[str, tuple[str, Callable[[Path], Loaded]]] = {
    experiment.FILE: ("effects", behaviour.load),
    dynamics.FILE: ("points", drift.load),
    result.FILE: ("signals", result.load),
}
"""file -> the key that only such a file has among these, and what reads it"""
GIVE = (
    f"{result.FILE} (made by `mspgt run`), {experiment.FILE} (made by `mspgt intervene`) or {dynamics.FILE} (made by "
    "`mspgt drift`, or by training with `BoundaryDrift`)"
)


def load(path: str | os.PathLike[str]) -> Loaded:
    """Read a run, an experiment or a drift back, from its directory, its result.json, interventions.json or drift.json.

    Raises
    ------
    UserError: there is none, a directory holds several, the file is not JSON, or its schema is another.
    """
    file = Path(path)
    if file.is_dir():
        found = [file / name for name in (result.FILE, experiment.FILE, dynamics.FILE) if (file / name).exists()]
        if len(found) > 1:
            raise UserError(f"{file} holds {listed([f.name for f in found])}; give the path of one of them.")
        if not found:
            raise UserError(f"no result, experiment or drift in {file}; give a directory that holds {GIVE}.")
        file = found[0]
    elif not file.exists():
        raise UserError(f"no result, experiment or drift at {file}; give {GIVE}, or a directory that holds one.")
    return _reader(file)(file)


def _reader(file: Path) -> Callable[[Path], Loaded]:
    """By what the file says, or by its name where it says nothing."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    for key, read in KINDS.values():
        if isinstance(data, dict) and key in data:
            return read
    _, read = KINDS.get(file.name, KINDS[result.FILE])
    return read
