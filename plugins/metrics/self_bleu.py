"""self_bleu: how much each text repeats the others (Zhu et al. 2018, Texygen, 1802.01886); higher is less diverse.

The score of a text is its sentence BLEU against all other texts of the condition: n-gram precisions clipped by the
largest count in any one reference, brevity penalty of the closest reference length (the shorter of two equally near),
precisions of zero smoothed by epsilon = 0.1 (method 1 of Chen and Cherry 2014). What is computed is, bit for bit, what
`nltk.translate.bleu_score.sentence_bleu` gives with `SmoothingFunction().method1`, its customs included: a text shorter
than an order has a denominator of 1 there, so that very short texts score high, and a text that shares no token with
the others, an empty one too, scores 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mspgt.contracts.metric import Generated, Metric, Swapped, Values
from mspgt.plugins.metrics.bleu import closest_lengths, score, scores
from mspgt.plugins.metrics.ngrams import Ints, Tokens, common_items
from mspgt.plugins.metrics.options import SelfBLEUOptions
from mspgt.plugins.metrics.texts import tokens

_BITS = 40
"""a holder adds its own number to an item's sum in the low bits, room for 250,000 samples, and 1 in the high bits"""


class SelfBLEU(Metric):
    """BLEU of each text against all others of its condition, 0 to 1; NaN where there is no other."""

    summary = "BLEU of each text against all the others; lower is more diverse"
    level = "corpus"
    means = ("less diverse", "more diverse")
    unit = "share"
    Options = SelfBLEUOptions

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) score of each text."""
        return self_bleu([tokens(t.text) for t in texts], self.options.order)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """`diversity`, the mean of 1 - score: the same number with the arrow turned round."""
        return {} if len(texts) < 2 else {"diversity": float(np.mean(1 - self.measure(texts)))}

    def swapped(self, one: Sequence[Generated], other: Sequence[Generated]) -> Swapped:
        """Both sides' mean scores, without counting n-grams anew."""
        return Swaps([tokens(t.text) for t in one], [tokens(t.text) for t in other], self.options.order)


def self_bleu(texts: Sequence[Sequence[str]], order: int = 4) -> Values:
    """(text,) BLEU of each tokenised text against all others; NaN where there are fewer than two texts."""
    if len(texts) < 2:
        return np.full(len(texts), np.nan)
    row = Tokens.of(texts)
    matches = np.empty((len(texts), order), dtype=np.int64)
    for n, items in enumerate(common_items(row, order)):
        held_elsewhere = np.bincount(items.item)[items.item] > 1
        matches[:, n] = np.bincount(items.text[held_elsewhere], minlength=len(texts))
    closest = closest_lengths(row.lengths)
    return np.array(list(map(score, matches.tolist(), row.lengths.tolist(), closest.tolist())))


class Swaps:
    """Mean scores of two conditions as a function of which samples change sides.

    An item counts for every text of a side that holds it, unless that text is the only one. How many texts of a side
    hold an item is linear in the swap, and so is the sum of their numbers, which is the holder's when there is one: a
    swap costs one product of a sparse matrix with it. Items that occur under a single prompt can never count, because
    its two texts are always on different sides; they are left out.

    Parameters
    ----------
    one, other: tokenised texts of the same samples under two conditions.
    """

    def __init__(self, one: Sequence[Sequence[str]], other: Sequence[Sequence[str]], order: int = 4) -> None:
        row = Tokens.of([text for pair in zip(one, other, strict=True) for text in pair])  # text 2 * sample + condition
        by_order = list(common_items(row, order, group=2))
        text = np.concatenate([items.text for items in by_order])
        item = np.concatenate([items.item + n * len(row.token) for n, items in enumerate(by_order)])
        item = np.unique(item, return_inverse=True)[1]
        holder = text * order + np.concatenate([np.full(len(items.text), n) for n, items in enumerate(by_order)])
        shape = (int(item.max(initial=-1)) + 1, len(row.lengths))
        held = sparse.csr_array(((1 << _BITS) + holder, (item, text)), shape)
        first, second = held[:, 0::2], held[:, 1::2]  # (item, sample)
        either = first + second
        counts = np.diff(either.indptr) > 1
        self._first: Ints = first.sum(1)[counts]
        self._both: Ints = either.sum(1)[counts]
        self._change: Any = (second - first)[counts]
        self._held = np.bincount(holder[counts[item]], minlength=len(row.lengths) * order).reshape(-1, order)
        self._lengths = row.lengths

    def __call__(self, swap: NDArray[np.bool_]) -> tuple[float, float]:
        """Mean scores of the two sides; `swap` is (sample,)."""
        if len(swap) < 2:
            return math.nan, math.nan
        first: Ints = self._first + self._change @ swap.astype(np.int64)
        sums = np.concatenate([first, self._both - first])
        alone = sums[sums >> _BITS == 1] - (1 << _BITS)
        matches = self._held - np.bincount(alone, minlength=self._held.size).reshape(self._held.shape)
        sides = [np.arange(len(swap)) * 2 + side for side in (swap, ~swap)]
        means = [float(scores(matches[texts], self._lengths[texts]).mean()) for texts in sides]
        return means[0], means[1]
