"""What each condition does to each metric: difference, percentage, effect size and tests against the baseline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import nan

import numpy as np

from mspgt.stats.paired.conditions import BASELINE, Conditions
from mspgt.stats.paired.hypothesis_tests import holm_within, paired_t, swap_test, tost, wilcoxon
from mspgt.stats.paired.records import Effect, Estimate, Test, VersusControl
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import MINIMUM, Floats, Samples


def effects(
    metrics: Sequence[Samples],
    resampling: Resampling,
    conditions: Conditions,
    *,
    swaps: int = 999,
    margin: float = 0.2,
) -> tuple[Effect, ...]:
    """Compare every condition of every metric with the baseline.

    Tests of a sample-level metric: `t`, the paired t test over prompts, as in the paper (section 4.2.1); `wilcoxon`;
    `tost`, equivalence within `margin`; and, where documents are the unit, `t_document`, with the standard error of
    whole documents, and `wilcoxon_document`, of the sums over documents. Of a corpus-level metric: `swap` alone, as
    its scores are no independent draws (a t test of unchanged Self-BLEU rejected 16 % of the time at 5 %).

    One test is `primary`: `swap` of a corpus-level metric, otherwise `t_document` where documents are the unit and `t`
    where prompts are. `p_holm` is Holm's correction within a family: the primary tests over all metrics and the groups
    as they were asked for, at the main strength; every other test over the same by itself; controls and other
    conditions form the same families apart from these.

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
    An effect for each metric and condition; `versus_control` has the p of the same t test, which a corpus-level metric
    has not, corrected in families of its own.
    """
    made = [
        _effect(metric, condition, resampling, swaps, margin)
        for metric in metrics
        for condition in metric.values
        if condition != BASELINE
    ]
    main = set(conditions.main.values())
    return _compared_with_controls(metrics, _corrected(made, main), resampling, conditions)


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


def _effect(metric: Samples, condition: str, resampling: Resampling, swaps: int, margin: float) -> Effect:
    pair = (BASELINE, condition)
    resampled = resampling.of(metric)
    change = resampled.estimate(pair, difference)
    differences = _differences(metric, condition)
    defined = np.isfinite(differences)
    percent, undefined, lacking = None, None, resampling.lacking(resampling.units[defined])
    if not change:
        undefined = "no pair of texts has a value"
    elif lacking:
        undefined = lacking
    elif has_percentage(resampled.estimate(pair, lambda means: np.asarray(means[..., 0]))):
        percent = resampled.estimate(pair, percentage)
    else:
        undefined = "the baseline is within 4 standard errors of zero"
    kept = differences[defined]
    d_z = kept.mean() / kept.std(ddof=1) if not lacking and np.ptp(kept) > 0 and not _nothing(metric) else np.nan
    tests = _tests(metric, condition, resampling, swaps, margin)
    return Effect(
        metric=metric.name,
        condition=condition,
        samples=metric.count,
        difference=change,
        percent=percent,
        undefined=undefined,
        d_z=float(d_z),
        primary=_primary(metric, resampling) if tests else None,
        tests=tests,
        untested=None if tests else _why_untested(metric, lacking),
    )


def _why_untested(metric: Samples, lacking: str) -> str:
    if lacking:
        return f"fewer than {MINIMUM} {'documents' if 'documents' in lacking else 'pairs'}"
    return "0 in every text of the baseline" if _nothing(metric) else "its texts cannot be swapped"


def _primary(metric: Samples, resampling: Resampling) -> str:
    if metric.level == "corpus":
        return "swap"
    return "t_document" if resampling.unit == "document" else "t"


def _tests(metric: Samples, condition: str, resampling: Resampling, swaps: int, margin: float) -> dict[str, Test]:
    differences, units = _differences(metric, condition), resampling.units
    if resampling.lacking(units[np.isfinite(differences)]) or _nothing(metric):
        return {}
    if metric.level == "corpus":
        if metric.swapped is None:
            return {}
        return {"swap": swap_test(metric.swapped(condition), units, swaps, resampling.seed)}
    tests = {"t": paired_t(differences), "wilcoxon": wilcoxon(differences), "tost": tost(differences, margin, units)}
    if resampling.unit == "document":
        tests |= {"t_document": paired_t(differences, units), "wilcoxon_document": wilcoxon(differences, units)}
    return tests


def _corrected(effects: Sequence[Effect], main: Collection[str]) -> list[Effect]:
    """The effects with Holm's correction of their tests; the main conditions form families of their own."""
    made = [(effect, name) for effect in effects for name in effect.tests]
    families = [(effect.condition in main, name == effect.primary or name) for effect, name in made]
    adjusted = iter(holm_within(families, [effect.tests[name].p for effect, name in made]))
    return [
        replace(effect, tests={name: replace(test, p_holm=next(adjusted)) for name, test in effect.tests.items()})
        for effect in effects
    ]


def _compared_with_controls(
    metrics: Sequence[Samples], effects: Sequence[Effect], resampling: Resampling, conditions: Conditions
) -> tuple[Effect, ...]:
    """The effects with `versus_control` where the condition has a control."""
    by_name, main = {metric.name: metric for metric in metrics}, set(conditions.main.values())
    versus = [_versus_control(by_name[e.metric], e.condition, resampling, conditions) for e in effects]
    adjusted = holm_within([e.condition in main for e in effects], [nan if v is None else v.p for v in versus])
    return tuple(
        effect if less is None else replace(effect, versus_control=replace(less, p_holm=p))
        for effect, less, p in zip(effects, versus, adjusted, strict=True)
    )


def _versus_control(
    metric: Samples, condition: str, resampling: Resampling, conditions: Conditions
) -> VersusControl | None:
    control = conditions.controls.get(condition, "")
    if control not in metric.values:
        return None
    estimate = resampling.of(metric).estimate((control, condition), difference)
    test, differences = Test(), _differences(metric, condition, control)
    if metric.level == "sample" and not resampling.lacking(resampling.units[np.isfinite(differences)]):
        test = paired_t(differences, resampling.units)
    return VersusControl(estimate.value, estimate.low, estimate.high, estimate.se, estimate.n, test.p)


def _differences(metric: Samples, condition: str, other: str = BASELINE) -> Floats:
    return np.asarray(metric.values[condition] - metric.values[other], dtype=np.float64)


def _nothing(metric: Samples) -> bool:
    """Whether there is nothing to test against: the baseline is 0 in every text."""
    values = metric.values[BASELINE]
    return not np.any(values[np.isfinite(values)])
