"""Intervals: the values of a metric under each condition, and the ratio of two estimates."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import stats

from mspgt.stats.paired.measured import Floats, Json, Measured, number
from mspgt.stats.paired.resampling import Resampling


def metric_values(measured: Measured, resampling: Resampling) -> dict[str, Json]:
    """Mean of a metric under each condition, with its interval.

    The interval is the percentile bootstrap over the units of `resampling`, with the same weights for all conditions;
    for a corpus-level metric the delete-a-group jackknife.

    Returns
    -------
    condition -> `mean`, `low`, `high`, `n` (samples where it is defined).
    """
    values = {}
    for condition in measured.values:
        found = resampling.of(measured).estimate((condition,), _only)
        values[condition] = {"mean": number(found.value), **_ends(found.low, found.high), "n": found.n}
    return values


@dataclass(frozen=True)
class Ratio:
    """A ratio with Fieller's interval; without one (NaN) where the denominator may be zero."""

    value: float
    low: float = nan
    high: float = nan
    bounded: bool = False

    def json(self) -> Json:
        """`value`, `low`, `high` and `bounded`."""
        return {"value": number(self.value), **_ends(self.low, self.high), "bounded": self.bounded}


def fieller(
    numerator: float,
    denominator: float,
    se_numerator: float,
    se_denominator: float,
    *,
    covariance: float = 0.0,
    confidence: float = 0.95,
) -> Ratio:
    """Fieller's (1954) interval of a ratio of two normal estimates.

    All r for which numerator - r · denominator is within its own interval of zero. The set is bounded only where the
    interval of the denominator leaves zero out; elsewhere no finite interval has the coverage that it claims.

    Parameters
    ----------
    covariance: of the two estimates.
    """
    value = numerator / denominator if denominator else nan
    q = float(stats.norm.ppf((1 + confidence) / 2)) ** 2
    a = denominator**2 - q * se_denominator**2
    b = numerator * denominator - q * covariance
    c = numerator**2 - q * se_numerator**2
    if not a > 0:
        return Ratio(value)
    root = sqrt(max(b * b - a * c, 0.0))
    return Ratio(value, (b - root) / a, (b + root) / a, True)


def _only(means: Floats) -> Floats:
    return np.asarray(means[..., 0])


def _ends(low: float, high: float) -> Json:
    return {"low": number(low), "high": number(high)}
