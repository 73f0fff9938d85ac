"""Which tokens become rows of CKA, and the recorder that keeps their hidden states.

Within a document, the tokens of a sentence depend on one another; one token per sentence is therefore drawn. The
draw is a hash of (seed, corpus, document, sentence, position in the sentence): the same in every layer, and
whatever the batch, the padding or the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.random import mix
from mspgt.core.state import State, Table, stable_code
from mspgt.plugins.signals.cka.options import CKAOptions


@dataclass(frozen=True)
class Selection:
    """The tokens of a batch that make its rows."""

    sequence: Tensor
    """(token,) int64: row of the batch"""
    token: Tensor
    """(token,) int64: column of the batch"""
    row: Tensor
    """(token,) int64: which row the token belongs to, from 0, ascending"""
    row_sequence: Tensor
    """(row,) int64: sequence of each row"""
    row_sentence: Tensor
    """(row,) int64: sentence of each row"""

    def take(self, hidden: Tensor) -> Tensor:
        """The rows of one layer, the mean over tokens where a row has several: (row, dim), a fresh tensor."""
        device = hidden.device
        taken = hidden[self.sequence.to(device), self.token.to(device)]
        if len(self.row) == len(self.row_sequence):
            return taken
        row = self.row.to(device)
        sums = torch.zeros(len(self.row_sequence), hidden.shape[-1], device=device).index_add_(0, row, taken.float())
        return (sums / torch.bincount(row)[:, None]).to(hidden.dtype)


def select(batch: Batch, options: CKAOptions, seed: int) -> Selection:
    """The tokens that the options ask for."""
    if options.unit == "sentence_mean":
        return whole_sentences(batch)
    return draw_tokens(batch, seed, options.rows_per_sentence)


def draw_tokens(batch: Batch, seed: int, per_sentence: int) -> Selection:
    """Draw tokens without replacement from the counted tokens of each sentence; each is a row."""
    sequence, token = (batch.content & (batch.sentence >= 0)).nonzero(as_tuple=True)
    sentence = batch.sentence[sequence, token]
    codes = torch.tensor(
        [stable_code(f"{seed}\0{key.corpus}\0{key.document}") for key in batch.keys],
        dtype=torch.int64,
        device=sequence.device,
    )
    place = _place_in_sentence(batch.sentence)[sequence, token]
    chance = mix(mix(codes[sequence] ^ sentence) + place)
    order = _sorted_by(sequence, sentence, chance)
    group = _segments(sequence[order], sentence[order])
    first = torch.searchsorted(group, group)  # where each group begins
    rank = torch.arange(len(order), device=order.device) - first
    chosen = order[rank < per_sentence].sort().values
    sequence, token, sentence = sequence[chosen], token[chosen], sentence[chosen]
    return Selection(sequence, token, torch.arange(len(chosen), device=chosen.device), sequence, sentence)


def whole_sentences(batch: Batch) -> Selection:
    """Every counted token; a row is the mean over a sentence."""
    sequence, token = (batch.content & (batch.sentence >= 0)).nonzero(as_tuple=True)
    sentence = batch.sentence[sequence, token]
    row = _segments(sequence, sentence)
    first = torch.searchsorted(row, torch.arange(int(row[-1]) + 1 if len(row) else 0, device=row.device))
    return Selection(sequence, token, row, sequence[first], sentence[first])


class RowRecorder:
    """Keeps the selected rows of every block, in the precision of the model.

    The state's table "rows" has the columns hidden (row, layer 1..L, dim) and sentence (row,).
    """

    def __init__(self, batch: Batch, selection: Selection) -> None:
        self._batch, self._selection = batch, selection
        self._hidden: list[Tensor] = []

    def layer(self, layer: Layer) -> None:
        """Take the rows of a block; the embeddings are in no transition."""
        if layer.index > 0:
            self._hidden.append(self._selection.take(layer.hidden.detach()))

    def rows(self) -> State:
        """The state of the batch."""
        hidden = torch.stack([h.cpu() for h in self._hidden], dim=1)
        columns = {"hidden": hidden, "sentence": self._selection.row_sentence.cpu()}
        return State(self._batch.keys, {"rows": Table(self._selection.row_sequence.cpu(), columns)})


def _place_in_sentence(sentence: Tensor) -> Tensor:
    """Position of each token in its sentence: it does not move with padding or with the window."""
    position = torch.arange(sentence.shape[1], device=sentence.device).expand_as(sentence)
    begins = torch.ones_like(sentence, dtype=torch.bool)
    begins[:, 1:] = sentence[:, 1:] != sentence[:, :-1]
    return position - torch.where(begins, position, 0).cummax(1).values


def _sorted_by(*columns: Tensor) -> Tensor:
    """The order that sorts by the first column, then the second, and so on."""
    order = torch.arange(len(columns[0]), device=columns[0].device)
    for column in reversed(columns):
        order = order[torch.argsort(column[order], stable=True)]
    return order


def _segments(*columns: Tensor) -> Tensor:
    """Number the runs of equal rows of sorted columns from 0."""
    changes = torch.zeros(len(columns[0]), dtype=torch.int64, device=columns[0].device)
    for column in columns:
        changes[1:] |= (column[1:] != column[:-1]).long()
    return changes.cumsum(0)
