"""Tests of paired differences, and Holm's correction."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mspgt.contracts.metric import Swapped
from mspgt.stats.paired.records import Test
from mspgt.stats.paired.samples import Floats


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the order given; NaN stands outside the family and stays NaN."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(values), nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(a) for a in adjusted]


def holm_within(families: Sequence[Hashable], p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of tests that fall into several families, in the order given."""
    adjusted = np.full(len(p), nan)
    for family in dict.fromkeys(families):
        members = [i for i, of in enumerate(families) if of == family]
        adjusted[members] = holm([p[i] for i in members])
    return [float(a) for a in adjusted]


def paired_t(
    differences: Floats, units: NDArray[np.integer] | None = None, alternative: str = "two-sided", null: float = 0.0
) -> Test:
    """Student's t of the mean paired difference.

    Parameters
    ----------
    differences: (sample,) NaN where a side is undefined: such pairs are left out.
    units: (sample,) the document of each prompt. Given, the standard error is the cluster-robust one,
        se² = U/(U-1) · sum over units of (sum of deviations in the unit)² / n², with U-1 degrees of freedom
        (Liang & Zeger 1986); without, prompts are taken as independent. Both are the same where each unit holds one.
    alternative: "two-sided", "greater" (the mean exceeds `null`) or "less".
    """
    mean, se, freedom = _mean_and_se(differences, units)
    if not freedom or se == 0:
        return Test()
    t = (mean - null) / se
    if alternative == "two-sided":
        return Test(t, float(2 * stats.t.sf(abs(t), freedom)))
    return Test(t, float(stats.t.sf(t if alternative == "greater" else -t, freedom)))


def wilcoxon(differences: Floats, units: NDArray[np.integer] | None = None, alternative: str = "two-sided") -> Test:
    """Wilcoxon's signed-rank test; zero differences are dropped before ranking (Wilcoxon's own rule), as are NaN.

    Exact up to 50 differences without ties, the normal approximation with tie correction otherwise.

    Parameters
    ----------
    units: (sample,) the document of each prompt. Given, the sums of the differences of each document are ranked;
        without, prompts are taken as independent.
    """
    kept = sums(differences, units)
    kept = kept[kept != 0]
    if len(kept) == 0:
        return Test()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = stats.wilcoxon(kept, zero_method="wilcox", alternative=alternative)
    return Test(float(outcome.statistic), float(outcome.pvalue))


def tost(differences: Floats, margin: float = 0.2, units: NDArray[np.integer] | None = None) -> Test:
    """Two one-sided t tests (Schuirmann 1987): small p means that the change is smaller than the margin either way.

    Parameters
    ----------
    margin: in standard deviations of the differences, that is in units of d_z.
    units: as for `paired_t`.

    Returns
    -------
    The smaller of the two t (above the lower margin, below the upper one) and its p, which is the larger p.
    """
    kept = differences[np.isfinite(differences)]
    mean, se, freedom = _mean_and_se(differences, units)
    if not freedom or se == 0:
        return Test()
    t = (margin * float(kept.std(ddof=1)) - abs(mean)) / se
    return Test(t, float(stats.t.sf(t, freedom)))


def swap_test(swapped: Swapped, units: NDArray[np.integer], swaps: int = 999, seed: int = 0) -> Test:
    """Randomisation test of a corpus-level metric: the two texts of a prompt change sides, and all is measured anew.

    Two-sided in |condition - baseline|; p = (1 + swaps at least as far apart) / (1 + swaps). Each score depends on
    every text, so scores are no independent draws and a t test of them rejects too often; here nothing is assumed
    of the scores. All prompts of a unit change sides together: swapping documents is a subgroup of swapping prompts,
    so the test is exact whenever that one is, and still is when the effect varies from document to document.

    What is tested is that the two texts of a prompt (or document) are exchangeable: a small p says that they differ
    in distribution, most likely in this metric, but not that the expected metric differs. A statement about the metric
    itself needs its interval as well.

    Parameters
    ----------
    swapped: (sample,) bool -> (baseline value, condition value).
    units: (sample,) numbers from 0 of the documents or prompts that change sides together.

    Returns
    -------
    The observed difference and p.
    """
    units = np.asarray(units)
    if len(units) == 0:
        return Test()
    baseline, condition = swapped(np.zeros(len(units), dtype=np.bool_))
    observed = condition - baseline
    if not np.isfinite(observed):
        return Test()
    rng = np.random.default_rng([seed, 3])
    as_far = abs(observed) * (1 - 1e-9)  # the mirrored assignment must count, whatever the rounding
    count = 0
    for _ in range(swaps):
        sides = rng.integers(2, size=int(units.max()) + 1).astype(np.bool_)
        baseline, condition = swapped(sides[units])
        count += not abs(condition - baseline) < as_far  # an undefined one counts as far
    return Test(observed, (1 + count) / (1 + swaps))


def sign_test(differences: Floats, units: NDArray[np.integer] | None = None) -> Test:
    """Exact two-sided sign test; of the differences of two indicators it is McNemar's exact test.

    Parameters
    ----------
    units: (sample,) the document of each prompt. Given, the signs are those of the sums of each document.

    Returns
    -------
    The number of positive signs less that of negative ones, and p; NaN where all differences are zero.
    """
    total = sums(differences, units)
    positive, negative = int((total > 0).sum()), int((total < 0).sum())
    if positive + negative == 0:
        return Test()
    return Test(positive - negative, float(stats.binomtest(positive, positive + negative).pvalue))


def sums(differences: Floats, units: NDArray[np.integer] | None) -> Floats:
    """Sums of the defined differences of each unit; the defined differences themselves without units."""
    defined = np.isfinite(differences)
    kept = np.asarray(differences[defined], dtype=np.float64)
    if units is None:
        return kept
    of = np.unique(np.asarray(units)[defined], return_inverse=True)[1]
    return np.asarray(np.bincount(of, kept), dtype=np.float64)


def _mean_and_se(differences: Floats, units: NDArray[np.integer] | None) -> tuple[float, float, int]:
    """Mean, its standard error and the degrees of freedom; 0 degrees where there is no standard error."""
    defined = np.isfinite(differences)
    kept = differences[defined]
    if len(kept) < 2:
        return nan, nan, 0
    mean = float(kept.mean())
    of = np.arange(len(kept)) if units is None else np.unique(np.asarray(units)[defined], return_inverse=True)[1]
    totals = np.bincount(of, kept - mean)
    count = len(totals)
    if count < 2:
        return mean, nan, 0
    if np.ptp(kept) == 0:  # the mean of equal numbers is off by rounding, and so would be the deviations
        return float(kept[0]), 0.0, count - 1
    return mean, sqrt(count / (count - 1) * float(totals @ totals)) / len(kept), count - 1
