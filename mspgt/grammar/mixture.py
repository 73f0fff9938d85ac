"""The weights in which corpora of the same grammar may differ, and the tables that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mspgt.core.errors import UserError, unknown
from mspgt.grammar.lexicon import distribution, symbols
from mspgt.grammar.schemata import SCHEMATA, outlines
from mspgt.grammar.topics import TOPICS

Array = npt.NDArray[np.float64]

STAY = 0.85
"""probability that a sentence keeps the topic before any draw of a new one"""


@dataclass(frozen=True)
class Mixture:
    """Factors on the weights of topics and schemata; what is not named has factor one.

    Raises
    ------
    UserError: an unknown topic or schema, a factor that is not a finite number of at least zero, or factors that
    leave no topic, or some topic without a schema.
    """

    topics: Mapping[str, float] = field(default_factory=dict)
    schemata: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("topic", self.topics, TOPICS)
        _check("schema", self.schemata, SCHEMATA)

    def __hash__(self) -> int:
        return hash((frozenset(self.topics.items()), frozenset(self.schemata.items())))


def _check(kind: str, factors: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name, factor in factors.items():
        if name not in known:
            raise unknown(kind, str(name), known)
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
        if not number or not math.isfinite(factor) or factor < 0:
            raise UserError(f"{kind} {name!r} has factor {factor!r}: give a finite number of at least 0.")
    if known and all(factors.get(name, 1.0) == 0 for name in known):
        raise UserError(f"every {kind} has factor 0: leave at least one above 0.")


@dataclass(frozen=True)
class Tables:
    """The distributions of the latent choices under one mixture; `topic` runs over `TOPICS` in order.

    The topic of a document's first sentence is drawn from `start`; each later sentence keeps the topic with
    probability `STAY` and otherwise draws one from `start` (which may be the same), so that `start` is also the
    stationary distribution and the topic of any sentence of a document is distributed as `start`.
    """

    start: Array
    """(topic,)"""
    outline: Array
    """(outline, topic): probability of schema and agreement features given the topic"""


@cache
def tables(mixture: Mixture) -> Tables:
    """Give the distributions of a mixture."""
    topics = [float(mixture.topics.get(name, 1.0)) for name in TOPICS]
    factors = [float(mixture.schemata.get(name, 1.0)) for name in SCHEMATA]
    row = {name: i for i, name in enumerate(SCHEMATA)}
    columns = []
    for topic in TOPICS.values():
        weights = [s.weight * f * topic.style.get(s.tag, 1.0) for s, f in zip(SCHEMATA.values(), factors, strict=True)]
        total = math.fsum(weights)  # correctly rounded: the same on every machine
        columns.append([p.probability * weights[row[p.schema]] / total for p in outlines()])
    return Tables(np.array(topics) / math.fsum(topics), np.array(columns).T)


@cache
def emission() -> dict[str, tuple[tuple[str, ...], Array]]:
    """Give for each lexical symbol its words and their probabilities (word, topic); no mixture changes these."""
    table = {}
    for symbol in symbols():
        columns = [distribution(symbol, topic) for topic in TOPICS]
        words = tuple(dict.fromkeys(word for column in columns for word in column))
        table[symbol] = (words, np.array([[column.get(word, 0.0) for column in columns] for word in words]))
    return table
