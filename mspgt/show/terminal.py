"""Results in a terminal: lines and tables within its width, in characters that it can show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show.grid import FORMS, Cell, Column, Grid, Number, Piece, Row
from mspgt.show.parts import Line

LOOKS = {
    "strong": "bold",
    "faint": "dim",
    "good": "green",
    "bad": "red",
    "warn": "yellow",
    "local-intermediate": "red",
    "intermediate-global": "magenta",
}
"""style of a piece -> that of rich"""
FOLDED = 16
"""characters of a first column beyond which its texts are broken into lines before anything else gives way"""
ASCII = str.maketrans({
    "–": "-", "×": "x", "·": "|", "…": ":", "◀": "<", "─": "-", "━": "-", "’": "'", "±": "~", "↑": "+", "↓": "-",
    "†": "#", "−": "-",
})  # fmt: skip
"""for consoles that have no Unicode"""


def render(result: Result, console: Console | None = None) -> None:
    """Print what the kind of a result shows in a terminal; to standard output where there is no console."""
    console = console or Console()
    parts = Group(*_renderables(resolve(result.kind.shown).terminal(result), console.width))
    if console.encoding.lower().startswith("utf"):
        console.print(parts)
        return
    with console.capture() as captured:
        console.print(parts)
    text = captured.get().translate(ASCII)
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def _renderables(parts: Any, width: int) -> Iterator[RenderableType]:
    for part in parts:
        if isinstance(part, Line):
            yield _text(part.pieces)
        else:
            yield from table(part, width)


def table(grid: Grid, width: int) -> list[RenderableType]:
    """A table as full as the width allows, and its caption, which says what gave way."""
    for form, hidden in _ways(grid):
        kept = [i for i, column in enumerate(grid.columns) if column not in hidden]
        made, needed = _table(grid, kept, form)
        if needed <= width:
            break
    caption = "; ".join([*grid.caption, *_gave_way(grid, form, hidden)])
    notes = [Text(f"{number}. {note}", style="dim") for number, note in enumerate(grid.notes, start=1)]
    return [made, *([Text(caption, style="dim")] if caption else []), *notes]


def _ways(grid: Grid) -> Iterator[tuple[str, tuple[Column, ...]]]:
    """How intervals are shown, and the columns that are left out; from full to narrow."""
    early, late = (tuple(c for c in grid.columns if c.gives_way >= least) for least in (2, 1))
    whole = tuple(column for column in grid.columns if column.stands_in)
    intervals = any(_has_interval(row) for row in grid.rows)
    for form in FORMS if intervals else FORMS[-1:]:
        for hidden in dict.fromkeys((whole, early or whole)):
            yield form, hidden
    yield FORMS[-1], late


def _gave_way(grid: Grid, form: str, hidden: Sequence[Column]) -> Iterator[str]:
    there = f"in {grid.elsewhere}" if grid.elsewhere else "in the file"
    if named := [column.title for column in hidden if column.title.strip() and not column.stands_in]:
        yield f"{' and '.join(named)} did not fit and {'is' if len(named) == 1 else 'are'} {there}"
    if any(_has_interval(row) for row in grid.rows):
        if form == "half":
            yield f"± is half the interval's width; its ends are {there}"
        elif form == "none":
            yield f"intervals did not fit; their ends are {there}"


def _has_interval(row: Row) -> bool:
    return any(isinstance(cell, Number) and cell.has_interval for cell in row.cells)


def _table(grid: Grid, kept: Sequence[int], form: str) -> tuple[RichTable, int]:
    """The table and its width in columns."""
    made = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    columns = [_column(grid, i, form) for i in kept]
    widths = []
    for i, cells in zip(kept, columns, strict=True):
        column = grid.columns[i]
        fold = i == 0 and column.left
        made.add_column(
            Text(column.title),
            justify="left" if column.left or (i >= grid.heads and not _is_stacked(grid, i)) else "right",
            style="bold" if column.strong else "",
            no_wrap=not fold,
            overflow="fold",
        )
        width = max([cell_len(column.title), *(cell_len(line) for c in cells for line in c.plain.split("\n"))])
        widths.append(min(width, FOLDED) if fold else width)
    for number, row in enumerate(grid.rows):
        made.add_row(*(cells[number] for cells in columns), style=LOOKS.get(row.style, ""))
    return made, sum(widths) + 2 * (len(widths) - 1) + 1


def _lines(cell: Cell, form: str, bare: bool) -> list[list[Piece]]:
    lines = cell.pieces(form)
    return lines[:1] if bare and isinstance(cell, Number) else lines


def _is_stacked(grid: Grid, place: int) -> bool:
    """Whether intervals stand below the numbers of a column."""
    cells = (row.cells[place] for row in grid.rows)
    return any(isinstance(cell, Number) and cell.stacked for cell in cells)


def _column(grid: Grid, place: int, form: str) -> list[Text]:
    """The cells of a column; numbers are padded so that their intervals stand below each other."""
    bare = form == FORMS[-1] and any(map(_has_interval, grid.rows))  # so narrow that numbers stand alone
    cells = [_lines(row.cells[place], form, bare) for row in grid.rows]
    numeric = not grid.columns[place].left and place >= grid.heads and not _is_stacked(grid, place)
    width = max([0, *(cell_len(lines[0][0][0]) for lines in cells)]) if numeric else 0
    strong = grid.columns[place].strong
    texts = []
    for lines in cells:
        (text, style), *rest = lines[0]
        first = [(text.rjust(width), style), *rest]
        texts.append(Text("\n").join(_text(line, plain=strong) for line in [first, *lines[1:]]))
    return texts


def _text(pieces: Sequence[Piece], plain: bool = False) -> Text:
    """Pieces as rich text; in a bold column what is faint is not bold."""
    faint = "not bold dim" if plain else "dim"
    return Text.assemble(*((text, faint if style == "faint" else LOOKS.get(style, "")) for text, style in pieces))
