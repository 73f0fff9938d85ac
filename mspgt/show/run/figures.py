"""Figures of a run: evidence with its boundaries (the paper's Figures 3-6), raw signals, and what signals declare."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from mspgt.contracts.series import Plot
from mspgt.core.errors import unknown
from mspgt.measure.evaluate import SignalCurve
from mspgt.results.run import Run
from mspgt.show import wording
from mspgt.show.drawing import (
    BACKGROUND,
    BOUNDARY_COLOURS,
    GRID,
    INK,
    MARKERS,
    MUTED,
    SIGNAL_COLOURS,
    STYLE,
    boundary_look,
    curve_line,
    new_figure,
    transition_axis,
)
from mspgt.show.parts import FigureOf, PlotOf
from mspgt.stats.boundaries import SHORT, Boundary, Verdict
from mspgt.stats.boundaries.fusion import NORMALISATIONS, fill
from mspgt.stats.curve import Curve

Array = NDArray[np.float64]


def evidence(run: Run, rule: str = "mspgt", ax: Any = None) -> Figure:
    """Normalised signals, the combined evidence in bold with its band, and the boundaries with their intervals.

    Parameters
    ----------
    rule: whose evidence and boundaries, "mspgt" or "paper".
    ax: axes to draw into; a new figure without them.
    """
    verdict = run.verdict(rule)
    with mpl.rc_context(STYLE):
        ax = new_figure(7.4, 4.1).add_subplot() if ax is None else ax
        for name, curve, colour, marker in _coloured(run):
            if name in verdict.weights:
                label = f"{name} (×{verdict.weights[name]:g})"
                curve_line(ax, _normalised(curve, verdict.normalisation), colour, marker, label, band=0.16)
        curve_line(ax, verdict.evidence, INK, "", "combined evidence", band=0.13, width=2.6)
        top = np.nanmax([1.0, *verdict.evidence.value, *verdict.evidence.high])
        ax.set_ylim(-0.09 * top, top * (1.24 if verdict.places else 1.05))
        _depth_axes(ax, run.n_layers)
        for row, (name, boundary) in enumerate(verdict.places.items()):
            _boundary(ax, name, boundary, verdict, row)
        _scales(ax, verdict, run.n_layers)
        ax.set_ylabel("normalised signals and evidence")
        ax.set_title(
            f"{run.model.name} · {wording.title(rule)} · {wording.outcome(verdict)}", pad=30, fontweight="bold"
        )
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(4, len(verdict.weights) + 1))
    figure: Figure = ax.figure
    return figure


def by_the_paper(run: Run, ax: Any = None) -> Figure | None:
    """`evidence` by the paper's rule."""
    return evidence(run, "paper", ax) if "paper" in run.verdicts else None


def signals(run: Run) -> Figure:
    """Each signal in its own unit with its intervals, one above the other."""
    count = len(run.signals)
    with mpl.rc_context(STYLE):
        figure = new_figure(7.4, 0.9 + 1.35 * count)
        axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        for ax, (name, curve, colour, marker) in zip(axes, _coloured(run), strict=True):
            curve_line(ax, curve, colour, marker, name, band=0.22, width=1.6)
            flags = f" · {', '.join(curve.flags)}" if curve.flags else ""
            ax.set_title(f"{name}{f' ({curve.unit})' if curve.unit else ''}, weight {curve.weight:g}{flags}", pad=4)
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            ax.grid(axis="y", color=GRID, linewidth=0.6)
            verdict = run.verdict()
            for boundary_name, boundary in verdict.places.items():
                ax.axvline(boundary.layer, **boundary_look(boundary_name, verdict.accepted), linewidth=1.0)
        transition_axis(axes[-1], run.n_layers)
        figure.align_ylabels(axes)
    return figure


def declared(run: Run) -> dict[str, FigureOf[Run]]:
    """The figures that signals declare, of the series that they reported; a name that is taken follows its signal's."""
    by_name: dict[str, FigureOf[Run]] = {}
    for signal, curve in run.signals.items():
        for plot in curve.figures:
            name = f"{signal}-{plot.name}" if plot.name in by_name else plot.name
            by_name[name] = FigureOf(partial(_declared, signal=signal, plot=plot), plot.caption)
    return by_name


