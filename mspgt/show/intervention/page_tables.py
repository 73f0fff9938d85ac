"""Tables of the page: changes, other conditions, tests, companions, and the disturbance of each block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mspgt.core.phrases import NONE, amount, change, listed, percentage, probability, words
from mspgt.results.intervention.conditions import BASELINE
from mspgt.results.intervention.describe import Described
from mspgt.results.intervention.effects import Effect, Estimate, Level, Measured
from mspgt.show import pieces


def changes(behaviour: Described) -> str:
    """The paper's Table 2: metrics by scales."""
    main = behaviour.variants[0].conditions if behaviour.variants else {}
    mark = "" if behaviour.accepted else " (boundaries not accepted)"
    notes = _footnotes(behaviour)
    rows = [
        pieces.row(
            _metric(metric, [i for i, (_, of) in enumerate(notes.items(), start=1) if metric.name in of]),
            [_level(metric), *(_change(behaviour.effect(name, c), metric) for c in main.values())],
            raw=True,
        )
        for name, metric in behaviour.metrics.items()
    ]
    rows += [pieces.row(name, [NONE, *("not measured" for _ in main)]) for name in behaviour.not_measured]
    caption = (
        f"Change from the baseline in percent, ↑ up or ↓ down, with {behaviour.confidence:.0%} intervals; absolute "
        f"where a percentage is undefined. {behaviour.stars}. What a change means is said where it is significant. n: "
        "pairs of texts that both have a value, if not all have; with fewer than 10 nothing is tested."
    )
    if behaviour.untested:
        caption += f" † not tested: {behaviour.untested}."
    shown = pieces.table(("metric", BASELINE, *(scale + mark for scale in main)), rows, caption)
    numbered = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return shown + (f'<ol class="footnotes">{numbered}</ol>' if numbered else "")


def _footnotes(behaviour: Described) -> dict[str, list[str]]:
    """What must be read with the numbers -> the metrics that it is said of."""
    notes: dict[str, list[str]] = {}
    for name, metric in behaviour.metrics.items():
        conditions = behaviour.variants[0].conditions if behaviour.variants else {}
        reasons: dict[str, list[str]] = {}
        for scale, condition in conditions.items():
            effect = behaviour.effect(name, condition)
            if effect.difference and not effect.percent:
                reasons.setdefault(effect.undefined, []).append(scale)
        for why, scales in reasons.items():
            under = "" if len(scales) == len(conditions) else f" under {listed(scales)}"
            notes.setdefault(f"No percentage{under}: {why}.", []).append(name)
        if metric.note:
            notes.setdefault(f"{name}: {metric.note}", []).append(name)
    return notes


def _metric(metric: Measured, notes: Sequence[int]) -> str:
    """The name of a metric with the numbers of its footnotes, its unit, its better side and its samples."""
    level = metric.values.get(BASELINE, Level())
    counted = "" if level.n is None else f"n = {level.n:,}"
    about = " · ".join(filter(None, (metric.unit, metric.side, counted)))
    mark = f"<sup>{', '.join(map(str, notes))}</sup>" if notes else ""
    return escape(metric.name) + mark + (f"<small>{escape(about)}</small>" if about else "")


def _level(metric: Measured) -> str:
    mean = metric.values.get(BASELINE, Level()).mean
    return amount(mean.value) + _interval(mean)


def _change(effect: Effect, metric: Measured) -> str:
    """A change with its stars, whether that is better, and its interval."""
    shown, percent = effect.percent or effect.difference, bool(effect.percent)
    if not shown:
        return NONE
    verdict = metric.judge(effect)
    dagger = '<span class="untested">†</span>' if effect.untested else ""
    said = f"{change(shown.value, percent=percent)}{effect.stars}{dagger}{f' {verdict}' if verdict else ''}"
    pairs = f"<small>{effect.pairs}</small>" if effect.pairs else ""
    judged = verdict in ("better", "worse")
    return (f'<span class="{verdict}">{said}</span>' if judged else said) + _interval(shown, percent) + pairs


def _interval(estimate: Estimate, percent: bool = False) -> str:
    if not estimate.has_interval:
        return ""
    low, high = (
        ("-" if v < 0 else "") + (percentage(v).removesuffix("%") if percent else amount(abs(v)))
        for v in (estimate.low, estimate.high)
    )
    return f"<small>[{low}, {high}]</small>"


