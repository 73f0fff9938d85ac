"""The grammar as a weighted automaton over words: every way to read a sentence, for all topics at once.

Schemata that begin alike share states: the outlines form a tree over their constituents, and an edge carries the
probability of taking it given the topic. Weights are normalised at every state, so the weights of all states
reached by the first i words sum to the probability of these words under each topic (a prefix probability).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np

from grammar_exact.urn import mentions
from mspgt.grammar.mixture import Array, Mixture, emission, tables
from mspgt.grammar.morphology import takes_an
from mspgt.grammar.names import KINDS
from mspgt.grammar.reference import Mention
from mspgt.grammar.schemata import outlines, phrases
from mspgt.grammar.template import Alternative

Key = TypeVar("Key")
Mentioned = tuple[tuple[int, Mention], ...]
"""mentions read so far, each with the number of its first word"""


class Parse(NamedTuple):
    """A way to have read the words so far."""

    state: int
    pending: tuple[str, ...]
    """words of a name that must come next"""
    mentioned: Mentioned


Parses = dict[Parse, Array]
"""weight of each parse under each topic"""


@dataclass
class _Prefix:
    """A place between constituents: what all outlines with this beginning share."""

    mass: Array
    """(topic,): probability of the outlines that pass here"""
    children: dict[str, int] = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()
    """of the constituent that led here"""
    final: bool = False


class _State(NamedTuple):
    """A state: `slot` slots into an alternative of the constituent that leads to `node`; slot -1 at its end."""

    node: int
    alternative: int
    slot: int
    article: str
    """a or an, when that word was read just now"""


Arcs = dict[str, list[tuple[Array, int]]]


class Automaton:
    """Reads sentences under one mixture."""

    def __init__(self, mixture: Mixture) -> None:
        self._ones = np.ones(len(tables(mixture).start))
        self._prefixes = [_Prefix(self._ones)]
        self._states: list[_State] = []
        self._numbers: dict[_State, int] = {}
        self._arcs: dict[int, Arcs] = {}
        for outline, probability in zip(outlines(), tables(mixture).outline, strict=True):
            node = 0
            for constituent in outline.constituents:
                children = self._prefixes[node].children
                if constituent.phrase not in children:
                    children[constituent.phrase] = len(self._prefixes)
                    empty = np.zeros_like(self._ones)
                    self._prefixes.append(_Prefix(empty, alternatives=constituent.alternatives))
                node = children[constituent.phrase]
                self._prefixes[node].mass = self._prefixes[node].mass + probability
            self._prefixes[node].final = True
        self._start = self._state(_State(0, 0, -1, ""))

    def read(self, words: Sequence[str]) -> Iterator[Parses]:
        """Yield the parses after each word; nothing more once there is none."""
        parses: Parses = {Parse(self._start, (), ()): self._ones}
        for number, word in enumerate(words):
            parses = self._advance(parses, number, _spellings(word, first=number == 0))
            yield parses
            if not parses:
                return

    def complete(self, parses: Parses) -> dict[Mentioned, Array]:
        """Keep the parses that end a sentence: their weights under each topic, by what they mention."""
        ended: dict[Mentioned, Array] = {}
        for parse, weight in parses.items():
            place = self._states[parse.state]
            if not parse.pending and place.slot < 0 and self._prefixes[place.node].final:
                add(ended, parse.mentioned, weight)
        return ended

    def expected(self, parses: Parses) -> set[str]:
        """Name the symbols that could come next."""
        return {s for r in parses for s in (r.pending[:1] or self._arcs_of(r.state))}

    def _advance(self, parses: Parses, number: int, spellings: tuple[str, ...]) -> Parses:
        lexical = [entry for word in spellings for entry in _lexicon().get(word, ())]
        named = [entry for word in spellings for entry in _names().get(word, ())]
        after: Parses = {}
        for parse, weight in parses.items():
            if parse.pending:
                if parse.pending[0] in spellings:
                    add(after, parse._replace(pending=parse.pending[1:]), weight)
                continue
            arcs = self._arcs_of(parse.state)
            for symbol, probability in lexical:
                for factor, state in arcs.get(symbol, ()):
                    add(after, Parse(state, (), parse.mentioned), weight * probability * factor)
            for mention in named:
                for factor, state in arcs.get(mention.symbol, ()):
                    mentioned = (*parse.mentioned, (number, mention))
                    add(after, Parse(state, mention.words[1:], mentioned), weight * factor)
        return after

    def _state(self, place: _State) -> int:
        if place not in self._numbers:
            self._numbers[place] = len(self._states)
            self._states.append(place)
        return self._numbers[place]

    def _arcs_of(self, state: int) -> Arcs:
        if state not in self._arcs:
            place = self._states[state]
            arcs: Arcs = {}
            if place.slot < 0:
                self._enter(place.node, self._ones, arcs)
            else:
                self._cross(place, self._ones, arcs)
            self._arcs[state] = arcs
        return self._arcs[state]

    def _enter(self, node: int, weight: Array, arcs: Arcs) -> None:
        """Add the arcs into every constituent that can follow `node`, past those that may be left out."""
        here = self._prefixes[node]
        for child in here.children.values():
            mass = self._prefixes[child].mass
            share = weight * np.divide(mass, here.mass, out=np.zeros_like(mass), where=here.mass > 0)
            for number, alternative in enumerate(self._prefixes[child].alternatives):
                factor = share * alternative.probability
                if alternative.slots:
                    self._cross(_State(child, number, 0, ""), factor, arcs)
                else:
                    self._enter(child, factor, arcs)

    def _cross(self, place: _State, weight: Array, arcs: Arcs) -> None:
        """Add the arc over one slot."""
        slots = self._prefixes[place.node].alternatives[place.alternative].slots
        symbol, ahead = slots[place.slot].symbol, place.slot + 1
        if symbol == "=a":  # which article comes tells how the next word begins
            for article, share in _article_shares(slots[ahead].symbol).items():
                target = self._state(_State(place.node, place.alternative, ahead, article))
                arcs.setdefault(f"={article}", []).append((weight * share, target))
            return
        ended = ahead == len(slots)
        target = self._state(_State(place.node, 0 if ended else place.alternative, -1 if ended else ahead, ""))
        arcs.setdefault(f"{symbol}|{place.article}" if place.article else symbol, []).append((weight, target))


@cache
def automaton(mixture: Mixture) -> Automaton:
    """Give the automaton of a mixture, made once."""
    return Automaton(mixture)


def split_words(text: str) -> list[str]:
    """Cut a sentence into words as the grammar does: endings of possession and punctuation stand alone."""
    return re.findall(r"[^\W_]+|'s\b|[^\w\s]|_", text)


def split_sentences(text: str) -> list[str]:
    """Cut a text after every full stop and question mark."""
    return re.findall(r"[^\s.?][^.?]*[.?]?|[.?]", text)


def _spellings(word: str, first: bool) -> tuple[str, ...]:
    """Give the forms under which a word may be listed; a sentence begins with a capital."""
    if not first:
        return (word,)
    return (word, word[0].lower() + word[1:]) if word[:1].isupper() else ()


def add(weights: dict[Key, Array], key: Key, weight: Array) -> None:
    """Add to the weight of a key, which may be new."""
    known = weights.get(key)
    weights[key] = weight if known is None else known + weight


@cache
def _article_shares(symbol: str) -> dict[str, Array]:
    """Give for "a" and "an" the probability (topic,) that the next word takes it."""
    words, matrix = emission()[symbol]
    an = np.array([takes_an(word) for word in words], dtype=float)
    return {"a": (1 - an) @ matrix, "an": an @ matrix}


@cache
def _lexicon() -> dict[str, list[tuple[str, Array]]]:
    """List for each word the symbols that it can fill, with its probability under each topic."""
    table: dict[str, list[tuple[str, Array]]] = {}
    topics = next(iter(emission().values()))[1].shape[1]
    for symbol, (words, matrix) in emission().items():
        for word, row in zip(words, matrix, strict=True):
            table.setdefault(word, []).append((symbol, row))
    for symbol in _symbols(after_article=True):
        words, matrix = emission()[symbol]
        shares = _article_shares(symbol)
        for word, row in zip(words, matrix, strict=True):
            article = "an" if takes_an(word) else "a"
            share = shares[article]
            given = np.divide(row, share, out=np.zeros_like(row), where=share > 0)
            table[word].append((f"{symbol}|{article}", given))
    for symbol in _symbols(after_article=False):
        if symbol.startswith("="):
            table.setdefault(symbol[1:], []).append((symbol, np.ones(topics)))
    table["an"] = [("=an", np.ones(topics))]
    return table


@cache
def _names() -> dict[str, list[Mention]]:
    """List for each word the mentions that begin with it."""
    table: dict[str, list[Mention]] = {}
    for symbol in _symbols(after_article=False):
        if symbol.split(".")[0] in KINDS:
            for mention in mentions(symbol):
                table.setdefault(mention.words[0], []).append(mention)
    return table


@cache
def _symbols(after_article: bool) -> tuple[str, ...]:
    """List the symbols of all slots, or of those that follow an indefinite article."""
    found: dict[str, None] = {}
    alternatives = [a for phrase in phrases().values() for a in phrase]
    alternatives += [a for outline in outlines() for c in outline.constituents for a in c.alternatives]
    for alternative in alternatives:
        for before, slot in zip((None, *alternative.slots), alternative.slots, strict=False):
            if not after_article or (before is not None and before.symbol == "=a"):
                found[slot.symbol] = None
    return tuple(found)
