"""Differences from the baseline over strengths and doses, a small panel for each metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mspgt.results.intervention import Behaviour
from mspgt.show.drawing import BACKGROUND, GRID, MARKERS, MUTED, STYLE, new_figure
from mspgt.show.intervention import prose
from mspgt.show.intervention.drawing import WIDTH, colour_of, head, signed, wrapped
from mspgt.stats.paired.conditions import Variant
from mspgt.stats.paired.records import Estimate

ORIGIN = Estimate(0.0, 0.0, 0.0)
DROWNED = 10
"""times the second largest difference, from which on the largest makes a panel logarithmic away from zero"""


def dose_response(behaviour: Behaviour) -> Figure | None:
    """Difference from the baseline over the strength, a panel per metric; None if there is one strength only.

    Lines begin at no disturbance and no difference.
    """
    variants = behaviour.strengths
    if not variants or not behaviour.metrics:
        return None
    strengths = [0.0, *(variant.sigma for variant in variants)]
    with mpl.rc_context(STYLE):
        figure, axes = _panels(behaviour)
        for ax, (name, metric) in zip(axes, behaviour.metrics.items(), strict=True):
            for marker, scale in zip(MARKERS, behaviour.scales, strict=False):
                line = [ORIGIN, *(_difference(behaviour, name, variant, scale) for variant in variants)]
                if not any(line[1:]):
                    continue
                values, lows, highs = (np.array([getattr(e, end) for e in line]) for end in ("value", "low", "high"))
                colour = colour_of(behaviour, scale)
                ax.fill_between(strengths, lows, highs, color=colour, alpha=0.16, linewidth=0)
                ax.plot(strengths, values, color=colour, marker=marker, markersize=3.5, linewidth=1.3)
            _strength_axis(ax, strengths)
            _panel(ax, name, prose.unit(name, metric))
        head(figure, behaviour, "Difference from the baseline over the strength (sigma)")
        handles = [
            Line2D([], [], color=colour_of(behaviour, scale), marker=marker, markersize=4, label=scale)
            for marker, scale in zip(MARKERS, behaviour.scales, strict=False)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def doses(behaviour: Behaviour) -> Figure | None:
    """Difference from the baseline as asked, at a matched dose and in random windows, a panel per metric.

    None if nothing stands beside what was asked for.
    """
    variants = behaviour.doses
    if not variants or not behaviour.metrics:
        return None
    scales = list(dict.fromkeys(scale for variant in variants for scale in variant.conditions))
    step = 0.7 / len(variants)
    with mpl.rc_context(STYLE):
        figure, axes = _panels(behaviour)
        for ax, (name, metric) in zip(axes, behaviour.metrics.items(), strict=True):
            for i, variant in enumerate(variants):
                for at, scale in enumerate(scales):
                    x = at + (i - (len(variants) - 1) / 2) * step
                    _point(ax, x, _difference(behaviour, name, variant, scale), colour_of(behaviour, scale), i)
            ax.set_xlim(-0.55, len(scales) - 0.45)
            ax.set_xticks(range(len(scales)), [wrapped(scale, 12) for scale in scales], parse_math=False)
            ax.tick_params(axis="x", length=0, labelsize=7.5)
            _panel(ax, name, prose.unit(name, metric))
        head(figure, behaviour, "Difference from the baseline by dose")
        handles = [
            Line2D([], [], linestyle="", **_look(MUTED, i), label=variant.label if i else f"as asked ({variant.label})")
            for i, variant in enumerate(variants)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _panels(behaviour: Behaviour) -> tuple[Figure, list[Any]]:
    """A small panel for each metric, three in a row."""
    count = len(behaviour.metrics)
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = new_figure(WIDTH, 0.8 + 1.7 * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in grid[count:]:
        ax.remove()
    return figure, grid[:count]


def _panel(ax: Any, name: str, unit: str) -> None:
    ax.set_title(wrapped(f"{name} ({unit})" if unit else name, 26), pad=5, parse_math=False)
    ax.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    _show_the_small(ax)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: signed(y)))
    ax.margins(y=0.12)
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in ax.lines[:-1]):
        ax.set_yticks([])
        ax.text(0.5, 0.6, "not measured", transform=ax.transAxes, ha="center", color=MUTED)


def _strength_axis(ax: Any, strengths: Sequence[float]) -> None:
    """Ticks at zero and the strengths that were tried, as many as have room; logarithmic where they span much."""
    ax.update_datalim([(s, 0.0) for s in strengths])
    positive = [s for s in strengths if s > 0]
    if positive and max(positive) / min(positive) > 3:
        ax.set_xscale("symlog", linthresh=min(positive), linscale=0.5)
        ax.set_xlabel("sigma, logarithmic", fontsize=7.5)
    else:
        ax.set_xlabel("sigma", fontsize=7.5)
    places = ax.xaxis.get_transform().transform(np.asarray(strengths))
    room = 0.14 * float(np.ptp(places))
    ticks: list[int] = []
    for i in np.argsort(places)[::-1].tolist():
        if not ticks or places[ticks[-1]] - places[i] >= room:
            ticks.append(i)
    ax.xaxis.set_major_locator(FixedLocator([strengths[i] for i in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _show_the_small(ax: Any) -> None:
    """A logarithmic axis away from zero where one value drowns the rest."""
    sizes = sorted({abs(float(y)) for line in ax.lines for y in line.get_ydata() if np.isfinite(y) and y})
    if len(sizes) < 3 or sizes[-1] <= DROWNED * sizes[-2]:
        return
    small, large = (10.0 ** math.floor(math.log10(size)) for size in sizes[-2:])
    ax.set_yscale("symlog", linthresh=small)
    low, high = ax.get_ylim()
    ticks = [tick for tick in (-large, -small, 0.0, small, large) if low <= tick <= high]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())


def _point(ax: Any, x: float, estimate: Estimate, colour: str, kind: int) -> None:
    if not estimate:
        return
    if estimate.has_interval:
        ax.plot([x, x], [estimate.low, estimate.high], color=colour, linewidth=1.1, solid_capstyle="butt")
    ax.plot([x], [estimate.value], linestyle="", **_look(colour, kind), zorder=3)


def _look(colour: str, kind: int) -> dict[str, Any]:
    """Filled for what was asked for, hollow for what stands beside it."""
    return {
        "marker": MARKERS[kind % len(MARKERS)],
        "markersize": 4.5,
        "markeredgecolor": colour,
        "markerfacecolor": BACKGROUND if kind else colour,
        "markeredgewidth": 1.1,
    }


def _difference(behaviour: Behaviour, metric: str, variant: Variant, scale: str) -> Estimate:
    condition = variant.conditions.get(scale)
    return Estimate() if condition is None else behaviour.effect(metric, condition).difference
