"""What a signal or a result shows beside its curve: named series, and figures of them as descriptions.

A description says what is there, never how it is drawn: tables, pages, figures and CSV files are made from it by
`mspgt.show`. A series is stored with its description, so that a result is shown in full where the plugin that made
it is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import UserError

FIRST = {"transition": 1, "block": 1, "layer": 0}
"""axis over the depth of the model -> number of its first row; rows of any other axis are counted from 1"""


@dataclass(frozen=True)
class Series:
    """Declares a series: what its rows and columns are.

    Attributes
    ----------
    name: under which the signal reports it.
    axis: what a row is: "transition" (1..L-1, between block l and block l+1), "block" (1..L), "layer" (0..L, where 0 is
        the embeddings), or any other word, such as "epoch" or "class", whose rows have names or are counted from 1.
    unit: of the values, or nothing.
    columns: what a column is, such as "task"; nothing where there is one column. Where it is one of the three axes over
        depth the series is a matrix.
    summary: one line about it, or nothing.
    folded: whether a page shows its table folded away.
    optional: whether some options, or a small corpus, leave it without values: it is not reported then.
    """

    name: str
    axis: str = "transition"
    unit: str = ""
    columns: str = ""
    summary: str = ""
    folded: bool = True
    optional: bool = False

    def of(self, values: Any, n_layers: int) -> SeriesValues:
        """Values as the signal reported them, checked against the declaration.

        Parameters
        ----------
        values: (row,) numbers, which may be None; column -> (row,) numbers where there are columns; (row, column)
            numbers where columns run over depth. Lists, arrays and tensors will do. Where the axis does not run over
            depth, name of the row -> number may stand in place of (row,) numbers.
        n_layers: blocks of the model, L.

        Raises
        ------
        UserError: the number of rows or columns is not that of the axis, columns are missing or not declared, or rows
            have other names in another column.
        """
        given = self._columns(values, n_layers)
        names = {tuple(map(str, column)) if isinstance(column, Mapping) else () for column in given.values()}
        if len(names) > 1 or (self.axis in FIRST and names - {()}):
            wanted = "numbers without names" if self.axis in FIRST else "the same names of rows in each column"
            raise UserError(f"the series {self.name!r} over the axis {self.axis!r} needs {wanted}.")
        columns = {name: _numbers(c.values() if isinstance(c, Mapping) else c) for name, c in given.items()}
        rows = {len(column) for column in columns.values()}
        expected = axis_length(self.axis, n_layers)
        if len(rows) > 1 or (expected is not None and rows != {expected}):
            counts = ", ".join(map(str, sorted(rows))) or "none"
            wanted = f"{expected} rows, one for each {self.axis}" if expected else "the same number in each column"
            raise UserError(f"the series {self.name!r} has {counts} rows; it needs {wanted}.")
        named_rows = names.pop() if names else ()
        return SeriesValues(self.axis, self.unit, self.columns, self.summary, self.folded, columns, named_rows)

    def _columns(self, values: Any, n_layers: int) -> dict[str, Any]:
        """Column -> (row,) numbers, or name of the row -> number."""
        named = bool(self.columns) and self.columns not in FIRST
        if named != isinstance(values, Mapping) and not (isinstance(values, Mapping) and not self.columns):
            wanted = f"numbers for each {self.columns}, by its name" if named else "its numbers alone, not by name"
            raise UserError(f"the series {self.name!r} needs {wanted}.")
        if named:
            return {str(name): column for name, column in values.items()}
        if not self.columns:
            return {self.name: values}
        matrix = np.stack([_numbers(row) for row in values])
        if matrix.shape[1] != axis_length(self.columns, n_layers):
            raise UserError(
                f"the series {self.name!r} has {matrix.shape[1]} columns; it needs one for each {self.columns} of "
                f"{n_layers} blocks."
            )
        return {str(FIRST[self.columns] + i): column for i, column in enumerate(matrix.T)}


@dataclass(frozen=True, eq=False)
class SeriesValues:
    """A series with its values, as it stands in a file of results; `Series` says what the fields mean."""

    axis: str
    unit: str
    columns: str
    summary: str
    folded: bool
    values: Mapping[str, NDArray[np.float64]]
    """column -> (row,); NaN where there is no value"""
    names: tuple[str, ...] = ()
    """of the rows; empty where they are numbers"""

    def __post_init__(self) -> None:
        if self.names and any(len(column) != len(self.names) for column in self.values.values()):
            raise ValueError(f"there are {len(self.names)} names of rows, but not as many values in each column")

    @property
    def labels(self) -> tuple[str, ...]:
        """What the rows are called: their names, or else their numbers."""
        return self.names or tuple(map(str, self.rows))

    @property
    def rows(self) -> range:
        """The numbers of the rows, with names or without."""
        count = len(next(iter(self.values.values()), ()))
        first = FIRST.get(self.axis, 1)
        return range(first, first + count)

    @property
    def is_matrix(self) -> bool:
        """Whether its columns run over the depth of the model, too."""
        return self.columns in FIRST


@dataclass(frozen=True)
class Lines:
    """Declares a figure: a line for each column of some series, all over one axis.

    Attributes
    ----------
    name: of the file, without its ending.
    series: names of the series, in the order of their lines.
    title, label: what heads the figure, and what its vertical axis says.
    limits: ends of the vertical axis; those of the values where None.
    caption: a sentence for the page.
    """

    name: str
    series: tuple[str, ...]
    title: str
    label: str = ""
    limits: tuple[float, float] | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        _check_file_name(self.name)


@dataclass(frozen=True)
class HeatMap:
    """Declares a figure: the values of a series of several columns as colours.

    Attributes
    ----------
    series: name of the series.
    highest: value at the bright end of the colours; the largest there is where None.
    Others: as in `Lines`.
    """

    name: str
    series: str
    title: str
    label: str = ""
    highest: float | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        _check_file_name(self.name)


Plot = Lines | HeatMap
"""the description of a figure"""


def series_of(plot: Plot) -> tuple[str, ...]:
    """The names of the series that a figure shows."""
    return (plot.series,) if isinstance(plot, HeatMap) else plot.series


def axis_length(axis: str, n_layers: int) -> int | None:
    """Rows of an axis over depth in a model of so many blocks; None for any other axis."""
    return {"transition": n_layers - 1, "block": n_layers, "layer": n_layers + 1}.get(axis)


def _check_file_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"a figure cannot be called {name!r}: its name is that of a file, of letters, digits, - and _.")


def _numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
