"""perplexity: how surprising the generated texts are to the undisturbed model.

The value of a text is the logarithm of its perplexity. Perplexities themselves are ruled by a few texts: one whose
tokens cost 15 nats each weighs as much as 100,000 of 3.5 nats, and a mean over texts, or its percentage change, would
tell of that one alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values


class Perplexity(Metric):
    """Mean negative log-likelihood of a text's tokens under the undisturbed model, in nats per token.

    NaN for a text without tokens, and where the likelihood of one is 0.
    """

    summary = "log-perplexity of a text under the undisturbed model"
    direction = "lower"
    unit = "nats per token"
    needs = frozenset({"scores"})

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) nll, at least 0."""
        nll = np.array([text.scores.get("nll", np.nan) for text in texts], dtype=np.float64)
        return np.where(np.isfinite(nll), nll, np.nan)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """perplexity: exp of the mean over texts, each weighing the same; left out where that is no finite number."""
        values = self.measure(texts)
        if np.isnan(values).all():
            return {}
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(np.nanmean(values)))
        return {"perplexity": perplexity} if np.isfinite(perplexity) else {}
