"""The page of a drift: one self-contained HTML file with figures, verdicts, every step, moves and settings.

No scripts and nothing loaded from elsewhere. Figures stand inside as SVG whose lines and texts have the colours of the
page, so they follow light, dark and print. Every text that comes from a model, a corpus or a command is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

from mspgt.core.files import write_atomically
from mspgt.core.phrases import NONE, words
from mspgt.results.drift.schema import FILE, Recorded
from mspgt.results.schema import RULES, STATUS, Boundary, Verdict
from mspgt.show import pieces
from mspgt.show.drift import page_tables, series
from mspgt.show.drift.figures import figures
from mspgt.show.drift.page_tables import percent
from mspgt.show.run.page import inline

CAPTIONS = {
    "drift": "Evidence for a boundary at each depth (upward) and training step (to the right), by mspgt's rule: the "
    "brighter, the more the signals agree that processing changes there. Lines are the boundaries that the rule "
    "places, with their intervals; hollow and dotted ones are not accepted. Triangles above mark real moves. Small "
    "ticks are the steps that were evaluated.",
    "drift-paper": "The same by the paper's rule, which divides each signal by its maximum.",
    "boundaries": "Both boundaries as a share of the depth, with their intervals, by both rules.",
    "signals": "Each signal in its own unit at each depth and step.",
}
LEGEND = {
    "Interval": "of a boundary: where the rule places it when other documents are drawn from the same corpus. It says "
    "nothing of other corpora, or of another training run with another seed.",
    "Real": "a move is real if the interval of the paired difference leaves out 0 and at least 95% of the bootstrap "
    "samples have two peaks at both steps. The same documents are drawn for both steps, so what the choice of "
    "documents does to both cancels out.",
    "Within noise": "a move that other documents could as well have given.",
}


def write(recorded: Recorded, path: Path | str) -> None:
    """Write the page; MachineError if it cannot be written."""
    write_atomically(Path(path), page(recorded))


def page(recorded: Recorded) -> str:
    """The page as text."""
    style = (files("mspgt.show") / "report.css").read_text(encoding="utf-8")
    template = (files("mspgt.show.drift") / "report.html").read_text(encoding="utf-8")
    text = Template(template).substitute(
        title=escape(f"{recorded.model} · boundary drift · mspgt"),
        style=style,
        headline=escape(recorded.headline),
        model=escape(recorded.describe_model),
        data=escape(recorded.describe_data),
        steps=escape(f"{recorded.describe_steps}, {recorded.describe_intervals}"),
        body="\n".join(filter(None, _body(recorded))),
        footer=_footer(recorded),
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a path of a checkpoint may hold half a surrogate pair


def _body(recorded: Recorded) -> Iterator[str]:
    drawn = {name: _figure(recorded, name, figure) for name, figure in figures(recorded).items()}
    last = recorded.points[-1]
    cards = "".join(_verdict(verdict, recorded) for verdict in last.findings.rules)
    further = "".join(figure for name, figure in drawn.items() if name != "drift")
    yield pieces.section("drift", "Evidence over training", drawn["drift"])
    yield pieces.section("verdicts", f"Verdict at step {last.step:,}", f'<div class="grid">{cards}</div>')
    yield pieces.section("left-out", "Left out", pieces.sentences(_left_out(recorded), "warn"))
    yield pieces.section("steps", "Every step", f'<div class="card steps">{_steps(recorded)}</div>')
    yield pieces.section("overall", "From the first step to the last", _in_card(page_tables.overall(recorded)))
    yield pieces.section("prediction", "Prediction 3.2", _prediction(recorded.prediction))
    yield pieces.section("reading", "How to read this", _in_card(_legend(recorded)))
    yield pieces.section("figures", "Further figures", further)
    yield pieces.section("how", "How this was made", f'<div class="grid">{_how(recorded)}</div>')
    yield pieces.section("notes", "Notes", pieces.sentences(_notes(recorded)))


# ------------------------------------------------------------------------------------------ figures and verdicts


def _figure(recorded: Recorded, name: str, figure: Figure) -> str:
    caption = CAPTIONS[name]
    return (
        f'<figure class="card"><div class="plot">{inline(figure, name, f"{caption} {recorded.headline}")}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _verdict(verdict: Verdict, recorded: Recorded) -> str:
    cuts = "".join(_cut(boundary, recorded) for boundary in verdict.boundaries)
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    facts = {
        "Two peaks in": f"{percent(verdict.p_two_peaks)} of the bootstrap samples",
        "Chance (null test)": NONE if verdict.null_p is None else f"p = {verdict.null_p:.3g}",
        "Weights": ", ".join(f"{name} {weight:g}" for name, weight in verdict.weights.items()),
        "Prominence": f"at least {verdict.threshold:g}",
    }
    if verdict.p_two_peaks is None:
        facts["Two peaks in"] = NONE
    accepted = verdict.accepted
    return (
        f'<article class="card verdict{" accepted" if accepted else ""}"><header><h3>{escape(RULES[verdict.rule])}</h3>'
        f'<span class="badge">{"accepted" if accepted else f"not accepted: {escape(verdict.status)}"}</span></header>'
        + (f"<p>{escape(verdict.meaning)}</p>" if verdict.meaning else "")
        + (f'<ul class="cuts">{cuts}</ul>' if cuts else "")
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + f"{pieces.facts(facts)}</article>"
    )


def _cut(boundary: Boundary, recorded: Recorded) -> str:
    interval = f"<br>{recorded.confidence:.0%} interval {boundary.interval}" if boundary.ci else ""
    refused = "" if boundary.accepted else "<br>not accepted"
    return (
        f'<li class="{boundary.name}{"" if boundary.accepted else " refused"}"><span>{boundary.name}</span>'
        f"<b>after block {boundary.layer}</b><span>{boundary.relative:.1%} of the depth{interval}{refused}</span></li>"
    )


# ------------------------------------------------------------------------------------------------ steps and moves


def _steps(recorded: Recorded) -> str:
    """The table by mspgt's rule, and that by the paper's folded away."""
    ours, *others = series.rules(recorded)
    text = page_tables.steps(recorded, ours)
    return text + "".join(pieces.folded(f"by {RULES[rule]}", page_tables.steps(recorded, rule)) for rule in others)


def _prediction(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    verdict = str(found.get("verdict") or "undecided")
    style = {"supported": " accepted", "contradicted": " contradicted"}.get(verdict, "")
    numbers: Mapping[str, Any] = found.get("numbers") or {}
    said = (str(reason).removeprefix(f"{verdict}: ") for reason in found.get("reasons") or ())
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in said)
    return (
        f'<article class="card verdict{style}"><header><h3>The intermediate-global boundary differs between training '
        f'runs of one architecture</h3><span class="badge">{escape(verdict)}</span></header>'
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + pieces.facts(_facts(numbers))
        + page_tables.runs(numbers.get("runs"))
        + "</article>"
    )


def _facts(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader looks for in the numbers of the prediction."""
    ends = [percent(numbers.get(end)) for end in ("difference", "low", "high")]
    interval = "" if NONE in ends[1:] else f" [{ends[1]}, {ends[2]}]"
    chance = numbers.get("chance")
    by_chance = chance if isinstance(chance, Mapping) else {}
    facts = {
        "Apart": f"{ends[0]}{interval} of the depth",
        "Predicted": f"more than {percent(numbers.get('threshold'))}",
        **{f"By chance, {words(str(name))}": percent(p) for name, p in by_chance.items()},
        "Samples with two peaks in every run": percent(numbers.get("share")),
        "Same documents drawn": pieces.value_text(numbers.get("paired")),
    }
    return {name: text for name, text in facts.items() if not text.startswith(NONE)}


