"""What the outputs of blocks are like on a corpus: mean, spread and a bank of samples, in one streaming pass.

Squares are never summed: a state keeps counts, means and sums of squared deviations in float64, and two of them merge
by the pairwise rule of Chan, Golub and LeVeque (1983, "Algorithms for computing the sample variance", eq. 2.1), so that
a dimension with a mean of 1e4 and a deviation of 1 loses nothing. Only `statistics_of` and `spreads` divide.

The bank is a bottom-k sample: the tokens of the smallest hash of (document, sequence, position). It is the same for
every block and every layout of batches, and the bank of two halves of a corpus is taken from their banks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import count
from math import nan, sqrt
from operator import add

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.intervention import LayerStatistics
from mspgt.contracts.signal import Fitted, Recorder, Signal
from mspgt.core.errors import UserError
from mspgt.core.state import State, Table, merge, stable_code

BANK = 256
"""tokens in the bank; all of them where the corpus has fewer"""
CHUNK_BYTES = 32 << 20
"""tokens of a layer are turned into float64 in chunks of at most this size"""
HELD_BYTES = 1 << 30
"""`fold` merges once the states it holds take more than this"""


class ActivationStatistics(Signal):
    """Moments and samples of every block's output. It has a state and no curve.

    State: table "moments", one row per batch, which belongs to the batch's first sequence. (A row per sequence would
    cost two float64 for each block and dimension: 20 GiB for 10,000 sequences, 32 blocks and a width of 4096.)
    Columns over counted tokens: "count" (row,), "mean" and "m2" (row, layer, dim); over the other tokens but padding,
    dimensions taken together: "rest_count" (row,), "rest_mean" and "rest_m2" (row, layer). Table "bank": columns
    "code" (row,) int64 and "hidden" (row, layer, dim) float32.
    """

    summary = "mean, spread and samples of every block's output"

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Takes the moments of each block as it is pushed."""
        return _Recorder(batch)


