"""Attention without a model: a view of given probabilities, and random causal attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class PlantedAttention:
    """An AttentionView of given probabilities, cut into chunks of query rows as a capture would do."""

    probabilities: Tensor
    """(sequence, head, query, key) fp32"""
    previous: Tensor | None = None
    """the previous block's, or None for the first block"""
    rows: int = 5
    """query rows of a chunk"""
    causal: bool = True
    """leave out the keys that no row of a chunk sees"""

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities)."""
        for rows, keys in self._cuts():
            yield rows, self.probabilities[:, :, rows, keys]

    def pair_chunks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield (query rows, previous block's probabilities, this block's)."""
        if self.previous is None:
            raise ValueError("the first block has no previous block")
        for rows, keys in self._cuts():
            yield rows, self.previous[:, :, rows, keys], self.probabilities[:, :, rows, keys]

    def mean_chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities averaged over heads)."""
        for rows, keys in self._cuts():
            yield rows, self.probabilities[:, :, rows, keys].mean(1)

    def _cuts(self) -> Iterator[tuple[slice, slice]]:
        tokens = self.probabilities.shape[2]
        for start in range(0, tokens, self.rows):
            stop = min(start + self.rows, tokens)
            yield slice(start, stop), slice(0, stop if self.causal else tokens)


def random_attention(rng: np.random.Generator, *shape: int, sharpness: float = 2.0) -> Tensor:
    """Causal attention of random scores: (..., query, key) fp32, rows sum to one."""
    scores = torch.from_numpy(rng.standard_normal(shape) * sharpness)
    hidden = torch.ones(shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -torch.inf).softmax(-1).float()


def drifting_attention(rng: np.random.Generator, blocks: int, heads: int, length: int) -> Tensor:
    """(block, head, query, key): each block mixes the previous one's attention with a random share of new."""
    fresh = random_attention(rng, blocks, heads, length, length)
    share = rng.uniform(0.2, 0.8, blocks)
    made = [fresh[0]]
    for block in range(1, blocks):
        made.append(float(share[block]) * fresh[block] + (1 - float(share[block])) * made[-1])
    return torch.stack(made)
