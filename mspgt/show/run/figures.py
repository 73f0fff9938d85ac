"""Figures of a result: evidence with its boundaries (the paper's Figures 3-6), raw signals, CKA matrix, probe F1.

Everything is drawn from result.json alone, through matplotlib's object interface (no global state), and the
same result gives the same bytes. Colours are Okabe & Ito's, told apart by colour-blind readers and, with the
markers, in black and white.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from mspgt.core.errors import unknown
from mspgt.core.files import write_atomically
from mspgt.results.schema import RULES, Boundary, Curve, Findings, Verdict
from mspgt.show.details import Curves, sort_details
from mspgt.stats.boundaries.fusion import NORMALISATIONS, fill

INK, MUTED, GRID, PAPER = "#16191d", "#5f6770", "#e3e6ea", "#ffffff"
SIGNAL_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#8c6d31")
BOUNDARY_COLOURS = {"local-intermediate": "#c8202f", "intermediate-global": "#7b3fa0"}
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
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
    "figure.facecolor": PAPER,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.solid_capstyle": "round",
}
Array = NDArray[np.float64]


def evidence(result: Findings, rule: str = "mspgt", ax: Any = None) -> Figure:
    """Normalised signals, the combined evidence in bold with its band, and the boundaries with their intervals.

    Parameters
    ----------
    rule: whose evidence and boundaries, "mspgt" or "paper".
    ax: axes to draw into; a new figure without them.
    """
    verdict = result.verdict(rule)
    with mpl.rc_context(STYLE):
        if ax is None:
            ax = _figure(7.4, 4.1).add_subplot()
        for curve, colour, marker in _coloured(result):
            if curve.name in verdict.weights:
                label = f"{curve.name} (×{verdict.weights[curve.name]:g})"
                _line(ax, _normalised(curve, verdict.normalisation), colour, marker, label, band=0.16)
        _line(ax, verdict.evidence, INK, "", "combined evidence", band=0.13, width=2.6)
        top = _highest(verdict.evidence)
        ax.set_ylim(-0.09 * top, top * (1.24 if verdict.boundaries else 1.05))
        _layer_axis(ax, result.n_layers)
        for row, boundary in enumerate(verdict.boundaries):
            _boundary(ax, boundary, row)
        _scales(ax, verdict, result.n_layers)
        ax.set_ylabel("normalised signals and evidence")
        ax.set_title(f"{result.model} · {RULES[rule]}: {_outcome(verdict)}", pad=30, fontweight="bold")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=min(4, len(verdict.weights) + 1))
    return _of(ax)


def signals(result: Findings) -> Figure:
    """Each signal in its own unit with its intervals, one above the other."""
    curves = _coloured(result)
    with mpl.rc_context(STYLE):
        figure = _figure(7.4, 0.9 + 1.35 * max(1, len(curves)))
        axes = figure.subplots(max(1, len(curves)), 1, sharex=True, squeeze=False)[:, 0]
        for ax, (curve, colour, marker) in zip(axes, curves, strict=False):
            _line(ax, curve, colour, marker, curve.name, band=0.22, width=1.6)
            ax.set_title(_signal_title(curve), pad=4)
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            ax.grid(axis="y", color=GRID, linewidth=0.6)
            for boundary in result.verdict().boundaries:
                ax.axvline(boundary.layer, **_dashes(boundary), linewidth=1.0)
            ax.set_xlim(0, result.n_layers)
        _transition_ticks(axes[-1], result.n_layers)
        figure.align_ylabels(axes)
    return figure


def cka_matrix(result: Findings) -> Figure | None:
    """CKA between every two blocks as a heat map, if a signal's details hold a square `matrix`; else None."""
    values = _matrix(result)
    if values is None:
        return None
    n = len(values)
    first = 0 if n == result.n_layers + 1 else 1  # with or without the embeddings
    edges = (first - 0.5, first + n - 0.5)
    with mpl.rc_context({**STYLE, "axes.spines.top": True, "axes.spines.right": True}):
        figure = _figure(4.9, 4.2)
        ax = figure.add_subplot()
        image = ax.imshow(values, origin="lower", cmap="cividis", extent=(*edges, *edges), vmax=1.0)
        for boundary in result.boundaries:
            at = boundary.layer + 0.5
            for line in (ax.axvline, ax.axhline):
                line(at, **_dashes(boundary) | {"color": PAPER}, linewidth=1.0)
        ax.set_xlabel("block")
        ax.set_ylabel("block")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_title("Similarity of blocks (CKA)", pad=8, fontweight="bold")
        bar = figure.colorbar(image, ax=ax, shrink=0.9)
        bar.outline.set_visible(False)
    return figure


