"""A drift in a terminal: a row per step with boundaries, verdict and moves, then what came of it all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mspgt.core.phrases import NONE
from mspgt.results.drift.export import FILES
from mspgt.results.drift.schema import Change, Move, Point, Recorded
from mspgt.results.schema import BOUNDARIES, RULES, Verdict

COLOURS = {"supported": "green", "contradicted": "red"}
ASCII = str.maketrans({"–": "-", "×": "x", "·": "|", "…": ":", "─": "-", "━": "-", "’": "'", "±": "~"})
SHORT = {name: "-".join(word[0].upper() for word in name.split("-")) for name in BOUNDARIES.values()}
"""name of a boundary -> L-I or I-G"""
FIRST, EVENTS, LAST = 6, 8, 10
"""steps shown of a long training: at its start, in between where something happens, at its end"""


@dataclass(frozen=True)
class Form:
    """How full the table is.

    Attributes
    ----------
    intervals: boundaries of mspgt's rule have their intervals.
    paper: the paper's rule has columns of its own like mspgt's; otherwise one with the places alone.
    loss: the training loss is there, if there is any.
    """

    intervals: bool = True
    paper: bool = True
    loss: bool = True


FORMS = (Form(), Form(paper=False), Form(paper=False, intervals=False), Form(False, False, False))
"""from full to narrow"""


def render(drift: Recorded, console: Console) -> None:
    """Print the drift to the console, within its width and in characters that it can show."""
    parts = [
        Text(drift.describe_model, style="bold"),
        Text(drift.describe_data),
        Text(""),
        *_steps(drift, console.width),
        Text(""),
        Text(drift.headline, style="bold"),
        *_overall(drift),
        *_prediction(drift),
        Text.assemble(("Evaluations: ", "bold"), f"{drift.describe_overhead}."),
        *_sentences("Note", "cyan", drift.notes, ((p.step, p.notes) for p in drift.points)),
        *_sentences("Left out", "yellow", drift.left_out, ((p.step, p.left_out) for p in drift.points)),
    ]
    if console.encoding.lower().startswith("utf"):
        console.print(Group(*parts))
        return
    with console.capture() as captured:
        console.print(Group(*parts))
    text = captured.get().translate(ASCII)
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def _steps(drift: Recorded, width: int) -> list[RenderableType]:
    """The main table, as full as the width allows: first columns of the paper's rule give way, then intervals."""
    for form in FORMS:
        table, needed = _grid(drift, form)
        if needed <= width:
            break
    hidden = len(drift.points) - len(_shown(drift))
    caption = ["L-I and I-G: blocks below the boundary"]
    caption.append("moved: blocks since the step before" + (", shown or not" if hidden else ""))
    caption.append("* more than noise")
    if _has_paper(drift):
        caption.append("paper: by the paper's rule" + ("" if form.paper else ", ? not accepted"))
    caption.append(drift.describe_intervals)
    if hidden:
        caption.append(
            f"{hidden} of {len(drift.points)} steps are hidden, in between are shown some at which the verdict changed "
            "or a boundary moved"
        )
    caption.append(f"all numbers are in {FILES['boundaries']}")
    return [table, Text("; ".join(caption), style="dim")]


def _grid(drift: Recorded, form: Form) -> tuple[Table, int]:
    """The table and its width in columns."""
    losses = _losses(drift) if form.loss else {}
    paper = _has_paper(drift)
    heads = ["step", *(["loss"] if losses else []), *SHORT.values(), "verdict", "moved"]
    if paper:
        heads += [f"{head} (paper)" for head in (*SHORT.values(), "verdict")] if form.paper else ["paper"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in ("step", "loss") else "left", no_wrap=True)
    widths = list(map(cell_len, heads))
    changes: tuple[Change | None, ...] = (None, *drift.changes)
    rows: list[list[Text]] = []
    before = -1
    for i in _shown(drift):
        if i > before + 1:
            gap = {"step": "…", "verdict": f"{i - before - 1} hidden"}
            rows.append([Text(gap.get(head, ""), style="dim") for head in heads])
        point, ours = drift.points[i], drift.points[i].findings.verdict()
        cells = [
            Text(f"{point.step:,}"),
            *([Text(losses.get(i, NONE))] if losses else []),
            *_places(ours, form.intervals),
            _outcome(ours),
            _moved(changes[i]),
            *(_papers(point, form) if paper else []),
        ]
        rows.append(cells)
        before = i
    for row in rows:
        table.add_row(*row)
        widths = [max(width, cell_len(cell.plain)) for width, cell in zip(widths, row, strict=True)]
    return table, sum(widths) + 2 * (len(widths) - 1)


def _losses(drift: Recorded) -> dict[int, str]:
    """Index of a point -> its loss, all with the decimals that give the largest three digits."""
    known = {i: point.loss for i, point in enumerate(drift.points) if math.isfinite(point.loss)}
    size = max(map(abs, known.values()), default=0.0)
    decimals = min(max(2 - math.floor(math.log10(size)), 0), 4) if size else 2
    return {i: f"{loss:,.{decimals}f}" for i, loss in known.items()}


