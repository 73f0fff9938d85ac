"""Several training runs side by side: a small heat map of evidence for each, all on the same axes and colours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mspgt.dynamics import series
from mspgt.dynamics.drawing import (
    Pen,
    boundary_handles,
    boundary_line,
    cells,
    colour_bar,
    interval_marks,
    loss_line,
    new_figure,
    span,
)
from mspgt.dynamics.schema import Recorded
from mspgt.dynamics.steps import StepAxis
from mspgt.errors import UserError
from mspgt.figures import STYLE
from mspgt.schema import RULES

COLUMNS = {1: 1, 2: 2, 4: 2}
"""runs -> panels in a row; three for any other number"""


def compare(drifts: Mapping[str, Recorded], rule: str = "mspgt") -> Figure:
    """Evidence and boundaries of each run over its steps, the training loss below each.

    Depth is relative, so that runs of models of different depth share the axis too.

    Parameters
    ----------
    drifts: name of the run -> its drift.
    rule: "mspgt" or "paper".

    Raises
    ------
    UserError: no runs, or one in which the rule could be applied at no step.
    """
    if not drifts:
        raise UserError("no drifts were given to compare; give a mapping from the name of each run to its drift.")
    grids = {name: series.evidence(recorded, rule) for name, recorded in drifts.items()}
    tracks = {name: series.tracks(recorded, rule) for name, recorded in drifts.items()}
    losses = {name: series.loss(recorded) for name, recorded in drifts.items()}
    axis = StepAxis(tuple(sorted({step for recorded in drifts.values() for step in recorded.steps.tolist()})))
    known = any(np.isfinite(loss).any() for loss in losses.values())
    columns = COLUMNS.get(len(drifts), 3)
    lines = math.ceil(len(drifts) / columns)
    heights = [2.2, 0.65][: 1 + known]
    pen = Pen(max(len(recorded.points) for recorded in drifts.values()), room=1 / columns)
    with mpl.rc_context(STYLE):
        figure = new_figure(0.6 + lines * (0.35 + sum(heights)))
        grid = figure.add_gridspec(lines * len(heights), columns, height_ratios=heights * lines)
        axes: list[Any] = []
        below: list[Any] = []
        for i, (name, recorded) in enumerate(drifts.items()):
            row, column = divmod(i, columns)
            first, last = column == 0, i + columns >= len(drifts)
            ax = figure.add_subplot(grid[len(heights) * row, column], **_shared(axes, axes))
            steps, own = recorded.steps.tolist(), replace(pen, per=recorded.n_layers)
            depths = (np.arange(recorded.n_layers) + 0.5) / recorded.n_layers
            image = cells(ax, axis, steps, grids[name], depths, span(grids.values()))
            for track in tracks[name]:
                interval_marks(ax, axis, steps, track, own)
                boundary_line(ax, steps, track, own)
            ax.set_title(textwrap.fill(name, 80 // columns, max_lines=2, placeholder="…"), pad=5, parse_math=False)
            axes.append(ax)
            if known:
                axis.set(ax, label="")
                ax.tick_params(axis="x", length=0, labelbottom=False)
                below.append(figure.add_subplot(grid[len(heights) * row + 1, column], **_shared(axes, below)))
                loss_line(below[-1], steps, losses[name], "loss" if first else "")
                below[-1].tick_params(labelleft=first)
            axes[-1].set_ylabel("relative depth" if first else "")
            axes[-1].tick_params(labelleft=first)
            lowest = [*axes, *below][-1]
            axis.set(lowest, room=pen.room, label="training step" if last else "")
            lowest.tick_params(axis="x", labelbottom=last)
        depth = max(recorded.n_layers for recorded in drifts.values())
        axes[0].set_ylim(0.5 / depth, 1 - 0.5 / depth)
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        figure.align_ylabels()
        colour_bar(figure, image, f"evidence by {RULES[rule]}", ax=[*axes, *below], aspect=22 * lines, pad=0.015)
        confidence = next(iter(drifts.values())).confidence
        handles = boundary_handles([track for found in tracks.values() for track in found], confidence, pen)
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _shared(across: list[Any], up: list[Any]) -> dict[str, Any]:
    """Axes that a new panel shares with the first ones."""
    return {"sharex": across[0] if across else None, "sharey": up[0] if up else None}