def task_f1(result: Findings) -> Figure | None:
    """F1 of probes at each block by task, if a signal's details hold curves over blocks named `f1`; else None."""
    curves = _f1(result)
    if curves is None:
        return None
    with mpl.rc_context(STYLE):
        figure = _figure(4.9, 4.2)
        ax = figure.add_subplot()
        looks = zip(cycle(SIGNAL_COLOURS), cycle(MARKERS), strict=False)
        for (task, f1), (colour, marker) in zip(curves.columns.items(), looks, strict=False):
            block = np.arange(curves.first, curves.first + len(f1))
            size = _marker_size(len(f1))
            ax.plot(block, _array(f1), color=colour, marker=marker, markersize=size, label=task)
        for boundary in result.boundaries:
            ax.axvline(boundary.layer + 0.5, **_dashes(boundary), linewidth=1.0)
        ax.set_ylim(0, 1)
        ax.grid(axis="y", color=GRID, linewidth=0.6)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_xlabel("block")
        ax.set_ylabel("F1 on held-out documents")
        ax.set_title("What probes read from each block", pad=8, fontweight="bold")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
    return figure


def figures(result: Findings) -> dict[str, Figure]:
    """Every figure that this result can show, by file name."""
    drawn: dict[str, Figure | None] = {}
    for verdict in result.rules:
        drawn["evidence" if verdict.rule == "mspgt" else f"evidence-{verdict.rule}"] = evidence(result, verdict.rule)
    makers: dict[str, Callable[[Findings], Figure | None]] = {
        "signals": signals,
        "cka-matrix": cka_matrix,
        "probe-f1": task_f1,
    }
    drawn |= {name: make(result) for name, make in makers.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(result: Findings, directory: Path) -> None:
    """Write every figure as SVG and PNG; MachineError if the directory cannot be written."""
    for name, figure in figures(result).items():
        write_atomically(directory / f"{name}.svg", svg(figure, name))
        write_atomically(directory / f"{name}.png", png(figure))


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element, the same for the same figure; `name` keeps its ids apart from others'."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, dpi=200)
    return text.getvalue()[text.getvalue().index("<svg") :]


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 200 dots per inch."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=200, metadata={"Software": None})
    return raw.getvalue()


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _of(ax: Any) -> Figure:
    figure: Figure = ax.figure
    return figure


def _coloured(result: Findings) -> list[tuple[Curve, str, str]]:
    return list(zip(result.signals.values(), cycle(SIGNAL_COLOURS), cycle(MARKERS), strict=False))


def _line(ax: Any, curve: Curve, colour: str, marker: str, label: str, *, band: float, width: float = 1.3) -> None:
    if curve.has_intervals:
        ax.fill_between(curve.transition, curve.low, curve.high, color=colour, alpha=band, linewidth=0)
    size = _marker_size(len(curve.transition))
    heavy = 4 if width > 2 else 3
    ax.plot(
        curve.transition,
        curve.value,
        color=colour,
        linewidth=width,
        marker=marker or None,
        markersize=size,
        label=label,
        zorder=heavy,
    )


def _marker_size(points: int) -> float:
    return float(np.clip(120 / max(points, 1), 2.0, 4.0))


def _boundary(ax: Any, boundary: Boundary, row: int) -> None:
    """A vertical line with the interval shaded and a label; what was not accepted is lighter and dotted."""
    colour = BOUNDARY_COLOURS[boundary.name]
    if boundary.ci is not None:
        ax.axvspan(*boundary.ci, color=colour, alpha=0.13 if boundary.accepted else 0.06, linewidth=0)
    ax.axvline(boundary.layer, **_dashes(boundary), linewidth=1.6, zorder=2)
    right = boundary.layer <= 0.55 * boundary.n_layers
    interval = f" {boundary.interval}" if boundary.ci is not None else ""
    ax.annotate(
        f"{boundary.short} {boundary.layer}{interval}" + ("" if boundary.accepted else f", {boundary.verdict}"),
        (boundary.layer, 0.985 - 0.068 * row),
        xycoords=("data", "axes fraction"),
        xytext=(5 if right else -5, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
        color=colour,
        fontweight="bold" if boundary.accepted else "normal",
        zorder=6,
    )


def _dashes(boundary: Boundary) -> dict[str, Any]:
    accepted = boundary.accepted
    return {
        "color": BOUNDARY_COLOURS[boundary.name],
        "linestyle": (0, (5, 2.5)) if accepted else (0, (1, 2.2)),
        "alpha": 1.0 if accepted else 0.6,
    }


def _scales(ax: Any, verdict: Verdict, n_layers: int) -> None:
    """Name the stretches of blocks in a strip under the curves, once they are accepted."""
    ax.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    if not verdict.accepted or len(verdict.boundaries) != 2:
        return
    cuts = [0, *(b.layer for b in verdict.boundaries), n_layers]
    colours = (BOUNDARY_COLOURS["local-intermediate"], MUTED, BOUNDARY_COLOURS["intermediate-global"])
    for name, colour, start, end in zip(("local", "intermediate", "global"), colours, cuts, cuts[1:], strict=False):
        ax.axvspan(start, end, ymax=0.055, facecolor=colour, alpha=0.2, edgecolor=PAPER, linewidth=1.5, zorder=5)
        if (end - start) / n_layers >= 0.08 * len(name) / 5:
            middle = ((start + end) / 2, 0.027)
            ax.text(*middle, name, transform=ax.get_xaxis_transform(), ha="center", va="center_baseline", zorder=6)


def _layer_axis(ax: Any, n_layers: int) -> None:
    ax.set_xlim(0, n_layers)
    _transition_ticks(ax, n_layers)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "" if y < 0 else f"{y:g}"))
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    depth = ax.secondary_xaxis("top", functions=(lambda x: x / n_layers, lambda x: x * n_layers))
    depth.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    depth.set_xticks([0, 0.25, 0.5, 0.75, 1])
    depth.set_xlabel("relative depth", color=MUTED, fontsize=8)
    depth.tick_params(length=2, labelsize=8, labelcolor=MUTED)
    depth.spines["top"].set_visible(False)


