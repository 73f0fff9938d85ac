"""perplexity: how surprising the generated texts are to the undisturbed model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mspgt.metric import Generated, Metric, Values


class Perplexity(Metric):
    """Exponential of the mean negative log-likelihood of a text's tokens under the undisturbed model.

    NaN for a text without tokens, and where the exponential is no finite number.
    """

    summary = "perplexity of a text under the undisturbed model"
    level = "sample"
    direction = "lower"
    unit = "perplexity"
    needs = frozenset({"scores"})

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) exp(nll), at least 1."""
        return _exp(_nll(texts))

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """corpus: exp of the mean nll over texts, each text weighing the same; less than the mean of perplexities."""
        nll = _nll(texts)
        known = nll[np.isfinite(nll)]
        if not known.size:
            return {}
        corpus = float(_exp(known.mean()))
        return {"corpus": corpus} if np.isfinite(corpus) else {}


def _nll(texts: Sequence[Generated]) -> Values:
    return np.array([text.scores.get("nll", np.nan) for text in texts], dtype=np.float64)


def _exp(nll: Values | np.float64) -> Values:
    with np.errstate(over="ignore"):
        found = np.exp(nll)
    return np.where(np.isfinite(found), found, np.nan)
