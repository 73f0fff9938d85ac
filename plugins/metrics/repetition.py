"""repetition: how much a text repeats itself, the degeneration of likelihood-trained models into loops.

The measure is the seq-rep-n of Welleck et al. (2020, Neural Text Generation with Unlikelihood Training, 1908.04319):
1 - distinct n-grams / n-grams, over tokens with case and punctuation kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.plugins.metrics.options import RepetitionOptions
from mspgt.plugins.metrics.texts import tokens

LOOPING = 0.5
"""share of repeated n-grams above which a text counts as repetitive"""


class Repetition(Metric):
    """Share of a text's n-grams that occurred in it before, 0 to below 1; NaN with fewer than n tokens."""

    summary = "share of a text's 4-grams that occurred in it before"
    direction = "lower"
    unit = "share"
    Options = RepetitionOptions

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) share of repeated n-grams of each text."""
        return np.array([repeated(tokens(t.text), self.options.n) for t in texts], dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """`repetitive_share`: texts of which more than half is repetition, among those with an n-gram."""
        values = self.measure(texts)
        defined = values[~np.isnan(values)]
        return {"repetitive_share": float(np.mean(defined > LOOPING))} if len(defined) else {}


def repeated(text: Sequence[str], n: int) -> float:
    """1 - distinct n-grams / n-grams; NaN without any."""
    grams = list(zip(*(text[i:] for i in range(n)), strict=False))
    return (len(grams) - len(set(grams))) / len(grams) if grams else float("nan")
