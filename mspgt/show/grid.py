"""One model of a table: typed cells in columns that know which of them give way where there is little room.

A cell holds its numbers, so that a CSV file has them in full precision, and says how a person reads them, as pieces of
text with a style. Renderers (`terminal`, `html`, `plain`) turn pieces into what their medium shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mspgt.core.phrases import NONE, amount

Piece = tuple[str, str]
"""a text and its style: nothing, strong, faint, good, bad, warn, local-intermediate or intermediate-global"""
FORMS = ("ends", "half", "none")
"""how intervals are shown: as both ends, as ± half their width, or not at all"""


@dataclass(frozen=True)
class Cell:
    """A text.

    Attributes
    ----------
    text: what is shown.
    style: as that of a `Piece`.
    below: pieces on a line of their own under it, such as a unit.
    value: what a CSV file has instead of the text, where that is not None.
    """

    text: str
    style: str = ""
    below: tuple[Piece, ...] = ()
    value: Any = None

    def data(self) -> tuple[Any, ...]:
        """The values of its columns in a CSV file: one, or value, low and high."""
        return (self.text if self.value is None else self.value,)

    def pieces(self, form: str) -> list[list[Piece]]:
        """Its lines."""
        return [[(self.text, self.style)], *([list(self.below)] if self.below else [])]


@dataclass(frozen=True)
class Number(Cell):
    """A number with its interval.

    Attributes
    ----------
    text: unused; the number is shown by `show`.
    value, low, high: NaN where there is none.
    show: a number as text.
    ends: both ends as text; by `show` where None.
    after: pieces that follow the number, such as stars.
    stacked: whether the interval stands below the number rather than after it.
    """

    text: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    show: Callable[[float], str] = amount
    ends: Callable[[float], str] | None = None
    after: tuple[Piece, ...] = ()
    stacked: bool = False

    @property
    def has_interval(self) -> bool:
        """Whether both ends are there."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def data(self) -> tuple[Any, ...]:
        """Value, low and high; None where there is no number."""
        return tuple(v if math.isfinite(v) else None for v in (self.value, self.low, self.high))

    def interval(self, form: str) -> str:
        """The interval as text; nothing without one."""
        if form == "none" or not self.has_interval:
            return ""
        show = self.ends or self.show
        if form == "half":
            return f"±{show((self.high - self.low) / 2).lstrip('0') or 0}"
        return f"[{show(self.low)}, {show(self.high)}]"

    def pieces(self, form: str) -> list[list[Piece]]:
        """The number, what follows it, its interval, and what stands below."""
        if not math.isfinite(self.value):
            return [[(NONE, "faint")]]
        line, lines = [(self.show(self.value), self.style), *self.after], []
        if text := self.interval(form):
            (lines.append([(text, "faint")]) if self.stacked else line.append((f" {text}", "faint")))
        return [line, *lines, *([list(self.below)] if self.below else [])]


def share(value: float | None, style: str = "") -> Cell:
    """A share of a whole as a percentage; a dash where there is none."""
    known = value is not None and math.isfinite(value)
    return Cell(f"{value:.1%}" if known else NONE, style, value=value if known else None)


class Missing(Cell):
    """What is not there."""

    def data(self) -> tuple[Any, ...]:
        """Nothing."""
        return (None,)


def missing(reason: str = "") -> Cell:
    """What is not there, and why."""
    return Missing(reason or NONE, "faint")


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes
    ----------
    key: its name in CSV files and data frames.
    head: what people read; the key in words where empty.
    ends: names of the two further columns that a CSV file has for the ends of intervals; none where empty.
    gives_way: 0 if it is always there, 2 if it goes before intervals are shortened, 1 if it goes last of all.
    stands_in: whether a terminal shows it only in place of columns that gave way first.
    left: whether its cells are aligned to the left.
    strong: whether its cells are emphasised.
    """

    key: str
    head: str = ""
    ends: tuple[str, ...] = ()
    gives_way: int = 0
    stands_in: bool = False
    left: bool = False
    strong: bool = False

    @property
    def title(self) -> str:
        """What people read above it."""
        return self.head or self.key.replace("_", " ")


@dataclass(frozen=True)
class Row:
    """Cells in the order of the columns, and the style of all of them."""

    cells: tuple[Cell, ...]
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes
    ----------
    caption: what a reader must know of it, phrases without a full stop at the end.
    elsewhere: the file that holds what does not fit, such as "signals.csv"; nothing is said of it where empty.
    heads: how many columns at the left head their rows.
    notes: numbered sentences below it.
    """

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: tuple[str, ...] = ()
    elsewhere: str = ""
    heads: int = 1
    notes: tuple[str, ...] = field(default=())


def grid(
    columns: Sequence[Column | str], rows: Sequence[Row | Sequence[Cell | Any]], caption: str = "", **further: Any
) -> Grid:
    """A table from columns, or their keys, and rows of cells or plain values."""
    made = tuple(Row(tuple(map(cell, row.cells if isinstance(row, Row) else row)), _style(row)) for row in rows)
    named = tuple(Column(c) if isinstance(c, str) else c for c in columns)
    return Grid(named, made, (caption,) if caption else (), **further)


def cell(value: Any) -> Cell:
    """A cell that holds a plain value."""
    if isinstance(value, Cell):
        return value
    if value is None:
        return missing()
    if hasattr(value, "item"):  # a number of numpy's or torch's
        value = value.item()
    if isinstance(value, bool):
        return Cell("yes" if value else "no", value=value)
    if isinstance(value, float):
        return Number(value=value)
    return Cell(f"{value:,}" if isinstance(value, int) else str(value), value=value)


def _style(row: Row | Sequence[Any]) -> str:
    return row.style if isinstance(row, Row) else ""
