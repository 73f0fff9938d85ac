"""What a page, a terminal and a notebook show of an experiment, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mspgt.core.codec import plain
from mspgt.results.intervention import Behaviour
from mspgt.show import wording
from mspgt.show.grid import Grid
from mspgt.show.intervention import prose, tables
from mspgt.show.parts import (
    Card,
    Cards,
    Continuations,
    Drawing,
    Facts,
    Folded,
    Line,
    Part,
    Section,
    VerdictCard,
)
from mspgt.show.sections import answer_line, how, sentences
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.conditions import BASELINE

TESTS = (
    "p of each test, with its correction by Holm below; the test that decides is bold. t: paired t-test, of prompts as "
    "if independent; t document: the same with the error of whole documents; wilcoxon: signed ranks, of prompts as if "
    "independent; wilcoxon document: of the sums of documents; tost: two one-sided tests, small where a change is "
    "shown to be negligible; swap: the texts of each prompt change sides at random, which tests that they are "
    "exchangeable, not this metric alone: read its interval too. less control: difference from the same number of "
    "blocks outside the scale, with its corrected p. What is 0 in every text of the baseline is not tested."
)
ELSEWHERE = "The paper's own numbers and all reasons: report.html."


def terminal(behaviour: Behaviour) -> Iterator[Line | Grid]:
    """What was done, metrics by groups, other variants, the answers, notes."""
    yield Line.of(wording.describe_model(behaviour.model), "strong")
    yield Line.of(prose.describe_scales(behaviour), "" if behaviour.accepted else "warn")
    yield Line.of(prose.describe_settings(behaviour))
    yield Line.of("")
    yield tables.changes(behaviour, brief=True)
    yield Line.of("")
    if (others := tables.others(behaviour, brief=True)) is not None:
        yield Line.of("Other strengths and doses" if behaviour.strengths else "Other doses", "strong")
        yield others
        yield Line.of("")
    yield Line.of(prose.headline(behaviour), "strong")
    for name, answer in behaviour.verdicts.items():
        yield answer_line(prose.spoken(name), answer, prose.first_reason(answer))
    if behaviour.verdicts:
        yield Line.of(f"{prose.UNCORRECTED} {ELSEWHERE}", "faint")
    yield from (Line.labelled(f"Not measured: {name}", why, "warn") for name, why in behaviour.not_measured.items())
    yield from (Line.labelled("Note", note, "faint") for note in behaviour.notes)


def sections(behaviour: Behaviour, drawn: Mapping[str, Drawing]) -> Iterator[Section]:
    """The page: changes first, then what they rest on, then how it was made."""
    cards = tuple(_answer(prose.spoken(name), answer) for name, answer in behaviour.verdicts.items())
    left_out = tuple(f"{name}: {why}" for name, why in behaviour.not_measured.items())
    others = tables.others(behaviour)
    about = "Changes as above, under each further way of disturbing the scales."
    yield Section("changes", "Changes", (tables.changes(behaviour),))
    yield Section("figures", "Figures", tuple(_described(behaviour, figure) for figure in drawn.values()))
    yield Section("verdicts", "Verdicts", (Line.of(prose.UNCORRECTED, "faint"), Cards(cards)) if cards else ())
    yield sentences("left-out", "Not measured", left_out, warn=True)
    yield Section("others", "Other strengths and doses", (Card("", (Line.of(about), others)),) if others else ())
    yield Section("tests", "Tests", _card(TESTS, _tests(behaviour)))
    beside = "Further numbers of each condition; none of them are tested."
    yield Section("companions", "Beside the means", _card(beside, _companions(behaviour)))
    yield Section("examples", "What the model wrote", tuple(_examples(behaviour)))
    settings = plain(behaviour.settings)
    blocks = {"Settings": _known(settings.pop("further") | settings), "Scales": _known(plain(behaviour.run))}
    disturbed = [Card("Disturbance by block", (tables.noise(behaviour),))] if behaviour.noise else []
    yield how({**blocks, "Intervals": behaviour.bootstrap, "Model": behaviour.model}, behaviour.provenance, *disturbed)
    yield sentences("notes", "Notes", behaviour.notes)


def _card(about: str, parts: Iterator[Part]) -> tuple[Card, ...]:
    every = tuple(parts)
    return (Card("", (Line.of(about, "faint"), *every)),) if every else ()


def _answer(title: str, answer: Prediction) -> VerdictCard:
    known = _known(plain(answer.numbers or {}))
    if answer.matched:
        known["matched"] = _known({"verdict": answer.matched.verdict, **plain(answer.matched.numbers or {})})
    nested = {name: value for name, value in known.items() if isinstance(value, (Mapping, list))}
    return VerdictCard(
        title=title[:1].upper() + title[1:],
        badge=answer.verdict,
        good=wording.GOOD.get(answer.verdict),
        reasons=prose.reasons(answer),
        facts={name: value for name, value in known.items() if name not in nested},
        note=answer.note,
        parts=(Folded("all numbers", (Facts(nested),)),) if nested else (),
    )


def _known(block: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without what is None; the ends of an interval stay with their number."""
    return {
        name: _known(value) if isinstance(value, Mapping) and "value" not in value else value
        for name, value in block.items()
        if value is not None
    }


def _described(behaviour: Behaviour, drawing: Drawing) -> Drawing:
    mark = "" if behaviour.accepted else f" {prose.UNACCEPTED.capitalize()}."
    description = f"{drawing.caption} {prose.headline(behaviour)}"
    return replace(drawing, caption=drawing.caption + mark, description=description)


def _tests(behaviour: Behaviour) -> Iterator[Grid | Folded]:
    """A table for what was asked for, then one folded away for each further variant."""
    for i, variant in enumerate(behaviour.variants):
        if (table := tables.tests(behaviour, variant)) is not None:
            yield Folded(variant.label, (table,)) if i else table


def _companions(behaviour: Behaviour) -> Iterator[Folded]:
    for name, metric in behaviour.metrics.items():
        if (table := tables.companions(metric)) is not None:
            yield Folded(name, (table,))


def _examples(behaviour: Behaviour) -> Iterator[Continuations]:
    """Prompts and what followed them; conditions beside the main ones are folded away."""
    first = {BASELINE, *behaviour.scales.values()}
    for example in behaviour.examples:
        main = {name: text for name, text in example.texts.items() if name in first}
        beside = {name: text for name, text in example.texts.items() if name not in first}
        yield Continuations(example.prompt, main, beside)
