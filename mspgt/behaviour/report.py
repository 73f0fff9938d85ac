"""The page of an experiment: one self-contained HTML file with verdicts, changes, figures, tests, texts and settings.

No scripts and nothing loaded from elsewhere. Figures stand inside as SVG whose colours are those of the page, so
they follow light, dark and print. Every text that comes from a model, a corpus or a command is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

from mspgt.behaviour import pieces
from mspgt.behaviour.conditions import BASELINE, DOSES
from mspgt.behaviour.effects import Answer, Effect, Estimate, Level, Measured
from mspgt.behaviour.figures import figures
from mspgt.behaviour.schema import FILE, Behaviour
from mspgt.behaviour.wording import NONE, amount, arrow, percentage, probability, words
from mspgt.files import write_atomically
from mspgt.report import inline

CAPTIONS = {
    "changes": "Left: change of each metric's mean in percent of the baseline. Right: the same in standard deviations "
    "of the paired differences, with the same intervals. Stars are Holm-corrected: * p<.05, ** p<.01, *** p<.001. A "
    "bar with a gap goes on; its number stands beside it.",
    "dose-response": "Difference from the baseline in each metric's unit over the strength of the disturbance, with "
    "intervals.",
    "doses": "Difference from the baseline in each metric's unit at other doses, with intervals. "
    + "; ".join(f"{kind}: {meaning}" for kind, meaning in DOSES.items())
    + ".",
}
STARS = "* p<.05, ** p<.01, *** p<.001 after Holm's correction (paired t, or swaps for a corpus-level metric)"


def write(behaviour: Behaviour, path: Path | str) -> None:
    """Write the page; MachineError if it cannot be written."""
    write_atomically(Path(path), page(behaviour))


def page(behaviour: Behaviour) -> str:
    """The page as text."""
    style = (files("mspgt") / "report.css").read_text(encoding="utf-8")
    template = (files("mspgt.behaviour") / "report.html").read_text(encoding="utf-8")
    text = Template(template).substitute(
        title=escape(f"{behaviour.model} · interventions · mspgt"),
        style=style,
        headline=escape(behaviour.headline).replace("–", "&#8288;–&#8288;"),  # no line break within a range
        model=escape(behaviour.describe_model),
        boundaries=_boundaries(behaviour),
        settings=escape(behaviour.describe_settings),
        body="\n".join(filter(None, _body(behaviour))),
        footer=_footer(behaviour),
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a generated text may hold half a surrogate pair


def _body(behaviour: Behaviour) -> Iterable[str]:
    left_out = [f"{name}: {why}" for name, why in behaviour.not_measured.items()]
    answers = "".join(map(_answer, behaviour.answers))
    drawn = "".join(_figure(behaviour, name, figure) for name, figure in figures(behaviour).items())
    yield pieces.section("verdicts", "Verdicts", f'<div class="grid">{answers}</div>' if answers else "")
    yield pieces.section("left-out", "Not measured", pieces.sentences(left_out, "warn"))
    yield pieces.section("changes", "Changes", f'<div class="card">{_changes(behaviour)}</div>')
    yield pieces.section("figures", "Figures", drawn)
    yield pieces.section("others", "Other strengths and doses", _others(behaviour))
    yield pieces.section("tests", "Tests", _tests(behaviour))
    yield pieces.section("companions", "Beside the means", _companions(behaviour))
    yield pieces.section("examples", "What the model wrote", _examples(behaviour))
    yield pieces.section("how", "How this was made", f'<div class="grid">{_how(behaviour)}</div>')
    yield pieces.section("notes", "Notes", pieces.sentences(behaviour.notes))


def _boundaries(behaviour: Behaviour) -> str:
    text = escape(behaviour.describe_boundaries)
    return (
        text if behaviour.accepted else text.replace("not accepted", '<span class="not-accepted">not accepted</span>')
    )


def _answer(answer: Answer) -> str:
    style = {"supported": " accepted", "contradicted": " contradicted"}.get(answer.verdict, "")
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in answer.reasons)
    nested = {name: value for name, value in answer.numbers.items() if isinstance(value, (Mapping, list))}
    plain = {name: value for name, value in answer.numbers.items() if name not in nested}
    return (
        f'<article class="card verdict{style}"><header><h3>{escape(answer.title[:1].upper() + answer.title[1:])}</h3>'
        f'<span class="badge">{escape(answer.verdict)}</span></header>'
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + (f'<p class="about">{escape(answer.note)}</p>' if answer.note else "")
        + pieces.facts(plain)
        + (pieces.folded("all numbers", pieces.facts(nested)) if nested else "")
        + "</article>"
    )


def _figure(behaviour: Behaviour, name: str, figure: Figure) -> str:
    caption = CAPTIONS[name]
    mark = "" if behaviour.accepted else " The boundaries between the scales were not accepted."
    return (
        f'<figure class="card"><div class="plot">{inline(figure, name, f"{caption} {behaviour.headline}")}</div>'
        f"<figcaption>{escape(caption + mark)}</figcaption></figure>"
    )


# ----------------------------------------------------------------------------------------------------- changes


def _changes(behaviour: Behaviour) -> str:
    """The paper's Table 2: metrics by scales."""
    main = behaviour.variants[0].conditions if behaviour.variants else {}
    mark = "" if behaviour.accepted else " (boundaries not accepted)"
    rows = [
        pieces.row(
            _metric(behaviour, metric),
            [_level(metric), *(_change(behaviour.effect(name, c), metric) for c in main.values())],
            raw=True,
        )
        for name, metric in behaviour.metrics.items()
    ]
    rows += [pieces.row(name, [NONE, *("not measured" for _ in main)]) for name in behaviour.not_measured]
    caption = (
        f"Change from the baseline in percent, ↑ up or ↓ down, with {behaviour.confidence:.0%} intervals; absolute "
        f"where a percentage is undefined. {STARS}. Better and worse are said of significant changes."
    )
    return pieces.table(("metric", BASELINE, *(scale + mark for scale in main)), rows, caption)


