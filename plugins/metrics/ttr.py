"""ttr: type-token ratio, how many of a text's words are different ones.

The ratio falls as a text grows, because words recur: conditions whose texts differ in length (`words` tells it) cannot
be compared by it. The reading that length does not touch is MATTR, the mean ratio of all windows of equal length
(Covington and McFall 2010, Cutting the Gordian Knot: the moving-average type-token ratio): `variant=mattr` makes it the
value. The ratio of the first N words, N being the same for every condition, stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.plugins.metrics.options import TTROptions
from mspgt.plugins.metrics.texts import words


class TypeTokenRatio(Metric):
    """Distinct words over words, 0 to 1; NaN for a text without words, or with less than a window of them."""

    summary = "distinct words over words of a text"
    means = ("more diverse", "less diverse")
    unit = "share"
    Options = TTROptions

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) the chosen variant's ratio of each text."""
        if self.options.variant == "mattr":
            return np.array([mattr(words(t.text), self.options.window) for t in texts], dtype=np.float64)
        return np.array([ttr(words(t.text)) for t in texts], dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """Means over texts; what is undefined is left out.

        words: of how many they are, over all texts. plain: of the ratio. mattr: of MATTR, over texts with a window of
        words. ttr_first_n: of the ratio of the first `first` words, over texts with that many; share_first_n: how many
        of all texts those are.
        """
        by_text, first, window = [words(t.text) for t in texts], self.options.first, self.options.window
        readings = {
            "words": [float(len(text)) for text in by_text],
            "plain": [ttr(text) for text in by_text if text],
            "mattr": [mattr(text, window) for text in by_text if len(text) >= window],
            "ttr_first_n": [ttr(text[:first]) for text in by_text if len(text) >= first],
            "share_first_n": [float(len(text) >= first) for text in by_text],
        }
        return {name: float(np.mean(values)) for name, values in readings.items() if values}


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
