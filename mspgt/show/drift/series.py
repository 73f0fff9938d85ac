"""A drift as arrays over its steps: what figures draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import unknown
from mspgt.results.drift.points import Point
from mspgt.results.drift.schema import Recorded
from mspgt.results.schema import BOUNDARIES, RULES, Boundary, Curve, Verdict

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Track:
    """A boundary over the steps.

    Attributes
    ----------
    layer, low, high: (point,) float, blocks below it and the ends of its interval; NaN where there is none.
    accepted: (point,) bool.
    real: (point,) int, blocks of the move from the point before if that move is real, otherwise 0.
    """

    name: str
    layer: Floats
    low: Floats
    high: Floats
    accepted: Flags
    real: NDArray[np.int64]

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.layer).any())

    @property
    def short(self) -> str:
        """L-I or I-G."""
        return "-".join(word[0].upper() for word in self.name.split("-"))


def verdict(point: Point, rule: str) -> Verdict | None:
    """What a rule says at a point; None where it could not be applied."""
    return next((v for v in point.findings.rules if v.rule == rule), None)


def rules(recorded: Recorded) -> tuple[str, ...]:
    """The rules that could be applied at any point, mspgt's first."""
    return tuple(rule for rule in RULES if any(verdict(point, rule) for point in recorded.points))


def evidence(recorded: Recorded, rule: str) -> Floats:
    """Evidence of a rule, (transition, point); NaN where there is none.

    Raises
    ------
    UserError: a rule that could be applied at no point.
    """
    if rule not in rules(recorded):
        raise unknown("rule", rule, rules(recorded))
    return _grid(recorded, partial(_evidence, rule=rule))


def signal(recorded: Recorded, name: str) -> Floats:
    """A signal in its own unit, (transition, point); NaN where there is none."""
    return _grid(recorded, lambda point: point.findings.signals.get(name))


def tracks(recorded: Recorded, rule: str) -> tuple[Track, ...]:
    """Both boundaries by a rule, the lower first."""
    return tuple(_track(recorded, rule, name) for name in BOUNDARIES.values())


def loss(recorded: Recorded) -> Floats:
    """Mean training loss since the point before, (point,); NaN where it is not known."""
    return np.array([point.loss for point in recorded.points], dtype=np.float64)


def _evidence(point: Point, rule: str) -> Curve | None:
    found = verdict(point, rule)
    return None if found is None else found.evidence


def _grid(recorded: Recorded, get: Callable[[Point], Curve | None]) -> Floats:
    grid = np.full((recorded.n_layers - 1, len(recorded.points)), np.nan)
    for i, point in enumerate(recorded.points):
        curve = get(point)
        if curve is not None:
            grid[curve.transition - 1, i] = curve.value
    return grid


def _track(recorded: Recorded, rule: str, name: str) -> Track:
    found = [_boundary(verdict(point, rule), name) for point in recorded.points]
    moves = [None, *(change.boundaries[rule].get(name) for change in recorded.changes)]

    def over_steps(value: Callable[[Boundary], float]) -> Floats:
        return np.array([math.nan if b is None else value(b) for b in found], dtype=np.float64)

    return Track(
        name,
        over_steps(lambda b: b.layer),
        over_steps(lambda b: b.ci[0] if b.ci else math.nan),
        over_steps(lambda b: b.ci[1] if b.ci else math.nan),
        np.array([b is not None and b.accepted for b in found]),
        np.array([move.moved if move is not None and move.real else 0 for move in moves], dtype=np.int64),
    )


def _boundary(found: Verdict | None, name: str) -> Boundary | None:
    boundaries: Sequence[Boundary] = () if found is None else found.boundaries
    return next((b for b in boundaries if b.name == name), None)
