"""divergence: how far a disturbance moves the model's predictions, along the text of the undisturbed model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mspgt.contracts.metric import Generated, Metric, Values


class Divergence(Metric):
    """Mean Kullback-Leibler divergence of the disturbed model's next-token distribution from the undisturbed one's.

    In nats per token. It does not depend on what was sampled under the condition; 0 where nothing is disturbed.
    """

    summary = "Kullback-Leibler divergence of the disturbed model from the undisturbed one, per token"
    unit = "nats"
    needs = frozenset({"scores"})

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) `scores["kl"]`; NaN where there is none, or no finite one."""
        kl = np.array([text.scores.get("kl", np.nan) for text in texts], dtype=np.float64)
        return np.where(np.isfinite(kl), kl, np.nan)
