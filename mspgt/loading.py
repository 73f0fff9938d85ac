"""Reading back what was found, by a run or by an experiment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mspgt import result
from mspgt.behaviour import behaviour, schema
from mspgt.behaviour.behaviour import Behaviour
from mspgt.errors import UserError
from mspgt.result import Result

GIVE = f"{result.FILE} (made by `mspgt run`) or {schema.FILE} (made by `mspgt intervene`)"


def load(path: str | os.PathLike[str]) -> Result | Behaviour:
    """Read a run or an experiment back, from its directory, its result.json or its interventions.json.

    Raises
    ------
    UserError: there is none, a directory holds both, the file is not JSON, or its schema is another.
    """
    file = Path(path)
    if file.is_dir():
        found = [file / name for name in (result.FILE, schema.FILE) if (file / name).exists()]
        if len(found) > 1:
            raise UserError(f"{file} holds {result.FILE} and {schema.FILE}; give the path of one of them.")
        if not found:
            raise UserError(f"no result or experiment in {file}; give a directory that holds {GIVE}.")
        file = found[0]
    elif not file.exists():
        raise UserError(f"no result or experiment at {file}; give {GIVE}, or a directory that holds one.")
    return behaviour.load(file) if _of_experiment(file) else result.load(file)


def _of_experiment(file: Path) -> bool:
    """By what the file says, or by its name where it says nothing."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    return (
        "effects" in data
        if isinstance(data, dict) and data.keys() & {"effects", "signals"}
        else (file.name == schema.FILE)
    )
