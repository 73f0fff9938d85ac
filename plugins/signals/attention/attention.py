"""attn: drift of attention between neighbouring blocks (S3; section 4.1 and equation 5 of the paper).

S3(l) is the Jensen-Shannon divergence, in bits, of block l's and block l+1's attention, per query row, averaged
over the rows of counted tokens: the sum of divergences over the number of rows, so that documents can be weighted.

The paper compares A(l) with A(l+1) and does not say how heads correspond. Head h of one block has no counterpart h
in the next: exchanging the heads of a block changes nothing that the model computes and moves an index-wise drift.
The default therefore compares head-averaged attention, which is also a lower bound of the index-wise drift.

Attention sinks (Xiao et al. 2024, 2309.17453) that both blocks share scale the drift down by the mass they hold.
Both readings are kept, with the sink and without; the option decides which one is the curve.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.series import Series
from mspgt.contracts.signal import Fitted, Recorder, Report, Signal
from mspgt.core.errors import UserError
from mspgt.core.state import State, Table, Units
from mspgt.plugins.signals.attention.divergence import AttentionRows, RowDivergence, jensen_shannon
from mspgt.plugins.signals.attention.options import AttentionOptions

POSITIONS = (16, 64, 256)
"""last positions of the bins in which drift is also reported: a row with more keys has more room to drift"""
POSITION_NAMES = ("1-16", "17-64", "65-256", "257-")
READINGS = ("keep", "drop")
"""order of the state's readings: with the sink, and without"""
MATCHED_ROWS = 8
"""query rows of each sequence that heads are matched on, evenly spaced over its counted tokens"""


class AttentionDrift(Signal):
    """Jensen-Shannon divergence of neighbouring blocks' attention, in bits (S3).

    State: table "sums", one row per sequence, column "drift" (sequence, transition, position bin, reading, 2).
    With `heads=matched` a first pass sums the drift between every two heads of neighbouring blocks on a few rows of
    each sequence, and the pairing of least drift is frozen before the second.
    """

    needs = frozenset({"attention"})
    weight = 0.6
    unit = "bit"
    summary = "Jensen-Shannon drift of attention between neighbouring blocks (S3)"
    series = (
        Series("value_sink_keep", unit="bit", summary="where the curve is without the sink", optional=True),
        Series("value_sink_drop", unit="bit", summary="where the curve is with the sink", optional=True),
        Series("value_by_position", unit="bit", columns="position", summary="by position of the query"),
    )
    Options = AttentionOptions

    def __init__(self, *, seed: int = 0, device: torch.device | str = "cpu", **options: Any) -> None:
        super().__init__(seed=seed, device=device, **options)
        if self.options.heads == "matched":
            self.passes = ("match", "observe")

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Compares each block with the previous one as it is pushed."""
        if name == "match":
            return _HeadRecorder(batch, self.options.sink)
        if self.options.heads == "mean":
            return _MeanRecorder(batch)
        return _IndexRecorder(batch, fitted["matching"] if fitted else None)

    def fit(self, name: str, state: State) -> Fitted | None:
        """Pass "match": {"matching": (transition, head) int64}, the upper block's head for each lower one."""
        if name != "match":
            return None
        from scipy.optimize import linear_sum_assignment

        pairs = [linear_sum_assignment(cost)[1] for cost in state.totals["drift"].cpu().numpy()]
        return {"matching": torch.from_numpy(np.stack(pairs)).to(torch.int64)}

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> Tensor:
        """Sums of each unit: (unit, transition, position bin, reading, 2) float64, divergence in bits and rows."""
        table = state.tables["sums"]
        drift = table.columns["drift"].double()
        sums = torch.zeros(units.count, *drift.shape[1:], dtype=torch.float64)
        return sums.index_add_(0, units.index(state.keys)[table.sequence], drift)

    def curve(self, prepared: Tensor, weights: Tensor, rng: np.random.Generator | None) -> Tensor:
        """Weighted divergence over weighted rows; NaN where no row counts."""
        sums = prepared[..., READINGS.index(self.options.sink), :].sum(2)  # (unit, transition, 2)
        return _ratio(torch.einsum("ru,utf->rtf", weights.double(), sums))

    def report(self, prepared: Tensor) -> Report:
        """The other reading's curve, the share of rows it can use, and drift by position of the row."""
        sums = prepared.sum(0)  # (transition, position bin, reading, 2)
        reading = READINGS.index(self.options.sink)
        other = 1 - reading
        rows = sums[0, :, :, 1].sum(0)  # (reading,) of the first transition: with the sink, the same in all
        by_position = _ratio(sums[:, :, reading]).T  # (position bin, transition)
        details = {
            "heads": self.options.heads,
            "sink": self.options.sink,
            "rows": int(rows[0]),
            "rows_left_without_sink": float(sums[..., 1, 1].sum() / sums[..., 0, 1].sum().clamp_min(1)),
        }
        named = zip(POSITION_NAMES, by_position, strict=True)
        series = {
            f"value_sink_{READINGS[other]}": _ratio(sums[:, :, other].sum(1)),
            "value_by_position": {name: values for name, values in named if not bool(values.isnan().all())},
        }
        return Report(() if rows[reading] > 0 else ("no_rows",), details, series)


def _ratio(sums: Tensor) -> Tensor:
    """(..., 2) -> (...): divergence per row."""
    return sums[..., 0] / sums[..., 1]


def _first_key(batch: Batch) -> Tensor:
    """(sequence,) the first token that is no padding, on whichever side the padding is."""
    return batch.attention_mask.to(torch.int64).argmax(1)


