"""What the figures of an experiment share: size, title, colours, names and numbers."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from mspgt.core.phrases import amount
from mspgt.results.intervention import Behaviour
from mspgt.show.drawing import SIGNAL_COLOURS, set_title
from mspgt.stats.boundaries import OUTCOME

COLOURS = {"local": SIGNAL_COLOURS[0], "intermediate": SIGNAL_COLOURS[2], "global": SIGNAL_COLOURS[1]}
"""blue, orange and green, as in the paper"""
WIDTH = 7.4


def head(figure: Figure, behaviour: Behaviour, text: str) -> None:
    """Head the figure by what it shows, the model, and whether the boundaries were not accepted."""
    set_title(figure, text, behaviour.model.name, *([] if behaviour.accepted else [f"boundaries {OUTCOME[False]}"]))


def colour_of(behaviour: Behaviour, scale: str) -> str:
    """The colour of a scale; a group that is none of the three has one of the others."""
    if scale in COLOURS:
        return COLOURS[scale]
    return SIGNAL_COLOURS[3 + list(behaviour.scales).index(scale) % 3]


def wrapped(name: str, width: int) -> str:
    """A name in at most two lines, broken after underscores if it is long."""
    lines = textwrap.wrap(name.replace("_", "_ "), width, break_on_hyphens=True)
    lines = [line.replace("_ ", "_") for line in lines]
    return "\n".join([lines[0], lines[1][: width - 1] + "…"] if len(lines) > 2 else lines)


def signed(value: float) -> str:
    """A number with its sign; zero, and what rounding makes of it, has none."""
    return "0" if abs(value) < 1e-12 else f"{'+' if value > 0 else '−'}{amount(abs(value))}"
