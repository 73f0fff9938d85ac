"""Tables as text for other programs and papers: CSV, rows, data frames, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mspgt.core import rows
from mspgt.core.errors import unknown
from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show.grid import Cell, Grid

LATEX = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
         '"': r"\textquotedbl{}", "–": "--", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "↑": r"$\uparrow$",
         "↓": r"$\downarrow$", "†": r"$\dagger$", "·": r"$\cdot$", "◀": r"$\triangleleft$",
         "…": r"\dots{}"}  # fmt: skip
"""character -> LaTeX"""


@dataclass(frozen=True)
class Exported:
    """A table of a result, ready to leave it."""

    grid: Grid

    def to_rows(self) -> list[dict[str, Any]]:
        """A mapping for each row, keys as in the CSV file; None where there is no number."""
        names = _names(self.grid)
        return [dict(zip(names, _values(self.grid, row.cells), strict=True)) for row in self.grid.rows]

    def to_csv(self) -> str:
        """The rows under a header, numbers in full precision; what is None is an empty field."""
        return rows.to_csv(self.to_rows(), _names(self.grid))

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame; UserError if pandas is not installed."""
        return rows.to_dataframe(self.to_rows(), _names(self.grid))

    def to_markdown(self) -> str:
        """The table as people read it, in Markdown."""
        heads = [_markdown(column.title) for column in self.grid.columns]
        marks = [":---" if column.left else "---:" for column in self.grid.columns]
        body = [[_markdown(text) for text in _texts(row.cells)] for row in self.grid.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in [heads, marks, *body])

    def to_latex(self) -> str:
        """The table as people read it, for a LaTeX document that uses the package booktabs."""
        columns = "".join("l" if column.left else "r" for column in self.grid.columns)
        heads = [escape_latex(column.title) for column in self.grid.columns]
        body = [[escape_latex(text) for text in _texts(row.cells)] for row in self.grid.rows]
        lines = [_row(texts) for texts in [heads, *body]]
        parts = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        return "\n".join([*parts, r"\end{tabular}"]) + "\n"


def table(result: Result, name: str | None = None) -> Exported:
    """One of the tables that the kind of a result exports; the first where `name` is None.

    Raises
    ------
    UserError: an unknown table.
    """
    tables = resolve(result.kind.shown).tables
    if name is None:
        name = next(iter(tables))
    if name not in tables:
        raise unknown("table", name, tables)
    return Exported(tables[name].make(result))


def escape_latex(text: str) -> str:
    """A text in which nothing is a command of LaTeX."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))


def _names(grid: Grid) -> list[str]:
    return [name for column in grid.columns for name in (column.key, *column.ends)]


def _values(grid: Grid, cells: Iterable[Cell]) -> Iterable[Any]:
    for column, cell in zip(grid.columns, cells, strict=True):
        data = cell.data()
        yield from (*data, *[None] * len(column.ends))[: 1 + len(column.ends)]


def _row(texts: list[str]) -> str:
    """A row of LaTeX; what begins with a bracket or star would otherwise belong to the end of the row before."""
    return ("{}" if texts[0].startswith(("[", "*")) else "") + " & ".join(texts) + r" \\"


def _texts(cells: Iterable[Cell]) -> list[str]:
    show: Callable[[Cell], str] = lambda cell: " ".join(  # noqa: E731
        "".join(text for text, _ in line) for line in cell.pieces("ends")
    )
    return [show(cell).strip() for cell in cells]


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]~$]|&(?=#?\w+;))", r"\\\1", " ".join(text.split()))
