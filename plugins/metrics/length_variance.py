"""length_variance: how much a text's sentences differ in length, the paper's measure of structural stability.

Neither way is better: prose varies its sentences, broken prose varies them wildly or not at all. A value is the
unbiased variance of one text's sentence lengths in words, so that texts can be paired by prompt; the paper's own
reading, the variance over all sentences of a condition, stands beside it as `corpus_variance`.

The first sentence of a text is the one in which its first word stands, counted whole: a prompt that stops in the middle
of it gives its part, so that lengths are those of sentences and not of what a prompt left of them.

A last sentence without closing punctuation was cut by the token limit: how long it got says where the limit fell, so it
is left out (`cut=keep` counts it), unless it is longer than `run_on` words already. A sentence that does not end is
what the metric looks for: it counts with the length it got, a lower bound of its true one. A text that is nothing but
one sentence has no variance, finished or not; `single_sentence_share` counts such texts, and `corpus_variance` holds
their sentences. A few run-ons can move the mean a long way (2% of them by nearly the mean itself) while the `median`
stays: read them together. `words` of `ttr` tells how long the texts are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.plugins.metrics.options import LengthVarianceOptions
from mspgt.plugins.metrics.texts import sentences, without_fragment, words


class LengthVariance(Metric):
    """Variance (ddof 1) of a text's sentence lengths, in words²; NaN with fewer than two sentences that count."""

    summary = "variance of the sentence lengths within a text"
    unit = "words²"
    Options = LengthVarianceOptions

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) variance of each text's sentence lengths."""
        return np.array([_variance(self._counted(t)) for t in texts], dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """Numbers of the condition; what is undefined is left out.

        corpus_variance: variance of all sentences that count, in words². median: of the texts' variances.
        run_on_share: texts with a sentence, finished or not, of more than `run_on` words; single_sentence_share: texts
        that are one sentence, finished or not; both among texts with words.
        """
        values = self.measure(texts)
        pooled = _variance([length for t in texts for length in self._counted(t)])
        whole = [lengths for t in texts if (lengths := _lengths(sentences(t.text, t.prompt)))]
        numbers = {"corpus_variance": pooled}
        if not np.isnan(values).all():
            numbers["median"] = float(np.nanmedian(values))
        if whole:
            numbers["run_on_share"] = sum(max(lengths) > self.options.run_on for lengths in whole) / len(whole)
            numbers["single_sentence_share"] = sum(len(lengths) == 1 for lengths in whole) / len(whole)
        return {name: value for name, value in numbers.items() if not np.isnan(value)}

    def _counted(self, text: Generated) -> list[int]:
        pieces = sentences(text.text, text.prompt)
        return _lengths(without_fragment(pieces, self.options.run_on) if self.options.cut == "drop" else pieces)


def _lengths(pieces: Sequence[str]) -> list[int]:
    """Words of each sentence."""
    return [len(words(sentence)) for sentence in pieces]


def _variance(lengths: Sequence[int]) -> float:
    return float(np.var(lengths, ddof=1)) if len(lengths) > 1 else float("nan")
