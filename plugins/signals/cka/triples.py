"""Sums over triples of units, the part of a weighted HSIC that replicates pay for; three exact ways of summing.

The value for weights v is the sum over units a, b, c of v_a v_b v_c sum_{i in a} K_ib L_ic, where K_ib is the inner
product of row i with the sum of unit b. `choose` takes the way that costs least within the memory of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mspgt.plugins.signals.cka.centred import CentredRows, full_precision

STORED_BYTES = 1 << 30
"""the most that stored sums may take"""


class Triples(Protocol):
    """Sums over triples of units for any weights."""

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate: (replicate, unit) -> (replicate, pair) float64."""


class Gathering(Protocol):
    """Takes the affinities of all layers, some rows at a time."""

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Take rows: affinity (layer, row, unit) float64."""

    def done(self) -> Triples:
        """The sums over all rows."""


def choose(rows: CentredRows, sums: Tensor, distinct: bool) -> Gathering:
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
        return GatherStored(rows.unit, layers, units)
    return GatherAffinity(rows) if units <= dim else GatherFeatures(rows, sums, distinct)


# ------------------------------------------------------------------------------------------------- stored sums


class GatherStored:
    """Sums of every triple: unit (row,) ascending."""

    def __init__(self, unit: Tensor, layers: int, units: int) -> None:
        self._unit, self._first, self._second = unit, *torch.triu_indices(units, units)
        self._sums = torch.zeros(2 * layers - 1, units, len(self._first), dtype=torch.float64)

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Cross the rows of each unit in the tile, every layer with itself and with the next."""
        self._sums = self._sums.to(affinity.device)
        units, sizes = torch.unique_consecutive(self._unit[tile], return_counts=True)
        for unit, part in zip(units.tolist(), torch.split(affinity, sizes.tolist(), dim=1), strict=True):
            crossed = torch.cat([part.mT @ part, part[:-1].mT @ part[1:]])
            crossed = crossed + crossed.mT
            crossed.diagonal(dim1=1, dim2=2).mul_(0.5)  # b = c stands once among the pairs b <= c
            self._sums[:, unit] += crossed[:, self._first, self._second]

    def done(self) -> StoredTriples:
        """All sums."""
        return StoredTriples(self._sums)


@dataclass(frozen=True)
class StoredTriples:
    """Triples from their sums: (pair, unit, unit * (unit + 1) / 2), symmetric in the last two units."""

    sums: Tensor

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate: cost pair * unit^3, whatever the number of rows."""
        units = weights.shape[1]
        first, second = torch.triu_indices(units, units, device=weights.device)
        couples = weights[:, first] * weights[:, second]
        by_unit: Tensor = self.sums.flatten(0, 1) @ couples.T
        return (by_unit.view(-1, units, len(weights)) * weights.T).sum(1).T


# ------------------------------------------------------------------------------------------------- from rows


class GatherAffinity:
    """Keeps the affinities in float32."""

    def __init__(self, rows: CentredRows) -> None:
        self._unit = rows.unit.to(rows.device)
        self._tiles: list[slice] = []
        self._kept: list[Tensor] = []

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Keep the rows."""
        self._tiles.append(tile)
        self._kept.append(affinity.float())

    def done(self) -> RowTriples:
        """Reach of a row is its affinities times the weights: cost layer * row * unit per replicate."""
        kept = self._kept
        layers = len(kept[0])
        return RowTriples(
            self._unit, self._tiles, layers, lambda columns: lambda tile, layer: kept[tile][layer] @ columns
        )


class GatherFeatures:
    """Reads the rows again for every evaluation: no memory beyond theirs."""

    def __init__(self, rows: CentredRows, sums: Tensor, distinct: bool) -> None:
        self._rows, self._sums, self._distinct = rows, sums.float(), distinct
        self._unit = rows.unit.to(rows.device)

    def add(self, tile: slice, affinity: Tensor) -> None:
        """Nothing is kept."""

    def done(self) -> RowTriples:
        """Reach of a row is its product with the weighted sum of units: cost layer * row * dim per replicate."""
        rows, sums, unit, distinct = self._rows, self._sums, self._unit, self._distinct
        tiles = rows.tiles()

        def reach_with(columns: Tensor) -> Callable[[int, int], Tensor]:
            mixed = sums.mT @ columns  # (layer, dim, replicate)

            def reach(tile: int, layer: int) -> Tensor:
                features, units = rows.layer(layer, tiles[tile]), unit[tiles[tile]]
                seen: Tensor = features @ mixed[layer]
                own = (features * sums[layer][units]).sum(1, keepdim=True) if distinct else features.new_zeros(1)
                return seen - own * columns[units]

            return reach

        return RowTriples(unit, tiles, len(sums), reach_with)


@dataclass(frozen=True)
class RowTriples:
    """Triples from the reach of each row: its affinities summed with the weights of the units."""

    unit: Tensor
    """(row,)"""
    tiles: list[slice]
    """rows that are evaluated at once"""
    layers: int
    reach_with: Callable[[Tensor], Callable[[int, int], Tensor]]
    """weights (unit, replicate) float32 -> a function of tile and layer, both numbers -> (row, replicate)"""

    def __call__(self, weights: Tensor) -> Tensor:
        """Evaluate for each replicate."""
        columns = weights.T.float().contiguous()
        totals = torch.zeros(2 * self.layers - 1, len(weights), dtype=torch.float64, device=weights.device)
        with full_precision():
            reach = self.reach_with(columns)
            for number, tile in enumerate(self.tiles):
                of_row = columns[self.unit[tile]]
                below: Tensor | None = None
                for layer in range(self.layers):
                    seen = reach(number, layer)
                    weighted = seen * of_row
                    totals[layer] += (weighted * seen).sum(0, dtype=torch.float64)
                    if below is not None:
                        totals[self.layers + layer - 1] += (weighted * below).sum(0, dtype=torch.float64)
                    below = seen
        return totals.T
