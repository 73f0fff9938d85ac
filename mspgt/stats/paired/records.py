"""What the statistics of a comparison find, as records: estimates, tests and effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan

ALPHA = 0.05
STARS = ((0.001, "***"), (0.01, "**"), (ALPHA, "*"))
"""Holm-corrected p below -> mark, the strictest first"""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and standard error; NaN where there is none.

    Attributes
    ----------
    n: samples that it rests on.
    """

    value: float = nan
    low: float = nan
    high: float = nan
    se: float = nan
    n: int = 0

    def __bool__(self) -> bool:
        return isfinite(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether both ends are there."""
        return isfinite(self.low) and isfinite(self.high)

    @property
    def leaves_out_zero(self) -> bool:
        """Whether there is an interval, and zero is not in it."""
        return self.has_interval and not self.low <= 0 <= self.high

    def times(self, unit: float) -> Estimate:
        """The same in another unit."""
        low, high = sorted((unit * self.low, unit * self.high))
        return Estimate(unit * self.value, low, high, abs(unit) * self.se, self.n)


@dataclass(frozen=True)
class MetricValue:
    """A metric under one condition: its mean over `n` samples, or the corpus's value, with its interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Test:
    """Statistic and p-value, and the p-value after Holm's correction.

    NaN where the test is undefined (all differences equal, fewer than two pairs) or not corrected.
    """

    __test__ = False  # not one of pytest's

    statistic: float = nan
    p: float = nan
    p_holm: float = nan


@dataclass(frozen=True)
class VersusControl(Estimate):
    """The difference from the control, with the p of its t test, NaN if it was not tested."""

    p: float = nan
    p_holm: float = nan


@dataclass(frozen=True)
class Effect:
    """What a condition did to a metric, against the baseline of the same prompts.

    Attributes
    ----------
    samples: all pairs, complete or not.
    difference: in the metric's own unit, over the complete pairs.
    percent: of the baseline's mean; None where that is undefined, and `undefined` says why.
    d_z: the mean difference over the standard deviation of the differences.
    primary: name of the test that decides: "swap" for corpus-level metrics, "t_document" where whole documents were
        resampled, otherwise "t"; None where nothing was tested, and `untested` says why.
    versus_control: difference from the condition that disturbs as many blocks outside the group; None without one.
    """

    metric: str
    condition: str
    samples: int = 0
    difference: Estimate = Estimate()
    percent: Estimate | None = None
    undefined: str | None = None
    d_z: float = nan
    primary: str | None = None
    tests: Mapping[str, Test] = field(default_factory=dict)
    untested: str | None = None
    versus_control: VersusControl | None = None

    @property
    def p(self) -> float:
        """Holm-corrected p of the primary test; NaN if it was not made."""
        return self.tests.get(self.primary or "", Test()).p_holm

    @property
    def significant(self) -> bool:
        """Whether `p` is below 0.05."""
        return self.p < ALPHA

    @property
    def stars(self) -> str:
        """``***``, ``**``, ``*`` or nothing, by `p`."""
        return stars(self.p)

    @property
    def reported(self) -> Estimate:
        """The percentage, or where that is undefined the difference."""
        return self.percent or self.difference

    @property
    def why_untested(self) -> str:
        """Why there is a difference but no p; nothing where there is a p or no difference."""
        return "" if isfinite(self.p) or not self.difference else self.untested or "its test is undefined"

    @property
    def standardised(self) -> Estimate:
        """`d_z` with the interval of the difference over the same standard deviation."""
        change = self.difference.value
        return self.difference.times(self.d_z / change) if change else Estimate(self.d_z)

    @property
    def versus_control_percent(self) -> Estimate | None:
        """`versus_control` in points of `percent`; None where there is no percentage."""
        if self.percent is None or self.versus_control is None or not self.difference.value:
            return None
        return self.versus_control.times(self.percent.value / self.difference.value)


def stars(p: float) -> str:
    """``***``, ``**``, ``*`` or nothing, by a Holm-corrected p."""
    return next((mark for limit, mark in STARS if p < limit), "")
