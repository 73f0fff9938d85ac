"""Batch and Layer: all that a signal sees of a corpus and a model. Shapes are checked once, here.

Axes: (sequence, token), (sequence, token, dim), (sequence, head, query, key).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from mspgt.core.errors import UserError
from mspgt.core.key import Key


@dataclass(frozen=True)
class Labels:
    """The labelled instances of one probe task in a batch.

    An instance is described by one or two *slots*: half-open token ranges whose mean vectors are the input of
    the probe. A range of (-1, -1) stands for "no token" (the head of a root word) and gives a zero vector.
    """

    sequence: Tensor
    """(instance,) int64: row of the batch"""
    slots: Tensor
    """(instance, slot, 2) int64: first token and one past the last token"""
    target: Tensor
    """(instance,) int64: stable code of the class; `names` says which"""
    sentence: Tensor
    """(instance,) int64: number of the sentence in its document"""
    word: Tensor
    """(instance,) int64: stable code of the word type, for control tasks"""
    names: Mapping[int, str]
    """code -> class name, for every code in `target`"""

    def __post_init__(self) -> None:
        n = len(self.sequence)
        shapes = [tuple(t.shape) for t in (self.sequence, self.target, self.sentence, self.word)]
        if any(s != (n,) for s in shapes) or self.slots.ndim != 3 or len(self.slots) != n or self.slots.shape[2] != 2:
            raise UserError(
                f"Labels: sequence, target, sentence, word must be ({n},) and slots ({n}, slot, 2); "
                f"got {shapes} and {tuple(self.slots.shape)}."
            )

    def to(self, device: torch.device | str) -> Labels:
        """Move the tensors to a device."""
        move = {f: getattr(self, f).to(device) for f in ("sequence", "slots", "target", "sentence", "word")}
        return replace(self, **move)

    def of_sequences(self, place: Tensor) -> Labels:
        """The instances of some sequences; place: (sequence,) new row of each sequence, or -1 to leave it out."""
        kept = place[self.sequence] >= 0
        rest = {f: getattr(self, f)[kept] for f in ("slots", "target", "sentence", "word")}
        return replace(self, sequence=place[self.sequence[kept]], **rest)


@dataclass(frozen=True)
class Batch:
    """What is known before the forward pass.

    A sequence is a window of consecutive whole sentences of one document. `content` marks the tokens that count
    in statistics: padding, special tokens, position 0 and massive-activation tokens do not.
    """

    keys: tuple[Key, ...]
    """one per sequence"""
    input_ids: Tensor
    """(sequence, token) int64"""
    attention_mask: Tensor
    """(sequence, token) bool: everything but padding"""
    content: Tensor
    """(sequence, token) bool: the tokens that are counted"""
    sentence: Tensor
    """(sequence, token) int64: number of the sentence in its document, or -1"""
    labels: Mapping[str, Labels] = field(default_factory=dict)
    """probe task -> instances"""

    def __post_init__(self) -> None:
        shape = tuple(self.input_ids.shape)
        others = {n: tuple(getattr(self, n).shape) for n in ("attention_mask", "content", "sentence")}
        if len(shape) != 2 or any(s != shape for s in others.values()) or len(self.keys) != shape[0]:
            raise UserError(
                f"Batch: input_ids must be (sequence, token), the other tensors of the same shape and keys one per "
                f"sequence; got input_ids {shape}, {others}, {len(self.keys)} keys."
            )

    def to(self, device: torch.device | str) -> Batch:
        """Move every tensor to a device."""
        move = {n: getattr(self, n).to(device) for n in ("input_ids", "attention_mask", "content", "sentence")}
        return replace(self, **move, labels={task: lab.to(device) for task, lab in self.labels.items()})

    def select(self, rows: Sequence[int]) -> Batch:
        """The batch of some of its sequences; rows: their positions, in the order wanted."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.input_ids.device)
        place = torch.full((len(self.keys),), -1, dtype=torch.int64, device=index.device)
        place[index] = torch.arange(len(index), device=index.device)
        tensors = {n: getattr(self, n)[index] for n in ("input_ids", "attention_mask", "content", "sentence")}
        labels = {task: lab.of_sequences(place) for task, lab in self.labels.items()}
        return Batch(keys=tuple(self.keys[r] for r in rows), **tensors, labels=labels)

    def without(self, dropped: Tensor) -> Batch:
        """The same batch with further tokens left out of the statistics; dropped: (sequence, token) bool."""
        return replace(self, content=self.content & ~dropped.to(self.content.device))


class AttentionView(Protocol):
    """Where a Layer gets attention probabilities from; made by the capture, consumed chunk by chunk."""

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities (sequence, head, query, key) fp32)."""

    def pair_chunks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield (query rows, previous block's probabilities, this block's probabilities)."""

    def mean_chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (query rows, probabilities averaged over heads (sequence, query, key) fp32)."""


@dataclass(frozen=True)
class Layer:
    """What one layer did; pushed during the forward pass and valid only inside the call.

    Index 0 is the embedding output, index k the raw output of block k (the residual stream, before any final norm).
    """

    index: int
    hidden: Tensor
    """(sequence, token, dim)"""
    view: AttentionView | None = None

    def attention(self) -> Iterator[tuple[slice, Tensor]]:
        """Chunks of query rows of this block's attention: (rows, (sequence, head, query, key) fp32).

        The key axis may be shorter than the sequence: keys beyond it have probability zero (causal models).
        Rows of padding are zero or arbitrary: select with `Batch.content` or `attention_mask`.
        """
        return self._view().chunks()

    def attention_pair(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Chunks of query rows of the previous block's attention and of this one's, over the same keys."""
        return self._view().pair_chunks()

    def attention_mean(self) -> Iterator[tuple[slice, Tensor]]:
        """Chunks of query rows of this block's attention averaged over heads: (rows, (sequence, query, key) fp32).

        Computed without materialising all heads at once: much cheaper than averaging `attention()`. Every block
        of a batch yields the same rows and keys in the same order, so a signal may keep the previous block's
        chunks and compare them one by one; a yielded tensor is the receiver's to keep or to change.
        """
        return self._view().mean_chunks()

    def _view(self) -> AttentionView:
        if self.view is None:
            raise UserError(
                f"layer {self.index} has no attention to show: declare needs = frozenset({{'attention'}}) on the "
                "signal; the embeddings (layer 0) have none, and the first block has no previous block."
            )
        return self.view
