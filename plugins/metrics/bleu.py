"""The formula of sentence BLEU (Papineni et al. 2002) from numbers of matches, smoothed by epsilon.

It stands here twice: with the standard library's logarithm and exact sum, which gives nltk's scores to the last bit,
and for whole arrays, which is quicker and may differ in that bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mspgt.plugins.metrics.ngrams import Ints

EPSILON = 0.1
"""stands for a number of matches of 0: method 1 of Chen and Cherry (2014)"""


def closest_lengths(lengths: Ints) -> Ints:
    """(text,) for each text the length among the others that is closest to its own, the shorter of two as close."""
    count = np.bincount(lengths)
    here = np.arange(len(count))
    far = len(count) * 3
    below = np.maximum.accumulate(np.where(count > 0, here, -far))
    above = np.minimum.accumulate(np.where(count > 0, here, far)[::-1])[::-1]
    below, above = np.append(-far, below[:-1]), np.append(above[1:], far)
    other = np.where(here - below <= above - here, below, above)
    return np.where(count > 1, here, other)[lengths]


def score(matches: Sequence[int], length: int, closest: int) -> float:
    """BLEU of one text, operation by operation as nltk computes it.

    Parameters
    ----------
    matches: for each order, the text's n-grams that count.
    length, closest: tokens of the text, and of the reference that is closest in length.
    """
    if matches[0] == 0:
        return 0.0
    penalty = 1.0 if length > closest else math.exp(1 - closest / length)
    totals = [max(1, length - n) for n in range(len(matches))]
    logs = (math.log((m or EPSILON) / total) for m, total in zip(matches, totals, strict=True))
    weight = 1 / len(matches)
    return penalty * math.exp(math.fsum(weight * log for log in logs))


def scores(matches: Ints, lengths: Ints) -> NDArray[np.float64]:
    """(text,) BLEU of texts against each other, to within rounding; `matches` is (text, order)."""
    order = matches.shape[1]
    length = np.maximum(lengths, 1)
    penalty = np.exp(np.minimum(0.0, 1 - closest_lengths(lengths) / length))
    totals = np.maximum(1, lengths[:, None] - np.arange(order))
    precision = np.log(np.where(matches == 0, EPSILON, matches) / totals).mean(1)
    return np.where(matches[:, 0] == 0, 0.0, penalty * np.exp(precision))
