"""The predictive law of mentions: what a text has told of each class of entities says how likely the next one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from mspgt.grammar.names import NAMES, PRONOUNS, gender
from mspgt.grammar.reference import CONCENTRATION, FULL_NAME, PRONOUN, Mention, named, pronoun

Array = npt.NDArray[np.float64]


def by_pronoun(mention: Mention) -> float:
    """Probability that the slot of a mention mentions the centre by a pronoun."""
    return PRONOUN[mention.symbol.partition(".")[2]]


def form_chance(mention: Mention) -> float:
    """Probability of the form of the name, given that a name is used."""
    if mention.kind != "per":
        return 1.0
    return FULL_NAME if mention.form == "full" else 1 - FULL_NAME


@cache
def mentions(symbol: str) -> tuple[Mention, ...]:
    """List every way in which a slot can mention an entity."""
    kind, _, case = symbol.partition(".")
    forms = ("full", "first") if kind == "per" else ("full",)
    by_name = [named(symbol, entity, form) for entity in range(len(NAMES[kind])) for form in forms]
    by_pronoun = [pronoun(symbol, sort) for sort in range(len(PRONOUNS[kind].get(case, ())))]
    return (*by_name, *by_pronoun)


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
            realised = by_pronoun(mention) * np.where((entity >= 0) & agrees, 1.0, 0.0)
        else:
            entity = np.full(len(row), mention.entity)
            realised = form_chance(mention) * np.where(self.centre == entity, 1 - by_pronoun(mention), 1.0)
        fresh, size = CONCENTRATION[self.kind], self.counts.shape[1]
        drawn = (fresh / size + self.counts[row, entity]) / (fresh + self.counts[0].sum())
        counts = self.counts.copy()
        counts[row, entity] += 1
        return Urn(self.kind, self.weights * drawn * realised, counts, entity)


@cache
def _genders(kind: str) -> npt.NDArray[np.int64]:
    return np.array([gender(kind, entity) for entity in range(len(NAMES[kind]))])
