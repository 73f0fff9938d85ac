"""Who is mentioned, and how: each document's cast of entities as Polya urns, and names and pronouns for them.

For each class of entities a document has an urn: a mention is a fresh, uniform draw from the list of names with
probability a / (a + n) after n mentions, and else repeats one of the n, all alike. This is a draw from a
Dirichlet-distributed cast, so mentions are exchangeable: the law of any run of mentions is the same wherever in
the document it begins. The last entity mentioned is the *centre* of its class; a mention of the centre is a
pronoun with a probability that depends on the slot, and everything else is a name. A text therefore tells which
entity is meant, without guessing, as soon as the centre is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from mspgt.grammar.names import NAMES, PRONOUNS, gender

CONCENTRATION = {"per": 1.5, "fam": 1.0, "org": 1.0, "loc": 1.5}
"""a: how readily a document brings in another entity of the class"""
PRONOUN = {"nom": 0.75, "acc": 0.75, "poss": 1.0, "rfx": 1.0, "name": 0.0, "": 0.0}
"""probability of a pronoun for the centre, by the case of the slot"""
FULL_NAME = 0.6
"""probability that a person's name is given in full; else the first name alone"""


class Mention(NamedTuple):
    """One way in which a slot can mention an entity."""

    symbol: str
    """class and case, such as ``per.nom``"""
    entity: int
    """number in the list of names; -1 for a pronoun"""
    form: str
    """full, first or pronoun"""
    words: tuple[str, ...]
    gender: int = 0
    """of a pronoun"""

    @property
    def kind(self) -> str:
        """The class."""
        return self.symbol.split(".")[0]


def possessive(name: tuple[str, ...]) -> tuple[str, ...]:
    """Add the possessive ending, a word of its own."""
    return (*name, "'" if name[-1].endswith("s") and name[0] == "the" else "'s")


@cache
def named(symbol: str, entity: int, form: str) -> Mention:
    """Mention an entity by name."""
    kind, _, case = symbol.partition(".")
    name = NAMES[kind][entity]
    words = name[:1] if form == "first" else name
    return Mention(symbol, entity, form, possessive(words) if case == "poss" else words)


@cache
def pronoun(symbol: str, sort: int) -> Mention:
    """Mention the centre by the pronoun of a gender."""
    kind, _, case = symbol.partition(".")
    return Mention(symbol, -1, "pronoun", (PRONOUNS[kind][case][sort],), sort)


@dataclass
class Cast:
    """The entities that one document has mentioned so far, for the generator; one urn for each class."""

    drawn: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in NAMES})

    def mention(self, symbol: str, random: Callable[[], float]) -> Mention:
        """Draw an entity for a slot, and a way to mention it."""
        kind, _, case = symbol.partition(".")
        past, fresh = self.drawn[kind], CONCENTRATION[kind]
        place = random() * (fresh + len(past))
        entity = int(random() * len(NAMES[kind])) if place < fresh else past[int(place - fresh)]
        centred = bool(past) and past[-1] == entity
        past.append(entity)
        if centred and PRONOUN[case] > 0 and random() < PRONOUN[case]:
            return pronoun(symbol, gender(kind, entity))
        full = kind != "per" or random() < FULL_NAME
        return named(symbol, entity, "full" if full else "first")
