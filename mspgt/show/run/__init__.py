"""What only a run shows: its figures, tables and page; `SHOWN` is what its kind declares."""

from mspgt.results.run import Run
from mspgt.show import wording
from mspgt.show.parts import FigureOf, Shown, TableOf
from mspgt.show.run import figures, page, tables
from mspgt.show.verdicts import boundaries

SHOWN: Shown[Run] = Shown(
    kicker="How a language model organises its layers",
    headline=lambda run: wording.headline(run.verdict()),
    subjects=page.subjects,
    figures={
        "evidence": FigureOf(
            figures.evidence,
            "Signals on the scale on which they are fused, the combined evidence in bold, and boundaries with their "
            "intervals, by mspgt's rule. A transition is counted by the blocks below it.",
        ),
        "evidence-paper": FigureOf(
            figures.by_the_paper,
            "The same by the paper's rule: each signal is divided by its maximum.",
            "a verdict of the paper's rule",
        ),
        "signals": FigureOf(figures.signals, "Each signal in its own unit, with its intervals."),
    },
    tables={
        "signals": TableOf(tables.curves, "signals.csv"),
        "series": TableOf(tables.series, "series.csv"),
        "boundaries": TableOf(lambda run: boundaries(run.rules, run.confidence), "boundaries.csv"),
    },
    sections=page.sections,
    terminal=page.terminal,
    notebook=page.notebook,
    answers=page.answers,
    more_figures=figures.declared,
)
