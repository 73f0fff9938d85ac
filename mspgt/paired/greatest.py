"""Whether one scale changes a metric more than both others: an intersection-union test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.paired.hypothesis_tests import ALPHA, Test, holm, paired_t, wilcoxon
from mspgt.paired.measured import BASELINE, SCALES, Floats, Json, Measured, number
from mspgt.paired.resampling import Resampling

Units = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Comparison:
    """One scale against the two others.

    `p` is the largest p of the two one-sided tests that the scale changes the metric more than each other scale
    (Berger 1982): all must hold, so no correction is due. `p_more` has, for each other scale, the p that it changes the
    metric more, with Holm's correction for looking at two. NaN where undefined.
    """

    p: float
    p_over: dict[str, float]
    p_more: dict[str, float]

    @property
    def verdict(self) -> str:
        """At 0.05: "supported", "contradicted" by a scale that changes the metric more, or "undecided"."""
        if self.p < ALPHA:
            return "supported"
        return "contradicted" if any(p < ALPHA for p in self.p_more.values()) else "undecided"

    def json(self) -> Json:
        """`verdict`, `p`, `p_over` and `p_more`."""
        over, more = ({s: number(p) for s, p in part.items()} for part in (self.p_over, self.p_more))
        return {"verdict": self.verdict, "p": number(self.p), "p_over": over, "p_more": more}


class Changes:
    """Per-sample changes of a metric by the three scales, over the samples where all of them are defined."""

    def __init__(self, measured: Measured, resampling: Resampling) -> None:
        values = measured.columns((BASELINE, *SCALES))
        defined = np.isfinite(values).all(axis=1)
        self.units: Units = resampling.units[defined]
        self.by = {s: values[defined, i] - values[defined, 0] for i, s in enumerate(SCALES, start=1)}
        self.n = int(defined.sum())

    def mean(self, scale: str) -> float:
        """Mean change by one scale, in the metric's unit; NaN without samples."""
        return float(self.by[scale].mean()) if self.n else float("nan")

    def signed(self, scale: str, sign: int) -> Comparison:
        """Compare mean changes in one direction (sign 1: a rise, -1: a fall) by one-sided paired t tests."""
        return _compare(
            scale, lambda one, other: paired_t(sign * (self.by[one] - self.by[other]), self.units, "greater")
        )

    def ranks(self, scale: str, sign: int) -> Comparison:
        """The same by Wilcoxon's signed-rank tests, which a few run-on texts cannot decide."""
        return _compare(scale, lambda one, other: wilcoxon(sign * (self.by[one] - self.by[other]), "greater"))

    def absolute(self, scale: str) -> Comparison:
        """Compare |mean change|, whatever its direction."""
        return _compare(scale, lambda one, other: larger(self.by[one], self.by[other], self.units))


def larger(one: Floats, other: Floats, units: Units) -> Test:
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


def _compare(scale: str, test: Callable[[str, str], Test]) -> Comparison:
    others = [s for s in SCALES if s != scale]
    over = {s: test(scale, s).p for s in others}
    more = dict(zip(others, holm([test(s, scale).p for s in others]), strict=True))
    return Comparison(float(np.max(list(over.values()))), over, more)
