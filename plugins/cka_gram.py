"""From stored rows to sums over units: one pass over tiles of the Gram matrices, which are never stored.

Gram matrices of all layers are formed tile by tile; each is used for its own layer, for the neighbouring pairs and
for the layer-by-layer matrix of CKA before it is dropped. Products are float32 with TF32 off, sums float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mspgt.plugins.hsic import cka
from mspgt.plugins.hsic_units import UnitSums, distinct_tuples, pairs, triples

TILE = 1024
"""rows and columns of a tile; 32 layers of one take 128 MiB"""


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products in float32: TF32 and bfloat16 passes are switched off, and restored afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Rows:
    """Rows sorted by unit, read tile by tile; hidden may lie in a memory-mapped file."""

    hidden: Tensor
    """(row, layer, dim), in the order in which they are stored"""
    order: Tensor
    """(row,) int64: the stored row at each place"""
    unit: Tensor
    """(row,) int64: ascending"""
    units: int
    device: torch.device
    centre: Tensor
    """(layer, dim) float64: mean of all rows"""
    deviation: Tensor
    """(layer, dim) float64: standard deviation of all rows"""
    zscore: bool

    @classmethod
    def of(cls, hidden: Tensor, unit: Tensor, units: int, device: torch.device, zscore: bool) -> Rows:
        """Sort rows by unit and take their mean and standard deviation.

        Parameters
        ----------
        hidden: (row, layer, dim) of any floating type.
        unit: (row,) int64, below `units`.
        zscore: divide each dimension by its standard deviation.
        """
        order = torch.argsort(unit, stable=True)
        chunks = torch.split(hidden, max(1, (1 << 24) // max(1, hidden[0].numel())))
        centre = torch.stack([c.double().sum(0) for c in chunks]).sum(0) / len(hidden)
        spread = torch.stack([(c.double() - centre).square().sum(0) for c in chunks]).sum(0) / len(hidden)
        return cls(hidden, order, unit[order], units, device, centre, spread.sqrt(), zscore)

    def thinned(self, limit: int) -> Rows:
        """At most `limit` of the rows, evenly over the units."""
        kept = torch.linspace(0, len(self.unit) - 1, min(limit, len(self.unit))).round().long()
        return replace(self, order=self.order[kept], unit=self.unit[kept])

    def scaled(self, zscore: bool) -> Rows:
        """The same rows, z-scored or not."""
        return replace(self, zscore=zscore)

    def layer(self, layer: int, rows: slice) -> Tensor:
        """Centred rows of one layer: (row, dim) float32 on the device.

        The centre is rounded to float32: every estimator is invariant to a common shift of the rows.
        """
        taken = self.hidden[self.order[rows], layer].to(self.device)
        centred = taken - self.centre[layer].to(self.device, torch.float32)
        if self.zscore:
            deviation = self.deviation[layer].to(self.device, torch.float32)
            centred = centred / torch.where(deviation > 0, deviation, 1)
        return centred.float()

    def tiles(self) -> list[slice]:
        """Consecutive rows, at most `TILE` at once."""
        return [slice(i, min(i + TILE, len(self.unit))) for i in range(0, len(self.unit), TILE)]


@dataclass(frozen=True)
class Measured:
    """Sums for any weights, and CKA of the rows as they are."""

    sums: UnitSums
    debiased: Tensor
    """(layer, layer): pairs within a unit left out"""
    row_debiased: Tensor
    """(L-1,): Song's U-statistic, as if rows were independent"""
    biased: Tensor
    """(L-1,): V-statistic"""


def measure(rows: Rows, distinct: bool) -> Measured:
    """Everything that does not depend on weights.

    Parameters
    ----------
    distinct: build the sums for the U-statistic over distinct units; else for the V-statistic.

    The Gram pass costs 2 * rows^2 * dim operations per layer, half of it saved by symmetry.
    """
    with full_precision():
        products, between = _gram_pass(rows)
        affinity, own, norms = _affinities(rows)
    unit = rows.unit.to(rows.device)
    debiased = _debiased_matrix(rows, between, affinity)
    row_debiased, biased = _row_level(products, torch.stack([a.sum(1) for a in affinity]) + own, norms)
    if distinct:
        products = products - torch.diag_embed(products.diagonal(dim1=1, dim2=2))
    else:
        for layer, values in enumerate(own):
            affinity[layer].scatter_(1, unit[:, None], values[:, None])
    sums = UnitSums(
        rows=torch.bincount(unit, minlength=rows.units).double(),
        products=products,
        inner=torch.stack([_by_unit(a, unit, rows.units) for a in affinity]),
        shared=torch.stack([_by_unit(a * b, unit, rows.units) for a, b in pairs(affinity)]),
        triples=triples(affinity, unit, rows.units),
        distinct=distinct,
    )
    return Measured(sums, debiased, row_debiased, biased)


