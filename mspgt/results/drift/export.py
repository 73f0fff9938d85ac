"""A drift as text: two CSV tables with numbers in full precision, and JSON that people can read.

"curves" (drift.csv) has a row per step, signal and transition, then the evidence of each rule, as `evidence.mspgt`:

=============================================  =====================================================================
``step``, ``signal``, ``transition``           optimizer steps; transition l lies between block l and block l+1
``relative``                                   transition / blocks
``value``, ``low``, ``high``                   the signal with its interval, in its own unit
``difference``, ``..._low``, ``..._high``      the change since the step before, paired; none for the evidence
``loss``                                       mean training loss since the step before
=============================================  =====================================================================

"boundaries" (boundaries.csv) has a row per step, rule and boundary, those that were not found too:

=============================================  =====================================================================
``step``, ``rule``, ``boundary``               rule: mspgt or paper; boundary: local-intermediate, intermediate-global
``layer``, ``relative``                        blocks below the boundary, and the same by all blocks
``ci_low``, ``ci_high``                        interval of the layer
``accepted``, ``status``                       the verdict of the rule at this step
``moved``, ``moved_low``, ``moved_high``       layers moved since the step before, paired
``real``                                       whether the move is more than noise
``loss``                                       as above
=============================================  =====================================================================
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from mspgt.core import rows
from mspgt.core.errors import unknown
from mspgt.results.drift.points import Change, Point
from mspgt.results.drift.schema import Recorded
from mspgt.results.schema import BOUNDARIES, Boundary, Curve

Rows = Iterator[dict[str, Any]]

COLUMNS = {
    "curves": (
        *("step", "signal", "transition", "relative", "value", "low", "high"),
        *("difference", "difference_low", "difference_high", "loss"),
    ),
    "boundaries": (
        *("step", "rule", "boundary", "layer", "relative", "ci_low", "ci_high", "accepted", "status"),
        *("moved", "moved_low", "moved_high", "real", "loss"),
    ),
}
"""table -> its columns"""
FILES = {"curves": "drift.csv", "boundaries": "boundaries.csv"}
"""table -> its file"""


def to_rows(drift: Recorded, table: str = "curves") -> list[dict[str, Any]]:
    """The rows of a table; None where there is no number.

    Raises
    ------
    UserError: an unknown table.
    """
    if table not in MAKE:
        raise unknown("table", table, MAKE)
    changes: tuple[Change | None, ...] = (None, *drift.changes)
    return [row for point, since in zip(drift.points, changes, strict=True) for row in MAKE[table](point, since)]


def to_csv(drift: Recorded, table: str = "curves") -> str:
    """`to_rows` as text; a number that is not there is an empty field."""
    return rows.to_csv(to_rows(drift, table), COLUMNS[table])


def to_dataframe(drift: Recorded, table: str = "curves") -> Any:
    """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
    return rows.to_dataframe(to_rows(drift, table), COLUMNS[table])


def to_json(value: Any, indent: str = "") -> str:
    """Plain JSON values as text, indented, with lists of numbers on one line each; it reads back as the same values."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        items = [f"{inner}{_dumps(key)}: {to_json(item, inner)}" for key, item in value.items()]
        return f"{{\n{_lines(items)}\n{indent}}}"
    if isinstance(value, list) and not all(isinstance(item, (int, float, type(None))) for item in value):
        items = [f"{inner}{to_json(item, inner)}" for item in value]
        return f"[\n{_lines(items)}\n{indent}]"
    return _dumps(value)


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _lines(items: list[str]) -> str:
    return ",\n".join(items)


def _curves(point: Point, since: Change | None) -> Rows:
    findings = point.findings
    evidence = {f"evidence.{verdict.rule}": verdict.evidence for verdict in findings.rules}
    for name, curve in (findings.signals | evidence).items():
        changed = _by_transition(since.signals[name]) if since and name in since.signals else {}
        for transition, *numbers in zip(*_columns(curve), strict=True):
            row = (point.step, name, transition, transition / findings.n_layers, *map(_cell, numbers))
            differences = map(_cell, changed.get(transition, (math.nan,) * 3))
            yield dict(zip(COLUMNS["curves"], (*row, *differences, _cell(point.loss)), strict=True))


def _boundaries(point: Point, since: Change | None) -> Rows:
    for verdict in point.findings.rules:
        found: dict[str, Boundary] = {boundary.name: boundary for boundary in verdict.boundaries}
        for name in BOUNDARIES.values():
            boundary = found.get(name)
            move = since.boundaries[verdict.rule][name] if since else None
            ci = (boundary.ci if boundary else None) or (None, None)
            place = (boundary.layer, boundary.relative) if boundary else (None, None)
            moved = (move.moved, _blocks(move.low), _blocks(move.high), move.real) if move else (None,) * 4
            row = (point.step, verdict.rule, name, *place, *ci, verdict.accepted, verdict.status)
            yield dict(zip(COLUMNS["boundaries"], (*row, *moved, _cell(point.loss)), strict=True))


MAKE: dict[str, Callable[[Point, Change | None], Rows]] = {"curves": _curves, "boundaries": _boundaries}
"""table -> what makes the rows of one step"""


def _columns(curve: Curve) -> tuple[list[Any], ...]:
    return curve.transition.tolist(), curve.value.tolist(), curve.low.tolist(), curve.high.tolist()


def _by_transition(curve: Curve) -> dict[int, list[float]]:
    return {transition: numbers for transition, *numbers in zip(*_columns(curve), strict=True)}


def _blocks(value: float) -> float | None:
    """A whole number of blocks without a decimal point."""
    return int(value) if value.is_integer() else _cell(value)


def _cell(value: float) -> float | None:
    return value if math.isfinite(value) else None
