"""Attention probabilities of one block, given out a few query rows at a time.

`Recomputed` forms them from the queries and keys that the fast kernel was given; `Weights` holds those that an
eager attention module returned. `View` deals either out in chunks, so that temporary memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from mspgt.core.errors import UserError

BLOCKED = -1e30
"""added to the score of a key that a query may not see: finite, so that a row without any key gives no NaN"""
CHUNK_ELEMENTS = 1 << 22
"""elements of a chunk that holds all heads: 16 MiB"""
MEAN_ELEMENTS_CPU = 1 << 17
"""elements of one head's scores on a CPU: 512 KiB, so that they stay in the cache from product to softmax"""


class AttentionSource(Protocol):
    """One block's attention."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sequences, heads, tokens)"""

    @property
    def device(self) -> torch.device:
        """Where the probabilities are computed."""

    def probabilities(self, rows: slice) -> Tensor:
        """Probabilities of these query rows: (sequence, head, query, key) fp32; keys may end early."""

    def mean(self, rows: slice) -> Tensor:
        """The same averaged over heads: (sequence, query, key) fp32, a tensor of the receiver's own."""


@dataclass(frozen=True)
class Recomputed:
    """Attention formed from what the model's own attention call was given."""

    query: Tensor
    """(sequence, head, token, dim), after positions were rotated in"""
    key: Tensor
    """(sequence, key head, token, dim); each key head serves heads / key heads consecutive heads"""
    mask: Tensor | None
    """(sequence or 1, head or 1, query, key): bool, true where allowed, or added to the scores; None: no mask"""
    causal: bool
    """no query sees a later key"""
    scale: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sequences, heads, tokens)"""
        return self.query.shape[0], self.query.shape[1], self.query.shape[2]

    @property
    def device(self) -> torch.device:
        """Where queries and keys are."""
        return self.query.device

    def probabilities(self, rows: slice) -> Tensor:
        """Probabilities of these query rows: (sequence, head, query, key) fp32; causal keys end with the rows."""
        end = self._end(rows)
        with torch.autocast(self.device.type, enabled=False):
            sequences, heads, _, dim = self.query.shape
            groups = heads // self._key.shape[1]
            query = self.query[:, :, rows].float().reshape(sequences, -1, groups, rows.stop - rows.start, dim)
            key = self._key[:, :, :end].unsqueeze(2)
            scores = torch.matmul(query * self.scale, key.transpose(-1, -2)).flatten(1, 2)
            bias = self._bias(rows, end)
            if bias is not None:
                scores += bias
            return self._without_empty_rows(torch.softmax(scores, -1), bias)

    def mean(self, rows: slice) -> Tensor:
        """The same averaged over heads: (sequence, query, key) fp32.

        On a CPU head by head, because scores that stay in the cache cost half as much.
        """
        if self.device.type != "cpu":
            return self.probabilities(rows).mean(1)
        end = self._end(rows)
        sequences, heads, _ = self.shape
        groups = heads // self._key.shape[1]
        with torch.autocast("cpu", enabled=False):
            bias = self._bias(rows, end)
            start = torch.zeros(()) if bias is None else bias
            total = torch.zeros(sequences, rows.stop - rows.start, end)
            for head in range(heads):
                query = self.query[:, head, rows].float()
                key = self._key[:, head // groups, :end].transpose(1, 2)
                added = start[:, head % start.shape[1]] if bias is not None else start
                scores = torch.baddbmm(added, query, key, alpha=self.scale)  # (sequence, query, key)
                total += torch.softmax(scores, -1, out=scores)
            total /= heads
            return total if bias is None else self._without_empty_rows(total, bias.amax(1))

    @cached_property
    def _key(self) -> Tensor:
        return self.key.float()

    def _end(self, rows: slice) -> int:
        return rows.stop if self.causal else self.key.shape[2]

    def _bias(self, rows: slice, end: int) -> Tensor | None:
        """What is added to the scores: (sequence or 1, head or 1, query, key) fp32, or None."""
        if self.mask is None:
            if not self.causal:
                return None
            shape = (rows.stop - rows.start, end)
            bias = torch.full(shape, BLOCKED, device=self.device).triu_(rows.start + 1)
            return bias[None, None]
        mask = self.mask[:, :, rows, :end]
        if mask.dtype == torch.bool:
            return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, BLOCKED)
        return mask.float().clamp_min(BLOCKED).masked_fill(blocked(mask), BLOCKED)

    def _without_empty_rows(self, probabilities: Tensor, bias: Tensor | None) -> Tensor:
        """Zero where nothing may be seen: softmax has spread such a row evenly."""
        if self.mask is None or bias is None:
            return probabilities
        return probabilities.masked_fill_(bias <= BLOCKED, 0.0)


@dataclass(frozen=True)
class Weights:
    """Attention that the model itself returned: (sequence, head, query, key)."""

    weights: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sequences, heads, tokens)"""
        return self.weights.shape[0], self.weights.shape[1], self.weights.shape[2]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights.device

    def probabilities(self, rows: slice) -> Tensor:
        """A copy of these query rows in fp32."""
        return self.weights[:, :, rows].to(torch.float32, copy=True)

    def mean(self, rows: slice) -> Tensor:
        """The same averaged over heads."""
        return self.weights[:, :, rows].float().mean(1)


