"""Spans of BIO tag sequences, found by array operations for many taggings of the same words at once.

There are two conventions, which differ on an I- tag that continues nothing:

conll    that of conlleval and of seqeval's default mode: it opens a span
strict   strict IOB2: it belongs to no span
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.core.errors import UserError

OUTSIDE, BEGIN, INSIDE = 0, 1, 2


@dataclass(frozen=True)
class Scheme:
    """What each tag of an inventory says."""

    part: Tensor
    """(tag,) int64: OUTSIDE, BEGIN or INSIDE"""
    type: Tensor
    """(tag,) int64: number of the span type, -1 for O"""
    types: tuple[str, ...]
    """the span types, in alphabetical order"""

    @classmethod
    def of(cls, tags: Sequence[str]) -> Scheme:
        """Read the names of the tags: ``O``, ``B-TYPE``, ``I-TYPE``.

        Raises
        ------
        UserError: a tag is of another form.
        """
        for tag in tags:
            if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) == 2):
                raise UserError(f"entity tag {tag!r}: the tags must be IOB2, that is O, B-TYPE or I-TYPE.")
        types = tuple(sorted({tag[2:] for tag in tags if tag != "O"}))
        part = [OUTSIDE if tag == "O" else BEGIN if tag[0] == "B" else INSIDE for tag in tags]
        kind = [-1 if tag == "O" else types.index(tag[2:]) for tag in tags]
        return cls(torch.tensor(part), torch.tensor(kind), types)


@dataclass(frozen=True)
class Spans:
    """Spans of several taggings of the same words."""

    row: Tensor
    """(span,) int64: which tagging"""
    start: Tensor
    """(span,) int64: first word"""
    end: Tensor
    """(span,) int64: one past the last word"""
    type: Tensor
    """(span,) int64: number of the type in the scheme"""


def spans(tags: Tensor, sentence: Tensor, scheme: Scheme, mode: str = "conll") -> Spans:
    """All spans, ordered by row and first word.

    Parameters
    ----------
    tags: (row, word) int64, several taggings of the same words.
    sentence: (word,) int64; no span crosses a change of sentence.
    mode: ``conll`` or ``strict``, see above.
    """
    part, kind = scheme.part[tags], scheme.type[tags]  # (row, word)
    before = torch.full_like(kind, -1)  # type of the word before; -1 at the start of a sentence
    before[:, 1:] = torch.where(sentence[1:] == sentence[:-1], kind[:, :-1], -1)
    if mode == "strict":
        start = part == BEGIN
        continues = (part == INSIDE) & (before == kind)
        inside = continues & _reached(start, continues)
    else:
        start = (part != OUTSIDE) & ((part == BEGIN) | (before != kind))
        inside = (part != OUTSIDE) & ~start
    row, first = start.nonzero(as_tuple=True)
    return Spans(row, first, _next_outside(inside)[row, first], kind[row, first])


def _reached(start: Tensor, continues: Tensor) -> Tensor:
    """Which words are linked to a start by an unbroken run of continuations: (row, word) bool."""
    position = torch.arange(start.shape[1]).expand_as(start)
    last_start = torch.where(start, position, -1).cummax(dim=1).values
    last_break = torch.where(start | continues, -1, position).cummax(dim=1).values
    return last_start > last_break


def _next_outside(inside: Tensor) -> Tensor:
    """For each word the first later word that is not inside, or the number of words: (row, word) int64."""
    words = inside.shape[1]
    here = torch.where(inside, words, torch.arange(words))
    later = torch.full_like(here, words)
    later[:, :-1] = here[:, 1:]
    return later.flip(1).cummin(dim=1).values.flip(1)


def span_counts(
    gold: Tensor, predicted: Tensor, sentence: Tensor, unit: Tensor, units: int, scheme: Scheme, mode: str = "conll"
) -> Tensor:
    """True positives, predicted and gold spans by unit and type.

    Parameters
    ----------
    gold: (word,) int64 tags; predicted: (row, word) int64 tags of several taggers.
    sentence: (word,) int64; unit: (word,) int64, the resampling unit of each word.

    Returns
    -------
    (row, unit, type, 3) float64: tp, n_pred, n_gold.
    """
    rows, types = len(predicted), len(scheme.types)
    true, tagged = (spans(t, sentence, scheme, mode) for t in (gold[None], predicted))
    gold_end, gold_type = torch.full_like(gold, -1), torch.full_like(gold, -1)
    gold_end[true.start], gold_type[true.start] = true.end, true.type
    correct = (gold_end[tagged.start] == tagged.end) & (gold_type[tagged.start] == tagged.type)

    def count(chosen: Spans, rows: int, weight: Tensor | None = None) -> Tensor:
        cell = (chosen.row * units + unit[chosen.start]) * types + chosen.type
        return torch.bincount(cell, weight, minlength=rows * units * types).view(rows, units, types).double()

    gold_count = count(true, 1).expand(rows, -1, -1)
    return torch.stack([count(tagged, rows, correct.double()), count(tagged, rows), gold_count], dim=-1)
