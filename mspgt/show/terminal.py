"""Results in a terminal: lines and tables within its width, in characters that it can show."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from mspgt.core.phrases import listed, well_formed
from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show.grid import FORMS, Column, Grid, Number, Piece, Row
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
"""characters to which a column of longer texts is folded: the first before anything gives way, others after all else"""
ASCII = str.maketrans({
    "–": "-", "×": "x", "·": "|", "…": ":", "◀": "<", "─": "-", "━": "-", "’": "'", "±": "~", "↑": "+", "↓": "-",
    "†": "#", "−": "-",
})  # fmt: skip
"""for consoles that have no Unicode"""
CONTROLS = dict.fromkeys((*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0)))
"""what a text cannot have printed, all control characters but the end of a line"""


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


def _renderables(parts: Iterable[Line | Grid], width: int) -> Iterator[RenderableType]:
    for part in parts:
        if isinstance(part, Line):
            yield _text(part.pieces)
        else:
            yield from table(part, width)


def table(grid: Grid, width: int) -> list[RenderableType]:
    """A table as full as the width allows, and its caption, which says what gave way."""
    for form, hidden, folds in _ways(grid):
        kept = [i for i, column in enumerate(grid.columns) if column not in hidden]
        made, needed = _table(grid, kept, form, folds)
        if needed <= width:
            break
    caption = "; ".join([*grid.caption, *_gave_way(grid, form, hidden)])
    notes = [_text([(f"{number}. {note}", "faint")]) for number, note in enumerate(grid.notes, start=1)]
    return [made, *([_text([(caption, "faint")])] if caption else []), *notes]


def _ways(grid: Grid) -> Iterator[tuple[str, tuple[Column, ...], bool]]:
    """How intervals are shown, the columns that are left out, and whether texts are broken; from full to narrow."""
    early, late = (tuple(c for c in grid.columns if c.gives_way >= least) for least in (2, 1))
    whole = tuple(column for column in grid.columns if column.stands_in)
    intervals = any(_has_interval(row) for row in grid.rows)
    for form in FORMS if intervals else FORMS[-1:]:
        for hidden in dict.fromkeys((whole, early or whole)):
            yield form, hidden, False
    last = [c for c in grid.columns[grid.heads :] if not (c in late or c.strong or c.stands_in) and c.title.strip()]
    yield FORMS[-1], late or whole, False
    for count in range(len(last)):
        yield FORMS[-1], (*(late or whole), *last[len(last) - count :]), True


def _gave_way(grid: Grid, form: str, hidden: Sequence[Column]) -> Iterator[str]:
    """What a narrow terminal leaves out, and where it is."""
    file = grid.elsewhere
    named = [column.title for column in grid.columns if column in hidden and not column.stands_in]
    if named := [title for title in named if title.strip()]:
        yield f"{listed(named)} did not fit" + (f" and {'is' if len(named) == 1 else 'are'} in {file}" if file else "")
    if any(_has_interval(row) for row in grid.rows):
        if form == "half":
            yield "± is half the interval's width" + (f"; its ends are in {file}" if file else "")
        elif form == "none":
            yield "intervals did not fit" + (f"; their ends are in {file}" if file else "")


def _has_interval(row: Row) -> bool:
    return any(isinstance(cell, Number) and cell.has_interval for cell in row.cells)


def _table(grid: Grid, kept: Sequence[int], form: str, folds: bool) -> tuple[RichTable, int]:
    """The table and its width in columns; a first column of long texts is folded.

    Where `folds`, all columns of long texts are, and what heads a column is as wide as its cells.
    """
    made = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    columns = [_column(grid, i, form) for i in kept]
    widths = []
    for i, cells in zip(kept, columns, strict=True):
        column = grid.columns[i]
        width = max([0, *(cell_len(line) for c in cells for line in c.plain.split("\n"))])
        head = textwrap.fill(column.title, max(width, 1), break_long_words=False) if folds else column.title
        width = max([width, *map(cell_len, head.split("\n"))])
        fold = column.left and (i == 0 or folds) and width > FOLDED
        made.add_column(
            _text([(head, "")]),
            justify="left" if column.left or (i >= grid.heads and not _is_stacked(grid, i)) else "right",
            style="bold" if column.strong else "",
            no_wrap=not fold,
            overflow="fold" if fold else "ellipsis",
        )
        word = max((cell_len(word) for c in cells for word in c.plain.split()), default=0) if folds else FOLDED
        widths.append(min(word, FOLDED) if fold else width)
    for number, row in enumerate(grid.rows):
        made.add_row(*(cells[number] for cells in columns), style=LOOKS.get(row.style, ""))
    return made, sum(widths) + 2 * (len(widths) - 1)


def _is_stacked(grid: Grid, place: int) -> bool:
    """Whether intervals stand below the numbers of a column."""
    cells = (row.cells[place] for row in grid.rows)
    return any(isinstance(cell, Number) and cell.stacked for cell in cells)


def _column(grid: Grid, place: int, form: str) -> list[Text]:
    """The cells of a column; numbers are padded so that their intervals stand below each other."""
    bare = form == FORMS[-1] and any(map(_has_interval, grid.rows))  # so narrow that numbers stand alone
    column = [row.cells[place] for row in grid.rows]
    cells = [cell.pieces(form)[: 1 if bare and isinstance(cell, Number) else None] for cell in column]
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
    """Pieces as rich text; in a bold column what is faint is not bold.

    Control characters, such as those that move the cursor, are left out; half a surrogate pair is a question mark.
    """
    faint = "not bold dim" if plain else "dim"
    texts = (well_formed(text.translate(CONTROLS)) for text, _ in pieces)
    looks = (faint if style == "faint" else LOOKS.get(style, "") for _, style in pieces)
    return Text.assemble(*zip(texts, looks, strict=True))
