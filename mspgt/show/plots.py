"""Draws figures that are given as descriptions: lines and heat maps of series."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mspgt.contracts.series import HeatMap, Lines, SeriesValues
from mspgt.show.drawing import BACKGROUND, GRID, MARKERS, SIGNAL_COLOURS, STYLE, boundary_look, marker_size, new_figure
from mspgt.show.parts import PlotOf

WIDTH, HEIGHT = 4.9, 4.2


def draw(given: PlotOf) -> Figure | None:
    """Draw a description; None where its series are not there."""
    if isinstance(given.plot, Lines):
        return _lines(given.plot, given)
    return _heat_map(given.plot, given)


def _lines(plot: Lines, given: PlotOf) -> Figure | None:
    """A line for each column of each series, over their axis."""
    series = [given.series[name] for name in plot.series if name in given.series]
    if not series:
        return None
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH, HEIGHT)
        ax = figure.add_subplot()
        looks = cycle(product(("-", "--", ":"), zip(SIGNAL_COLOURS, MARKERS, strict=True)))
        columns = [(name, values.rows, line) for values in series for name, line in values.values.items()]
        for (name, rows, line), (dashes, (colour, marker)) in zip(columns, looks, strict=False):
            size = marker_size(len(line))
            ax.plot(rows, line, label=name, color=colour, linestyle=dashes, marker=marker, markersize=size)
        for place, look in _boundaries(given, series[0]):
            ax.axvline(place, **look, linewidth=1.0)
        if plot.limits is not None:
            ax.set_ylim(*plot.limits)
        ax.grid(axis="y", color=GRID, linewidth=0.6)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if series[0].names:
            ax.set_xticks(series[0].rows, series[0].names)
        ax.set_xlabel(series[0].axis)
        ax.set_ylabel(plot.label or series[0].unit)
        ax.set_title(plot.title, pad=8, fontweight="bold")
        if len(columns) > 1:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
    return figure


def _heat_map(plot: HeatMap, given: PlotOf) -> Figure | None:
    """The values as colours: rows upward, columns to the right."""
    values = given.series.get(plot.series)
    if values is None:
        return None
    grid = np.stack(list(values.values.values()), axis=1)
    rows, columns = ((axis.start - 0.5, axis.stop - 0.5) for axis in (values.rows, _column_numbers(values)))
    with mpl.rc_context({**STYLE, "axes.spines.top": True, "axes.spines.right": True}):
        figure = new_figure(WIDTH, HEIGHT)
        ax = figure.add_subplot()
        image = ax.imshow(grid, origin="lower", cmap="cividis", extent=(*columns, *rows), vmax=plot.highest)
        for place, look in _boundaries(given, values):
            for line in (ax.axvline, ax.axhline) if values.is_matrix else (ax.axhline,):
                line(place, **look | {"color": BACKGROUND}, linewidth=1.0)
        ax.set_xlabel(values.columns)
        ax.set_ylabel(values.axis)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
        if values.names:
            ax.set_yticks(values.rows, values.names)
        if not values.is_matrix:
            ax.set_xticks(_column_numbers(values), list(values.values))
        ax.set_title(plot.title, pad=8, fontweight="bold")
        bar: Any = figure.colorbar(image, ax=ax, shrink=0.9, label=plot.label or values.unit)
        bar.outline.set_visible(False)
    return figure


def _column_numbers(values: SeriesValues) -> range:
    """Where columns lie: at their own number where they run over depth, else counted from 1."""
    first = int(next(iter(values.values))) if values.is_matrix else 1
    return range(first, first + len(values.values))


def _boundaries(given: PlotOf, values: SeriesValues) -> list[tuple[float, dict[str, Any]]]:
    """Where boundaries lie on an axis over depth, and how they look; none on another axis."""
    half = {"transition": 0.0, "block": 0.5, "layer": 0.5}.get(values.axis)
    if half is None or given.verdict is None:
        return []
    accepted = given.verdict.accepted
    return [(b.layer + half, boundary_look(name, accepted)) for name, b in given.verdict.places.items()]
