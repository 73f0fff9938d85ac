"""Statements that one scale changes a metric most: judged, and put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mspgt.core.phrases import listed
from mspgt.stats.paired.answers import Prediction, not_measured, p_text, undecided
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.greatest import Changes
from mspgt.stats.paired.numbers import Comparison, Most
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.selection import selection, undefined

VERBS = {1: "raise", -1: "lower", 0: "change"}
"""direction -> what happens to a metric, without the -s"""
DEGRADATION: Mapping[int, Literal["rise", "fall", "either"]] = {1: "rise", -1: "fall", 0: "either"}


@dataclass(frozen=True)
class Statement:
    """That a scale changes a metric more than both others do."""

    metric: str
    scale: str
    sign: int
    """direction, fixed in advance: 1 a rise, -1 a fall, 0 either"""
    source: str
    """where the paper says so"""


def changes_most(
    statement: Statement, metric: Samples | None, resampling: Resampling, scales: Mapping[str, str]
) -> Prediction:
    """Judge a statement: in its direction, or by absolute changes where it has none.

    Undecided where too few texts have the metric under all scales, and where scales leave different texts undefined.

    Parameters
    ----------
    scales: scale -> the condition that disturbs it.
    """
    name, scale, sign = statement.metric, statement.scale, statement.sign
    missing = [s for s in SCALES if metric is None or scales.get(s) not in metric.values]
    if metric is None or missing:
        return not_measured(name, *missing)
    changes = Changes(metric, resampling, scales)
    gone = {s: undefined(metric, scales[s]) for s in SCALES}
    means = {s: changes.mean(s) for s in SCALES}
    numbers = Most(name, changes.n, metric.count, resampling.unit, DEGRADATION[sign], means, gone)
    if changes.lacking:
        return undecided(f"too few texts have {name} under every scale, {changes.lacking}", numbers)
    absolute = changes.absolute(scale)
    signed, ranks = (changes.signed(scale, sign), changes.ranks(scale, sign)) if sign else (None, None)
    selected = selection(metric, resampling, scales)
    numbers = replace(numbers, signed=signed, absolute=absolute, ranks=ranks, selection=selected)
    if selected:
        shares = listed([f"{share:.0%} under {s}" for s, share in gone.items()])
        p = p_text(min(selected.values()))
        reason = f"selection: {name} is undefined for {shares} of the texts (p = {p}): the comparison is of the rest"
        return undecided(reason, numbers)
    main = signed or absolute
    by_scale = ", ".join(f"{s} {mean:+.4g}" for s, mean in means.items())
    counted = f"n = {changes.n}" + (f" of {metric.count}" if changes.n < metric.count else "")
    outcome = f"{_outcome(statement, main, changes)} ({by_scale}; {counted}; p = {p_text(main.deciding)})"
    reasons = [f"{main.verdict}: {outcome}. {statement.source}."]
    if signed and absolute.verdict != signed.verdict:
        reasons.append(f"By absolute changes it is {absolute.verdict} (p = {p_text(absolute.deciding)}).")
    if signed and ranks and ranks.verdict != signed.verdict:
        reasons.append(f"By ranks, which a few extreme texts cannot decide, it is {ranks.verdict}.")
    return Prediction(main.verdict, tuple(reasons), numbers)


def _outcome(statement: Statement, comparison: Comparison, changes: Changes) -> str:
    name, scale, sign = statement.metric, statement.scale, statement.sign
    verb = VERBS[sign or _common_sign(changes)]
    if comparison.verdict == "supported":
        return f"the {scale} scale {verb}s {name} most"
    if comparison.verdict == "contradicted":
        one, s = ("scale", "s") if len(comparison.stronger) == 1 else ("scales", "")
        falls_short = sign and all(sign * changes.mean(stronger) <= 0 for stronger in comparison.stronger)
        how = f"{VERBS[-sign]}{s} {name} less" if falls_short else f"{verb}{s} {name} more"
        return f"the {listed(comparison.stronger)} {one} {how} than the {scale} scale"
    if comparison.above:
        return f"no scale degrades {name}: the {scale} one is above the others, but is not shown to {verb} it at all"
    if comparison.stronger:
        return f"no scale degrades {name}: neither the {scale} one nor a stronger one is shown to {verb} it"
    return f"no scale is shown to {VERBS[sign]} {name} most"


def _common_sign(changes: Changes) -> int:
    """The direction in which all scales move the metric, 0 where they differ."""
    signs = {int(np.sign(changes.mean(s))) for s in SCALES}
    return signs.pop() if len(signs) == 1 else 0
