"""F1 from counts: true positives, predictions and gold labels are sums over documents, so F1 has weights.

F1(V) = 2 tp V / (n_pred V + n_gold V) is what scikit-learn gives on a corpus in which each document stands V times.
"""

from __future__ import annotations

import torch
from torch import Tensor


def label_counts(gold: Tensor, predicted: Tensor, classes: int, unit: Tensor, units: int) -> Tensor:
    """True positives, predicted and gold labels by unit and class.

    Parameters
    ----------
    gold: (instance,) int64; predicted: (row, instance) int64, several classifiers.
    unit: (instance,) int64, the resampling unit of each instance.

    Returns
    -------
    (row, unit, class, 3) float64: tp, n_pred, n_gold.
    """
    rows = len(predicted)
    size = rows * units * classes
    cell = (torch.arange(rows)[:, None] * units + unit) * classes  # (row, instance)
    tp = torch.bincount((cell + gold).flatten(), (predicted == gold).double().flatten(), minlength=size)
    n_pred = torch.bincount((cell + predicted).flatten(), minlength=size)
    n_gold = torch.bincount((cell + gold).flatten(), minlength=size)
    return torch.stack([tp, n_pred.double(), n_gold.double()], dim=-1).view(rows, units, classes, 3)


def f1(counts: Tensor) -> Tensor:
    """F1 of counts: (..., 3) -> (...); zero where there is neither a prediction nor a gold label."""
    tp, n_pred, n_gold = counts.unbind(-1)
    return 2 * tp / (n_pred + n_gold).clamp_min(torch.finfo(counts.dtype).tiny)


def micro_f1(counts: Tensor) -> Tensor:
    """F1 of the counts summed over classes: (..., class, 3) -> (...)."""
    return f1(counts.sum(-2))


def macro_f1(counts: Tensor) -> Tensor:
    """Mean F1 of the classes that are predicted or in the gold: (..., class, 3) -> (...)."""
    present = counts[..., 1:].sum(-1) > 0
    return (f1(counts) * present).sum(-1) / present.sum(-1).clamp_min(1)
