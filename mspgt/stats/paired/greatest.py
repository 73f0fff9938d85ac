"""Whether one scale changes a metric more than both others: an intersection-union test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.paired.conditions import BASELINE, SCALES
from mspgt.stats.paired.hypothesis_tests import holm, paired_t, wilcoxon
from mspgt.stats.paired.numbers import Answer, Comparison
from mspgt.stats.paired.records import ALPHA, Test
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Floats, Samples

Owners = NDArray[np.integer[Any]]


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
    stronger = [s for s, p in more.items() if p < ALPHA]
    p = float(np.max([*over.values(), *([moves[scale]] if moves else [])]))
    moving = not moves or any(moves[s] < ALPHA for s in (scale, *stronger))
    verdict: Answer = "supported" if p < ALPHA else "contradicted" if stronger and moving else "undecided"
    return Comparison(verdict, p, over, more, moves)
