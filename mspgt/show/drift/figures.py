"""Figures of a drift, drawn from drift.json alone; the same drift gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from mspgt.core.errors import UserError, unknown
from mspgt.core.files import write_atomically
from mspgt.results.drift.schema import Recorded
from mspgt.show.drift import series
from mspgt.show.drift.heat import heat_map, signals
from mspgt.show.drift.lines import boundaries
from mspgt.show.drift.multiples import compare
from mspgt.show.run.figures import png, svg

__all__ = ["MAKERS", "compare", "draw", "figures", "heat_map", "save"]

MAKERS: dict[str, Callable[[Recorded], Figure | None]] = {
    "drift": heat_map,
    "boundaries": boundaries,
    "signals": signals,
    "drift-paper": lambda recorded: heat_map(recorded, "paper") if "paper" in series.rules(recorded) else None,
}


def figures(recorded: Recorded) -> dict[str, Figure]:
    """Every figure that this drift can show, by file name."""
    drawn = {name: make(recorded) for name, make in MAKERS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def draw(recorded: Recorded, name: str = "drift") -> Figure:
    """One figure by its name.

    Raises
    ------
    UserError: an unknown figure, or nothing to show in it.
    """
    if name not in MAKERS:
        raise unknown("figure", name, MAKERS)
    figure = MAKERS[name](recorded)
    if figure is None:
        raise UserError(
            f"there is nothing to show in the figure {name!r}: boundaries needs a step at which a rule places them, "
            "drift-paper the signals of the paper's rule."
        )
    return figure


def save(recorded: Recorded, directory: Path) -> None:
    """Write every figure as SVG and PNG; MachineError if the directory cannot be written."""
    for name, figure in figures(recorded).items():
        write_atomically(directory / f"{name}.svg", svg(figure, name))
        write_atomically(directory / f"{name}.png", png(figure))
