"""What the figures of a drift share: size, title, cells of a heat map, boundaries over steps, the training loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mspgt.core.phrases import amount
from mspgt.show import drawing
from mspgt.show.drawing import BACKGROUND, BOUNDARY_COLOURS, GRID, INK, MUTED
from mspgt.show.drift.series import Track
from mspgt.show.drift.steps import StepAxis
from mspgt.stats.bootstrap import Floats
from mspgt.stats.boundaries import OUTCOME

COLOUR_MAP = "cividis"
"""even to the eye, the same to colour-blind readers, and brighter with the value in grey"""
MARKERS = dict(zip(BOUNDARY_COLOURS, "os", strict=True))
DENSE = 30
"""evaluations on the width of a page from which on intervals are a band instead of bars"""
DOTS = (0, (1.2, 1.6))
"""dashes between boundaries that were placed but not accepted"""


def new_figure(height: float) -> Figure:
    """An empty figure as wide as a page; inches."""
    figure = drawing.new_figure(7.4, height)
    figure.set_layout_engine("constrained", h_pad=0.03)
    return figure


def cells(ax: Any, axis: StepAxis, steps: Sequence[int], grid: Floats, depths: Floats, limits: Sequence[float]) -> Any:
    """Draw a heat map.

    Parameters
    ----------
    grid: (transition, point); NaN leaves its cell empty.
    depths: (transition + 1,) edges of the cells on the vertical axis.
    limits: values at both ends of the colour map.
    """
    ax.set_ylim(depths[0], depths[-1])
    low, high = limits
    return ax.pcolormesh(
        axis.edges(steps),
        depths,
        np.ma.masked_invalid(grid),
        cmap=COLOUR_MAP,
        vmin=low,
        vmax=high,
        rasterized=True,  # thousands of cells would swell an SVG
    )


def span(grids: Iterable[Floats]) -> tuple[float, float]:
    """Smallest and largest of all values."""
    values = np.concatenate([grid[np.isfinite(grid)] for grid in grids])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def colour_bar(figure: Figure, image: Any, label: str, **where: Any) -> None:
    """The colours' meaning, beside what it explains."""
    bar: Any = figure.colorbar(image, **where)
    bar.outline.set_visible(False)
    bar.solids.set_rasterized(True)
    bar.solids.set_edgecolor("face")
    bar.ax.tick_params(length=2, labelsize=8)
    bar.locator = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
    bar.update_ticks()
    bar.set_label(label, fontsize=8)


def block_axis(ax: Any, n_layers: int, *, relative: bool = True) -> None:
    """Transitions at the left, and relative depth at the right."""
    ax.yaxis.set_major_locator(MaxNLocator(min(n_layers, 10), integer=True, steps=[1, 2, 4, 5, 10]))
    ax.set_ylabel("transition (blocks below)")
    if relative:
        depth = ax.secondary_yaxis("right", functions=(lambda y: y / n_layers, lambda y: y * n_layers))
        depth.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        depth.set_yticks([0.25, 0.5, 0.75])
        depth.set_ylabel("relative depth", color=MUTED, fontsize=8)
        depth.tick_params(length=2, labelsize=8, labelcolor=MUTED)
        depth.spines["right"].set_visible(False)


@dataclass(frozen=True)
class Pen:
    """How thick and how close boundaries are drawn.

    Attributes
    ----------
    points: evaluations side by side.
    room: width of the axes over that of a page.
    per: blocks in a unit of the vertical axis; the number of blocks for relative depth.
    halo: set lines off from the colours below.
    """

    points: int
    room: float = 1
    per: float = 1
    halo: bool = True

    @property
    def dense(self) -> bool:
        """Whether bars would touch each other."""
        return self.points / self.room >= DENSE

    @property
    def size(self) -> float:
        """Size of markers."""
        return float(np.clip(130 * self.room / self.points, 2.2, 5.0))

    def around(self, width: float) -> list[Any]:
        """Path effects of a line so wide."""
        return [withStroke(linewidth=width + 1.6, foreground=BACKGROUND)] if self.halo else []


