"""ttr: type-token ratio, how many of a text's words are different ones.

The ratio falls as a text grows, because words recur: texts of different lengths cannot be compared by it. Two readings
that do not depend on length stand beside it: the ratio of the first N words, and MATTR, the mean ratio of all windows
of equal length (Covington and McFall 2010, Cutting the Gordian Knot: the moving-average type-token ratio).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.metric import Generated, Metric, Values
from mspgt.plugins.options_metrics_text import TTROptions
from mspgt.plugins.texts import words

SHORTEST = 10
"""words below which a text has no say in how many first words are compared"""


class TypeTokenRatio(Metric):
    """Distinct words over words, 0 to 1; NaN for a text without words, or with less than a window of them."""

    summary = "distinct words over words of a text"
    level = "sample"
    direction = "higher"
    unit = "share"
    Options = TTROptions

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) the chosen variant's ratio of each text."""
        if self.options.variant == "mattr":
            return np.array([mattr(words(t.text), self.options.window) for t in texts], dtype=np.float64)
        return np.array([ttr(words(t.text)) for t in texts], dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """Means over texts; what is undefined is left out.

        plain: of the ratio. mattr: of MATTR, over texts with a window of words. ttr_first_n: of the ratio of the first
        `n` words, where n is the smallest number of words among texts with at least 10, over those texts.
        """
        found = [words(t.text) for t in texts]
        readings = {
            "plain": [ttr(text) for text in found if text],
            "mattr": [mattr(text, self.options.window) for text in found if len(text) >= self.options.window],
        }
        means = {name: float(np.mean(values)) for name, values in readings.items() if values}
        long = [text for text in found if len(text) >= SHORTEST]
        if long:
            n = min(map(len, long))
            means |= {"ttr_first_n": float(np.mean([ttr(text[:n]) for text in long])), "n": float(n)}
        return means


def ttr(text: Sequence[str]) -> float:
    """Distinct words over words; NaN without words."""
    return len(set(text)) / len(text) if text else float("nan")


def mattr(text: Sequence[str], window: int) -> float:
    """Mean type-token ratio of all windows of `window` consecutive words; NaN with fewer words."""
    windows = len(text) - window + 1
    if windows < 1:
        return float("nan")
    # A word is a type of the windows that reach it and do not reach its last occurrence before it.
    last: dict[str, int] = {}
    types = 0
    for i, word in enumerate(text):
        earliest = max(0, i - window + 1, last.get(word, -1) + 1)
        types += max(0, min(i, windows - 1) - earliest + 1)
        last[word] = i
    return types / (windows * window)
