"""What all figures share: colours, style, size, curves with their bands, axes over depth, looks of boundaries.

Colours are Okabe & Ito's, told apart by colour-blind readers and, with the markers, in black and white. Everything is
drawn through matplotlib's object interface, so there is no global state.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mspgt.stats.curve import Curve

INK, MUTED, GRID, BACKGROUND = "#16191d", "#5f6770", "#e3e6ea", "#ffffff"
SIGNAL_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#8c6d31")
BOUNDARY_COLOURS = {"local-intermediate": "#c8202f", "intermediate-global": "#7b3fa0"}
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.parse_math": False,  # names of models, tasks and conditions are texts
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.facecolor": BACKGROUND,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.solid_capstyle": "round",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_title(figure: Figure, text: str, model: str, *marks: str) -> None:
    """Head the figure by what it shows, the model, and marks."""
    name = model if len(model) <= 60 else model[:59] + "…"
    whole = textwrap.fill(" · ".join((text, name, *marks)), 84)
    figure.suptitle(whole, x=0.01, ha="left", fontsize=9, fontweight="bold", parse_math=False)


def curve_line(ax: Any, curve: Curve, colour: str, marker: str, label: str, band: float, width: float = 1.3) -> None:
    """A curve, and its interval as a band of that opacity."""
    if curve.has_intervals:
        ax.fill_between(curve.transition, curve.low, curve.high, color=colour, alpha=band, linewidth=0)
    ax.plot(
        curve.transition,
        curve.value,
        color=colour,
        linewidth=width,
        marker=marker or None,
        markersize=marker_size(len(curve.transition)),
        label=label,
        zorder=4 if width > 2 else 3,
    )


def marker_size(points: int) -> float:
    """Smaller, the more points there are on a line."""
    return float(np.clip(120 / max(points, 1), 2.0, 4.0))


def boundary_look(name: str, accepted: bool) -> dict[str, Any]:
    """How the line of a boundary looks; what was not accepted is lighter and dotted."""
    return {
        "color": BOUNDARY_COLOURS[name],
        "linestyle": (0, (5, 2.5)) if accepted else (0, (1, 2.2)),
        "alpha": 1.0 if accepted else 0.6,
    }


def transition_axis(ax: Any, n_layers: int) -> None:
    """Transitions from left to right, the whole depth of the model."""
    ax.set_xlim(0, n_layers)
    ax.xaxis.set_major_locator(MaxNLocator(min(n_layers, 16), integer=True, steps=[1, 2, 4, 5, 10]))
    ax.set_xlabel("transition (blocks below)")
