"""What the probe keeps: the mean vectors of labelled token ranges, each once, and the instances that use them.

Table `vectors` holds one row for each distinct range of a sequence; a table for each task holds its instances,
whose slots point at those rows, counted from the first row of the same sequence (-1: no token).
Probes are trained on the merged rows, standardised layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Labels, Layer
from mspgt.core.key import Key
from mspgt.core.state import State, Table

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}

WORKING_BYTES = 2 << 30
"""standardised rows held at once while probes are trained; layers beyond it are trained in turn"""


@dataclass(frozen=True)
class _Ranges:
    """Distinct token ranges of a batch, ordered by sequence, first and last token."""

    sequence: Tensor
    """(range,) int64: row of the batch"""
    token: Tensor
    """(member,) int64: counted tokens of all ranges, one range after the other"""
    row: Tensor
    """(member,) int64: row of the batch of each"""
    length: Tensor
    """(range,) int64: counted tokens in each range"""

    def to(self, device: torch.device) -> _Ranges:
        return _Ranges(*(t.to(device) for t in (self.sequence, self.token, self.row, self.length)))

    def means(self, hidden: Tensor) -> Tensor:
        """(sequence, token, dim) -> (range, dim) fp32, summed token by token whatever else is in the batch."""
        values = hidden[self.row, self.token].float()
        if not len(self.length):
            return values  # (0, dim): segment_reduce refuses it
        return torch.segment_reduce(values, "mean", lengths=self.length, axis=0)


class VectorRecorder:
    """Records the labelled rows of one batch at layers 1..L."""

    def __init__(self, batch: Batch, tasks: Sequence[str], dtype: torch.dtype) -> None:
        self._keys: tuple[Key, ...] = batch.keys
        self._dtype = dtype
        labelled = {task: batch.labels[task] for task in tasks if task in batch.labels}
        usable = {task: _usable(labels, batch.content) for task, labels in labelled.items()}
        self._names = {c: n for labels in labelled.values() for c, n in labels.names.items()}
        self._totals = {f"{task}.dropped": (~keep).sum().cpu() for task, keep in usable.items()}
        codes = [_codes(labels, batch.content)[usable[task]] for task, labels in labelled.items()]
        flat = torch.cat([c.flatten() for c in codes]) if codes else batch.input_ids.new_zeros(0)
        distinct = torch.unique(flat[flat >= 0])
        self._ranges = _ranges(distinct, batch.content)
        self._tables = {
            task: _instances(
                labels, usable[task], torch.searchsorted(distinct, code).where(code >= 0, -1), self._ranges
            )
            for (task, labels), code in zip(labelled.items(), codes, strict=True)
        }
        self._vectors: list[Tensor] = []

    def layer(self, layer: Layer) -> None:
        """Keep the mean vectors of the ranges; the embeddings are not probed."""
        if layer.index == 0:
            return
        hidden = layer.hidden.detach()
        self._ranges = self._ranges.to(hidden.device)
        self._vectors.append(self._ranges.means(hidden).to(self._dtype))

    def rows(self) -> State:
        """The state of the batch."""
        vectors = torch.stack([v.cpu() for v in self._vectors], dim=1)  # (range, layer, dim)
        tables = {"vectors": Table(self._ranges.sequence.cpu(), {"hidden": vectors}), **self._tables}
        return State(self._keys, tables, self._totals, self._names)


def _usable(labels: Labels, content: Tensor) -> Tensor:
    """Instances all of whose slots have a counted token, or say that there is none: (instance,) bool."""
    counted = torch.nn.functional.pad(content.long().cumsum(1), (1, 0))  # (sequence, token + 1)
    row = labels.sequence[:, None]
    start, end = labels.slots.clamp_min(0).unbind(-1)
    return ((counted[row, end] > counted[row, start]) | (labels.slots[..., 0] < 0)).all(1)


def _codes(labels: Labels, content: Tensor) -> Tensor:
    """One number for each slot's range, ascending with sequence, start and end; -1 for no token."""
    width = content.shape[1] + 1
    start, end = labels.slots.unbind(-1)
    code = (labels.sequence[:, None] * width + start) * width + end
    return code.where(start >= 0, -1)


def _ranges(codes: Tensor, content: Tensor) -> _Ranges:
    width = content.shape[1] + 1
    sequence, start, end = codes // width**2, codes // width % width, codes % width
    span = end - start
    owner = torch.repeat_interleave(torch.arange(len(codes), device=codes.device), span)
    within = torch.arange(len(owner), device=codes.device) - (span.cumsum(0) - span)[owner]
    row, token = sequence[owner], start[owner] + within
    counted = content[row, token]
    length = torch.bincount(owner[counted], minlength=len(codes))
    return _Ranges(sequence, token[counted], row[counted], length)


def _instances(labels: Labels, keep: Tensor, slots: Tensor, ranges: _Ranges) -> Table:
    """The table of one task, ordered by sequence and tokens; slots: (instance, slot) numbers of ranges or -1."""
    sequence, target = labels.sequence[keep], labels.target[keep]
    first = torch.searchsorted(ranges.sequence, sequence)
    order = torch.arange(len(sequence), device=sequence.device)
    for column in (target, *reversed(slots.unbind(1)), sequence):
        order = order[torch.argsort(column[order], stable=True)]
    local = (slots - first[:, None]).where(slots >= 0, -1)
    columns = {
        "slots": local.int(),
        "target": target,
        "sentence": labels.sentence[keep].int(),
        "word": labels.word[keep],
    }
    return Table(sequence[order].cpu(), {name: c[order].cpu() for name, c in columns.items()})


def standardised(state: State, training: Tensor, device: torch.device | str) -> Iterator[tuple[int, Tensor]]:
    """Yield (first layer, (layer, row, dim) fp32), as many layers at once as `WORKING_BYTES` allow.

    Each layer is shifted and scaled by its own rows of the training documents, without which one learning rate
    would mean something else in each layer: the norm of the residual stream grows. The last row is zero, that is
    the mean vector; it stands for "no token", and -1 points at it.

    Parameters
    ----------
    training: numbers of the rows of table `vectors` that belong to training documents.
    """
    hidden = state.tables["vectors"].columns["hidden"]  # (row, layer, dim)
    rows, layers, dim = hidden.shape
    step = max(1, WORKING_BYTES // (4 * (rows + 1) * dim))
    for first in range(0, layers, step):
        part = hidden[:, first : first + step].to(device).float().transpose(0, 1)
        features = part.new_zeros(len(part), rows + 1, dim)
        for of_layer, out in zip(part, features, strict=True):
            std, mean = torch.std_mean(of_layer[training.to(device)], dim=0, correction=0)
            out[:-1] = (of_layer - mean) / std.where(std > 0, 1)
        yield first, features