class _DriftSums:
    """Sums of one batch by sequence and position, growing by one transition per block."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        position = batch.attention_mask.cumsum(1)
        bins = torch.bucketize(position, torch.tensor(POSITIONS, device=position.device))
        places = torch.nn.functional.one_hot(bins, len(POSITION_NAMES))
        self._places = (places * batch.content.unsqueeze(-1)).double()  # (sequence, token, bin)
        self._transitions: dict[int, Tensor] = {}

    def add(self, transition: int, rows: slice, drift: RowDivergence) -> None:
        """Add the drift of some rows, averaged over heads where it has a head axis (sequence, head, query)."""
        valid = drift.valid.float()
        fields = torch.stack([drift.keep, torch.ones_like(valid), drift.drop, valid], dim=-1)
        if fields.ndim == 4:
            fields = fields.mean(1)
        content = self._batch.content[:, rows, None].to(fields.device)
        fields = torch.where(content, fields, 0.0).double()  # rows of padding may hold anything
        sums = torch.einsum("sqb,sqf->sbf", self._places[:, rows].to(fields.device), fields)
        before = self._transitions.get(transition)
        self._transitions[transition] = sums if before is None else before + sums

    def state(self) -> State:
        """One row per sequence: (transition, position bin, reading, 2)."""
        sums = [self._transitions[transition].cpu() for transition in sorted(self._transitions)]
        drift = torch.stack(sums, dim=1)
        drift = drift.reshape(*drift.shape[:-1], len(READINGS), 2)
        return State(self._batch.keys, {"sums": Table(torch.arange(len(drift)), {"drift": drift})})


class _MeanRecorder:
    """Keeps the previous block's head-averaged attention: (sequence, query, key), in chunks of rows."""

    def __init__(self, batch: Batch) -> None:
        self._sink, self._sums = _first_key(batch), _DriftSums(batch)
        self._previous: list[AttentionRows] = []

    def layer(self, layer: Layer) -> None:
        if layer.index == 0:
            return
        for i, (rows, attention) in enumerate(layer.attention_mean()):
            this = AttentionRows.of(attention, self._sink)
            if layer.index == 1:
                self._previous.append(this)
            else:
                self._sums.add(layer.index - 1, rows, jensen_shannon(self._previous[i].to(attention.device), this))
                self._previous[i] = this

    def rows(self) -> State:
        self._previous.clear()
        return self._sums.state()


class _IndexRecorder:
    """Compares head with head, in the order given or as matched; keeps nothing of the previous block."""

    def __init__(self, batch: Batch, matching: Tensor | None) -> None:
        self._sink, self._sums, self._matching = _first_key(batch), _DriftSums(batch), matching

    def layer(self, layer: Layer) -> None:
        if layer.index < 2:
            return
        for rows, lower, upper in layer.attention_pair():
            _require_same_heads(layer.index, lower, upper)
            if self._matching is not None:
                upper = upper.index_select(1, self._matching[layer.index - 2].to(upper.device))
            lower_rows, upper_rows = AttentionRows.of(lower, self._sink), AttentionRows.of(upper, self._sink)
            self._sums.add(layer.index - 1, rows, jensen_shannon(lower_rows, upper_rows))

    def rows(self) -> State:
        return self._sums.state()


class _HeadRecorder:
    """Sums the drift of every lower head against every upper head: totals "drift" (transition, head, head)."""

    def __init__(self, batch: Batch, reading: str) -> None:
        self._batch, self._sink, self._reading = batch, _first_key(batch), reading
        self._chosen = _evenly_spaced(batch.content, MATCHED_ROWS)
        self._totals: list[Tensor] = []

    def layer(self, layer: Layer) -> None:
        if layer.index < 2:
            return
        parts = []
        for rows, lower, upper in layer.attention_pair():
            _require_same_heads(layer.index, lower, upper)
            chosen = self._chosen[:, rows].to(lower.device)
            parts.append(self._every_pair(self._of(lower, chosen), self._of(upper, chosen)))
        self._totals.append(torch.stack(parts).sum(0).cpu())

    def _of(self, attention: Tensor, chosen: Tensor) -> AttentionRows:
        """The chosen rows, (row, head, key)."""
        sink = self._sink.to(attention.device)[:, None].expand_as(chosen)[chosen]
        return AttentionRows.of(attention.transpose(1, 2)[chosen], sink)

    def _every_pair(self, lower: AttentionRows, upper: AttentionRows) -> Tensor:
        """(lower head, upper head) float64, summed over rows; one lower head at a time bounds the memory."""
        costs = []
        for head in range(lower.mass.shape[1]):
            drift = jensen_shannon(lower.only(head), upper)
            costs.append((drift.keep if self._reading == "keep" else drift.drop).double().sum(0))
        return torch.stack(costs)

    def rows(self) -> State:
        return State(self._batch.keys, totals={"drift": torch.stack(self._totals)})


def _evenly_spaced(content: Tensor, count: int) -> Tensor:
    """(sequence, token) bool: at most `count` counted tokens of each sequence, the last one among them."""
    number = content.cumsum(1)
    total = number[:, -1:]
    step = number * count // total.clamp_min(1)
    return content & (step > (number - 1) * count // total.clamp_min(1))


def _require_same_heads(block: int, lower: Tensor, upper: Tensor) -> None:
    if lower.shape[1] != upper.shape[1]:
        raise UserError(
            f"attn: block {block - 1} has {lower.shape[1]} heads and block {block} has {upper.shape[1]}, so that heads "
            "cannot be paired; use attn.heads=mean."
        )
