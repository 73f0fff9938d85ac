"""The page of an experiment: one self-contained HTML file with changes, figures, verdicts, tests, texts and settings.

No scripts and nothing loaded from elsewhere. Figures stand inside as SVG whose colours are those of the page, so
they follow light, dark and print. Every text that comes from a model, a corpus or a command is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

from mspgt.core.files import write_atomically
from mspgt.results.intervention.conditions import BASELINE, DOSES
from mspgt.results.intervention.describe import UNCORRECTED, Described
from mspgt.results.intervention.effects import Answer
from mspgt.results.intervention.schema import FILE
from mspgt.show import pieces
from mspgt.show.intervention import page_tables
from mspgt.show.intervention.figures import figures
from mspgt.show.run.page import inline

CAPTIONS = {
    "changes": "Left: change of each metric's mean in percent of the baseline. Right: the same in standard deviations "
    "of the paired differences, with the same intervals. Stars are Holm-corrected: *p<.05, **p<.01, ***p<.001. A "
    "bar with a gap goes on, and an interval that would dwarf the others is not drawn; their numbers stand there.",
    "dose-response": "Difference from the baseline in each metric's unit over the strength of the disturbance, with "
    "intervals; 0 at no disturbance.",
    "doses": "Difference from the baseline in each metric's unit at other doses, with intervals. "
    + "; ".join(f"{kind}: {meaning}" for kind, meaning in DOSES.items())
    + ".",
}


def write(behaviour: Described, path: Path | str) -> None:
    """Write the page; MachineError if it cannot be written."""
    write_atomically(Path(path), page(behaviour))


def page(behaviour: Described) -> str:
    """The page as text."""
    style = (files("mspgt.show") / "report.css").read_text(encoding="utf-8")
    template = (files("mspgt.show.intervention") / "report.html").read_text(encoding="utf-8")
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


def _body(behaviour: Described) -> Iterable[str]:
    left_out = [f"{name}: {why}" for name, why in behaviour.not_measured.items()]
    answers = "".join(map(_answer, behaviour.answers))
    drawn = "".join(_figure(behaviour, name, figure) for name, figure in figures(behaviour).items())
    caption = f'<p class="about">{escape(UNCORRECTED)}</p>'
    yield pieces.section("changes", "Changes", f'<div class="card">{page_tables.changes(behaviour)}</div>')
    yield pieces.section("figures", "Figures", drawn)
    yield pieces.section("verdicts", "Verdicts", f'{caption}<div class="grid">{answers}</div>' if answers else "")
    yield pieces.section("left-out", "Not measured", pieces.sentences(left_out, "warn"))
    yield pieces.section("others", "Other strengths and doses", page_tables.others(behaviour))
    yield pieces.section("tests", "Tests", page_tables.tests(behaviour))
    yield pieces.section("companions", "Beside the means", page_tables.companions(behaviour))
    yield pieces.section("examples", "What the model wrote", _examples(behaviour))
    yield pieces.section("how", "How this was made", f'<div class="grid">{_how(behaviour)}</div>')
    yield pieces.section("notes", "Notes", pieces.sentences(behaviour.notes))


def _boundaries(behaviour: Described) -> str:
    text = escape(behaviour.describe_boundaries)
    return (
        text if behaviour.accepted else text.replace("not accepted", '<span class="not-accepted">not accepted</span>')
    )


def _answer(answer: Answer) -> str:
    style = {"supported": " accepted", "contradicted": " contradicted"}.get(answer.verdict, "")
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in answer.reasons)
    known = _known(answer.numbers)
    nested = {name: value for name, value in known.items() if isinstance(value, (Mapping, list))}
    plain = {name: value for name, value in known.items() if name not in nested}
    return (
        f'<article class="card verdict{style}"><header><h3>{escape(answer.title[:1].upper() + answer.title[1:])}</h3>'
        f'<span class="badge">{escape(answer.verdict)}</span></header>'
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + pieces.facts(plain)
        + (f'<p class="about">{escape(answer.note)}</p>' if answer.note else "")
        + (pieces.folded("all numbers", pieces.facts(nested)) if nested else "")
        + "</article>"
    )


def _known(block: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without what is None; the ends of an interval stay with their number."""
    return {
        name: _known(value) if isinstance(value, Mapping) and "value" not in value else value
        for name, value in block.items()
        if value is not None
    }


def _figure(behaviour: Described, name: str, figure: Figure) -> str:
    caption = CAPTIONS[name]
    mark = "" if behaviour.accepted else " The boundaries between the scales were not accepted."
    return (
        f'<figure class="card"><div class="plot">{inline(figure, name, f"{caption} {behaviour.headline}")}</div>'
        f"<figcaption>{escape(caption + mark)}</figcaption></figure>"
    )


def _examples(behaviour: Described) -> str:
    first = {BASELINE, *(behaviour.variants[0].conditions.values() if behaviour.variants else ())}
    return "".join(
        _example(behaviour, e, first) for e in behaviour.data.get("examples") or () if isinstance(e, Mapping)
    )


def _example(behaviour: Described, example: Mapping[str, Any], first: set[str]) -> str:
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


def _how(behaviour: Described) -> str:
    data = behaviour.data
    cards = (
        pieces.card("Settings", pieces.facts(_known(data.get("settings") or {}))),
        pieces.card("Scales", pieces.facts(_known(data["run"]))),
        pieces.card("Model", pieces.facts(_known(data["model"]))),
        pieces.card("Disturbance by block", page_tables.noise(data.get("noise"))),
        pieces.card("Provenance", pieces.facts(_known(data.get("provenance") or {})), wide=True),
    )
    return "".join(cards)


def _footer(behaviour: Described) -> str:
    made = behaviour.data.get("provenance") or {}
    started = f" on {made['started']}" if made.get("started") else ""
    return escape(f"Made by mspgt {made.get('mspgt') or ''}{started}. The numbers are in {FILE}.")