def _metric(behaviour: Behaviour, metric: Measured) -> str:
    """The name of a metric with its unit, its better side, its samples, and what must be read with its numbers."""
    level = metric.values.get(BASELINE, Level())
    side = f"{metric.direction} is better" if metric.direction in ("higher", "lower") else ""
    counted = "" if level.n is None else f"n = {level.n:,}"
    effects = [behaviour.effect(metric.name, c) for v in behaviour.variants[:1] for c in v.conditions.values()]
    undefined = any(effect.difference and not effect.percent for effect in effects)
    about = " · ".join(filter(None, (metric.unit, side, counted)))
    notes = ["No percentages: the baseline is too near zero."] * undefined + [metric.note] * bool(metric.note)
    return (
        escape(metric.name)
        + (f"<small>{escape(about)}</small>" if about else "")
        + "".join(f'<small class="note">{escape(note)}</small>' for note in notes)
    )


def _level(metric: Measured) -> str:
    mean = metric.values.get(BASELINE, Level()).mean
    return amount(mean.value) + _interval(mean)


def _change(effect: Effect, metric: Measured) -> str:
    """A change with its stars, whether that is better, and its interval."""
    shown, percent = effect.percent or effect.difference, bool(effect.percent)
    if not shown:
        return NONE
    verdict = metric.judge(effect)
    size = percentage(shown.value) if percent else amount(abs(shown.value))
    said = f"{arrow(shown.value)}{size}{effect.stars}{f' {verdict}' if verdict else ''}"
    return (f'<span class="{verdict}">{said}</span>' if verdict else said) + _interval(shown, percent)


def _interval(estimate: Estimate, percent: bool = False) -> str:
    if not estimate.has_interval:
        return ""
    low, high = (
        ("-" if v < 0 else "") + (percentage(v).removesuffix("%") if percent else amount(abs(v)))
        for v in (estimate.low, estimate.high)
    )
    return f"<small>[{low}, {high}]</small>"


def _others(behaviour: Behaviour) -> str:
    """Every further condition beside what was asked for, a table per variant."""
    tables = []
    for variant in behaviour.variants[1:]:
        rows = [
            pieces.row(
                escape(name),
                [_change(behaviour.effect(name, c), metric) for c in variant.conditions.values()],
                raw=True,
            )
            for name, metric in behaviour.metrics.items()
        ]
        tables.append(pieces.folded(variant.label, pieces.table(("metric", *variant.conditions), rows)))
    about = "Changes as above, under each further way of disturbing the scales."
    return f'<div class="card"><p class="about">{about}</p>{"".join(tables)}</div>' if tables else ""