def _shown(drift: Recorded) -> list[int]:
    """Which points have a row: all, or of many the first, the last, and some in between where something happens."""
    count = len(drift.points)
    if count <= FIRST + EVENTS + LAST:
        return list(range(count))
    events = [i for i in range(FIRST, count - LAST) if _is_event(drift, i)]
    if len(events) > EVENTS:
        events = [events[i] for i in np.linspace(0, len(events) - 1, EVENTS).astype(int)]
    rows = {*range(FIRST), *events, *range(count - LAST, count)}
    return [i for i in range(count) if i in rows or {i - 1, i + 1} <= rows]  # "1 hidden" takes a row too


def _is_event(drift: Recorded, i: int) -> bool:
    """Whether the verdict differs from that of the point before, or a boundary moved by more than noise."""
    before, now = (drift.points[j].findings.verdict().status for j in (i - 1, i))
    return before != now or any(move.real for move in drift.changes[i - 1].boundaries["mspgt"].values() if move)


def _has_paper(drift: Recorded) -> bool:
    """Whether the paper's rule could be followed, which needs exactly its three signals."""
    return all("paper" in {verdict.rule for verdict in point.findings.rules} for point in drift.points)


def _places(verdict: Verdict, intervals: bool) -> list[Text]:
    found = {b.name: f"{b.layer} {b.interval}" if intervals and b.ci else f"{b.layer}" for b in verdict.boundaries}
    return [Text(found.get(name, NONE), style="" if verdict.accepted else "dim") for name in BOUNDARIES.values()]


def _papers(point: Point, form: Form) -> list[Text]:
    verdict = point.findings.verdict("paper")
    if form.paper:
        return [*_places(verdict, form.intervals), _outcome(verdict)]
    layers = ", ".join(str(boundary.layer) for boundary in verdict.boundaries)
    return [Text(f"{layers}{'' if verdict.accepted else ' ?'}" if layers else NONE, style="dim")]


def _outcome(verdict: Verdict) -> Text:
    said = "accepted" if verdict.accepted else verdict.status.replace("_", " ")
    return Text(said, style="green" if verdict.accepted else "yellow")


def _moved(since: Change | None) -> Text:
    """Moves other than 0, with a star where they are more than noise; 0 where there are none, a dash without any."""
    moves = {SHORT[name]: move for name, move in since.boundaries["mspgt"].items() if move} if since else {}
    if not moves:
        return Text(NONE, style="dim")
    parts = [(_step(short, move), "bold" if move.real else "dim") for short, move in moves.items() if move.moved]
    return Text(", ").join(Text(text, style=style) for text, style in parts) if parts else Text("0", style="dim")


def _step(short: str, move: Move) -> str:
    return f"{short} {move.moved:+d}{'*' if move.real else ''}"


def _overall(drift: Recorded) -> Iterator[Text]:
    """Per rule how the boundaries moved from the first point to the last."""
    if drift.overall is None:
        return
    span, without = f"From step {drift.overall.start:,} to {drift.overall.stop:,}", "no boundaries at both to compare"
    moves = {rule: found for rule, found in drift.overall.boundaries.items() if any(found.values())}
    if not moves:
        yield Text.assemble((f"{span}: ", "bold"), f"{without}.")
    for rule in (rule for rule in RULES if moves and (rule == "mspgt" or _has_paper(drift))):
        said = "; ".join(f"{name} {move}" for name, move in moves.get(rule, {}).items() if move)
        yield Text.assemble((f"{span} by {RULES[rule]}: ", "bold"), f"{said or without}.")


def _prediction(drift: Recorded) -> Iterator[Text]:
    """The verdict and its first reason; all reasons are on the page."""
    if drift.prediction is not None:
        verdict = str(drift.prediction.get("verdict") or "undecided")
        reason = str(next(iter(drift.prediction.get("reasons") or ()), "")).removeprefix(f"{verdict}: ")
        style = COLOURS.get(verdict, "yellow")
        yield Text.assemble(("Prediction 3.2 ", "bold"), (verdict, style), f": {reason}" if reason else ".")


def _sentences(
    label: str, style: str, general: Iterable[str], of_steps: Iterable[tuple[int, Iterable[str]]]
) -> Iterator[Text]:
    """Sentences about all of it, then each sentence about steps once, with the steps that it is about."""
    for sentence in general:
        yield Text.assemble((f"{label}: ", style), sentence)
    said: dict[str, list[int]] = {}
    for step, sentences in of_steps:
        for sentence in sentences:
            said.setdefault(sentence, []).append(step)
    for sentence, steps in said.items():
        where = f"step{'s' if len(steps) > 1 else ''} {', '.join(f'{step:,}' for step in steps)}"
        if len(steps) > 3:
            where = f"{len(steps)} steps from {steps[0]:,}"
        yield Text.assemble((f"{label} ({where}): ", style), sentence)