def others(behaviour: Described) -> str:
    """Every further condition beside what was asked for, a table per variant."""
    found = []
    for variant in behaviour.variants[1:]:
        rows = [
            pieces.row(
                escape(name),
                [_change(behaviour.effect(name, c), metric) for c in variant.conditions.values()],
                raw=True,
            )
            for name, metric in behaviour.metrics.items()
        ]
        found.append(pieces.folded(variant.label, pieces.table(("metric", *variant.conditions), rows)))
    about = "Changes as above, under each further way of disturbing the scales."
    return f'<div class="card"><p class="about">{about}</p>{"".join(found)}</div>' if found else ""


def tests(behaviour: Described) -> str:
    """Every test: a table for what was asked for, then one folded away for each further variant."""
    found: list[str] = []
    for variant in behaviour.variants:
        effects = [behaviour.effect(name, c) for name in behaviour.metrics for c in variant.conditions.values()]
        tests = list(dict.fromkeys(test for effect in effects for test in effect.tests))
        compared = [effect for effect in effects if effect.tests or effect.versus_control]
        control = any(effect.versus_control for effect in compared)
        rows = [pieces.row(escape(e.metric), _tested(e, tests, control), raw=True) for e in compared]
        heads = ("metric", "condition", "difference", "d_z", *map(words, tests), *["less control"] * control)
        shown = pieces.table(heads, rows)
        found += [] if not rows else [pieces.folded(variant.label, shown) if found else shown]
    about = (
        "p of each test, with its correction by Holm below; the test that decides is bold. t: paired t-test, of "
        "prompts as if independent; t document: the same with the error of whole documents; wilcoxon: signed ranks, of "
        "prompts as if independent; wilcoxon document: of the sums of documents; tost: two one-sided tests, small "
        "where a change is shown to be negligible; swap: the texts of each prompt change sides at random, which tests "
        "that they are exchangeable, not this metric alone: read its interval too. less control: difference from the "
        "same number of blocks outside the scale, with its corrected p. What is 0 in every text of the baseline is not "
        "tested against it."
    )
    return f'<div class="card"><p class="about">{about}</p>{"".join(found)}</div>' if found else ""


def _tested(effect: Effect, tests: Sequence[str], control: bool) -> list[str]:
    cells = [escape(effect.condition), *(amount(e.value) + _interval(e) for e in (effect.difference, effect.d_z))]
    for name in tests:
        test = effect.tests.get(name)
        p = NONE if test is None else f"{probability(test.p)}<small>{probability(test.p_holm)}</small>"
        cells.append(f"<strong>{p}</strong>" if test is not None and name == effect.primary else p)
    if control:
        versus = effect.versus_control
        corrected = f"<small>p = {probability(effect.versus_control_p)}</small>" if effect.versus_control_p >= 0 else ""
        cells.append(amount(versus.value) + _interval(versus) + corrected)
    return cells


def companions(behaviour: Described) -> str:
    """Numbers beside the means, folded away for each metric."""
    parts = []
    for name, metric in behaviour.metrics.items():
        fields = list(dict.fromkeys(field for values in metric.companions.values() for field in values))
        rows = [
            pieces.row(c, [pieces.value_text(metric.companions[c].get(field)) for field in fields])
            for c in behaviour.conditions
            if c in metric.companions
        ]
        if rows and fields:
            parts.append(pieces.folded(name, pieces.table(("condition", *map(words, fields)), rows)))
    about = "Further numbers of each condition; none of them are tested."
    return f'<div class="card"><p class="about">{about}</p>{"".join(parts)}</div>' if parts else ""


def noise(layers: Any) -> str:
    """How large each block's output is, and how much was added to it."""
    layers = [layer for layer in layers or () if isinstance(layer, Mapping)]
    if not layers:
        return ""
    fields = list(dict.fromkeys(field for layer in layers for field in layer if field != "layer"))
    rows = [pieces.row(str(layer.get("layer", NONE)), [_fixed(layer.get(f)) for f in fields]) for layer in layers]
    caption = (
        "std: of a block's output over tokens, within dimensions, the unit of the strength; std all: over tokens and "
        "dimensions together; added: what was added to it."
    )
    return pieces.table(("block", *map(words, fields)), rows, caption)


def _fixed(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) and math.isfinite(value) else pieces.value_text(value)
