"""A drift as arrays over its steps: what figures draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import unknown
from mspgt.measure.history import Point
from mspgt.results.drift import Drift
from mspgt.stats.bootstrap import Floats
from mspgt.stats.boundaries import BOUNDARIES, SHORT, Boundary
from mspgt.stats.curve import Curve


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
    accepted: NDArray[np.bool_]
    real: NDArray[np.int64]

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.layer).any())

    @property
    def short(self) -> str:
        """L-I or I-G."""
        return SHORT[self.name]


def evidence(drift: Drift, rule: str) -> Floats:
    """Evidence of a rule, (transition, point); NaN where there is none.

    Raises
    ------
    UserError: a rule that could be applied at no point.
    """
    if rule not in drift.rules:
        raise unknown("rule", rule, drift.rules)
    return _stacked(drift, [p.verdicts[rule].evidence if rule in p.verdicts else None for p in drift.points])


def signal(drift: Drift, name: str) -> Floats:
    """A signal in its own unit, (transition, point); NaN where there is none."""
    return _stacked(drift, [point.signals.get(name) for point in drift.points])


def tracks(drift: Drift, rule: str) -> tuple[Track, ...]:
    """Both boundaries by a rule, the lower first."""
    return tuple(_track(drift, rule, name) for name in BOUNDARIES.values())


def loss(drift: Drift) -> Floats:
    """Mean training loss since the point before, (point,); NaN where it is not known."""
    return np.array([point.loss for point in drift.points])


def _stacked(drift: Drift, curves: Sequence[Curve | None]) -> Floats:
    nothing = np.full(drift.n_layers - 1, np.nan)
    return np.stack([nothing if curve is None else curve.value for curve in curves], axis=1)


def _track(drift: Drift, rule: str, name: str) -> Track:
    placed = [_boundary(point, rule, name) for point in drift.points]
    moves = [None, *(change.by(rule).known.get(name) for change in drift.changes)]

    def over_steps(value: Callable[[Boundary], float]) -> Floats:
        return np.array([math.nan if b is None else value(b) for b in placed], dtype=np.float64)

    return Track(
        name,
        over_steps(lambda b: b.layer),
        over_steps(lambda b: b.ci[0] if b.ci else math.nan),
        over_steps(lambda b: b.ci[1] if b.ci else math.nan),
        np.array([b is not None and p.verdicts[rule].accepted for b, p in zip(placed, drift.points, strict=True)]),
        np.array([move.moved if move is not None and move.real else 0 for move in moves], dtype=np.int64),
    )


def _boundary(point: Point, rule: str, name: str) -> Boundary | None:
    return point.verdicts[rule].places.get(name) if rule in point.verdicts else None
