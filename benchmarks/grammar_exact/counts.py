"""How many mentions of each class sentences make: exact laws that entropies and texts cut mid-document need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from mspgt.grammar.mixture import STAY, Array, Mixture, Tables, tables
from mspgt.grammar.names import KINDS
from mspgt.grammar.schemata import outlines
from mspgt.grammar.template import Outline

Counts = tuple[int, ...]
"""mentions of each class, in the order of KINDS"""


def transition(table: Tables) -> Array:
    """Give the probability (topic, next topic)."""
    return STAY * np.eye(len(table.start)) + (1 - STAY) * table.start[None, :]


@cache
def outline_counts() -> tuple[Mapping[Counts, float], ...]:
    """Give for each outline the law of the mentions in one sentence."""
    return tuple(_outline(outline) for outline in outlines())


def _outline(outline: Outline) -> Mapping[Counts, float]:
    law: dict[Counts, float] = {(0,) * len(KINDS): 1.0}
    for constituent in outline.constituents:
        longer: dict[Counts, float] = {}
        for before, weight in law.items():
            for alternative in constituent.alternatives:
                added = map(alternative.mentioned.count, KINDS)
                after = tuple(b + n for b, n in zip(before, added, strict=True))
                longer[after] = longer.get(after, 0.0) + weight * alternative.probability
        law = longer
    return law


@cache
def mentioned_before(mixture: Mixture, sentence: int) -> Array:
    """Give (mask, topic): which classes a document has mentioned so far, with the topic of the next sentence.

    Probability that the first `sentence` sentences have mentioned exactly the classes of `mask` (bit k: the k-th
    of KINDS) and that the next sentence has the topic.
    """
    table = tables(mixture)
    masks = 1 << len(KINDS)
    if sentence == 0:
        first = np.zeros((masks, len(table.start)))
        first[0] = table.start
        return first
    before, after = mentioned_before(mixture, sentence - 1), np.zeros((masks, len(table.start)))
    for mask, mass in _masks(mixture).items():
        for old in range(masks):
            after[old | mask] += before[old] * mass
    moved: Array = after @ transition(table)
    return moved


@cache
def _masks(mixture: Mixture) -> dict[int, Array]:
    """Give for each set of classes the probability (topic,) that a sentence mentions exactly these."""
    table = tables(mixture)
    masses: dict[int, Array] = {}
    for probability, law in zip(table.outline, outline_counts(), strict=True):
        for counts, weight in law.items():
            mask = sum(1 << k for k, n in enumerate(counts) if n)
            masses[mask] = masses.get(mask, 0.0) + weight * probability
    return masses
