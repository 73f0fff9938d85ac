"""The recogniser: is a sentence one of the grammar's - in syntax, agreement and lexical class?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grammar_exact.automaton import Parses, automaton, split_words
from mspgt.grammar.annotate import join_words
from mspgt.grammar.mixture import Mixture
from mspgt.grammar.topics import TOPICS


@dataclass(frozen=True)
class Recognition:
    """What the recogniser says of one sentence."""

    accepted: bool
    """some schema reads it, whatever the topic"""
    reason: str
    """why it was rejected; empty when accepted"""
    position: int | None
    """number of the first word that no sentence can have there, the word count for one that stops early"""
    topics: tuple[str, ...]
    """topics under which all its words can be drawn"""

    @property
    def topic_consistent(self) -> bool:
        """Whether one topic explains all words."""
        return bool(self.topics)


def recognise(sentence: str | Sequence[str]) -> Recognition:
    """Tell whether the grammar accepts a sentence, given as text or as words.

    Judged are word order, agreement, case, articles, lexical class, the capital at the beginning, punctuation and,
    for a text, spacing. Not judged is whether words share a topic (`Recognition.topics`), and whether a pronoun
    has somebody to refer to, which a sentence alone does not show. The default mixture's schemata count.
    """
    words = split_words(sentence) if isinstance(sentence, str) else list(sentence)
    if not words or not all(words):
        return Recognition(False, "there are no words" if not words else "there is an empty word", 0, ())
    machine = automaton(Mixture())
    parses: Parses = {}
    position = -1
    for position, parses in enumerate(machine.read(words)):  # noqa: B007
        pass
    if not parses:
        return Recognition(False, _rejected(words, position), position, ())
    ended = machine.complete(parses)
    if not ended:
        return Recognition(False, f"it stops after {words[-1]!r} before it is complete", len(words), ())
    if isinstance(sentence, str) and join_words(words)[0] != sentence.strip():
        return Recognition(False, f"spaces are wrong: expected {join_words(words)[0]!r}", None, ())
    possible = np.sum(list(ended.values()), axis=0) > 0
    return Recognition(True, "", None, tuple(t for t, yes in zip(TOPICS, possible, strict=True) if yes))


def _rejected(words: Sequence[str], position: int) -> str:
    if position == 0:
        hint = "" if words[0][:1].isupper() else " (a sentence begins with a capital)"
        return f"no sentence begins with {words[0]!r}{hint}"
    return f"{words[position]!r} cannot follow {' '.join(words[max(0, position - 3) : position])!r}"
