"""Figures of an intervention experiment: changes (the paper's Figures 7-9), dose and response, doses compared.

Everything is drawn from interventions.json alone, in the style of the other figures, and the same experiment gives
the same bytes. Blue is local, orange intermediate, green global, as in the paper.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mspgt.behaviour.conditions import Variant
from mspgt.behaviour.effects import Effect, Estimate
from mspgt.behaviour.schema import Behaviour
from mspgt.behaviour.wording import amount, percentage
from mspgt.figures import GRID, INK, MUTED, PAPER, SIGNAL_COLOURS, STYLE, png, svg
from mspgt.files import write_atomically

COLOURS = {"local": SIGNAL_COLOURS[0], "intermediate": SIGNAL_COLOURS[2], "global": SIGNAL_COLOURS[1]}
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 7.4


def changes(behaviour: Behaviour) -> Figure | None:
    """Change of each metric by scale, in percent and in standard deviations, with intervals and stars.

    Bars that would dwarf all others are cut and bear their number. None if there is nothing to draw.
    """
    if not behaviour.variants or not behaviour.metrics:
        return None
    names = list(behaviour.metrics)
    with mpl.rc_context(STYLE):
        figure = _figure(1.15 + 0.56 * len(names))
        percent, standard = figure.subplots(1, 2, sharey=True)
        _bars(percent, behaviour, lambda effect: effect.percent, _signed_percentage, "undefined")
        _bars(standard, behaviour, lambda effect: effect.d_z, _signed, "not defined")
        percent.set_xlabel("change from the baseline (%)")
        standard.set_xlabel("change in standard deviations ($d_z$)")
        percent.set_yticks(range(len(names)), [_wrapped(name, 18) for name in names], parse_math=False)
        percent.set_ylim(len(names) - 0.45, -0.55)
        _title(figure, behaviour, "What disturbing each scale changes")
        scales = [Patch(facecolor=_colour(behaviour, scale), label=scale) for scale in behaviour.scales]
        interval = Line2D([], [], color=INK, linewidth=0.9, label=f"{behaviour.confidence:.0%} interval")
        figure.legend(handles=[*scales, interval], loc="outside lower center", ncols=len(scales) + 1)
    return figure


def dose_response(behaviour: Behaviour) -> Figure | None:
    """Difference from the baseline over the strength, a panel per metric; None if there is one strength only."""
    variants = behaviour.strengths
    if not variants or not behaviour.metrics:
        return None
    strengths = [variant.strength or 0.0 for variant in variants]
    with mpl.rc_context(STYLE):
        figure, axes = _panels(behaviour)
        for ax, (name, metric) in zip(axes, behaviour.metrics.items(), strict=True):
            for marker, scale in zip(MARKERS, behaviour.scales, strict=False):
                line = [_difference(behaviour, name, variant, scale) for variant in variants]
                values, lows, highs = (np.array([getattr(e, end) for e in line]) for end in ("value", "low", "high"))
                colour = _colour(behaviour, scale)
                ax.fill_between(strengths, lows, highs, color=colour, alpha=0.16, linewidth=0)
                ax.plot(strengths, values, color=colour, marker=marker, markersize=3.5, linewidth=1.3)
            _strength_axis(ax, strengths)
            _panel(ax, name, metric.unit)
        _title(figure, behaviour, "Difference from the baseline over the strength (sigma)")
        handles = [
            Line2D([], [], color=_colour(behaviour, scale), marker=marker, markersize=4, label=scale)
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
                    _point(ax, x, _difference(behaviour, name, variant, scale), _colour(behaviour, scale), i)
            ax.set_xlim(-0.55, len(scales) - 0.45)
            ax.set_xticks(range(len(scales)), [_wrapped(scale, 12) for scale in scales], parse_math=False)
            ax.tick_params(axis="x", length=0, labelsize=7.5)
            _panel(ax, name, metric.unit)
        _title(figure, behaviour, "Difference from the baseline by dose")
        handles = [
            Line2D([], [], linestyle="", **_look(MUTED, i), label=variant.label if i else f"as asked ({variant.label})")
            for i, variant in enumerate(variants)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


MAKERS: dict[str, Callable[[Behaviour], Figure | None]] = {
    "changes": changes,
    "dose-response": dose_response,
    "doses": doses,
}


def figures(behaviour: Behaviour) -> dict[str, Figure]:
    """Every figure that this experiment can show, by file name."""
    drawn = {name: make(behaviour) for name, make in MAKERS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(behaviour: Behaviour, directory: Path) -> None:
    """Write every figure as SVG and PNG; MachineError if the directory cannot be written."""
    for name, figure in figures(behaviour).items():
        write_atomically(directory / f"{name}.svg", svg(figure, name))
        write_atomically(directory / f"{name}.png", png(figure))


# -------------------------------------------------------------------------------------------------------- bars


def _bars(
    ax: Any,
    behaviour: Behaviour,
    get: Callable[[Effect], Estimate],
    show: Callable[[float], str],
    missing: str,
) -> None:
    """Horizontal bars, a group per metric; what is missing is said where its bar would be."""
    conditions = behaviour.variants[0].conditions
    effects = {name: [behaviour.effect(name, c) for c in conditions.values()] for name in behaviour.metrics}
    limit = _limit(get(effect).value for group in effects.values() for effect in group)
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
            cut = end != estimate.value
            any_cut |= cut
            ax.barh(y, end, 0.88 * height, color=_colour(behaviour, scale), linewidth=0)
            tip = end
            if cut:
                _cut(ax, 0.93 * end, y, height)
            elif estimate.has_interval:
                low, high = (float(np.clip(v, -1.25 * limit, 1.25 * limit)) for v in (estimate.low, estimate.high))
                ax.plot([low, high], [y, y], color=INK, linewidth=0.9, solid_capstyle="butt")
                tip = high if end > 0 else low
            text = f"{show(estimate.value)} {effect.stars}".rstrip() if cut else effect.stars
            if text:
                _say(ax, tip, y, text, left=end < 0, colour=INK, size=6.5)
            reach.append(tip)
    _bar_axis(ax, reach, len(effects), room=0.3 if any_cut else 0.14)


def _limit(values: Iterable[float]) -> float:
    """Where bars are cut: nowhere, unless at most a quarter of them are over twice as long as the longest other."""
    sizes = sorted(abs(value) for value in values if math.isfinite(value) and value)
    for i in range(len(sizes) - max(1, len(sizes) // 4), len(sizes)):
        if i > 0 and sizes[i] > 2 * sizes[i - 1]:
            return 1.15 * sizes[i - 1]
    return sizes[-1] if sizes else 1.0


def _cut(ax: Any, x: float, y: float, height: float) -> None:
    """The mark of a bar that goes on: a slanted gap through it."""
    ax.plot([x], [y], marker=(2, 0, -25), markersize=24 * height, color=PAPER, markeredgewidth=2.2, zorder=4)


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
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _signed(x)))


def _signed_percentage(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{percentage(value)}"


def _signed(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{'+' if value > 0 else '−'}{amount(abs(value))}"


# ------------------------------------------------------------------------------------------------------ panels


def _panels(behaviour: Behaviour) -> tuple[Figure, list[Any]]:
    """A small panel for each metric, three in a row."""
    count = len(behaviour.metrics)
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = _figure(0.8 + 1.7 * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in grid[count:]:
        ax.remove()
    return figure, grid[:count]


def _panel(ax: Any, name: str, unit: str) -> None:
    ax.set_title(_wrapped(f"{name} ({unit})" if unit else name, 26), pad=5, parse_math=False)
    ax.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3, steps=[1, 2, 2.5, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _signed(y)))
    ax.margins(y=0.12)
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in ax.lines[:-1]):
        ax.set_yticks([])
        ax.text(0.5, 0.6, "not measured", transform=ax.transAxes, ha="center", color=MUTED)


def _strength_axis(ax: Any, strengths: Sequence[float]) -> None:
    """Ticks at the strengths that were tried, as many as have room; logarithmic where they span much."""
    ax.update_datalim([(s, 0.0) for s in strengths])
    positive = all(s > 0 for s in strengths)
    if positive and max(strengths) / min(strengths) > 3:
        ax.set_xscale("log")
    places = np.log(strengths) if ax.get_xscale() == "log" else np.asarray(strengths)
    room = 0.14 * float(np.ptp(places))
    ticks: list[int] = []
    for i in np.argsort(places)[::-1].tolist():
        if not ticks or places[ticks[-1]] - places[i] >= room:
            ticks.append(i)
    ax.xaxis.set_major_locator(FixedLocator([strengths[i] for i in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


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
        "markerfacecolor": PAPER if kind else colour,
        "markeredgewidth": 1.1,
    }


def _difference(behaviour: Behaviour, metric: str, variant: Variant, scale: str) -> Estimate:
    condition = variant.conditions.get(scale)
    return Estimate() if condition is None else behaviour.effect(metric, condition).difference


# ------------------------------------------------------------------------------------------------------ pieces


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _title(figure: Figure, behaviour: Behaviour, text: str) -> None:
    mark = "" if behaviour.accepted else " · boundaries not accepted"
    title = f"{text} · {textwrap.shorten(behaviour.model, 60, placeholder='…')}{mark}"
    figure.suptitle(textwrap.fill(title, 84), x=0.01, ha="left", fontsize=9, fontweight="bold", parse_math=False)


def _colour(behaviour: Behaviour, scale: str) -> str:
    if scale in COLOURS:
        return COLOURS[scale]
    others = [name for name in behaviour.conditions if name not in COLOURS]
    return SIGNAL_COLOURS[3 + others.index(scale) % 3]


def _wrapped(name: str, width: int) -> str:
    """A name in at most two lines, broken after underscores if it is long."""
    lines = textwrap.wrap(name.replace("_", "_ "), width, break_on_hyphens=True)
    lines = [line.replace("_ ", "_") for line in lines]
    return "\n".join([lines[0], lines[1][: width - 1] + "…"] if len(lines) > 2 else lines)