def _declared(run: Run, signal: str, plot: Plot) -> PlotOf | None:
    series = run.signals[signal].series
    wanted = (plot.series,) if isinstance(plot.series, str) else plot.series
    return PlotOf(plot, series, run.verdict()) if any(name in series for name in wanted) else None


# --------------------------------------------------------------------------------------------------- pieces


def _coloured(run: Run) -> Iterator[tuple[str, SignalCurve, str, str]]:
    looks = zip(cycle(SIGNAL_COLOURS), cycle(MARKERS), strict=False)
    for (name, curve), (colour, marker) in zip(run.signals.items(), looks, strict=False):
        yield name, curve, colour, marker


def _boundary(ax: Any, name: str, boundary: Boundary, verdict: Verdict, row: int) -> None:
    """A vertical line with the interval shaded and a label."""
    colour, accepted = BOUNDARY_COLOURS[name], verdict.accepted
    if boundary.ci is not None:
        ax.axvspan(*boundary.ci, color=colour, alpha=0.13 if accepted else 0.06, linewidth=0)
    ax.axvline(boundary.layer, **boundary_look(name, accepted), linewidth=1.6, zorder=2)
    right = boundary.relative <= 0.55
    refused = "" if accepted else f", {wording.outcome(verdict)}"
    ax.annotate(
        f"{SHORT[name]} {wording.with_interval(boundary)}{refused}",
        (boundary.layer, 0.985 - 0.068 * row),
        xycoords=("data", "axes fraction"),
        xytext=(5 if right else -5, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        bbox={"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        color=colour,
        fontweight="bold" if accepted else "normal",
        zorder=6,
    )


def _scales(ax: Any, verdict: Verdict, n_layers: int) -> None:
    """Name the stretches of blocks in a strip under the curves, once they are accepted."""
    ax.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    if not verdict.accepted or verdict.layers is None:
        return
    cuts = [0, *verdict.layers, n_layers]
    colours = (BOUNDARY_COLOURS["local-intermediate"], MUTED, BOUNDARY_COLOURS["intermediate-global"])
    for name, colour, start, end in zip(("local", "intermediate", "global"), colours, cuts, cuts[1:], strict=False):
        ax.axvspan(start, end, ymax=0.055, facecolor=colour, alpha=0.2, edgecolor=BACKGROUND, linewidth=1.5, zorder=5)
        if (end - start) / n_layers >= 0.08 * len(name) / 5:
            middle = ((start + end) / 2, 0.027)
            ax.text(*middle, name, transform=ax.get_xaxis_transform(), ha="center", va="center_baseline", zorder=6)


def _depth_axes(ax: Any, n_layers: int) -> None:
    """Transitions below, relative depth above."""
    transition_axis(ax, n_layers)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "" if y < 0 else f"{y:g}"))
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    depth = ax.secondary_xaxis("top", functions=(lambda x: x / n_layers, lambda x: x * n_layers))
    depth.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    depth.set_xticks([0, 0.25, 0.5, 0.75, 1])
    depth.set_xlabel("relative depth", color=MUTED, fontsize=8)
    depth.tick_params(length=2, labelsize=8, labelcolor=MUTED)
    depth.spines["top"].set_visible(False)


def _normalised(curve: Curve, how: str) -> Curve:
    """The curve on the scale on which it enters the evidence.

    An end of an interval is put on that scale with all other transitions at their values, as a normalisation looks
    at the whole curve.
    """
    if how not in NORMALISATIONS:
        raise unknown("normalisation", how, NORMALISATIONS)
    normalise = NORMALISATIONS[how]

    def end(part: Array) -> Array:
        one_moved = np.tile(curve.value, (len(part), 1))
        np.fill_diagonal(one_moved, part)
        return np.where(np.isfinite(part), np.diagonal(normalise(fill(one_moved))), np.nan)

    return Curve(curve.transition, end(curve.value), end(curve.low), end(curve.high))
