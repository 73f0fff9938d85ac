"""Relative depth of both boundaries over training steps, by both rules side by side."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mspgt.results.drift import Drift
from mspgt.show import wording
from mspgt.show.drawing import GRID, MUTED, STYLE, set_title
from mspgt.show.drift import series
from mspgt.show.drift.drawing import Pen, boundary_handles, boundary_line, interval_marks, new_figure
from mspgt.show.drift.steps import StepAxis


def boundaries(drift: Drift) -> Figure | None:
    """Relative depth of L-I and I-G with their intervals, a panel per rule; None if none were ever placed."""
    by_rule = {rule: series.tracks(drift, rule) for rule in drift.rules}
    drawn = [track for tracks in by_rule.values() for track in tracks if track]
    if not drawn:
        return None
    pen = Pen(len(drift.points), room=1 / len(by_rule), per=drift.n_layers, halo=False)
    steps, axis = drift.steps.tolist(), StepAxis(tuple(drift.steps.tolist()))
    with mpl.rc_context(STYLE):
        figure = new_figure(3.3)
        axes = figure.subplots(1, len(by_rule), sharey=True, squeeze=False)[0]
        for ax, (rule, tracks) in zip(axes, by_rule.items(), strict=True):
            for track in tracks:
                interval_marks(ax, axis, steps, track, pen)
                boundary_line(ax, steps, track, pen)
            ax.grid(axis="y", color=GRID, linewidth=0.6)
            ax.set_axisbelow(True)
            axis.set(ax, room=pen.room)
            ax.set_title(wording.title(rule), pad=5)
            if not any(tracks):
                ax.text(0.5, 0.5, "no boundaries placed", transform=ax.transAxes, ha="center", color=MUTED)
        axes[0].set_ylim(0, 1)
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        axes[0].set_ylabel("relative depth")
        set_title(figure, "Boundaries over training", drift.model.name)
        handles = boundary_handles(drawn, drift.confidence, pen)
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