def _gram_pass(rows: Rows) -> tuple[Tensor, Tensor]:
    """Sums of products of Gram entries.

    Returns
    -------
    (pair, unit, unit): of neighbouring layers, by units; (layer, layer): of all layers, over pairs of rows of
    distinct units.
    """
    layers, tiles = rows.hidden.shape[1], rows.tiles()
    products = torch.zeros(2 * layers - 1, rows.units, rows.units, dtype=torch.float64, device=rows.device)
    between = torch.zeros(layers, layers, dtype=torch.float64, device=rows.device)
    for i, first in enumerate(tiles):
        left, left_units = _membership(rows, first)
        for second in tiles[i:]:
            right, right_units = _membership(rows, second)
            grams = torch.empty(layers, left.shape[1], right.shape[1], device=rows.device)
            for k in range(layers):
                torch.mm(rows.layer(k, first), rows.layer(k, second).T, out=grams[k])
            part = torch.stack([left @ (a * b) @ right.T for a, b in pairs(list(grams))]).double()
            products[:, left_units, right_units] += part
            if first != second:
                products[:, right_units, left_units] += part.mT
            same = left.argmax(0)[:, None] + left_units.start == right.argmax(0) + right_units.start
            by_row = grams.masked_fill_(same, 0.0).transpose(0, 1)  # (row, layer, row): short float32 sums
            between += (by_row @ by_row.mT).sum(0, dtype=torch.float64) * (1 if first == second else 2)
    return products, between


def _membership(rows: Rows, tile: slice) -> tuple[Tensor, slice]:
    """Which rows of a tile belong to which of the units that it touches: (unit, row) of 0 and 1."""
    unit = rows.unit[tile]
    low, high = int(unit[0]), int(unit[-1]) + 1
    member = torch.arange(low, high)[:, None] == unit
    return member.float().to(rows.device), slice(low, high)


def _affinities(rows: Rows) -> tuple[list[Tensor], Tensor, Tensor]:
    """Inner products of rows with the sums of units, float64.

    Returns
    -------
    for each layer (row, unit), zero at the row's own unit; (layer, row), what stood there; (layer, row), the
    squared norms of the rows.
    """
    unit = rows.unit.to(rows.device)
    found, own, norms = [], [], []
    for layer in range(rows.hidden.shape[1]):
        parts = [rows.layer(layer, tile) for tile in rows.tiles()]
        sums = torch.zeros(rows.units, parts[0].shape[1], dtype=torch.float64, device=rows.device)
        for tile, part in zip(rows.tiles(), parts, strict=True):
            sums.index_add_(0, unit[tile], part.double())
        affinity = torch.cat([part.double() @ sums.T for part in parts])
        own.append(affinity.gather(1, unit[:, None])[:, 0])
        found.append(affinity.scatter_(1, unit[:, None], 0.0))
        norms.append(torch.cat([part.double().square().sum(1) for part in parts]))
    return found, torch.stack(own), torch.stack(norms)


def _debiased_matrix(rows: Rows, between: Tensor, affinity: list[Tensor]) -> Tensor:
    """CKA of every two layers by the U-statistic over distinct units: (layer, layer) float64."""
    unit = rows.unit.to(rows.device)
    reach = torch.stack([a.sum(1) for a in affinity])  # (layer, row)
    three = reach @ reach.T
    for tile in rows.tiles():
        flat = torch.stack([a[tile].flatten() for a in affinity])
        three -= flat @ flat.T
    inner = torch.stack([_by_unit(a, unit, rows.units) for a in affinity])
    by_unit, total = inner.sum(2), inner.sum((1, 2))
    four = total[:, None] * total - 4 * by_unit @ by_unit.T + 2 * inner.flatten(1) @ inner.flatten(1).T
    n2, n3, n4 = distinct_tuples(torch.bincount(unit, minlength=rows.units).double()[None])
    hsic = between / n2 + four / n4 - 2 * three / n3
    own = hsic.diagonal()
    return cka(hsic, own[:, None].expand_as(hsic), own.expand_as(hsic))


def _row_level(products: Tensor, reach: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
    """Song's U-statistic and the V-statistic over single rows: CKA of neighbours, (L-1,) each.

    Parameters
    ----------
    products: (pair, unit, unit) over all pairs of rows.
    reach: (layer, row), sums of the rows of the Gram matrices, diagonal included.
    norms: (layer, row), their diagonals.
    """
    layers, n = reach.shape
    whole = products.sum((1, 2))
    biased, song = [], []
    for pair, (a, b) in enumerate(pairs(list(range(layers)))):
        v = whole[pair] - 2 * reach[a] @ reach[b] / n + reach[a].sum() * reach[b].sum() / n**2
        left, right = reach[a] - norms[a], reach[b] - norms[b]
        u = whole[pair] - norms[a] @ norms[b] + left.sum() * right.sum() / ((n - 1) * (n - 2))
        biased.append(v / n**2)
        song.append((u - 2 * left @ right / (n - 2)) / (n * (n - 3)))
    return _neighbour_cka(torch.stack(song), layers), _neighbour_cka(torch.stack(biased), layers)


def _neighbour_cka(hsic: Tensor, layers: int) -> Tensor:
    return cka(hsic[layers:], hsic[: layers - 1], hsic[1:layers])


def _by_unit(values: Tensor, unit: Tensor, units: int) -> Tensor:
    """Sum rows by unit: (row, field) -> (unit, field)."""
    return torch.zeros(units, values.shape[1], dtype=values.dtype, device=values.device).index_add_(0, unit, values)
