"""Which n-grams texts have in common, by whole-array sorting.

Clipped counting, min(count here, largest count elsewhere), becomes plain membership once the k-th occurrence of an
n-gram in a text is an item of its own: a text's clipped count is then the number of its items that some other text
holds as well. No counts, maxima or ties are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tokens:
    """The tokens of all texts in one row, as integers."""

    token: Ints
    """(token,) number of the word"""
    text: Ints
    """(token,) number of the text, ascending"""
    left: Ints
    """(token,) tokens from this one to the end of its text, itself counted"""
    lengths: Ints
    """(text,) tokens of a text"""

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> Tokens:
        """Number the words in the order in which they appear."""
        words = list(chain.from_iterable(texts))
        number = {word: i for i, word in enumerate(dict.fromkeys(words))}
        token = np.fromiter(map(number.__getitem__, words), np.int64, len(words))
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(token))
        return cls(token, np.repeat(np.arange(len(texts)), lengths), left, lengths)


@dataclass(frozen=True)
class Items:
    """The items of one order that could be common to two groups of texts; one row for each text that holds one."""

    text: Ints
    """(row,) number of the text"""
    item: Ints
    """(row,) number of the item, not consecutive, below the number of tokens"""


def common_items(tokens: Tokens, order: int, group: int = 1) -> Iterator[Items]:
    """Yield the items of n-grams of 1, 2, ... `order` tokens that occur in more than one group of texts.

    Parameters
    ----------
    group: how many consecutive texts form a group; an n-gram that occurs within a single group is left out.

    An n-gram is common only if the two it starts and ends with are, so each order sorts what the last one left.
    """
    places, name = np.arange(len(tokens.token)), tokens.token
    size = len(places) + 1
    for n in range(1, order + 1):
        if n == 1:
            key = tokens.token
        else:
            places = places[tokens.left[places] >= n]
            places = places[name[places + 1] >= 0]
            key = name[places] * size + tokens.token[places + n - 1]
        by_name = _order(key, size)
        places, key = places[by_name], key[by_name]
        text = tokens.text[places]
        first = _starts(key)
        run, begin = np.cumsum(first) - 1, np.flatnonzero(first)
        end = np.append(begin, len(key))[1:] - 1
        common = (text[begin] // group != text[end] // group)[run]
        here = np.arange(len(key))
        occurrence = here - np.maximum.accumulate(np.where(first | _starts(text), here, 0))
        yield Items(text[common], (begin[run] + occurrence)[common])
        name = np.full(size, -1)
        name[places[common]] = run[common]
        places = np.flatnonzero(name >= 0)


def _order(key: Ints, size: int) -> Ints:
    """(row,) the stable order of keys below size²; made distinct, where they fit, they are sorted much faster."""
    if size**3 < 2**63:
        return np.argsort(key * size + np.arange(len(key)))
    return np.argsort(key, kind="stable")


def _starts(values: Ints) -> NDArray[np.bool_]:
    """(row,) where a run of equal values starts."""
    starts = np.ones(len(values), dtype=np.bool_)
    starts[1:] = values[1:] != values[:-1]
    return starts