@dataclass(frozen=True)
class Moments:
    """Moments of many quantities side by side, in float64; `+` is Chan's rule."""

    count: Tensor
    """() number of observations"""
    mean: Tensor
    """(...)"""
    m2: Tensor
    """(...) sum of squared deviations from the mean"""

    @classmethod
    def of(cls, values: Tensor) -> Moments:
        """Moments over the first axis: (observation, ...)."""
        mean = values.sum(0) / max(len(values), 1)
        return cls(mean.new_tensor(len(values)), mean, (values - mean).square().sum(0))

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of observations."""
        count = self.count + other.count
        share, apart = other.count / count.clamp_min(1), other.mean - self.mean
        mean = self.mean + apart * share
        return Moments(count, mean, self.m2 + other.m2 + apart.square() * self.count * share)

    def together(self) -> Moments:
        """The last axis taken as further observations of one quantity: (..., dim) -> (...)."""
        mean = self.mean.mean(-1)
        between = (self.mean - mean.unsqueeze(-1)).square().sum(-1) * self.count
        return Moments(self.count * self.mean.shape[-1], mean, self.m2.sum(-1) + between)

    def columns(self, prefix: str = "") -> dict[str, Tensor]:
        """As one row of a table, on the CPU."""
        return {prefix + name: getattr(self, name).cpu()[None] for name in ("count", "mean", "m2")}

    def variance(self) -> Tensor:
        """With the divisor count - 1, as `torch.var` has it."""
        return self.m2 / (self.count - 1)


class _Recorder:
    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._counted = batch.content.flatten().nonzero().squeeze(1)
        self._rest = (batch.attention_mask & ~batch.content).flatten().nonzero().squeeze(1)
        self._sampled, self._codes = _smallest_codes(batch)
        self._moments: list[tuple[Moments, Moments]] = []
        self._samples: list[Tensor] = []

    def layer(self, layer: Layer) -> None:
        if layer.index == 0:
            return
        hidden = layer.hidden.detach().flatten(0, 1)  # (token, dim)
        self._moments.append((_moments(hidden, self._counted), _moments(hidden, self._rest).together()))
        self._samples.append(hidden[self._sampled.to(hidden.device)].float().cpu())

    def rows(self) -> State:
        counted, rest = ([pair[i] for pair in self._moments] for i in (0, 1))
        moments = _stacked(counted).columns() | _stacked(rest).columns("rest_")
        keys = self._batch.keys
        owner = self._sampled.cpu() // self._batch.input_ids.shape[1]
        bank = {"code": self._codes, "hidden": torch.stack(self._samples, dim=1)}
        return State(keys, {"moments": Table(torch.tensor([0]), moments), "bank": Table(owner, bank)})


def _moments(hidden: Tensor, tokens: Tensor) -> Moments:
    """Moments of each dimension over some tokens; hidden: (token, dim), tokens: their indices."""
    tokens = tokens.to(hidden.device)
    device = "cpu" if hidden.device.type == "mps" else hidden.device  # which has no float64
    size = max(1, CHUNK_BYTES // (8 * hidden.shape[1]))
    return reduce(add, (Moments.of(hidden[part].to(device, torch.float64)) for part in torch.split(tokens, size)))


def _stacked(layers: list[Moments]) -> Moments:
    """All layers together, which have the same count."""
    mean, m2 = (torch.stack([getattr(m, name).cpu() for m in layers]) for name in ("mean", "m2"))
    return Moments(layers[0].count, mean, m2)


def _smallest_codes(batch: Batch) -> tuple[Tensor, Tensor]:
    """The counted tokens of the smallest hash, as ascending indices into (sequence x token), and their hashes."""
    position = (batch.attention_mask.cumsum(1) - 1).tolist()
    counted = batch.content.nonzero().tolist()
    names = [(batch.keys[row].document, batch.keys[row].sequence, position[row][token]) for row, token in counted]
    codes = torch.tensor([stable_code("\0".join(map(str, name))) for name in names], dtype=torch.int64)
    kept = codes.argsort(stable=True)[:BANK].sort().values
    return batch.content.flatten().nonzero().squeeze(1)[kept.to(batch.content.device)], codes[kept]


# ------------------------------------------------------------------------------------------- many batches


def fold(states: Iterable[State]) -> State:
    """Merge the states of many batches in bounded memory: one row of moments and at most one bank are left.

    The order of the batches, and how they are cut, changes rounding alone. Folded states merge and fold again.
    """
    held: list[State] = []
    for state in states:
        held.append(state)
        if sum(s.nbytes for s in held) > HELD_BYTES:
            held = [_compact(merge(held))]
    return _compact(merge(held))


def _compact(state: State) -> State:
    if "moments" not in state.tables:
        return state
    counted, rest = _merged(state)
    moments = Table(torch.zeros(1, dtype=torch.int64), counted.columns() | rest.columns("rest_"))
    bank = state.tables["bank"]
    kept = bank.columns["code"].argsort(stable=True)[:BANK].sort().values
    smaller = Table(bank.sequence[kept], {name: values[kept] for name, values in bank.columns.items()})
    return State(state.keys, {"moments": moments, "bank": smaller})


def _merged(state: State) -> tuple[Moments, Moments]:
    """Moments (layer, dim) of counted tokens, and (layer,) of the others."""
    table = state.tables["moments"].columns

    def total(prefix: str) -> Moments:
        columns = (table[prefix + name] for name in ("count", "mean", "m2"))
        return reduce(add, (Moments(*row) for row in zip(*columns, strict=True)))

    return total(""), total("rest_")


# ------------------------------------------------------------------------------------------- what is made of it


def statistics_of(state: State) -> dict[int, LayerStatistics]:
    """The statistics of each block, from 1, in main memory; variances have the divisor count - 1.

    Raises
    ------
    UserError: fewer than two tokens were counted.
    """
    counted, _ = _totals(state)
    variance, together = counted.variance(), counted.together().variance()
    bank = state.tables["bank"].columns
    samples = bank["hidden"][bank["code"].argsort(stable=True)[:BANK]]  # (row, layer, dim)
    return {
        layer + 1: LayerStatistics(
            mean=counted.mean[layer].float(),
            std_dim=variance[layer].sqrt().float(),
            std=sqrt(variance[layer].mean()),
            std_all=sqrt(together[layer]),
            bank=samples[:, layer].contiguous(),
        )
        for layer in range(len(variance))
    }


@dataclass(frozen=True)
class Spread:
    """The spread of a block's output by three definitions.

    Attributes
    ----------
    layer: number of the block, from 1.
    std: root of the mean over dimensions of the variance over counted tokens, the unit of noise.
    std_all: `hidden.std()` of the same tokens.
    std_with_sinks: `hidden.std()` of all tokens but padding, which a few dimensions of a few tokens (attention sinks,
        massive activations: Sun et al. 2024, 2402.17762) can multiply.
    added: root mean square of what was added to it; NaN where nothing was.
    """

    layer: int
    std: float
    std_all: float
    std_with_sinks: float
    added: float = nan


def spreads(state: State) -> tuple[Spread, ...]:
    """The spread of each block's output, from the first on."""
    counted, rest = _totals(state)
    std = counted.variance().mean(-1).sqrt().tolist()
    std_all = counted.together().variance().sqrt().tolist()
    std_with_sinks = (counted.together() + rest).variance().sqrt().tolist()
    return tuple(map(Spread, count(1), std, std_all, std_with_sinks))


def _totals(state: State) -> tuple[Moments, Moments]:
    tokens = int(state.tables["moments"].columns["count"].sum()) if "moments" in state.tables else 0
    if tokens < 2:
        raise UserError(
            f"{tokens} counted token{'s' * (tokens != 1)} cannot tell the spread of activations (special and "
            "massive tokens and each sequence's first do not count): give a corpus with more or longer documents."
        )
    return _merged(state)
