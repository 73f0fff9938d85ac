"""The generator: draws the latent choices of whole documents from counter-based seeds."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate, count
from random import Random
from typing import NamedTuple

from mspgt.contracts.document import Document
from mspgt.core.errors import UserError
from mspgt.grammar.annotate import Derivation, annotate
from mspgt.grammar.mixture import STAY, Mixture, emission, tables
from mspgt.grammar.morphology import takes_an
from mspgt.grammar.reference import Cast, Mention
from mspgt.grammar.schemata import outlines
from mspgt.grammar.template import Constituent, Slot

SHORTEST, LONGEST = 10, 30
"""sentences of a document: uniform from one to the other, both included"""


def documents(limit: int | None, seed: int, mixture: Mixture | None = None) -> Iterator[Document]:
    """Yield documents of 10 to 30 sentences, for ever or up to `limit` sentences, the last document cut there.

    Document k depends on `seed`, `mixture` and k alone, and is the same on every machine.

    Raises
    ------
    UserError: a negative limit or seed.
    """
    if limit is not None and limit < 0:
        raise UserError(f"limit={limit}: give a number of sentences of at least 0.")
    if seed < 0:
        raise UserError(f"seed={seed}: give an integer of at least 0.")
    return _documents(limit, seed, mixture)


def _documents(limit: int | None, seed: int, mixture: Mixture | None) -> Iterator[Document]:
    left = limit
    for index in count():
        if left is not None and left <= 0:
            return
        sentences = [annotate(d) for d in derivations(index, seed, mixture, left)]
        if left is not None:
            left -= len(sentences)
        yield Document(f"grammar-{seed}-{index}", tuple(sentences))


def derivations(
    index: int, seed: int, mixture: Mixture | None = None, limit: int | None = None
) -> Iterator[Derivation]:
    """Yield the choices behind each sentence of document `index`, at most `limit` of them."""
    random = Random((seed << 40) + index).random
    start, plan_weights = _weights(mixture or Mixture())
    length = SHORTEST + int(random() * (LONGEST - SHORTEST + 1))
    cast = Cast()
    topic = bisect(start, random())
    for position in range(length if limit is None else min(length, limit)):
        if position and random() >= STAY:
            topic = bisect(start, random())
        yield _derive(topic, bisect(plan_weights[topic], random()), cast, random)


def _derive(topic: int, outline: int, cast: Cast, random: Callable[[], float]) -> Derivation:
    choices: list[int] = []
    parts: list[list[str]] = []
    mentions: list[Mention] = []
    for cumulative, programs in _programs(topic, outline):
        choice = bisect(cumulative, random()) if len(programs) > 1 else 0
        words: list[str] = []
        for literal, drawn, weights, symbol in programs[choice]:
            if literal:
                words.append(literal)
            elif drawn:
                word = drawn[bisect(weights, random())]
                if words and words[-1] == "a" and takes_an(word):
                    words[-1] = "an"
                words.append(word)
            else:
                mention = cast.mention(symbol, random)
                mentions.append(mention)
                words.extend(mention.words)
        choices.append(choice)
        parts.append(words)
    return Derivation(topic, outline, choices, parts, mentions)


def _cumulative(weights: Iterable[float]) -> list[float]:
    """Sum up weights for `bisect`; from the last that is not zero on, exactly one."""
    values = list(weights)
    last = max(i for i, value in enumerate(values) if value > 0)
    return list(accumulate(values))[:last] + [1.0] * (len(values) - last)


@cache
def _weights(mixture: Mixture) -> tuple[list[float], list[list[float]]]:
    """Give cumulative weights of the topics, and of the outlines for each topic."""
    table = tables(mixture)
    return _cumulative(table.start.tolist()), [_cumulative(column) for column in table.outline.T.tolist()]


class _Filling(NamedTuple):
    """How to fill one slot: a literal word, or a draw from words, or a mention."""

    literal: str
    words: tuple[str, ...]
    weights: list[float]
    mention: str


@cache
def _programs(topic: int, outline: int) -> list[tuple[list[float], list[list[_Filling]]]]:
    """Give for each constituent the cumulative weights of its alternatives and how each is filled."""
    return [_program(topic, c) for c in outlines()[outline].constituents]


_phrase_programs: dict[tuple[int, str], tuple[list[float], list[list[_Filling]]]] = {}


def _program(topic: int, constituent: Constituent) -> tuple[list[float], list[list[_Filling]]]:
    key = (topic, constituent.phrase)
    if key not in _phrase_programs:
        alternatives = constituent.alternatives
        fillings = [[_filling(topic, slot) for slot in a.slots] for a in alternatives]
        _phrase_programs[key] = (_cumulative(a.probability for a in alternatives), fillings)
    return _phrase_programs[key]


@cache
def _filling(topic: int, slot: Slot) -> _Filling:
    if slot.literal:
        return _Filling(slot.symbol[1:], (), [], "")
    if slot.mention:
        return _Filling("", (), [], slot.symbol)
    words, matrix = emission()[slot.symbol]
    return _Filling("", words, _cumulative(matrix[:, topic].tolist()), "")
