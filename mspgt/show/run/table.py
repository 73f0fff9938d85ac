"""The answer in a terminal: a row per transition, the boundaries, and what both verdicts mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mspgt.results.schema import BOUNDARIES, RULES, Boundary, Curve, Findings, Verdict

COLOURS = {"local-intermediate": "red", "intermediate-global": "magenta"}
NONE = "–"
ASCII = str.maketrans({"–": "-", "×": "x", "·": "|", "◀": "<", "─": "-", "━": "-", "’": "'", "±": "~"})


def render(result: Findings, console: Console) -> None:
    """Print the whole answer to the console, within its width and in characters that it can show."""
    parts = [
        Text(result.describe_model, style="bold"),
        Text(result.describe_data),
        Text(""),
        *_transitions(result, console.width),
        Text(""),
        _boundaries(result),
        Text(""),
        *(_meaning(verdict) for verdict in result.rules),
        *_sentences("Note", result.data.get("notes"), "cyan"),
        *_sentences("Left out", result.data.get("left_out"), "yellow"),
    ]
    if console.encoding.lower().startswith("utf"):
        console.print(Group(*parts))
        return
    with console.capture() as captured:
        console.print(Group(*parts))
    text = captured.get().translate(ASCII)
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def _transitions(result: Findings, width: int) -> list[RenderableType]:
    """The table per transition, as full as the width allows.

    Intervals are given as ends, as ± half their width, or not at all; last, the paper's evidence gives way.
    """
    verdict = result.verdict()
    paper = replace(result.verdict("paper").evidence, name="paper's")
    curves = [*result.signals.values(), paper, verdict.evidence]
    depth = [f"{below / result.n_layers:.0%}" for below in verdict.evidence.transition.tolist()]
    marks = {b.layer: b for b in verdict.boundaries}
    caption = (
        f"{result.describe_intervals}; transition l lies between block l and block l + 1; evidence is that of mspgt's "
        "rule, what stands out of its surroundings"
    )
    forms = (("ends", True), ("ends", False), ("half", True), ("half", False), ("none", False), ("bare", False))
    for form, show_depth in forms:
        shown = [curve for curve in curves if form != "bare" or curve is not paper]
        cells = [_cells(curve, form) for curve in shown]
        table, needed = _grid(shown, cells, depth if show_depth else None, marks)
        if needed <= width:
            break
    caption += "; the paper's did not fit and is in signals.csv" if form == "bare" else ", beside the paper's"
    if form != "ends" and any(curve.has_intervals for curve in curves):
        half = "± is half the interval's width; its" if form == "half" else "intervals did not fit; their"
        caption += f"; {half} ends are in signals.csv"
    return [table, Text(caption, style="dim")]


def _grid(
    curves: Sequence[Curve],
    cells: Sequence[Sequence[tuple[str, str]]],
    depth: Sequence[str] | None,
    marks: dict[int, Boundary],
) -> tuple[Table, int]:
    """The table and its width in columns."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("l", justify="right", style="bold", no_wrap=True, min_width=2)
    widths = [2]
    if depth is not None:
        table.add_column("depth", justify="right", style="dim")
        widths.append(5)
    for curve, column in zip(curves, cells, strict=True):
        bold = "bold" if curve is curves[-1] else ""
        table.add_column(Text(curve.name), style=bold, no_wrap=True)
        widths.append(max(cell_len(curve.name), *(cell_len(v + i) for v, i in column)))
    table.add_column("", no_wrap=True)
    widths.append(max([0, *(cell_len(_mark(b)) for b in marks.values())]))
    for row, transition in enumerate(curves[-1].transition.tolist()):
        boundary = marks.get(transition)
        values = [Text.assemble(value, (interval, "not bold dim")) for value, interval in (c[row] for c in cells)]
        style = COLOURS[boundary.name] if boundary else ""
        table.add_row(
            str(transition),
            *([depth[row]] if depth is not None else []),
            *values,
            Text(_mark(boundary), style=style) if boundary else "",
            style=style if boundary and boundary.accepted else "",
        )
    return table, sum(widths) + 2 * (len(widths) - 1) + 1


def _mark(boundary: Boundary) -> str:
    return f"◀ {boundary.short}" if boundary.accepted else f"◀ {boundary.short}?"


def _cells(curve: Curve, form: str) -> list[tuple[str, str]]:
    """Per transition the value and its interval as text, with as many decimals as the interval warrants."""

    def show(number: float) -> str:
        return f"{number:.{curve.decimals}f}" if math.isfinite(number) else NONE

    def interval(low: float, high: float) -> str:
        if form in ("none", "bare") or not curve.has_intervals:
            return ""
        if not (math.isfinite(low) and math.isfinite(high)):
            return f" {NONE}"
        return f" {show(low)}–{show(high)}" if form == "ends" else f" ±{show((high - low) / 2).lstrip('0') or 0}"

    values = [show(v) for v in curve.value.tolist()]
    width = max([0, *map(len, values)])
    spans = map(interval, curve.low.tolist(), curve.high.tolist())
    return list(zip((v.rjust(width) for v in values), spans, strict=True))


def _boundaries(result: Findings) -> Table:
    """Both rules beside each other: the layer, its depth and its interval."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("boundary")
    for verdict in result.rules:
        table.add_column(RULES[verdict.rule], ratio=1)
    for name in BOUNDARIES.values():
        table.add_row(name, *(_found(verdict, name) for verdict in result.rules))
    table.add_row("verdict", *(Text(_outcome(v), style="green" if v.accepted else "yellow") for v in result.rules))
    return table


def _found(verdict: Verdict, name: str) -> Text:
    for boundary in verdict.boundaries:
        if boundary.name == name:
            interval = f" {boundary.interval}" if boundary.ci else ""
            text = f"block {boundary.layer}{interval} · {boundary.relative:.1%}"
            return Text(text, style=COLOURS[name] if boundary.accepted else "dim")
    return Text(NONE, style="dim")


def _outcome(verdict: Verdict) -> str:
    return "accepted" if verdict.accepted else f"not accepted: {verdict.status}"


def _meaning(verdict: Verdict) -> Text:
    return Text.assemble((f"{verdict.rule}: ", "bold"), verdict.meaning or f"{verdict.title}.")


def _sentences(label: str, sentences: Sequence[str] | None, style: str) -> list[Text]:
    return [Text.assemble((f"{label}: ", style), sentence) for sentence in sentences or ()]
