"""Whether one scale changes a metric more than both others: an intersection-union test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.paired.conditions import BASELINE, SCALES
from mspgt.stats.paired.hypothesis_tests import holm, paired_t, wilcoxon
from mspgt.stats.paired.records import ALPHA, Test
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Floats, Samples

Owners = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Comparison:
    """One scale against the two others, of which it must be shown that the scale changes the metric more than both.

    All of its parts must hold, so no correction is due (an intersection-union test, Berger 1982), and `p` is the
    largest of them: one-sided against each other scale, and, where the change has a direction, that the scale moves the
    metric that way at all. NaN where undefined.
    """

    scale: str
    p_over: dict[str, float]
    """other scale -> p that this one changes the metric more"""
    p_more: dict[str, float]
    """other scale -> p that it changes the metric more, with Holm's correction for looking at two"""
    p_moves: dict[str, float]
    """any scale -> p that it moves the metric in the direction in question; empty where there is none"""

    @property
    def p(self) -> float:
        """That the scale changes the metric most."""
        return float(np.max([*self.p_over.values(), *([self.p_moves[self.scale]] if self.p_moves else [])]))

    @property
    def deciding(self) -> float:
        """The p of the verdict: where contradicted, the least that another scale changes the metric more."""
        return min(self.p_more.values()) if self.verdict == "contradicted" else self.p

    @property
    def above(self) -> bool:
        """Whether the scale is above both others, wherever zero is."""
        return all(p < ALPHA for p in self.p_over.values())

    @property
    def stronger(self) -> tuple[str, ...]:
        """The scales that change the metric more."""
        return tuple(s for s, p in self.p_more.items() if p < ALPHA)

    @property
    def moving(self) -> bool:
        """Whether the scale or a stronger one moves the metric in the direction in question."""
        return not self.p_moves or any(self.p_moves[s] < ALPHA for s in (self.scale, *self.stronger))

    @property
    def verdict(self) -> str:
        """At 0.05: "supported", "contradicted" by a scale that changes the metric more, or "undecided"."""
        if self.p < ALPHA:
            return "supported"
        return "contradicted" if self.stronger and self.moving else "undecided"

    def numbers(self) -> dict[str, Any]:
        """`verdict`, `p`, `p_over`, `p_more` and `p_moves`."""
        parts = {"p_over": self.p_over, "p_more": self.p_more, "p_moves": self.p_moves}
        return {"verdict": self.verdict, "p": self.p, **parts}


class Changes:
    """Per-sample changes of a metric by the three scales, over the samples where all of them are defined.

    Parameters
    ----------
    scales: scale -> the condition that disturbs it.
    """

    def __init__(self, metric: Samples, resampling: Resampling, scales: Mapping[str, str]) -> None:
        values = metric.columns((BASELINE, *(scales[scale] for scale in SCALES)))
        defined = np.isfinite(values).all(axis=1)
        self.units: Owners = resampling.units[defined]
        self.by = {s: values[defined, i] - values[defined, 0] for i, s in enumerate(SCALES, start=1)}
        self.n, self.lacking = len(self.units), resampling.lacking(self.units)

    def mean(self, scale: str) -> float:
        """Mean change by one scale, in the metric's unit; NaN without samples."""
        return float(self.by[scale].mean()) if self.n else float("nan")

    def signed(self, scale: str, sign: int) -> Comparison:
        """Compare mean changes in one direction (sign 1: a rise, -1: a fall) by one-sided paired t tests."""
        return self._directed(scale, lambda change: paired_t(sign * change, self.units, "greater"))

    def ranks(self, scale: str, sign: int) -> Comparison:
        """The same by Wilcoxon's signed-rank tests, which a few run-on texts cannot decide."""
        return self._directed(scale, lambda change: wilcoxon(sign * change, self.units, "greater"))

    def absolute(self, scale: str) -> Comparison:
        """Compare |mean change|, whatever its direction."""
        return _compare(scale, lambda one, other: larger(self.by[one], self.by[other], self.units), {})

    def _directed(self, scale: str, test: Callable[[Floats], Test]) -> Comparison:
        moves = {s: test(change).p for s, change in self.by.items()}
        return _compare(scale, lambda one, other: test(self.by[one] - self.by[other]), moves)


def larger(one: Floats, other: Floats, units: Owners) -> Test:
    """Test that |mean of one| exceeds |mean of the other|.

    It does exactly where the means of `one - other` and `one + other` have the same sign, that of `one`: for each sign
    both one-sided t tests must hold, and as either sign will do, the smaller p is doubled.

    Returns
    -------
    The difference of the absolute means and p.
    """
    less, plus = one - other, one + other
    both = [[paired_t(d, units, way).p for d in (less, plus)] for way in ("greater", "less")]
    if not np.isfinite(both).all():
        return Test()
    return Test(float(abs(one.mean()) - abs(other.mean())), min(1.0, 2 * float(np.max(both, axis=1).min())))


def _compare(scale: str, test: Callable[[str, str], Test], moves: dict[str, float]) -> Comparison:
    others = [s for s in SCALES if s != scale]
    over = {s: test(scale, s).p for s in others}
    more = dict(zip(others, holm([test(s, scale).p for s in others]), strict=True))
    return Comparison(scale, over, more, moves)