def _transition_ticks(ax: Any, n_layers: int) -> None:
    ax.xaxis.set_major_locator(MaxNLocator(min(n_layers, 16), integer=True, steps=[1, 2, 4, 5, 10]))
    ax.set_xlabel("transition (blocks below)")


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

    return Curve(curve.name, curve.transition, end(curve.value), end(curve.low), end(curve.high))


def _highest(*curves: Curve) -> float:
    ends = [np.nanmax(part) for c in curves for part in (c.value, c.high) if np.isfinite(part).any()]
    return max([1.0, *map(float, ends)])


def _outcome(verdict: Verdict) -> str:
    return "accepted" if verdict.accepted else f"not accepted ({verdict.status})"


def _signal_title(curve: Curve) -> str:
    unit = curve.details.get("unit")
    flags = f" · {', '.join(curve.flags)}" if curve.flags else ""
    return f"{curve.name}{f' ({unit})' if unit else ''}, weight {curve.weight:g}{flags}"


def _matrix(result: Findings) -> Array | None:
    """The first `matrix` over blocks in any signal's details."""
    for curve in result.signals.values():
        matrix = curve.details.get("matrix")
        if matrix and len(matrix) in (result.n_layers, result.n_layers + 1):
            return np.stack([_array(row) for row in matrix])
    return None


def _f1(result: Findings) -> Curves | None:
    """The first curves `f1` over blocks in any signal's details."""
    for curve in result.signals.values():
        for found in sort_details(curve.details, result.n_layers).curves:
            if found.title == "f1" and found.place == "block":
                return found
    return None


def _array(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
