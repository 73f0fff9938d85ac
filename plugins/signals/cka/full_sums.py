"""The two recorders of the full-token estimator: moments, then centred fourth-order sums and influences."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.signal import Fitted
from mspgt.core.state import State, Table
from mspgt.plugins.signals.cka.estimator import float64_device
from mspgt.plugins.signals.cka.neighbours import NeighbourRecorder, stack


class MomentRecorder(NeighbourRecorder[Tensor, Tensor]):
    """First pass: number of tokens, their sums, and products within and between neighbouring blocks."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._batch = batch
        self._sums: list[Tensor] = []

    def block(self, layer: Layer) -> Tensor:
        """(token, dim) float64, the counted tokens."""
        hidden = layer.hidden.detach()
        hidden = hidden.to(float64_device(hidden.device))
        rows = hidden[self._batch.content.to(hidden.device)].double()
        self._sums.append(rows.sum(0).cpu())
        return rows

    def pair(self, left: Tensor, right: Tensor, upper: int) -> Tensor:
        """(dim, dim) products."""
        return (left.to(right.device).T @ right).cpu()

    def rows(self) -> State:
        """Totals tokens (), sums (layer, dim), own (layer, dim, dim), between (L-1, dim, dim)."""
        totals = {
            "tokens": self._batch.content.sum().double().cpu(),
            "sums": torch.stack(self._sums),
            "own": torch.stack(self._own),
            "between": stack(self._between, self._own[0]),
        }
        return State(self._batch.keys, totals=totals)


@dataclass(frozen=True)
class _Tokens:
    """One block's centred tokens and their sums by sequence, float64."""

    rows: Tensor
    """(token, dim)"""
    clusters: Tensor
    """(sequence, dim): sums of the tokens of each sequence"""
    gram: Tensor
    """(sequence, token, token): inner products within each sequence, zero where a token does not count"""
    reach: Tensor
    """(token,): inner product with the sum of the own sequence"""


class InfluenceRecorder(NeighbourRecorder[_Tokens, tuple[Tensor, Tensor, Tensor]]):
    """Second pass: what is summed per pair of blocks, and per sequence."""

    def __init__(self, batch: Batch, fitted: Fitted) -> None:
        super().__init__()
        self._batch, self._fitted = batch, fitted
        self._sequence = batch.content.nonzero()[:, 0]
        self._norms: list[Tensor] = []

    def rows(self) -> State:
        """Totals by pair, and the table "sequences": tokens (sequence,), reach and within (sequence, pair)."""
        sums, by_sequence, products = zip(*self._own, *self._between, strict=True)
        by_pair = torch.stack(sums, dim=1)
        names = ("chain", "bridge", "cluster_norms", "token_norms")
        token_norm, cluster_norm = torch.stack(self._norms, dim=1)
        layers = len(self._own)
        totals = {
            **dict(zip(names, by_pair, strict=True)),
            "token_norm": token_norm,
            "cluster_norm": cluster_norm,
            "cluster_own": torch.stack(products[:layers]),
            "cluster_between": stack(list(products[layers:]), products[0]),
        }
        tokens = self._batch.content.sum(1).cpu()
        reach, within = torch.stack(by_sequence, dim=2)
        columns = {"tokens": tokens, "reach": reach, "within": within}
        return State(self._batch.keys, {"sequences": Table(torch.arange(len(tokens)), columns)}, totals)

    def block(self, layer: Layer) -> _Tokens:
        """Centred tokens of a block."""
        device = float64_device(layer.hidden.device)
        hidden, k = layer.hidden.detach().to(device), layer.index - 1
        content, sequence = self._batch.content.to(device), self._sequence.to(device)
        mean, scale = (self._fitted[name][k].to(device) for name in ("mean", "scale"))
        rows = (hidden[content].double() - mean) / scale
        clusters = rows.new_zeros(len(content), rows.shape[1]).index_add_(0, sequence, rows)
        padded = rows.new_zeros(*content.shape, rows.shape[1])
        padded[content] = rows
        self._norms.append(torch.stack([rows.square().sum(), clusters.square().sum()]).cpu())
        return _Tokens(rows, clusters, padded @ padded.mT, (rows * clusters[sequence]).sum(1))

    def pair(self, left: _Tokens, right: _Tokens, upper: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of a pair of blocks.

        Returns
        -------
        (4,): see `rows`; (2, sequence): sum of x_i C y_i, and the part of it that pairs within the sequence make;
        (dim, dim): products of the sums of sequences.
        """
        device = right.rows.device
        product = self._fitted["own"][upper] if left is right else self._fitted["between"][upper - 1]
        left = _Tokens(*(getattr(left, name).to(device) for name in ("rows", "clusters", "gram", "reach")))
        product, sequence = product.to(device), self._sequence.to(device)
        sums = torch.stack(
            [
                left.reach @ right.reach,
                ((left.clusters @ product) * right.clusters).sum(),
                left.clusters.square().sum(1) @ right.clusters.square().sum(1),
                left.rows.square().sum(1) @ right.rows.square().sum(1),
            ]
        )
        along = ((left.rows @ product) * right.rows).sum(1)
        along = along.new_zeros(len(left.clusters)).index_add_(0, sequence, along)
        by_sequence = torch.stack([along, (left.gram * right.gram).sum((1, 2))])
        return sums.cpu(), by_sequence.cpu(), (left.clusters.T @ right.clusters).cpu()
