"""What each condition does to each metric: difference, percentage, effect size and tests against the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mspgt.stats.paired.hypothesis_tests import Test, holm, paired_t, swap_test, tost, wilcoxon
from mspgt.stats.paired.measured import BASELINE, MINIMUM, SCALES, Floats, Json, Measured, control_of, number
from mspgt.stats.paired.resampling import Estimate, Resampling


def effects(
    measured: Sequence[Measured], resampling: Resampling, *, swaps: int = 999, margin: float = 0.2
) -> list[Json]:
    """Compare every condition of every metric with the baseline, in the schema of `interventions.json`.

    Tests of a sample-level metric: `t`, the paired t test over prompts, as in the paper (section 4.2.1); `wilcoxon`;
    `tost`, equivalence within `margin`; and, where documents are the unit, `t_document`, with the standard error of
    whole documents, and `wilcoxon_document`, of the sums over documents. Of a corpus-level metric: `swap` alone, as
    its scores are no independent draws (a t test of unchanged Self-BLEU rejected 16 % of the time at 5 %).

    One test is `primary`: `swap` of a corpus-level metric, otherwise `t_document` where documents are the unit and `t`
    where prompts are. `p_holm` is Holm's correction within a family: the primary tests over all metrics and the three
    scales; every other test over all metrics and scales by itself; controls and other conditions form the same
    families apart from the scales.

    A metric that is 0 in every text of the baseline, as divergence from the baseline is, has nothing to be tested
    against: difference and interval only. Below 10 complete pairs, or 10 documents with one, there is a difference
    only. A percentage is the change of the mean in per cent of the baseline's; where that is less than 4 standard
    errors from zero, `percent` is None. `undefined` says why there is no percentage.

    Parameters
    ----------
    swaps: of the randomisation test; each measures a corpus-level metric anew on two conditions.
    margin: of equivalence, in standard deviations of the differences.

    Returns
    -------
    One entry for each metric and condition: `metric`, `condition`, `n` (complete pairs), `samples` (all), `difference`,
    `percent`, `undefined`, `d_z` (mean difference over its standard deviation), `primary` (name of the test that
    decides, or None), `tests`, `untested` (why there are none, or None); and for a condition with a control,
    `versus_control`: the difference from it with `low`, `high`, `n`, `p` of the same t test, None for a corpus-level
    metric, and `p_holm` in families of its own.
    """
    entries: list[Json] = []
    tests: list[dict[str, Test]] = []
    for metric in measured:
        for condition in (c for c in metric.values if c != BASELINE):
            found = _tests(metric, condition, resampling, swaps, margin)
            entries.append(_effect(metric, condition, resampling, _primary(metric, resampling) if found else None))
            tests.append(found)
    families: dict[tuple[bool, str], list[tuple[int, str]]] = {}
    for i, found in enumerate(tests):
        for name in found:
            family = "primary" if name == entries[i]["primary"] else name
            families.setdefault((entries[i]["condition"] in SCALES, family), []).append((i, name))
    for members in families.values():
        for (i, name), adjusted in zip(members, holm([tests[i][name].p for i, name in members]), strict=True):
            entries[i]["tests"][name] = tests[i][name].json(adjusted)
    _compare_with_controls(measured, entries, resampling)
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
    return bool(np.isfinite(baseline.se)) and baseline.value != 0 and abs(baseline.value) >= 4 * baseline.se


def _effect(metric: Measured, condition: str, resampling: Resampling, primary: str | None) -> Json:
    pair = (BASELINE, condition)
    resampled = resampling.of(metric)
    change = resampled.estimate(pair, difference)
    differences = _differences(metric, condition)
    defined = np.isfinite(differences)
    percent, undefined, lacking = None, None, resampling.lacking(resampling.units[defined])
    if not np.isfinite(change.value):
        undefined = "no pair of texts has a value"
    elif lacking:
        undefined = lacking
    elif has_percentage(resampled.estimate(pair, lambda means: np.asarray(means[..., 0]))):
        percent = resampled.estimate(pair, percentage).json()
    else:
        undefined = "the baseline is within 4 standard errors of zero"
    kept = differences[defined]
    d_z = kept.mean() / kept.std(ddof=1) if not lacking and np.ptp(kept) > 0 and not _nothing(metric) else np.nan
    return {
        "metric": metric.name,
        "condition": condition,
        "n": change.n,
        "samples": metric.samples,
        "difference": change.json(),
        "percent": percent,
        "undefined": undefined,
        "d_z": number(float(d_z)),
        "primary": primary,
        "tests": {},
        "untested": None if primary else _why_untested(metric, lacking),
    }


def _why_untested(metric: Measured, lacking: str) -> str:
    if lacking:
        return f"fewer than {MINIMUM} {'documents' if 'documents' in lacking else 'pairs'}"
    return "0 in every text of the baseline" if _nothing(metric) else "its texts cannot be swapped"


def _primary(metric: Measured, resampling: Resampling) -> str:
    if metric.level == "corpus":
        return "swap"
    return "t_document" if resampling.unit == "document" else "t"


def _tests(metric: Measured, condition: str, resampling: Resampling, swaps: int, margin: float) -> dict[str, Test]:
    differences, units = _differences(metric, condition), resampling.units
    if resampling.lacking(units[np.isfinite(differences)]) or _nothing(metric):
        return {}
    if metric.level == "corpus":
        if metric.swapped is None:
            return {}
        return {"swap": swap_test(metric.swapped(condition), units, swaps, resampling.seed)}
    found = {"t": paired_t(differences), "wilcoxon": wilcoxon(differences), "tost": tost(differences, margin, units)}
    if resampling.unit == "document":
        found |= {"t_document": paired_t(differences, units), "wilcoxon_document": wilcoxon(differences, units)}
    return found


def _compare_with_controls(measured: Sequence[Measured], entries: Sequence[Json], resampling: Resampling) -> None:
    """Add `versus_control` to every entry whose condition has a control."""
    by_name = {metric.name: metric for metric in measured}
    families: dict[bool, list[Json]] = {}
    for entry in entries:
        metric, condition = by_name[entry["metric"]], entry["condition"]
        control = control_of(condition)
        if control not in metric.values:
            continue
        found = resampling.of(metric).estimate((control, condition), difference)
        test, differences = Test(), _differences(metric, condition, control)
        if metric.level == "sample" and not resampling.lacking(resampling.units[np.isfinite(differences)]):
            test = paired_t(differences, resampling.units)
        entry["versus_control"] = {**found.json(), "n": found.n, "p": number(test.p), "p_holm": None}
        if np.isfinite(test.p):
            families.setdefault(condition in SCALES, []).append(entry["versus_control"])
    for family in families.values():
        for block, adjusted in zip(family, holm([block["p"] for block in family]), strict=True):
            block["p_holm"] = number(adjusted)


def _differences(metric: Measured, condition: str, other: str = BASELINE) -> Floats:
    return np.asarray(metric.values[condition] - metric.values[other], dtype=np.float64)


def _nothing(metric: Measured) -> bool:
    """Whether there is nothing to test against: the baseline is 0 in every text."""
    values = metric.values[BASELINE]
    return not np.any(values[np.isfinite(values)])
