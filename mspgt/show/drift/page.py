"""What a page, a terminal and a notebook show of a drift, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mspgt.core.phrases import in_words
from mspgt.results.drift import Drift
from mspgt.show import wording
from mspgt.show.drift import prose, tables
from mspgt.show.grid import Grid
from mspgt.show.parts import Card, Cards, Drawing, Facts, Folded, Line, Section, VerdictCard
from mspgt.show.sections import answer_line, how, reasons, sentences
from mspgt.show.verdicts import verdict_card
from mspgt.stats.boundaries import STATUS
from mspgt.stats.distance import Apart
from mspgt.stats.paired.answers import Prediction

LEGEND = {
    "Interval": "of a boundary: where the rule places it when other documents are drawn from the same corpus. It says "
    "nothing of other corpora, or of another training run with another seed.",
    "Real": "a move is real if the interval of the paired difference leaves out 0 and at least 95% of the bootstrap "
    "samples have two peaks at both steps. The same documents are drawn for both steps, so what the choice of "
    "documents does to both cancels out.",
    "Within noise": "a move that other documents could as well have given.",
    "Accepted": "every check of the rule was passed.",
}
"""words of the tables -> what they mean"""
KINDS = {"Note": ("notes", "faint"), "Left out": ("left_out", "warn")}
"""label of sentences -> where a drift and its points have them, style"""


def subjects(drift: Drift) -> dict[str, str]:
    """What was looked at, and how."""
    return {
        "model": wording.describe_model(drift.model),
        "data": wording.describe_data(drift.data),
        "steps": f"{prose.describe_steps(drift)}, {wording.describe_intervals(drift.bootstrap)}",
        "signals": ", ".join(drift.signals),
    }


def answers(drift: Drift) -> dict[str, str]:
    """How the boundaries moved from the first step to the last, by each rule."""
    return {rule: prose.moves(drift.overall.by(rule)) for rule in drift.rules} if drift.overall else {}


def terminal(drift: Drift) -> Iterator[Line | Grid]:
    """A row per step, then what came of it all."""
    yield Line.of(wording.describe_model(drift.model), "strong")
    yield Line.of(wording.describe_data(drift.data))
    yield Line.of("")
    yield tables.steps(drift, "mspgt", brief=True)
    yield Line.of("")
    yield Line.of(prose.headline(drift), "strong")
    yield from _overall(drift)
    if answer := drift.prediction_3_2:
        yield answer_line("Prediction 3.2", answer, next(iter(reasons(answer)), ""))
    yield Line.labelled("Evaluations", f"{prose.describe_overhead(drift.overhead)}.")
    for label, (part, style) in KINDS.items():
        yield from (Line.labelled(label, sentence, style) for sentence in getattr(drift, part))
        yield from (Line.labelled(f"{label} ({steps})", note, style) for steps, note in prose.of_steps(drift, part))


def _overall(drift: Drift) -> Iterator[Line]:
    """Per rule how the boundaries moved from the first point to the last."""
    if drift.overall is None:
        return
    span = f"From step {drift.overall.start:,} to {drift.overall.stop:,}"
    by_rule = {rule: prose.moves(drift.overall.by(rule)) for rule in drift.rules}
    if set(by_rule.values()) == {prose.NOWHERE}:
        yield Line.labelled(span, f"{prose.NOWHERE}.")
        return
    yield from (Line.labelled(f"{span} by {wording.title(rule)}", f"{moves}.") for rule, moves in by_rule.items())


def sections(drift: Drift, drawn: Mapping[str, Drawing]) -> Iterator[Section]:
    """The page: the figure and the verdicts at the end first, then every step, then how it was made."""
    ours, *others = drift.rules
    last, legend = drift.points[-1], (Card("", (Facts(_legend(drift)),)),)
    further = tuple(figure for name, figure in drawn.items() if name != "drift")
    folded = (Folded(f"by {wording.title(rule)}", (tables.steps(drift, rule),)) for rule in others)
    cards = tuple(verdict_card(verdict, drift.confidence) for verdict in drift.at(last.step).rules)
    answer, apart = drift.prediction_3_2, drift.apart
    yield Section("drift", "Evidence over training", (drawn["drift"],))
    yield Section("verdicts", f"Verdict at step {last.step:,}", (Cards(cards),))
    yield sentences("left-out", "Left out", _said(drift, "left_out"), warn=True)
    yield Section("steps", "Every step", (tables.steps(drift, ours), *folded))
    yield Section("overall", "From the first step to the last", tuple(_moves(drift)))
    yield Section("prediction", "Prediction 3.2", (_prediction(answer, apart),) if answer and apart else ())
    yield Section("reading", "How to read this", legend)
    yield Section("figures", "Further figures", further)
    blocks = {"Settings": drift.settings, "Cost": _cost(drift), "Model": drift.model, "Corpus": drift.data}
    yield how({**blocks, "Intervals": drift.bootstrap}, drift.provenance)
    yield sentences("notes", "Notes", _said(drift, "notes"))


def _said(drift: Drift, part: str) -> Iterator[str]:
    """The sentences of a drift, then those of its steps."""
    yield from getattr(drift, part)
    yield from (f"{where.capitalize()}: {sentence}" for where, sentence in prose.of_steps(drift, part))


def _cost(drift: Drift) -> dict[str, str]:
    every = drift.overhead.every_n_steps
    due = {"due every": f"{every:,} steps"} if every else {}
    return {"evaluations": prose.describe_overhead(drift.overhead), **due}


def _moves(drift: Drift) -> Iterator[Grid | Line]:
    moves = tables.overall(drift)
    if moves is not None and moves.rows:
        yield moves
    elif drift.overall is not None:
        span = f"From step {drift.overall.start:,} to step {drift.overall.stop:,}"
        yield Line.of(f"{span}: neither rule places boundaries at both steps.")


def _prediction(answer: Prediction, apart: Apart) -> VerdictCard:
    share = "{:.1%}".format
    facts: dict[str, Any] = {}
    if apart.difference is not None:
        ends = "" if apart.low is None or apart.high is None else f" [{share(apart.low)}, {share(apart.high)}]"
        facts["Apart"] = f"{share(apart.difference)}{ends} of the depth"
    facts["Predicted"] = f"more than {share(apart.threshold)}"
    facts |= {f"By chance, {in_words(name)}": share(p) for name, p in apart.chance.items() if p == p}
    if apart.share is not None:
        facts["Samples with two peaks in every run"] = share(apart.share)
    if apart.paired is not None:
        facts["Same documents drawn"] = apart.paired
    return VerdictCard(
        title="The intermediate-global boundary differs between training runs of one architecture",
        badge=answer.verdict,
        good=wording.GOOD.get(answer.verdict),
        reasons=reasons(answer),
        facts=facts,
        parts=(tables.runs(apart),),
    )


def _legend(drift: Drift) -> dict[str, str]:
    """What the words of the tables mean, of the statuses those that occur."""
    verdicts = (verdict for point in drift.points for verdict in point.verdicts.values())
    statuses = dict.fromkeys(verdict.status for verdict in verdicts if not verdict.accepted)
    return LEGEND | {in_words(status).capitalize(): f"{STATUS[status].brief}." for status in statuses}
