"""Sums over triples of units, the part of a weighted HSIC that replicates pay for; three exact ways of summing.

The value for weights v is the sum over units a, b, c of v_a v_b v_c sum_{i in a} K_ib L_ic, where K_ib is the inner
product of row i with the sum of unit b. `choose` takes the way that costs least within the memory of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from mspgt.plugins.signals.cka.centred import CentredRows, full_precision

STORED_BYTES = 1 << 30
"""the most that stored sums may take"""


class Triples(Protocol):
    """Sums over triples of units: made of the affinities of all layers, then evaluated for any weights."""

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Take some rows: affinity (layer, row, unit) float64."""

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate: (replicate, unit) -> (replicate, pair) float64."""


def choose(rows: CentredRows, sums: Tensor, distinct: bool) -> Triples:
    """The way to sum triples for these rows.

    Sums are stored where documents have more rows than there are documents; else affinities are kept where they
    are no larger than the rows, and the rows themselves are read again where they are.

    Parameters
    ----------
    sums: (layer, unit, dim), sums of the rows of each unit.
    distinct: a row does not meet its own unit.
    """
    layers, units, dim = sums.shape
    stored_bytes = (2 * layers - 1) * units * units * (units + 1) * 4
    if units**2 <= len(rows.unit) and stored_bytes <= STORED_BYTES:
        return StoredTriples(rows.unit, layers, units)
    return AffinityTriples(rows, layers) if units <= dim else FeatureTriples(rows, sums, distinct)


class StoredTriples:
    """Sums of every triple, (pair, unit, unit * (unit + 1) / 2), symmetric in the last two units.

    A replicate costs pair * unit^3, whatever the number of rows.
    """

    def __init__(self, unit: Tensor, layers: int, units: int) -> None:
        self._unit, self._couples = unit, torch.triu_indices(units, units)
        self._sums = torch.zeros(2 * layers - 1, units, self._couples.shape[1], dtype=torch.float64)

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Cross the rows of each unit in the tile, every layer with itself and with the next."""
        self._sums = self._sums.to(affinity.device)
        first, second = self._couples
        units, sizes = torch.unique_consecutive(self._unit[tile], return_counts=True)
        for unit, part in zip(units.tolist(), torch.split(affinity, sizes.tolist(), dim=1), strict=True):
            crossed = torch.cat([part.mT @ part, part[:-1].mT @ part[1:]])
            crossed = crossed + crossed.mT
            crossed.diagonal(dim1=1, dim2=2).mul_(0.5)  # b = c stands once among the pairs b <= c
            self._sums[:, unit] += crossed[:, first, second]

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate."""
        first, second = self._couples.to(weights.device)
        couples = weights[:, first] * weights[:, second]
        by_unit: Tensor = self._sums.flatten(0, 1) @ couples.T
        return (by_unit.view(-1, weights.shape[1], len(weights)) * weights.T).sum(1).T


class RowTriples:
    """Triples from the reach of each row: its affinities summed with the weights of the units."""

    def __init__(self, rows: CentredRows, layers: int) -> None:
        self._unit, self._layers = rows.unit.to(rows.device), layers
        self._tiles: list[slice] = []
        """rows that are evaluated at once"""

    def reach_with(self, columns: Tensor) -> Callable[[int, int], Tensor]:
        """Weights (unit, replicate) float32 -> a function of tile and layer, both numbers -> (row, replicate)."""
        raise NotImplementedError

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate."""
        columns = weights.T.float().contiguous()
        totals = torch.zeros(2 * self._layers - 1, len(weights), dtype=torch.float64, device=weights.device)
        with full_precision():
            reach = self.reach_with(columns)
            for number, tile in enumerate(self._tiles):
                of_row = columns[self._unit[tile]]
                below: Tensor | None = None
                for layer in range(self._layers):
                    seen = reach(number, layer)
                    weighted = seen * of_row
                    totals[layer] += (weighted * seen).sum(0, dtype=torch.float64)
                    if below is not None:
                        totals[self._layers + layer - 1] += (weighted * below).sum(0, dtype=torch.float64)
                    below = seen
        return totals.T


class AffinityTriples(RowTriples):
    """Affinities kept in float32: a replicate costs layer * row * unit."""

    def __init__(self, rows: CentredRows, layers: int) -> None:
        super().__init__(rows, layers)
        self._kept: list[Tensor] = []

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Keep the rows."""
        self._tiles.append(tile)
        self._kept.append(affinity.float())

    def reach_with(self, columns: Tensor) -> Callable[[int, int], Tensor]:
        """Reach of a row is its affinities times the weights."""
        return lambda tile, layer: self._kept[tile][layer] @ columns


class FeatureTriples(RowTriples):
    """The rows are read again for every evaluation, without memory beyond theirs: it costs layer * row * dim."""

    def __init__(self, rows: CentredRows, sums: Tensor, distinct: bool) -> None:
        super().__init__(rows, len(sums))
        self._rows, self._sums, self._distinct = rows, sums.float(), distinct
        self._tiles = rows.tiles()

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Nothing is kept."""

    def reach_with(self, columns: Tensor) -> Callable[[int, int], Tensor]:
        """Reach of a row is its product with the weighted sum of units."""
        mixed = self._sums.mT @ columns  # (layer, dim, replicate)

        def reach(number: int, layer: int) -> Tensor:
            tile = self._tiles[number]
            features, units = self._rows.layer(layer, tile), self._unit[tile]
            seen: Tensor = features @ mixed[layer]
            if self._distinct:
                seen = seen - (features * self._sums[layer][units]).sum(1, keepdim=True) * columns[units]
            return seen

        return reach
