"""Figures of an experiment, drawn from interventions.json alone; the same experiment gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from mspgt.core.errors import UserError, unknown
from mspgt.core.files import write_atomically
from mspgt.results.intervention.describe import Described
from mspgt.show.intervention.bars import changes
from mspgt.show.intervention.panels import dose_response, doses
from mspgt.show.run.figures import png, svg

MAKERS: dict[str, Callable[[Described], Figure | None]] = {
    "changes": changes,
    "dose-response": dose_response,
    "doses": doses,
}


def figures(behaviour: Described) -> dict[str, Figure]:
    """Every figure that this experiment can show, by file name."""
    drawn = {name: make(behaviour) for name, make in MAKERS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def draw(behaviour: Described, name: str) -> Figure:
    """One figure by its name.

    Raises
    ------
    UserError: an unknown figure, or nothing to show in it.
    """
    if name not in MAKERS:
        raise unknown("figure", name, MAKERS)
    figure = MAKERS[name](behaviour)
    if figure is None:
        raise UserError(
            f"there is nothing to show in the figure {name!r}: changes needs a metric, dose-response sigma of two or "
            "more strengths, doses dose=matched or both, or controls."
        )
    return figure


def save(behaviour: Described, directory: Path) -> None:
    """Write every figure as SVG and PNG; MachineError if the directory cannot be written."""
    for name, figure in figures(behaviour).items():
        write_atomically(directory / f"{name}.svg", svg(figure, name))
        write_atomically(directory / f"{name}.png", png(figure))
