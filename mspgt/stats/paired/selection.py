"""Where a metric is undefined for some texts: whether what is left can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.paired.conditions import BASELINE, SCALES
from mspgt.stats.paired.hypothesis_tests import holm, sign_test
from mspgt.stats.paired.records import ALPHA
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

MOSTLY = 0.9
"""share of defined texts from which on nothing is said"""
APART = 0.05
"""difference from the baseline's share up to which nothing is said"""


def selection(metric: Samples, resampling: Resampling, scales: Mapping[str, str]) -> dict[str, float]:
    """Pairs of scales that leave different texts undefined, "local, global" -> p below 0.05 after Holm's correction.

    A change of one scale is then that of other texts than the change of another. Exact sign tests of the texts that are
    undefined under one scale alone (McNemar's), of whole documents where these are the unit.

    Parameters
    ----------
    scales: scale -> the condition that disturbs it.
    """
    units = resampling.units
    missing = {s: (~np.isfinite(metric.values[scales[s]])).astype(np.float64) for s in SCALES}
    pairs = list(combinations(SCALES, 2))
    adjusted = holm([sign_test(missing[one] - missing[other], units).p for one, other in pairs])
    return {f"{one}, {other}": p for (one, other), p in zip(pairs, adjusted, strict=True) if p < ALPHA}


def undefined(metric: Samples, condition: str) -> float:
    """Share of the texts of a condition for which the metric is undefined."""
    return 1 - _share(metric.values[condition])


def selection_notes(metrics: Sequence[Samples]) -> list[str]:
    """A sentence for each metric that is undefined for many texts under a condition, and not so in the baseline."""
    notes = []
    for metric in metrics:
        baseline = _share(metric.values[BASELINE])
        shares = {c: _share(values) for c, values in metric.values.items() if c != BASELINE}
        lacking = {c: s for c, s in shares.items() if s < MOSTLY and abs(s - baseline) > APART}
        if not lacking:
            continue
        gone = [round(100 * (1 - share)) for share in lacking.values()]
        least, most = min(gone), max(gone)
        gone_of = f"{most} %" if least == most else f"{least}-{most} %"
        under = next(iter(lacking)) if len(lacking) == 1 else "disturbance"
        notes.append(
            f"{metric.name} is undefined for {gone_of} of the texts under {under} "
            f"({100 * (1 - baseline):.0f} % in the baseline): comparisons are of the rest."
        )
    return notes


def _share(values: NDArray[np.float64]) -> float:
    return float(np.isfinite(values).mean()) if len(values) else 1.0
