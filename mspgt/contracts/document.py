"""Documents, sentences and annotations: what every reader yields and every tokeniser takes."""

from __future__ import annotations

from dataclasses import dataclass

TASKS = ("pos", "dep", "ner", "srl")
"""the probe tasks, in the order in which they are reported"""


@dataclass(frozen=True)
class Frame:
    """One predicate and its arguments."""

    predicate: int
    """word number, from 0"""
    arguments: tuple[tuple[str, int, int], ...]
    """(role, first word, last word), word numbers from 0, both inclusive"""


@dataclass(frozen=True)
class Sentence:
    """A sentence as text and words; an annotation that a corpus does not have is None."""

    text: str
    words: tuple[str, ...] = ()
    """surface words; empty for raw text"""
    starts: tuple[int, ...] = ()
    """offset of each word in `text`"""
    pos: tuple[str, ...] | None = None
    """UPOS of each word"""
    heads: tuple[int, ...] | None = None
    """head of each word, from 0; -1 for the root"""
    relations: tuple[str, ...] | None = None
    """dependency relation of each word to its head"""
    entities: tuple[str, ...] | None = None
    """IOB2 tag of each word"""
    frames: tuple[Frame, ...] | None = None
    """semantic roles"""


@dataclass(frozen=True)
class Document:
    """Consecutive sentences under one identifier; the document is the unit of resampling."""

    id: str
    sentences: tuple[Sentence, ...]