def _legend(recorded: Recorded) -> str:
    """What the words of the tables mean, of the statuses those that occur."""
    statuses = dict.fromkeys(v.status for point in recorded.points for v in point.findings.rules if not v.accepted)
    said = {words(status).capitalize(): f"status: {STATUS.get(status, status)}." for status in statuses}
    return pieces.facts({**LEGEND, "Accepted": "status: every check of the rule was passed.", **said})


# ------------------------------------------------------------------------------------------------ how it was made


def _how(recorded: Recorded) -> str:
    every = recorded.overhead.get("every_n_steps")
    cost = {"evaluations": recorded.describe_overhead} | ({"due every": f"{every:,} steps"} if every else {})
    cards = (
        pieces.card("Settings", pieces.facts(recorded.settings)),
        pieces.card("Cost", pieces.facts(cost)),
        pieces.card("Model", pieces.facts(recorded.data["model"])),
        pieces.card("Corpus", pieces.facts(recorded.data["data"])),
        pieces.card("Intervals", pieces.facts(recorded.data["bootstrap"])),
        pieces.card("Provenance", pieces.facts(recorded.data["provenance"]), wide=True),
    )
    return "".join(cards)


def _left_out(recorded: Recorded) -> list[str]:
    return [*recorded.left_out, *_of_steps((point.step, point.left_out) for point in recorded.points)]


def _notes(recorded: Recorded) -> list[str]:
    return [*recorded.notes, *_of_steps((point.step, point.notes) for point in recorded.points)]


def _of_steps(said: Iterable[tuple[int, Iterable[str]]]) -> Iterator[str]:
    """Each sentence once, with the steps that it is about."""
    where: dict[str, list[str]] = {}
    for step, sentences in said:
        for sentence in sentences:
            where.setdefault(sentence, []).append(f"{step:,}")
    for sentence, steps in where.items():
        shown = steps if len(steps) <= 4 else [*steps[:3], f"… {len(steps)} in all"]
        yield f"Step{'' if len(steps) == 1 else 's'} {', '.join(shown)}: {sentence}"


def _in_card(body: str) -> str:
    return f'<div class="card">{body}</div>' if body else ""


def _footer(recorded: Recorded) -> str:
    made = recorded.data["provenance"]
    started = f" on {made['started']}" if made.get("started") else ""
    return escape(f"Made by mspgt {made.get('mspgt') or ''}{started}. The numbers are in {FILE}.")
