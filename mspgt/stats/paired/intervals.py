"""Intervals: the values of a metric under each condition, and the ratio of two estimates."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import stats

from mspgt.stats.paired.records import MetricValue
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Floats, Samples


def metric_values(metric: Samples, resampling: Resampling) -> dict[str, MetricValue]:
    """Condition -> mean of a metric under it, with its interval.

    The interval is the percentile bootstrap over the units of `resampling`, with the same weights for all conditions;
    for a corpus-level metric the delete-a-group jackknife.
    """
    resampled = resampling.of(metric)
    estimates = {condition: resampled.estimate((condition,), _only) for condition in metric.values}
    return {condition: MetricValue(e.value, e.low, e.high, e.n) for condition, e in estimates.items()}


@dataclass(frozen=True)
class Ratio:
    """A ratio with Fieller's interval; without one (NaN) where the denominator may be zero."""

    value: float
    low: float = nan
    high: float = nan
    bounded: bool = False


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
