"""From the choices behind a sentence to the annotated sentence: tags, heads, relations, entities, roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from mspgt.contracts.document import Frame, Sentence
from mspgt.grammar.names import TAGS
from mspgt.grammar.reference import Mention
from mspgt.grammar.schemata import outlines
from mspgt.grammar.template import OUTSIDE, Outline, Slot

_JOINED = frozenset((",", ".", "?", "'s", "'"))
"""words written without a space before them"""


@dataclass(frozen=True)
class Derivation:
    """All choices behind one sentence."""

    topic: int
    outline: int
    choices: list[int]
    """alternative taken by each constituent"""
    words: list[list[str]]
    """words of each constituent"""
    mentions: list[Mention]
    """in the order of the text"""


@dataclass(frozen=True)
class _Piece:
    """The annotation of one constituent; word numbers count from its first word."""

    pos: tuple[str, ...]
    relations: tuple[str, ...]
    """empty where the schema's relation applies"""
    heads: tuple[int, ...]
    """OUTSIDE where the word attaches to the head of the next constituent up"""
    entities: tuple[str, ...]
    head: int
    roles: tuple[tuple[str, int], ...]
    """(role, word): arguments inside the phrase of its own head"""


def annotate(derivation: Derivation) -> Sentence:
    """Build the sentence with all its annotations."""
    outline = outlines()[derivation.outline]
    pieces = _pieces(derivation)
    words: list[str] = []
    pos: list[str] = []
    entities: list[str] = []
    offsets = [0]
    for part, piece in zip(derivation.words, pieces, strict=True):
        words += part
        pos += piece.pos
        entities += piece.entities
        offsets.append(len(words))
    words[0] = words[0][0].upper() + words[0][1:]
    text, starts = join_words(words)
    heads, relations = _tree(outline, pieces, offsets)
    frames = _frames(outline, pieces, offsets)
    return Sentence(text, tuple(words), starts, tuple(pos), heads, relations, tuple(entities), frames)


def join_words(words: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Write words as text, and give the offset of each."""
    starts, end = [], 0
    spaced = []
    for number, word in enumerate(words):
        if number and word not in _JOINED:
            end += 1
            spaced.append(" ")
        starts.append(end)
        spaced.append(word)
        end += len(word)
    return "".join(spaced), tuple(starts)


def _pieces(derivation: Derivation) -> list[_Piece]:
    shapes = iter([(mention.form, len(mention.words)) for mention in derivation.mentions])
    constituents = outlines()[derivation.outline].constituents
    return [
        _piece(
            derivation.outline, number, choice, tuple(islice(shapes, len(constituent.alternatives[choice].mentioned)))
        )
        for number, (constituent, choice) in enumerate(zip(constituents, derivation.choices, strict=True))
    ]


@cache
def _piece(outline: int, constituent: int, choice: int, shapes: tuple[tuple[str, int], ...]) -> _Piece:
    """Lay out one alternative; each mention takes as many words as its shape, (form, words), says."""
    alternative = outlines()[outline].constituents[constituent].alternatives[choice]
    remaining = iter(shapes)
    layouts = [_mention(s, *next(remaining)) if s.mention else _word(s) for s in alternative.slots]
    first = [sum(len(layout.pos) for layout in layouts[:i]) for i in range(len(layouts))]
    centre = [start + layout.head for start, layout in zip(first, layouts, strict=True)]
    heads: list[int] = []
    for slot, start, layout in zip(alternative.slots, first, layouts, strict=True):
        above = OUTSIDE if slot.head == OUTSIDE else centre[slot.head]
        heads += [above if head == OUTSIDE else start + head for head in layout.heads]
    return _Piece(
        tuple(p for layout in layouts for p in layout.pos),
        tuple(r for layout in layouts for r in layout.relations),
        tuple(heads),
        tuple(e for layout in layouts for e in layout.entities),
        centre[alternative.head] if layouts else OUTSIDE,
        tuple((s.role, c) for s, c in zip(alternative.slots, centre, strict=True) if s.role),
    )


def _word(slot: Slot) -> _Piece:
    return _Piece((slot.upos,), (slot.relation,), (OUTSIDE,), ("O",), 0, ())


def _mention(slot: Slot, form: str, size: int) -> _Piece:
    """Lay out a mention: persons and places are flat, organisations compounds, families take the article."""
    kind, _, case = slot.symbol.partition(".")
    if form == "pronoun":
        return _Piece(("PRON",), (slot.relation,), (OUTSIDE,), ("O",), 0, ())
    ending = int(case == "poss")
    size -= ending
    head = size - 1 if kind in ("org", "fam") else 0
    inner = {"org": "compound", "fam": "det"}.get(kind, "flat")
    tag = TAGS[kind]
    pos = ["DET" if kind == "fam" and i == 0 else "PROPN" for i in range(size)] + ["PART"] * ending
    named = [f"B-{tag}"] + [f"I-{tag}"] * (size - 1) if kind != "fam" else ["O", f"B-{tag}"]
    relations = [slot.relation if i == head else inner for i in range(size)] + ["case"] * ending
    heads = [OUTSIDE if i == head else head for i in range(size)] + [head] * ending
    return _Piece(tuple(pos), tuple(relations), tuple(heads), (*named, *["O"] * ending), head, ())


def _tree(outline: Outline, pieces: list[_Piece], offsets: list[int]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    heads: list[int] = []
    relations: list[str] = []
    for constituent, piece, offset in zip(outline.constituents, pieces, offsets, strict=False):
        up = constituent.head
        above = offsets[up] + pieces[up].head if up >= 0 else -1
        for head, relation in zip(piece.heads, piece.relations, strict=True):
            heads.append(above if head == OUTSIDE else offset + head)
            relations.append(relation or constituent.relation)
    return tuple(heads), tuple(relations)


def _frames(outline: Outline, pieces: list[_Piece], offsets: list[int]) -> tuple[Frame, ...]:
    spans: dict[int, list[tuple[str, int, int]]] = {}
    for predicate in outline.predicates:
        offset = offsets[predicate]
        spans[predicate] = [(name, offset + word, offset + word) for name, word in pieces[predicate].roles]
    for role in outline.roles:
        first, end = offsets[role.first], offsets[role.last + 1]
        if end > first:
            spans[role.predicate].append((role.name, first, end - 1))
    return tuple(
        [
            Frame(offsets[p] + pieces[p].head, tuple(sorted(arguments, key=lambda a: a[1:])))
            for p, arguments in spans.items()
        ]
    )
