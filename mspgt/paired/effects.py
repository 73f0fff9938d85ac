"""What each condition does to each metric: difference, percentage, effect size and tests against the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mspgt.paired.hypothesis_tests import Test, holm, paired_t, swap_test, tost, wilcoxon
from mspgt.paired.measured import BASELINE, SCALES, Floats, Json, Measured, number
from mspgt.paired.resampling import Estimate, Resampling

PRIMARY = frozenset({"t", "swap"})
"""the tests that form one family over scales and metrics: each metric has exactly one of them"""


def effects(
    measured: Sequence[Measured], resampling: Resampling, *, swaps: int = 999, margin: float = 0.2
) -> list[Json]:
    """Compare every condition of every metric with the baseline, in the schema of `interventions.json`.

    Tests of a sample-level metric: `t`, the paired t test over prompts, as in the paper (section 4.2.1);
    `t_document`, the same with the standard error of whole documents, where these are the unit; `wilcoxon`; `tost`,
    equivalence within `margin`. Of a corpus-level metric: `swap` alone, as its scores are no independent draws (a t
    test of unchanged Self-BLEU rejected 16 % of the time at 5 %).

    `p_holm` is Holm's correction within a family: `t` and `swap` together over all metrics and the three scales, for
    `t` or `swap` is the one primary test of a metric; every other test over all metrics and scales by itself; controls
    and other conditions form the same families apart from the scales.

    A percentage is the change of the mean in per cent of the baseline's; where that is less than 4 standard errors
    from zero, `percent` is None and `undefined` says so.

    Parameters
    ----------
    swaps: of the randomisation test; each measures a corpus-level metric anew on two conditions.
    margin: of equivalence, in standard deviations of the differences.

    Returns
    -------
    One entry for each metric and condition: `metric`, `condition`, `n` (pairs), `difference`, `percent`, `undefined`,
    `d_z` (mean difference over its standard deviation), `tests`.
    """
    entries: list[Json] = []
    tests: list[dict[str, Test]] = []
    for metric in measured:
        for condition in (c for c in metric.values if c != BASELINE):
            entries.append(_effect(metric, condition, resampling))
            tests.append(_tests(metric, condition, resampling, swaps, margin))
    families: dict[tuple[bool, str], list[tuple[int, str]]] = {}
    for i, found in enumerate(tests):
        for name in found:
            family = "primary" if name in PRIMARY else name
            families.setdefault((entries[i]["condition"] in SCALES, family), []).append((i, name))
    for members in families.values():
        for (i, name), adjusted in zip(members, holm([tests[i][name].p for i, name in members]), strict=True):
            entries[i]["tests"][name] = tests[i][name].json(adjusted)
    return entries


def difference(means: Floats) -> Floats:
    """Second condition less the first: (..., 2) -> (...)."""
    return np.asarray(means[..., 1] - means[..., 0])


def percentage(means: Floats) -> Floats:
    """Change from the first condition to the second in per cent of the first: (..., 2) -> (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(100 * (means[..., 1] - means[..., 0]) / means[..., 0])


def has_percentage(baseline: Estimate) -> bool:
    """Whether the baseline is far enough from zero, 4 standard errors, for a percentage of it to be defined."""
    se = baseline.se if np.isfinite(baseline.se) else 0.0
    return np.isfinite(baseline.value) and baseline.value != 0 and abs(baseline.value) >= 4 * se


def _effect(metric: Measured, condition: str, resampling: Resampling) -> Json:
    pair = (BASELINE, condition)
    resampled = resampling.of(metric)
    change = resampled.estimate(pair, difference)
    percent, undefined = None, None
    if has_percentage(resampled.estimate(pair, lambda means: np.asarray(means[..., 0]))):
        percent = resampled.estimate(pair, percentage).json()
    elif np.isfinite(change.value):
        undefined = f"undefined, absolute difference = {change.value:.4g}"
    else:
        undefined = "undefined, no pair of texts has a value"
    entry = {"metric": metric.name, "condition": condition, "n": change.n, "difference": change.json()}
    differences = _differences(metric, condition)
    kept = differences[np.isfinite(differences)]
    varies = len(kept) > 1 and np.ptp(kept) > 0
    d_z = number(float(kept.mean() / kept.std(ddof=1))) if varies else None
    return {**entry, "percent": percent, "undefined": undefined, "d_z": d_z, "tests": {}}


def _tests(metric: Measured, condition: str, resampling: Resampling, swaps: int, margin: float) -> dict[str, Test]:
    if metric.level == "corpus":
        if metric.swapped is None:
            return {}
        return {"swap": swap_test(metric.swapped(condition), resampling.units, swaps, resampling.seed)}
    differences = _differences(metric, condition)
    found = {"t": paired_t(differences), "wilcoxon": wilcoxon(differences)}
    found["tost"] = tost(differences, margin, resampling.units)
    if resampling.unit == "document":
        found["t_document"] = paired_t(differences, resampling.units)
    return found


def _differences(metric: Measured, condition: str) -> Floats:
    return np.asarray(metric.values[condition] - metric.values[BASELINE], dtype=np.float64)
