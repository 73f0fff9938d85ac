"""What the pages and terminals of several kinds have in common: sentences, answers to the paper, how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mspgt.core.codec import plain
from mspgt.core.provenance import Provenance
from mspgt.show import wording
from mspgt.show.parts import Card, Cards, Facts, Line, Section, Sentences
from mspgt.stats.paired.answers import Prediction


def sentences(name: str, title: str, items: Iterable[str], *, warn: bool = False) -> Section:
    """A section of sentences; without parts where there are none."""
    each = tuple(items)
    return Section(name, title, (Sentences(each, warn),) if each else ())


def how(blocks: Mapping[str, Any], provenance: Provenance, *beside: Card) -> Section:
    """How a result was made: what it says of itself on cards, then where it comes from.

    Parameters
    ----------
    blocks: title -> a record or a mapping; empty ones are left out.
    beside: further cards.
    """
    cards = [Card(title, (Facts(plain(block)),)) for title, block in blocks.items() if block]
    made = Card("Provenance", (Facts(plain(provenance)),), wide=True)
    return Section("how", "How this was made", (Cards((*cards, *beside, made)),))


def answer_line(name: str, answer: Prediction, why: str) -> Line:
    """The answer to a statement in a terminal, and the first reason."""
    look = wording.LOOKS.get(answer.verdict, "warn")
    return Line(((f"{name} ", "strong"), (answer.verdict, look), (f": {why}" if why else ".", "")))


def reasons(answer: Prediction) -> tuple[str, ...]:
    """Why, without the verdict, which stands before it."""
    return tuple(reason.removeprefix(f"{answer.verdict}: ") for reason in answer.reasons)