def boundary_line(ax: Any, steps: Sequence[int], track: Track, pen: Pen) -> None:
    """A boundary over steps; what was not accepted is dotted and hollow, gaps are gaps."""
    x, y = np.array(steps, dtype=np.float64), track.layer / pen.per
    colour = BOUNDARY_COLOURS[track.name]
    both, gap = track.accepted[:-1] & track.accepted[1:], np.full(len(x) - 1, np.nan)
    for firm, dashes in ((True, "-"), (False, DOTS)):
        ends = [np.where(both == firm, end, np.nan) for end in (y[:-1], y[1:])]
        along, up = np.stack([x[:-1], x[1:], x[1:]], 1), np.stack([*ends, gap], 1)
        ax.plot(along.ravel(), up.ravel(), color=colour, linewidth=1.3, linestyle=dashes, path_effects=pen.around(1.3))
    for firm, face in ((True, colour), (False, BACKGROUND)):
        kept = (track.accepted == firm) & np.isfinite(y)
        look = {"marker": MARKERS[track.name], "markersize": pen.size, "markeredgewidth": 0.28 * pen.size}
        fill = {"markerfacecolor": face, "markeredgecolor": colour}
        around = [] if pen.dense else pen.around(0.28 * pen.size)
        ax.plot(x[kept], y[kept], linestyle="", path_effects=around, zorder=4, **look, **fill)


def interval_marks(ax: Any, axis: StepAxis, steps: Sequence[int], track: Track, pen: Pen) -> None:
    """The intervals of a boundary: a bar at each step, or a band where bars would touch."""
    colour, kept = BOUNDARY_COLOURS[track.name], track.low < track.high
    low, high = (np.where(kept, end, np.nan) / pen.per for end in (track.low, track.high))
    if pen.dense:
        band: dict[str, Any] = {"edges": axis.edges(steps), "baseline": low, "color": colour}
        ax.stairs(high, fill=True, alpha=0.45, linewidth=0, **band)
        ax.stairs(high, linewidth=0.5, path_effects=pen.around(0.0), **band)
        return
    x = np.array(steps, dtype=np.float64)
    for firm, width in ((True, 2.0), (False, 1.0)):
        at = kept & (track.accepted == firm)
        ax.vlines(x[at], low[at], high[at], color=colour, linewidth=width, path_effects=pen.around(width), zorder=3)


def boundary_handles(tracks: Iterable[Track], confidence: float, pen: Pen) -> list[Artist]:
    """The legend of boundaries and intervals, of what is there to be seen."""
    drawn = [track for track in tracks if track]
    named = {track.name: track for track in drawn}
    look: dict[str, Any] = {"linewidth": 1.3, "markersize": 5}
    handles: list[Artist] = [
        Line2D([], [], color=BOUNDARY_COLOURS[name], marker=MARKERS[name], label=track.short, **look)
        for name, track in named.items()
    ]
    if any((np.isfinite(track.layer) & ~track.accepted).any() for track in drawn):
        hollow: dict[str, Any] = {"linestyle": DOTS, "marker": "o", "markerfacecolor": BACKGROUND}
        handles.append(Line2D([], [], color=MUTED, label=f"placed, {OUTCOME[False]}", **look, **hollow))
    if any((track.low < track.high).any() for track in drawn):
        bar: dict[str, Any] = {"linestyle": "", "marker": "|", "markersize": 10, "markeredgewidth": 2.0, "color": MUTED}
        label = f"{confidence:.0%} interval"
        handles.append(Patch(color=MUTED, alpha=0.45, label=label) if pen.dense else Line2D([], [], label=label, **bar))
    return handles


def loss_line(ax: Any, steps: Sequence[int], loss: Floats, label: str = "training loss") -> None:
    """The mean loss between every two evaluations."""
    size = float(np.clip(120 / max(len(steps), 1), 1.5, 3.0))
    ax.plot(steps, loss, color=MUTED, linewidth=1.2, drawstyle="steps-pre")
    ax.plot(steps, loss, color=INK, linestyle="", marker="o", markersize=size)
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: amount(y)))
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.margins(y=0.15)
    ax.set_ylabel(label)
    if not np.isfinite(loss).any():
        ax.text(0.5, 0.45, "not known", transform=ax.transAxes, ha="center", color=MUTED)
