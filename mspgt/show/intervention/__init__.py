"""What only an intervention experiment shows: figures, tables and page; `SHOWN` is what its kind declares."""

from mspgt.results.intervention import Behaviour
from mspgt.show.intervention import page, prose, tables
from mspgt.show.intervention.bars import changes
from mspgt.show.intervention.panels import dose_response, doses
from mspgt.show.parts import FigureOf, Shown, TableOf

SHOWN: Shown[Behaviour] = Shown(
    kicker="What breaks when a scale of layers is disturbed",
    headline=prose.headline,
    subjects=prose.subjects,
    figures={
        "changes": FigureOf(
            changes,
            "Left: change of each metric's mean in percent of the baseline. Right: the same in standard deviations of "
            "the paired differences, with the same intervals. Stars are Holm-corrected: *p<.05, **p<.01, ***p<.001. A "
            "bar with a gap goes on, and an interval that would dwarf the others is not drawn; their numbers stand "
            "there.",
            "a metric",
        ),
        "dose-response": FigureOf(
            dose_response,
            "Difference from the baseline in each metric's unit over the strength of the disturbance, with intervals; "
            "0 at no disturbance.",
            "sigma of two or more strengths",
        ),
        "doses": FigureOf(
            doses,
            "Difference from the baseline in each metric's unit at other doses, with intervals. "
            + "; ".join(f"{kind}: {meaning}" for kind, meaning in prose.DOSES.items())
            + ".",
            "dose=matched or both, or controls",
        ),
    },
    tables={"changes": TableOf(tables.exported, tables.FILE)},
    sections=page.sections,
    terminal=page.terminal,
    notebook=lambda behaviour: (tables.changes(behaviour),),
    answers=prose.answers,
)
