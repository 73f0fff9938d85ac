"""What every recorder of sums does: each block meets itself and the block below it."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor

from mspgt.contracts.batch import Layer

Block = TypeVar("Block")
Pair = TypeVar("Pair")


class NeighbourRecorder(Generic[Block, Pair]):
    """Goes through the blocks; only the block below is held, and what pairs of blocks gave."""

    def __init__(self) -> None:
        self._below: Block | None = None
        self._own: list[Pair] = []
        """of each block with itself"""
        self._between: list[Pair] = []
        """of each block but the first with the block below"""

    def block(self, layer: Layer) -> Block:
        """What is held of a block."""
        raise NotImplementedError

    def pair(self, left: Block, right: Block, upper: int) -> Pair:
        """What two blocks give, the same one twice or neighbours; upper: number of the second, from 0."""
        raise NotImplementedError

    def layer(self, layer: Layer) -> None:
        """Add a block; the embeddings are in no transition."""
        if layer.index == 0:
            return
        block = self.block(layer)
        self._own.append(self.pair(block, block, layer.index - 1))
        if self._below is not None:
            self._between.append(self.pair(self._below, block, layer.index - 1))
        self._below = block


def stack(parts: list[Tensor], like: Tensor) -> Tensor:
    """Stack values of pairs; an empty tensor of such values where there are none."""
    return torch.stack(parts) if parts else like.new_empty(0, *like.shape)
