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

from mspgt.core.errors import UserError
from mspgt.results.drift import Drift
from mspgt.show import wording
from mspgt.show.drawing import STYLE
from mspgt.show.drift import series
from mspgt.show.drift.drawing import (
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
from mspgt.show.drift.steps import StepAxis

COLUMNS = {1: 1, 2: 2, 4: 2}
"""runs -> panels in a row; three for any other number"""


def compare(drifts: Mapping[str, Drift], rule: str = "mspgt") -> Figure:
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
    columns = COLUMNS.get(len(drifts), 3)
    lines = math.ceil(len(drifts) / columns)
    runs = [_Training(name, drift, rule) for name, drift in drifts.items()]
    known = any(np.isfinite(run.loss).any() for run in runs)
    heights = [2.2, 0.65][: 1 + known]
    axis = StepAxis(tuple(sorted({step for run in runs for step in run.steps})))
    pen = Pen(max(len(run.steps) for run in runs), room=1 / columns)
    limits = span(run.grid for run in runs)
    with mpl.rc_context(STYLE):
        figure = new_figure(0.6 + lines * (0.35 + sum(heights)))
        rows = figure.add_gridspec(lines * len(heights), columns, height_ratios=heights * lines)
        panels: list[list[Any]] = [[] for _ in heights]
        for i, run in enumerate(runs):
            line, column = divmod(i, columns)
            for kind, axes in enumerate(panels):
                shared = {"sharex": panels[0][0] if panels[0] else None, "sharey": axes[0] if axes else None}
                axes.append(figure.add_subplot(rows[len(heights) * line + kind, column], **shared))
                axis.set(axes[-1], room=pen.room, label="")
                axes[-1].tick_params(labelleft=column == 0, labelbottom=False)
            image = run.draw(panels[0][-1], axis, limits, pen)
            panels[0][-1].set_title(_title(run.name, columns), pad=5, parse_math=False)
            if known:
                loss_line(panels[1][-1], run.steps, run.loss, "")
                panels[0][-1].tick_params(axis="x", length=0)
            if i + columns >= len(runs):
                panels[-1][-1].tick_params(labelbottom=True)
                panels[-1][-1].set_xlabel("training step")
        for axes, label in zip(panels, ("relative depth", "loss"), strict=False):
            for ax in axes[::columns]:
                ax.set_ylabel(label)
        _depth_axis(panels[0][0], max(run.depth for run in runs))
        figure.align_ylabels()
        every = [ax for axes in panels for ax in axes]
        colour_bar(figure, image, f"evidence by {wording.title(rule)}", ax=every, aspect=22 * lines, pad=0.015)
        handles = boundary_handles([track for run in runs for track in run.tracks], runs[0].confidence, pen)
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


class _Training:
    """What a panel shows."""

    def __init__(self, name: str, drift: Drift, rule: str) -> None:
        self.name, self.depth, self.confidence = name, drift.n_layers, drift.confidence
        self.steps: list[int] = drift.steps.tolist()
        self.grid, self.tracks = series.evidence(drift, rule), series.tracks(drift, rule)
        self.loss = series.loss(drift)

    def draw(self, ax: Any, axis: StepAxis, limits: tuple[float, float], pen: Pen) -> Any:
        """Evidence and boundaries; returns the heat map."""
        own = replace(pen, per=self.depth)
        edges = (np.arange(self.depth, dtype=np.float64) + 0.5) / self.depth
        image = cells(ax, axis, self.steps, self.grid, edges, limits)
        for track in self.tracks:
            interval_marks(ax, axis, self.steps, track, own)
            boundary_line(ax, self.steps, track, own)
        return image


def _title(name: str, columns: int) -> str:
    return textwrap.fill(name, 80 // columns, max_lines=2, placeholder="…")


def _depth_axis(ax: Any, depth: int) -> None:
    """From the first transition of the deepest model to its last."""
    ax.set_ylim(0.5 / depth, 1 - 0.5 / depth)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