def _tests(behaviour: Behaviour) -> str:
    """Every test: a table for what was asked for, then one folded away for each further variant."""
    tables = []
    for variant in behaviour.variants:
        effects = [behaviour.effect(name, c) for name in behaviour.metrics for c in variant.conditions.values()]
        tests = list(dict.fromkeys(test for effect in effects for test in effect.tests))
        rows = [
            pieces.row(escape(effect.metric), _tested(effect, tests), raw=True) for effect in effects if effect.tests
        ]
        shown = pieces.table(("metric", "condition", "difference", "d_z", *map(words, tests)), rows)
        tables += [] if not rows else [pieces.folded(variant.label, shown) if tables else shown]
    about = (
        "p of each test, with its correction by Holm below; the test that decides is bold. t: paired t-test; "
        "t document: the same with the error of whole documents; wilcoxon: signed ranks; tost: two one-sided tests, "
        "small where a change is shown to be negligible; swap: the texts of each prompt change sides at random."
    )
    return f'<div class="card"><p class="about">{about}</p>{"".join(tables)}</div>' if tables else ""


def _tested(effect: Effect, tests: Sequence[str]) -> list[str]:
    cells = [escape(effect.condition), *(amount(e.value) + _interval(e) for e in (effect.difference, effect.d_z))]
    for name in tests:
        test = effect.tests.get(name)
        p = NONE if test is None else f"{probability(test.p)}<small>{probability(test.p_holm)}</small>"
        cells.append(f"<strong>{p}</strong>" if test is not None and name == effect.primary else p)
    return cells


def _companions(behaviour: Behaviour) -> str:
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


# ---------------------------------------------------------------------------------- texts, and how it was made


def _examples(behaviour: Behaviour) -> str:
    first = {BASELINE, *(behaviour.variants[0].conditions.values() if behaviour.variants else ())}
    return "".join(
        _example(behaviour, e, first) for e in behaviour.data.get("examples") or () if isinstance(e, Mapping)
    )


def _example(behaviour: Behaviour, example: Mapping[str, Any], first: set[str]) -> str:
    """A prompt and what followed it under each condition; those beside the scales are folded away."""
    texts: Mapping[str, Any] = example.get("texts") or {}
    known = [c for c in behaviour.conditions if c in texts]
    shown = _texts({c: texts[c] for c in known if c in first})
    beside = {c: texts[c] for c in known if c not in first}
    more = pieces.folded(f"{len(beside)} more conditions", _texts(beside)) if beside else ""
    prompt = escape(str(example.get("prompt") or ""))
    return f'<article class="card example"><p class="prompt" dir="auto">{prompt} …</p>{shown}{more}</article>'


def _texts(texts: Mapping[str, Any]) -> str:
    def shown(text: Any) -> str:
        return f'<p dir="auto">{escape(str(text))}</p>' if text else '<p class="empty">nothing</p>'

    cells = "".join(f"<div><h4>{escape(condition)}</h4>{shown(text)}</div>" for condition, text in texts.items())
    return f'<div class="texts">{cells}</div>'


def _how(behaviour: Behaviour) -> str:
    data = behaviour.data
    cards = (
        pieces.card("Settings", pieces.facts(data.get("settings") or {})),
        pieces.card("Scales", pieces.facts(data["run"])),
        pieces.card("Model", pieces.facts(data["model"])),
        pieces.card("Disturbance by block", _noise(data.get("noise"))),
        pieces.card("Provenance", pieces.facts(data.get("provenance") or {}), wide=True),
    )
    return "".join(cards)


def _noise(layers: Any) -> str:
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


def _footer(behaviour: Behaviour) -> str:
    made = behaviour.data.get("provenance") or {}
    started = f" on {made['started']}" if made.get("started") else ""
    return escape(f"Made by mspgt {made.get('mspgt') or ''}{started}. The numbers are in {FILE}.")
