"""What drift.json says of one evaluation, of what changed between two, and of how far a boundary moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.results.schema import BOUNDARIES, RULES, Curve, Findings

MOVES = {"mspgt": "boundaries", "paper": "paper"}
"""rule -> key of its moves in a change"""


@dataclass(frozen=True)
class Move:
    """How far a boundary moved from one point to another, in blocks; deeper counts as positive.

    Attributes
    ----------
    low, high: ends of the paired interval; NaN where there is none.
    real: more than noise, as `mspgt.stats.changes` decides: the interval leaving out 0 is not enough.
    share: replicates that have both boundaries at both points, 0 to 1; NaN where there are none.
    """

    moved: int
    low: float = math.nan
    high: float = math.nan
    real: bool = False
    share: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def interval(self) -> str:
        """The interval as text, ``[1, 4]``; nothing where there is none."""
        return f"[{self.low:g}, {self.high:g}]" if self.has_interval else ""

    @property
    def words(self) -> str:
        """The move in words: ``moved by 3 blocks [1, 4]``, ``moved within noise: 1 [-1, 2]``, ``did not move``."""
        blocks = f"{self.moved} block{'' if abs(self.moved) == 1 else 's'}"
        if self.real:
            return f"moved by {blocks} {self.interval}"
        if not self.has_interval:
            return f"moved by {blocks} (no interval)" if self.moved else "did not move (no interval)"
        if self.low <= 0 <= self.high:
            still = "did not move" if self.low == self.high else f"did not move {self.interval}"
            return f"moved within noise: {self.moved} {self.interval}" if self.moved else still
        return f"moved by {blocks} {self.interval}, but not by more than noise for certain"

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, eq=False, repr=False)
class Change:
    """What changed from one point to another.

    Attributes
    ----------
    start, stop: steps of the two points.
    signals: name -> the difference at each transition with its paired interval, in the signal's own unit.
    boundaries: rule -> name of the boundary ("local-intermediate", ...) -> its move; None
        where one of the two points does not have it.
    """

    start: int
    stop: int
    signals: Mapping[str, Curve]
    boundaries: Mapping[str, Mapping[str, Move | None]]

    def __repr__(self) -> str:
        moves = (f"{name} {move}" for name, move in self.boundaries["mspgt"].items() if move)
        return f"<step {self.start} to {self.stop}: {'; '.join(moves) or 'no boundaries to compare'}>"


@dataclass(frozen=True, eq=False, repr=False)
class Point:
    """One evaluation.

    Attributes
    ----------
    step: optimizer steps done; 0 is before training.
    loss: mean training loss since the point before; NaN where there is none.
    seconds: time that the evaluation took.
    end: evaluated because training ended here, not because the step was due.
    findings: curves and verdicts, as of a result.
    replicates: rule -> boundaries in each bootstrap replicate, (replicate, 2) int, 0 where a replicate has no two
        peaks; None without intervals.
    """

    step: int
    loss: float
    seconds: float
    end: bool
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    findings: Findings
    replicates: Mapping[str, NDArray[np.int64]] | None

    @property
    def accepted(self) -> bool:
        """Whether mspgt's rule accepts boundaries here."""
        return self.findings.verdict().accepted

    def __repr__(self) -> str:
        return f"<step {self.step}: {self.findings.headline}>"


def point(block: Mapping[str, Any], shared: Mapping[str, Any], where: str) -> Point:
    """Read a point.

    Parameters
    ----------
    shared: what all points have in common, as in result.json: model, data, bootstrap, provenance.
    where: the file it comes from, named in messages.

    Raises
    ------
    UserError: signals or verdicts are not those of a result.
    KeyError, TypeError, ValueError, AttributeError: another part is missing or damaged.
    """
    step = _whole(block["step"], "step")
    own = {key: block.get(key) for key in ("signals", "verdicts", "notes", "left_out")}
    findings = Findings({"schema": 1, **shared, **own}, f"{where}, step {step:,},")
    _check(findings)
    return Point(
        step,
        _number(block.get("loss")),
        _number(block.get("seconds")),
        block.get("end") is True,
        tuple(map(str, block.get("notes") or ())),
        tuple(map(str, block.get("left_out") or ())),
        findings,
        _replicates(block.get("replicates")),
    )


def _check(findings: Findings) -> None:
    """Read every part, so that damage is found when the file is opened."""
    _ = findings.signals
    placed = {verdict.rule: [str(boundary) for boundary in verdict.boundaries] for verdict in findings.rules}
    if "mspgt" not in placed:
        raise ValueError("verdicts.mspgt is missing")
    for verdict in findings.rules:
        if verdict.accepted and len(placed[verdict.rule]) < len(BOUNDARIES):
            raise ValueError(f"verdicts.{verdict.rule} is accepted without two boundaries")


def _replicates(block: Mapping[str, Any] | None) -> dict[str, NDArray[np.int64]] | None:
    if block is None:
        return None
    found = {}
    for rule in RULES:
        if block.get(rule) is not None:
            columns = [np.array([_whole(v, key) for v in block[rule][key]], dtype=np.int64) for key in BOUNDARIES]
            if len(columns[0]) != len(columns[1]):
                raise ValueError(f"replicates.{rule} has {len(columns[0])} and {len(columns[1])} values")
            found[rule] = np.stack(columns, axis=1)
    return found


def change(block: Mapping[str, Any]) -> Change:
    """Read a change; raises KeyError, TypeError, ValueError or AttributeError if a part is missing or damaged."""
    return Change(
        _whole(block["from"], "from"),
        _whole(block["to"], "to"),
        {str(name): _difference(str(name), part) for name, part in (block.get("signals") or {}).items()},
        {rule: _moves(block.get(key) or {}) for rule, key in MOVES.items()},
    )


def _moves(block: Mapping[str, Any]) -> dict[str, Move | None]:
    return {name: _move(block[key]) if block.get(key) is not None else None for key, name in BOUNDARIES.items()}


def _move(block: Mapping[str, Any]) -> Move:
    low, high, share = (_number(block.get(key)) for key in ("low", "high", "share"))
    return Move(_whole(block["moved"], "moved"), low, high, block.get("real") is True, share)


def _difference(name: str, block: Mapping[str, Any]) -> Curve:
    transition = np.array(block["transition"], dtype=np.int64)
    value, low, high = (
        np.array([math.nan if v is None else v for v in block[key]], dtype=np.float64)
        for key in ("difference", "low", "high")
    )
    if {len(value), len(low), len(high)} != {len(transition)}:
        raise ValueError(f"the arrays of {name} differ in length")
    return Curve(name, transition, value, low, high)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}, not a whole number")
    return value


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
