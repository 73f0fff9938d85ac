"""Series of a signal as tables: one for all those of one column over the same axis, one for each of several columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mspgt.contracts.series import SeriesValues
from mspgt.core.phrases import in_words
from mspgt.show.grid import Cell, Grid, Number, grid
from mspgt.show.parts import Folded


def series_tables(series: Mapping[str, SeriesValues], title: str) -> Iterator[Folded]:
    """Tables of series, folded away where they say so; matrices are left to figures and files.

    Parameters
    ----------
    title: of the table of those that have one column.
    """
    alike: dict[str, dict[str, SeriesValues]] = {}
    for name, values in series.items():
        if not values.columns:
            alike.setdefault(values.axis, {})[name] = values
    for axis, group in alike.items():
        whole = {name: values for name, values in group.items() if values.labels == next(iter(group.values())).labels}
        yield _folded(title, axis, whole)
        for name in (name for name in group if name not in whole):
            yield _folded(name, axis, {name: group[name]})
    for name, values in series.items():
        if values.columns and not values.is_matrix:
            yield _folded(name, values.axis, {name: values})


def _folded(title: str, axis: str, group: Mapping[str, SeriesValues]) -> Folded:
    made, heading = series_table(axis, group), in_words(title)
    heading = heading if " by " in f" {heading}" else f"{heading} by {axis}"
    return Folded(heading, (made,), open=not all(values.folded for values in group.values()))


def series_table(axis: str, group: Mapping[str, SeriesValues]) -> Grid:
    """A row for each place on the axis, a column for each column of the series."""
    columns = {name: column for values in group.values() for name, column in values.values.items()}
    labels = next(iter(group.values())).labels
    cells = [[Cell(label), *(_number(c[i]) for c in columns.values())] for i, label in enumerate(labels)]
    caption = "; ".join(f"{in_words(name)}: {_about(values)}" for name, values in group.items() if _about(values))
    return grid([axis, *columns], cells, caption)


def _about(values: SeriesValues) -> str:
    return ", ".join(filter(None, (values.summary, f"in {values.unit}" if values.unit else "")))


def _number(value: float) -> Number:
    return Number(value=float(value), show="{:.4f}".format)
