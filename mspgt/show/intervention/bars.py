"""Changes by metric and scale as bars, in percent and in standard deviations (the paper's Figures 7-9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mspgt.core.phrases import percentage
from mspgt.results.intervention import Behaviour
from mspgt.show.drawing import BACKGROUND, GRID, INK, MUTED, STYLE, new_figure
from mspgt.show.intervention.drawing import WIDTH, colour_of, head, signed, wrapped
from mspgt.stats.paired.records import Effect, Estimate


def changes(behaviour: Behaviour) -> Figure | None:
    """Change of each metric by scale, in percent and in standard deviations, with intervals and stars.

    Bars and intervals that would dwarf all others are cut and bear their numbers. None if there is nothing to draw.
    """
    if not behaviour.scales or not behaviour.metrics:
        return None
    names = list(behaviour.metrics)
    with mpl.rc_context(STYLE):
        figure = new_figure(WIDTH, 1.15 + 0.56 * len(names))
        percent, standard = figure.subplots(1, 2, sharey=True)
        _bars(percent, behaviour, lambda effect: effect.percent or Estimate(), _signed_percentage, "undefined")
        _bars(standard, behaviour, lambda effect: effect.standardised, signed, "not defined")
        percent.set_xlabel("change from the baseline (%)")
        standard.set_xlabel("change in standard deviations ($d_z$)", parse_math=True)
        percent.set_yticks(range(len(names)), [wrapped(name, 18) for name in names], parse_math=False)
        percent.set_ylim(len(names) - 0.45, -0.55)
        head(figure, behaviour, "What disturbing each scale changes")
        scales = [Patch(facecolor=colour_of(behaviour, scale), label=scale) for scale in behaviour.scales]
        interval = Line2D([], [], color=INK, linewidth=0.9, label=f"{behaviour.confidence:.0%} interval")
        figure.legend(handles=[*scales, interval], loc="outside lower center", ncols=len(scales) + 1)
    return figure


def _bars(
    ax: Any,
    behaviour: Behaviour,
    get: Callable[[Effect], Estimate],
    show: Callable[[float], str],
    missing: str,
) -> None:
    """Horizontal bars, a group per metric; what is missing is said where its bar would be."""
    conditions = behaviour.scales
    effects = {name: [behaviour.effect(name, c) for c in conditions.values()] for name in behaviour.metrics}
    limit = _limit(_reach(get(effect)) for group in effects.values() for effect in group)
    height = 0.78 / len(conditions)
    reach, any_cut = [0.0], False
    for row, group in enumerate(effects.values()):
        if not any(map(get, group)):
            _say(ax, 0.0, row, missing)
            continue
        for i, (effect, scale) in enumerate(zip(group, conditions, strict=True)):
            y = row + (i - (len(conditions) - 1) / 2) * height
            estimate = get(effect)
            if not estimate:
                _say(ax, 0.0, y, missing)
                continue
            end = float(np.clip(estimate.value, -limit, limit))
            cut = _reach(estimate) > limit
            any_cut |= cut
            ax.barh(y, end, 0.88 * height, color=colour_of(behaviour, scale), linewidth=0)
            tip = end
            if end != estimate.value:
                _cut(ax, 0.93 * end, y, height)
            if estimate.has_interval and not cut:
                ax.plot([estimate.low, estimate.high], [y, y], color=INK, linewidth=0.9, solid_capstyle="butt")
                tip = estimate.high if end > 0 else estimate.low
                reach += [estimate.low, estimate.high]
            text = f"{_numbers(estimate, show)} {effect.stars}".rstrip() if cut else effect.stars
            if text:
                _say(ax, tip, y, text, left=end < 0, colour=INK, size=6.5)
            reach.append(tip)
    _bar_axis(ax, reach, len(effects), room=0.3 if any_cut else 0.14)


def _reach(estimate: Estimate) -> float:
    """How far from zero a bar and its interval go."""
    ends = (estimate.low, estimate.high) if estimate.has_interval else ()
    return max(abs(value) for value in (estimate.value, *ends)) if estimate else 0.0


def _numbers(estimate: Estimate, show: Callable[[float], str]) -> str:
    """A number with its interval."""
    if not estimate.has_interval:
        return show(estimate.value)
    return f"{show(estimate.value)} [{show(estimate.low)}, {show(estimate.high)}]"


def _limit(values: Iterable[float]) -> float:
    """Where bars are cut: nowhere, unless at most a quarter of them go over twice as far as the farthest other."""
    sizes = sorted(abs(value) for value in values if math.isfinite(value) and value)
    for i in range(len(sizes) - max(1, len(sizes) // 4), len(sizes)):
        if i > 0 and sizes[i] > 2 * sizes[i - 1]:
            return 1.15 * sizes[i - 1]
    return sizes[-1] if sizes else 1.0


def _cut(ax: Any, x: float, y: float, height: float) -> None:
    """The mark of a bar that goes on: a slanted gap through it."""
    ax.plot([x], [y], marker=(2, 0, -25), markersize=24 * height, color=BACKGROUND, markeredgewidth=2.2, zorder=4)


def _say(ax: Any, x: float, y: float, text: str, *, left: bool = False, colour: str = MUTED, size: float = 7) -> None:
    ax.annotate(
        text,
        (x, y),
        xytext=(-3 if left else 3, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center_baseline",
        color=colour,
        fontsize=size,
        annotation_clip=False,
    )


def _bar_axis(ax: Any, reach: Sequence[float], rows: int, room: float) -> None:
    low, high = min(reach), max(reach)
    room *= (high - low) or 1.0  # for stars and numbers
    ax.set_xlim(low - room if low < 0 else -0.1 * room, high + room)
    ax.axvline(0, color=MUTED, linewidth=0.7)
    for row in range(1, rows):
        ax.axhline(row - 0.5, color=GRID, linewidth=0.6, zorder=0)
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: signed(x)))


def _signed_percentage(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{percentage(value)}"
