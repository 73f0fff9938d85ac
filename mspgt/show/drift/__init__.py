"""What only a drift shows: its figures, tables and page; `SHOWN` is what its kind declares."""

from collections.abc import Iterator

from mspgt.results.drift import Drift
from mspgt.show.drift import page, tables
from mspgt.show.drift.heat import by_the_paper, heat_map, signals
from mspgt.show.drift.lines import boundaries
from mspgt.show.drift.prose import headline
from mspgt.show.grid import Grid
from mspgt.show.parts import Drawing, FigureOf, Shown, TableOf
from mspgt.show.verdicts import side_by_side

CAPTION = (
    "Evidence for a boundary at each depth (upward) and training step (to the right), by mspgt's rule: the brighter, "
    "the more the signals agree that processing changes there. Lines are the boundaries that the rule places, with "
    "their intervals; hollow and dotted ones are not accepted. Triangles above mark real moves. Small ticks are the "
    "steps that were evaluated."
)


def notebook(drift: Drift) -> Iterator[Grid | Drawing]:
    """The verdicts at the end, and the drift as a figure."""
    yield side_by_side(drift.at(drift.points[-1].step).rules)
    yield Drawing("drift", heat_map(drift), CAPTION)


SHOWN: Shown[Drift] = Shown(
    kicker="How boundaries form while a model trains",
    headline=headline,
    subjects=page.subjects,
    figures={
        "drift": FigureOf(heat_map, CAPTION),
        "boundaries": FigureOf(
            boundaries,
            "Both boundaries as a share of the depth, with their intervals, by both rules.",
            "a step at which a rule places boundaries",
        ),
        "signals": FigureOf(signals, "Each signal in its own unit at each depth and step."),
        "drift-paper": FigureOf(
            by_the_paper,
            "The same by the paper's rule, which divides each signal by its maximum.",
            "the signals of the paper's rule",
        ),
    },
    tables={
        "curves": TableOf(tables.curves, "drift.csv"),
        "boundaries": TableOf(tables.boundaries, "boundaries.csv"),
    },
    sections=page.sections,
    terminal=page.terminal,
    notebook=notebook,
    answers=page.answers,
)
