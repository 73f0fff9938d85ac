"""Statements that one scale changes a metric most: judged, and put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mspgt.core.phrases import listed
from mspgt.stats.paired.answers import Prediction, answer, not_measured, p_text, undecided
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.greatest import Changes, Comparison
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.selection import selection, undefined

VERBS = {1: "raise", -1: "lower", 0: "change"}
"""direction -> what happens to a metric, without the -s"""


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
    numbers: dict[str, Any] = {
        "metric": name,
        "n": changes.n,
        "samples": metric.count,
        "unit": resampling.unit,
        "degradation": {1: "rise", -1: "fall", 0: "either"}[sign],
        "changes": {s: changes.mean(s) for s in SCALES},
        "undefined": gone,
    }
    if changes.lacking:
        return undecided(f"too few texts have {name} under every scale, {changes.lacking}", numbers)
    absolute = changes.absolute(scale)
    signed, ranks = (changes.signed(scale, sign), changes.ranks(scale, sign)) if sign else (None, None)
    parts = {"signed": signed, "absolute": absolute, "ranks": ranks}
    numbers |= {part: found.numbers() if found else None for part, found in parts.items()}
    selected = selection(metric, resampling, scales)
    numbers["selection"] = selected
    if selected:
        shares = listed([f"{share:.0%} under {s}" for s, share in gone.items()])
        p = p_text(min(selected.values()))
        reason = f"selection: {name} is undefined for {shares} of the texts (p = {p}): the comparison is of the rest"
        return undecided(reason, numbers)
    main = signed or absolute
    means = ", ".join(f"{s} {changes.mean(s):+.4g}" for s in SCALES)
    counted = f"n = {changes.n}" + (f" of {metric.count}" if changes.n < metric.count else "")
    told = f"{_told(statement, main, changes)} ({means}; {counted}; p = {p_text(main.deciding)})"
    reasons = [f"{main.verdict}: {told}. {statement.source}."]
    if signed and absolute.verdict != signed.verdict:
        reasons.append(f"By absolute changes it is {absolute.verdict} (p = {p_text(absolute.deciding)}).")
    if signed and ranks and ranks.verdict != signed.verdict:
        reasons.append(f"By ranks, which a few extreme texts cannot decide, it is {ranks.verdict}.")
    return answer(main.verdict, reasons, numbers)


def _told(statement: Statement, found: Comparison, changes: Changes) -> str:
    name, scale, sign = statement.metric, statement.scale, statement.sign
    verb = VERBS[sign or _common_sign(changes)]
    if found.verdict == "supported":
        return f"the {scale} scale {verb}s {name} most"
    if found.verdict == "contradicted":
        one, s = ("scale", "s") if len(found.stronger) == 1 else ("scales", "")
        falls_short = sign and all(sign * changes.mean(stronger) <= 0 for stronger in found.stronger)
        how = f"{VERBS[-sign]}{s} {name} less" if falls_short else f"{verb}{s} {name} more"
        return f"the {listed(found.stronger)} {one} {how} than the {scale} scale"
    if found.above:
        return f"no scale degrades {name}: the {scale} one is above the others, but is not shown to {verb} it at all"
    if found.stronger:
        return f"no scale degrades {name}: neither the {scale} one nor a stronger one is shown to {verb} it"
    return f"no scale is shown to {VERBS[sign]} {name} most"


def _common_sign(changes: Changes) -> int:
    """The direction in which all scales move the metric, 0 where they differ."""
    signs = {int(np.sign(changes.mean(s))) for s in SCALES}
    return signs.pop() if len(signs) == 1 else 0
