"""grammaticality: how many mistakes LanguageTool finds in a text, per 100 words.

Every match of the rules that LanguageTool has on by default counts once, spelling included: garbled words are the
first that a disturbance brings, but names and invented words are matches too, in every condition alike. The rate of
each category stands beside the whole, and `spelling=false` counts without the category TYPOS. A continuation that
begins in mid-sentence, or is cut off in brackets, is a match as well; that, too, is alike in all conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.plugins.metrics.languagetool import Categories, LanguageTool
from mspgt.plugins.metrics.options import GrammaticalityOptions
from mspgt.plugins.metrics.texts import words

LISTED = 5
"""categories beside the mean: the most frequent ones"""


class Grammaticality(Metric):
    """LanguageTool matches per 100 words; NaN for a text without words.

    The server is the one given by `server`, or else one that is started for all conditions and stopped by `close`:
    from the folder in the environment variable LTP_PATH, or downloaded by `language-tool-python` unless offline. Equal
    texts are asked once.

    Raises
    ------
    UserError: there is no server, or it fails.
    """

    summary = "LanguageTool matches per 100 words"
    direction = "lower"
    unit = "matches per 100 words"
    Options = GrammaticalityOptions

    def __init__(self, *, seed: int = 0, device: str = "cpu", offline: bool = False, **options: Any) -> None:
        super().__init__(seed=seed, device=device, offline=offline, **options)
        self._tool = LanguageTool(self.options, offline)
        self._found: dict[str, Categories] = {}

    def probe(self) -> None:
        """See whether there will be a server."""
        self._tool.probe()

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) matches per 100 words of each text."""
        checked = self._check(texts)
        rates = [100 * len(matches) / n if n else float("nan") for matches, n in checked]
        return np.array(rates, dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """Of all texts taken together: `all` matches per 100 words, and those of each of the 5 commonest categories.

        The categories are LanguageTool's, in lower case, such as `grammar` or `typos`.
        """
        checked = self._check(texts)
        total = sum(n for _, n in checked)
        if not total:
            return {}
        counts = Counter(category.lower() for matches, _ in checked for category in matches)
        listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
        return {name: 100 * count / total for name, count in [("all", counts.total()), *listed]}

    def close(self) -> None:
        """Stop the server."""
        self._tool.close()

    def _check(self, texts: Sequence[Generated]) -> list[tuple[Categories, int]]:
        """Matches and number of words of each text."""
        lengths = [len(words(text.text)) for text in texts]
        new = [text.text for text, n in zip(texts, lengths, strict=True) if n and text.text not in self._found]
        self._found.update(zip(new, self._tool.check(new), strict=True))
        return [(self._found.get(text.text, ()) if n else (), n) for text, n in zip(texts, lengths, strict=True)]
