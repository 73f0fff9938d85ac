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
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mspgt.grammar.names import NAMES, PRONOUNS, gender

Array = npt.NDArray[np.float64]

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

    @property
    def pronoun(self) -> float:
        """Probability that this slot mentions the centre by a pronoun."""
        return PRONOUN[self.symbol.partition(".")[2]]

    @property
    def chance(self) -> float:
        """Probability of this form of the name, given that a name is used."""
        if self.kind != "per":
            return 1.0
        return FULL_NAME if self.form == "full" else 1 - FULL_NAME


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


@cache
def mentions(symbol: str) -> tuple[Mention, ...]:
    """List every way in which a slot can mention an entity."""
    kind, _, case = symbol.partition(".")
    forms = ("full", "first") if kind == "per" else ("full",)
    by_name = [named(symbol, entity, form) for entity in range(len(NAMES[kind])) for form in forms]
    by_pronoun = [pronoun(symbol, sort) for sort in range(len(PRONOUNS[kind].get(case, ())))]
    return (*by_name, *by_pronoun)


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


@dataclass(frozen=True)
class Urn:
    """What a text has told of one class's mentions: the predictive law of the next.

    A text that begins in the middle of a document may have an unseen centre; each entity is then a hypothesis of
    who it is, with equal weight at first.
    """

    kind: str
    weights: Array
    """(hypothesis,): probability of the mentions seen and of the hypothesis"""
    counts: Array
    """(hypothesis, entity): mentions so far, the unseen centre's included"""
    centre: npt.NDArray[np.int64]
    """(hypothesis,): last entity mentioned, -1 for none"""

    @classmethod
    def begin(cls, kind: str, mentioned_before: bool) -> Urn:
        """Start a text; `mentioned_before`: the document has mentioned an entity of the class before it."""
        size = len(NAMES[kind])
        if mentioned_before:
            return cls(kind, np.full(size, 1 / size), np.eye(size), np.arange(size))
        return cls(kind, np.ones(1), np.zeros((1, size)), np.full(1, -1))

    @property
    def probability(self) -> float:
        """Probability of the mentions seen so far."""
        return float(self.weights.sum())

    def normalised(self) -> Urn:
        """Forget the probability of what was seen, and keep what it says of the hypotheses."""
        total = self.probability
        return replace(self, weights=self.weights / total) if total > 0 else self

    def observe(self, mention: Mention) -> Urn:
        """Add one mention."""
        row = np.arange(len(self.weights))
        if mention.entity < 0:
            entity = self.centre
            agrees = _genders(self.kind)[entity] == mention.gender
            realised = mention.pronoun * np.where((entity >= 0) & agrees, 1.0, 0.0)
        else:
            entity = np.full(len(row), mention.entity)
            realised = mention.chance * np.where(self.centre == entity, 1 - mention.pronoun, 1.0)
        fresh, size = CONCENTRATION[self.kind], self.counts.shape[1]
        drawn = (fresh / size + self.counts[row, entity]) / (fresh + self.counts[0].sum())
        counts = self.counts.copy()
        counts[row, entity] += 1
        return Urn(self.kind, self.weights * drawn * realised, counts, entity)


@cache
def _genders(kind: str) -> npt.NDArray[np.int64]:
    return np.array([gender(kind, entity) for entity in range(len(NAMES[kind]))])
