"""What a page and a terminal show of a run, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mspgt.results.run import Run
from mspgt.show import wording
from mspgt.show.grid import Grid
from mspgt.show.parts import Card, Cards, Drawing, Facts, Folded, Line, Part, Section
from mspgt.show.run import tables
from mspgt.show.run.figures import evidence
from mspgt.show.sections import how, sentences
from mspgt.show.series import series_tables
from mspgt.show.verdicts import boundaries, side_by_side, verdict_card
from mspgt.stats.boundaries import Verdict

EVIDENCE = {"evidence": "mspgt", "evidence-paper": "paper"}
"""figure -> the rule whose evidence it shows"""


def subjects(run: Run) -> dict[str, str]:
    """What was looked at, and how."""
    return {
        "model": wording.describe_model(run.model),
        "data": wording.describe_data(run.data),
        "signals": f"{', '.join(run.signals)}, with {wording.describe_intervals(run.bootstrap)}",
    }


def answers(run: Run) -> dict[str, str]:
    """The verdict of each rule."""
    return {verdict.rule: wording.summary(verdict) for verdict in run.rules}


def notebook(run: Run) -> Iterator[Grid | Drawing]:
    """The boundaries by both rules, and the evidence."""
    yield side_by_side(run.rules)
    yield Drawing("evidence", evidence(run), wording.in_full(run.verdict()))


def terminal(run: Run) -> Iterator[Line | Grid]:
    """A row per transition, the boundaries by both rules, what the verdicts mean, notes."""
    yield Line.of(wording.describe_model(run.model), "strong")
    yield Line.of(wording.describe_data(run.data))
    yield Line.of("")
    yield tables.transitions(run)
    yield Line.of("")
    yield side_by_side(run.rules)
    yield Line.of("")
    yield from (Line.labelled(verdict.rule, verdict.meaning) for verdict in run.rules)
    yield from (Line.labelled("Note", note, "faint") for note in run.notes)
    yield from (Line.labelled("Left out", sentence, "warn") for sentence in run.left_out)


def sections(run: Run, drawn: Mapping[str, Drawing]) -> Iterator[Section]:
    """The page: verdicts first, then what they rest on, then how it was made."""
    drawings = tuple(_described(drawn[name], run.verdict(rule)) for name, rule in EVIDENCE.items() if name in drawn)
    placed = boundaries(run.rules, run.confidence)
    nowhere = Line.of("Neither rule places boundaries in this model.")
    yield Section("verdicts", "Verdicts", (Cards(tuple(verdict_card(v, run.confidence) for v in run.rules)),))
    yield sentences("left-out", "Left out", run.left_out, warn=True)
    yield Section("evidence", "Evidence", drawings)
    yield Section("boundaries", "Boundaries", (placed if placed.rows else nowhere,))
    yield Section("signals", "Signals", tuple(_signals(run, drawn)))
    yield Section("transitions", "Every transition", (tables.transitions(run),))
    blocks = {"Model": run.model, "Corpus": run.data, "Settings": run.settings, "Intervals": run.bootstrap}
    yield how(blocks, run.provenance)
    yield sentences("notes", "Notes", run.notes)


def _signals(run: Run, drawn: Mapping[str, Drawing]) -> Iterator[Part]:
    """Curves, the figures that signals declare, and what each reports beside its curve."""
    if "signals" in drawn:
        yield drawn["signals"]
    if declared := tuple(figure for name, figure in drawn.items() if name not in (*EVIDENCE, "signals")):
        yield Cards(declared)
    for name, curve in run.signals.items():
        facts = tables.facts(curve)
        parts: tuple[Grid | Facts | Folded, ...] = (
            *((Facts(facts),) if facts else ()),
            *tables.records(curve),
            *series_tables(curve.series, name),
        )
        if parts:
            yield Card(name, parts, subtitle=f"weight {curve.weight:g}")


def _described(drawing: Drawing, verdict: Verdict) -> Drawing:
    return replace(drawing, description=f"{drawing.caption} {wording.in_full(verdict)}.")
