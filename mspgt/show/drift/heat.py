"""Heat maps of a drift: depth over training steps, with the boundaries, what moved, and the training loss."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mspgt.results.drift import Drift
from mspgt.show import wording
from mspgt.show.drawing import BOUNDARY_COLOURS, GRID, MUTED, STYLE, set_title
from mspgt.show.drift import series
from mspgt.show.drift.drawing import (
    Pen,
    block_axis,
    boundary_handles,
    boundary_line,
    cells,
    colour_bar,
    interval_marks,
    loss_line,
    new_figure,
    span,
)
from mspgt.show.drift.series import Track
from mspgt.show.drift.steps import StepAxis
from mspgt.stats.bootstrap import Floats
from mspgt.stats.boundaries import OUTCOME

BAR = 0.022
"""width of a colour bar over that of its heat map"""


def heat_map(drift: Drift, rule: str = "mspgt") -> Figure:
    """Evidence of a rule by depth and step, the boundaries with their intervals, real moves above, the loss below.

    Parameters
    ----------
    rule: "mspgt" or "paper".

    Raises
    ------
    UserError: a rule that could be applied at no step.
    """
    grid, tracks, loss = series.evidence(drift, rule), series.tracks(drift, rule), series.loss(drift)
    steps, axis = drift.steps.tolist(), StepAxis(tuple(drift.steps.tolist()))
    pen = Pen(len(steps))
    moved, known = any(track.real.any() for track in tracks), bool(np.isfinite(loss).any())
    heights = [*[0.26] * moved, 3.3, *[0.85] * known]
    with mpl.rc_context(STYLE):
        figure = new_figure(0.95 + sum(heights))
        rows = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, BAR])
        ax = figure.add_subplot(rows[int(moved), 0])
        image = cells(ax, axis, steps, grid, _depths(drift), span([grid]))
        block_axis(ax, drift.n_layers)
        for track in tracks:
            interval_marks(ax, axis, steps, track, pen)
            boundary_line(ax, steps, track, pen)
        axis.set(ax, label="" if known else "training step")
        colour_bar(figure, image, "evidence", cax=figure.add_subplot(rows[int(moved), 1]))
        if moved:
            _moves(figure.add_subplot(rows[0, 0], sharex=ax), steps, tracks)
        if known:
            below = figure.add_subplot(rows[-1, 0], sharex=ax)
            loss_line(below, steps, loss)
            axis.set(below)
            ax.tick_params(axis="x", length=0, labelbottom=False)
        figure.align_ylabels()
        set_title(figure, f"Evidence over training by {wording.title(rule)}{_none(tracks)}", drift.model.name)
        handles = [*boundary_handles(tracks, drift.confidence, pen), *_move_handles(tracks)]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def signals(drift: Drift) -> Figure:
    """Each signal in its own unit by depth and step, one above the other."""
    steps, axis, names = drift.steps.tolist(), StepAxis(tuple(drift.steps.tolist())), drift.signals
    with mpl.rc_context(STYLE):
        figure = new_figure(0.5 + 1.75 * len(names))
        rows = figure.add_gridspec(len(names), 2, width_ratios=[1, BAR])
        above = None
        for row, name in enumerate(names):
            ax = above = figure.add_subplot(rows[row, 0], sharex=above)
            grid, last = series.signal(drift, name), row == len(names) - 1
            image = cells(ax, axis, steps, grid, _depths(drift), span([grid]))
            block_axis(ax, drift.n_layers, relative=False)
            ax.set_ylabel("transition")
            axis.set(ax, label="training step" if last else "")
            ax.tick_params(axis="x", length=3.5 * last, labelbottom=last)
            ax.set_title(name, pad=4, parse_math=False)
            colour_bar(figure, image, _unit(drift, name), cax=figure.add_subplot(rows[row, 1]))
        figure.align_ylabels()
        set_title(figure, "Signals over training, each in its own unit", drift.model.name)
    return figure


def by_the_paper(drift: Drift) -> Figure | None:
    """`heat_map` by the paper's rule; None where it could be applied at no step."""
    return heat_map(drift, "paper") if "paper" in drift.rules else None


def _none(tracks: tuple[Track, ...]) -> str:
    """What is not there to be seen."""
    lacking = OUTCOME[True] if any(tracks) else "placed"
    return "" if any(t.accepted.any() for t in tracks) else f", no boundaries {lacking}"


def _depths(drift: Drift) -> Floats:
    """Edges of the cells of transitions."""
    return np.arange(drift.n_layers, dtype=np.float64) + 0.5


def _unit(drift: Drift, name: str) -> str:
    return next(point.signals[name].unit for point in drift.points if name in point.signals)


def _moves(ax: Any, steps: list[int], tracks: tuple[Track, ...]) -> None:
    """A strip with a triangle at each real move, up if the boundary went deeper."""
    size = float(np.clip(160 / len(steps), 4.0, 6.0))
    for row, track in enumerate(tracks):
        for sign, marker in ((1, "^"), (-1, "v")):
            at = [step for step, real in zip(steps, track.real.tolist(), strict=True) if sign * real > 0]
            look = {"linestyle": "", "marker": marker, "markersize": size, "markeredgewidth": 0}
            ax.plot(at, [row] * len(at), color=BOUNDARY_COLOURS[track.name], **look)
    ax.set_ylim(-0.6, len(tracks) - 0.4)
    ax.set_yticks(range(len(tracks)), [track.short for track in tracks], fontsize=7)
    ax.tick_params(which="both", length=0, labelbottom=False, pad=3)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    for row in range(len(tracks)):
        ax.axhline(row, color=GRID, linewidth=0.6, zorder=0)


def _move_handles(tracks: tuple[Track, ...]) -> list[Line2D]:
    """The legend of the strip, of the directions that occur."""
    look: dict[str, Any] = {"linestyle": "", "color": MUTED, "markersize": 6, "markeredgewidth": 0}
    kinds = ((1, "^", "real move, deeper"), (-1, "v", "real move, shallower"))
    return [
        Line2D([], [], marker=marker, label=text, **look)
        for sign, marker, text in kinds
        if any((sign * track.real > 0).any() for track in tracks)
    ]
