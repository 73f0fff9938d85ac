"""The two recorders of the full-token estimator: moments, then centred fourth-order sums and influences."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.signal import Fitted
from mspgt.core.state import State, Table
from mspgt.plugins.signals.cka.estimator import float64_device


class MomentRecorder:
    """First pass: number of tokens, their sums, and products within and between neighbouring blocks."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._sums: list[Tensor] = []
        self._own: list[Tensor] = []
        self._between: list[Tensor] = []
        self._below: Tensor | None = None

    def layer(self, layer: Layer) -> None:
        """Add a block; the embeddings are in no transition."""
        if layer.index == 0:
            return
        hidden = layer.hidden.detach()
        hidden = hidden.to(float64_device(hidden.device))
        rows = hidden[self._batch.content.to(hidden.device)].double()
        self._sums.append(rows.sum(0).cpu())
        self._own.append((rows.T @ rows).cpu())
        if self._below is not None:
            self._between.append((self._below.to(rows.device).T @ rows).cpu())
        self._below = rows

    def rows(self) -> State:
        """Totals tokens (), sums (layer, dim), own (layer, dim, dim), between (L-1, dim, dim)."""
        totals = {
            "tokens": self._batch.content.sum().double().cpu(),
            "sums": torch.stack(self._sums),
            "own": torch.stack(self._own),
            "between": _stack(self._between, self._own[0]),
        }
        return State(self._batch.keys, totals=totals)


@dataclass(frozen=True)
class _Block:
    """One block's centred tokens and their sums by sequence, float64."""

    rows: Tensor
    """(token, dim)"""
    clusters: Tensor
    """(sequence, dim): sums of the tokens of each sequence"""
    gram: Tensor
    """(sequence, token, token): inner products within each sequence, zero where a token does not count"""
    reach: Tensor
    """(token,): inner product with the sum of the own sequence"""


class InfluenceRecorder:
    """Second pass: what is summed per pair of blocks, and per sequence."""

    def __init__(self, batch: Batch, fitted: Fitted) -> None:
        self._batch, self._fitted = batch, fitted
        self._sequence = batch.content.nonzero()[:, 0]
        self._below: _Block | None = None
        self._norms: list[Tensor] = []
        self._own: list[tuple[Tensor, Tensor, Tensor]] = []
        self._between: list[tuple[Tensor, Tensor, Tensor]] = []

    def layer(self, layer: Layer) -> None:
        """Add a block; the embeddings are in no transition."""
        if layer.index == 0:
            return
        k = layer.index - 1
        block = self._block(layer.hidden.detach(), k)
        self._norms.append(torch.stack([block.rows.square().sum(), block.clusters.square().sum()]).cpu())
        self._own.append(self._pair(block, block, self._fitted["own"][k]))
        if self._below is not None:
            self._between.append(self._pair(self._below, block, self._fitted["between"][k - 1]))
        self._below = block

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
            "cluster_between": _stack(list(products[layers:]), products[0]),
        }
        tokens = self._batch.content.sum(1).cpu()
        reach, within = torch.stack(by_sequence, dim=2)
        columns = {"tokens": tokens, "reach": reach, "within": within}
        return State(self._batch.keys, {"sequences": Table(torch.arange(len(tokens)), columns)}, totals)

    def _block(self, hidden: Tensor, k: int) -> _Block:
        device = float64_device(hidden.device)
        hidden = hidden.to(device)
        content, sequence = self._batch.content.to(device), self._sequence.to(device)
        mean, scale = (self._fitted[name][k].to(device) for name in ("mean", "scale"))
        rows = (hidden[content].double() - mean) / scale
        clusters = rows.new_zeros(len(content), rows.shape[1]).index_add_(0, sequence, rows)
        padded = rows.new_zeros(*content.shape, rows.shape[1])
        padded[content] = rows
        return _Block(rows, clusters, padded @ padded.mT, (rows * clusters[sequence]).sum(1))

    def _pair(self, left: _Block, right: _Block, product: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of a pair of blocks.

        Returns
        -------
        (4,): see `rows`; (2, sequence): sum of x_i C y_i, and the part of it that pairs within the sequence make;
        (dim, dim): products of the sums of sequences.
        """
        device = right.rows.device
        left = _Block(*(getattr(left, name).to(device) for name in ("rows", "clusters", "gram", "reach")))
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


def _stack(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(parts) if parts else like.new_empty(0, *like.shape)