@dataclass(frozen=True)
class View:
    """What a Layer shows of its attention; implements `mspgt.contracts.batch.AttentionView`."""

    block: int
    current: AttentionSource
    previous: AttentionSource | None
    mean_rows: int
    """query rows of a chunk of `mean_chunks`, the same for all blocks of a batch"""

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities (sequence, head, query, key) fp32)."""
        for rows in self._slices(self._rows(self.current.shape[1])):
            yield rows, self.current.probabilities(rows)

    def pair_chunks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield (query rows, previous block's probabilities, this block's), over the same keys."""
        if self.previous is None:
            raise UserError(
                f"block {self.block} has no previous block to compare its attention with: start at block 2."
            )
        for rows in self._slices(self._rows(self.current.shape[1] + self.previous.shape[1])):
            before = self.previous.probabilities(rows).to(self.current.device)
            now = self.current.probabilities(rows)
            keys = max(before.shape[-1], now.shape[-1])
            yield rows, pad(before, (0, keys - before.shape[-1])), pad(now, (0, keys - now.shape[-1]))

    def mean_chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities averaged over heads (sequence, query, key) fp32)."""
        for rows in self._slices(self.mean_rows):
            yield rows, self.current.mean(rows)

    def _rows(self, heads: int) -> int:
        sequences, _, tokens = self.current.shape
        return max(1, CHUNK_ELEMENTS // (sequences * heads * tokens))

    def _slices(self, rows: int) -> Iterator[slice]:
        tokens = self.current.shape[2]
        for start in range(0, tokens, rows):
            yield slice(start, min(tokens, start + rows))


def mean_rows(source: AttentionSource) -> int:
    """How many query rows a head-averaged chunk has: enough for fast products, few enough for the cache."""
    sequences, heads, tokens = source.shape
    if source.device.type == "cpu":
        return max(16, MEAN_ELEMENTS_CPU // (sequences * tokens))
    return max(16, CHUNK_ELEMENTS // (sequences * heads * tokens))


def blocked(mask: Tensor) -> Tensor:
    """Where a mask forbids: bool masks say it; added masks have about the least number of their type there."""
    return ~mask if mask.dtype == torch.bool else mask <= torch.finfo(mask.dtype).min / 2


def is_causal_mask(mask: Tensor) -> bool:
    """Whether no query sees a later key under this mask (sequence or 1, head or 1, query, key)."""
    return not bool((~blocked(mask)).triu_(1).any())
