"""From counts by document to the curve S2 over transitions, with its noise, for any document weights.

P(l) is the unweighted mean over tasks of F1 at layer l, then over seeds. The raw curve is |P(l+1) - P(l)| / P(l).
Noise alone makes such jumps, and after division by its own maximum a curve of noise always has a peak; the debiased
curve is sqrt(max(0, dP^2 - Var dP)) / P(l), with the variance over documents (paired: both layers are tested on the
same ones) and over seeds. Both are functions of the weights, so that a document of weight zero is absent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 0.01
"""scores below this are no basis of a relative jump: the curve is 0 there"""


@dataclass(frozen=True)
class Jumps:
    """The scores of a set of replicates and their jumps."""

    score: Tensor
    """(replicate, layer): P"""
    jump: Tensor
    """(replicate, transition): P(l+1) - P(l)"""
    variance: Tensor
    """(replicate, transition): of the jump, over documents and seeds"""

    @property
    def raw(self) -> Tensor:
        """S2 as in the paper: (replicate, transition)."""
        return self._relative(self.jump.abs())

    @property
    def debiased(self) -> Tensor:
        """S2 without the part that noise explains: (replicate, transition)."""
        return self._relative((self.jump.square() - self.variance).clamp_min(0).sqrt())

    @property
    def error(self) -> Tensor:
        """Standard error of the jump on the scale of S2: (replicate, transition)."""
        return self._relative(self.variance.sqrt())

    def _relative(self, value: Tensor) -> Tensor:
        below = self.score[:, :-1]
        return (value / below.clamp_min(EPSILON)).where(below >= EPSILON, 0)


def jumps(counts: Tensor, weights: Tensor, drawn: Tensor | None = None) -> Jumps:
    """Scores, jumps and their variance.

    Parameters
    ----------
    counts: (task, layer, seed, unit, 3) float64: tp, n_pred, n_gold.
    weights: (replicate, unit) float64.
    drawn: (replicate, seed) float64: how often each seed stands in the mean; None for once each.
    """
    tasks, layers, seeds = counts.shape[:3]
    if drawn is None:
        drawn = torch.ones(len(weights), seeds, dtype=weights.dtype)
    by_unit = counts.movedim(3, 0).flatten(1)  # (unit, task * layer * seed * 3)
    tp, n_pred, n_gold = (weights @ by_unit).view(-1, tasks, layers, seeds, 3).unbind(-1)
    size = n_pred + n_gold
    inverse = torch.where(size > 0, 1 / size, 0)
    f1 = 2 * tp * inverse  # (replicate, task, layer, seed)
    of_seed = f1.mean(1)  # (replicate, layer, seed)
    score = torch.einsum("rls,rs->rl", of_seed, drawn) / seeds
    share = inverse * drawn[:, None, None] / (seeds * tasks)
    variance = _document_variance(counts, weights, f1, share) + _seed_variance(of_seed)
    return Jumps(score, score.diff(dim=1), variance)


def _document_variance(counts: Tensor, weights: Tensor, f1: Tensor, share: Tensor) -> Tensor:
    """Variance of the jumps over documents, by the delta method: (replicate, transition).

    A document moves F1 by (2 tp_d - F1 (n_pred_d + n_gold_d)) / (n_pred + n_gold); these influences sum to zero, so
    their weighted sum of squares is the variance of the bootstrap to first order. f1, share: (replicate, task,
    layer, seed), `share` the factor of each score's influence in the mean over tasks and seeds.
    """
    result = []
    below: Tensor | None = None
    for layer in range(counts.shape[1]):
        tp, n_pred, n_gold = counts[:, layer].movedim(2, 0).unbind(-1)  # each (unit, task, seed)
        factor = share[:, :, layer]
        influence = (2 * factor).flatten(1) @ tp.flatten(1).T
        influence -= (f1[:, :, layer] * factor).flatten(1) @ (n_pred + n_gold).flatten(1).T  # (replicate, unit)
        if below is not None:
            result.append((weights * (influence - below).square()).sum(1))
        below = influence
    return torch.stack(result, dim=1) if result else weights.new_zeros(len(weights), 0)


def _seed_variance(score: Tensor) -> Tensor:
    """Variance of the mean jump over seeds: (replicate, layer, seed) -> (replicate, transition); 0 for one seed."""
    seeds = score.shape[2]
    jump = score.diff(dim=1)
    return jump.var(dim=2) / seeds if seeds > 1 else torch.zeros_like(jump[..., 0])
