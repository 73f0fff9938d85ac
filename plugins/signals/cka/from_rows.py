"""From stored rows to CKA: sums for any document weights, the point values beside them, and the layer matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.plugins.signals.cka.centred import CentredRows, full_precision
from mspgt.plugins.signals.cka.hsic import cka, song
from mspgt.plugins.signals.cka.hsic_units import UnitSums, cka_of_neighbours, distinct_tuples, pairs
from mspgt.plugins.signals.cka.products import products
from mspgt.plugins.signals.cka.triples import Triples, choose

SLICE = 64
"""rows whose products with everything are held at once, for all layers"""


@dataclass(frozen=True)
class Estimates:
    """What is known of all rows."""

    sums: UnitSums
    """from which CKA follows for any weights"""
    series: Mapping[str, Tensor]
    """CKA of neighbouring blocks of the rows as they are, (L-1,) each: `row_debiased`, Song's U-statistic, as if rows
    were independent; `biased`, the V-statistic; and, where `sums` are those of the U-statistic over distinct units,
    `debiased`, their value"""


def estimate(rows: CentredRows, distinct: bool) -> Estimates:
    """Everything that does not depend on weights.

    Parameters
    ----------
    distinct: the sums are those of the U-statistic over distinct units; else of the V-statistic.
    """
    with full_precision():
        whole = products(rows)
        gathered = _gather(rows, distinct)
    reach, norms = gathered.reach, gathered.norms
    series = {"row_debiased": _row_debiased(whole, reach, norms), "biased": _v_statistic(whole, reach)}
    whole.diagonal(dim1=1, dim2=2)[:] *= not distinct
    sums = UnitSums(_counts(rows), whole, gathered.inner, gathered.shared, gathered.triples, distinct)
    if distinct:
        series["debiased"] = sums.cka(torch.ones(1, rows.units))[0]
    return Estimates(sums, {name: values.cpu() for name, values in series.items()})


@dataclass(frozen=True)
class _Gathered:
    """What one pass over the layers gathers, all float64."""

    inner: Tensor
    """(layer, unit, unit)"""
    shared: Tensor
    """(pair, unit, unit); empty where pairs within a unit count"""
    reach: Tensor
    """(layer, row): sums of the rows of the Gram matrix"""
    norms: Tensor
    """(layer, row): its diagonal"""
    triples: Triples


def _gather(rows: CentredRows, distinct: bool) -> _Gathered:
    """Gather what the affinities of all layers say, some rows at a time."""
    layers, units, n = rows.hidden.shape[1], rows.units, len(rows.unit)
    sums = _sums_of_units(rows)
    triples = choose(rows, sums, distinct)
    inner = sums @ sums.mT
    shared = sums.new_zeros(2 * layers - 1 if distinct else 0, units, units)
    reach, norms = sums.new_empty(layers, n), sums.new_empty(layers, n)
    for tile, affinity in _affinities(rows, sums):
        unit = rows.unit[tile].to(rows.device)
        reach[:, tile] = affinity.sum(2)
        if distinct:
            _leave_out_own(affinity, unit)
        for layer in range(layers):
            norms[layer, tile] = rows.layer(layer, tile).double().square().sum(1)
        for pair, (a, b) in enumerate(pairs([*affinity]) if distinct else []):
            shared[pair].index_add_(0, unit, a * b)
        triples.add(tile, affinity)
    if distinct:
        inner.diagonal(dim1=1, dim2=2).zero_()
    return _Gathered(inner, shared, reach, norms, triples)


def layer_matrix(rows: CentredRows) -> Tensor:
    """CKA of every two blocks by the U-statistic over distinct units: (layer, layer) float64.

    Every Gram matrix is needed at once, tile by tile: meant for a few thousand rows.
    """
    with full_precision():
        between = _between_units(rows)
    sums = _sums_of_units(rows)
    layers = len(sums)
    three, four = sums.new_zeros(layers, layers), sums.new_zeros(layers, layers)
    for tile, affinity in _affinities(rows, sums):
        _leave_out_own(affinity, rows.unit[tile].to(rows.device))
        reach, flat = affinity.sum(2), affinity.flatten(1)
        three += reach @ reach.T - flat @ flat.T
    total = sums.new_zeros(layers)
    for units in torch.split(torch.arange(rows.units, device=rows.device), SLICE):  # Gram matrices of the sums
        inner = sums[:, units] @ sums.mT
        _leave_out_own(inner, units)
        by_unit, flat = inner.sum(2), inner.flatten(1)
        four += 2 * flat @ flat.T - 4 * by_unit @ by_unit.T
        total += by_unit.sum(1)
    four += total[:, None] * total
    n2, n3, n4 = distinct_tuples(_counts(rows)[None])
    hsic = between / n2 + four / n4 - 2 * three / n3
    own = hsic.diagonal()
    return cka(hsic, own[:, None].expand_as(hsic), own.expand_as(hsic))


def _between_units(rows: CentredRows) -> Tensor:
    """Inner products of all Gram matrices over pairs of rows of distinct units: (layer, layer) float64."""
    layers, unit = rows.hidden.shape[1], rows.unit.to(rows.device)
    inner = torch.zeros(layers, layers, dtype=torch.float64, device=rows.device)
    everything = slice(0, len(unit))
    for tile in rows.tiles(SLICE):
        grams = torch.stack([rows.layer(k, tile) @ rows.layer(k, everything).T for k in range(layers)])
        by_row = grams.masked_fill_(unit[tile, None] == unit, 0.0).transpose(0, 1)
        inner += (by_row @ by_row.mT).sum(0, dtype=torch.float64)  # short float32 sums
    return inner


def _counts(rows: CentredRows) -> Tensor:
    """Rows of each unit, (unit,) float64."""
    return torch.bincount(rows.unit, minlength=rows.units).double().to(rows.device)


def _sums_of_units(rows: CentredRows) -> Tensor:
    """(layer, unit, dim) float64."""
    _, layers, dim = rows.hidden.shape
    sums = torch.zeros(layers, rows.units, dim, dtype=torch.float64, device=rows.device)
    for tile in rows.tiles():
        unit = rows.unit[tile].to(rows.device)
        for layer in range(layers):
            sums[layer].index_add_(0, unit, rows.layer(layer, tile).double())
    return sums


def _affinities(rows: CentredRows, sums: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Inner products of some rows at a time with the sums of units: (layer, row, unit) float64."""
    for tile in rows.tiles(SLICE):
        yield tile, torch.stack([rows.layer(layer, tile).double() @ of.T for layer, of in enumerate(sums)])


def _leave_out_own(affinity: Tensor, unit: Tensor) -> None:
    """Set the affinities of rows to their own units to zero: affinity (layer, row, unit), unit (row,)."""
    affinity.scatter_(2, unit[None, :, None].expand(len(affinity), -1, 1), 0.0)


def _v_statistic(products: Tensor, reach: Tensor) -> Tensor:
    """Biased CKA of neighbours, (L-1,): products (pair, unit, unit) and reach (layer, row) over all pairs of rows."""
    layers, n = reach.shape
    whole, total = products.sum((1, 2)) / n**2, reach.sum(1) / n**2
    hsic = [
        whole[pair] - 2 * reach[a] @ reach[b] / n**3 + total[a] * total[b]
        for pair, (a, b) in enumerate(pairs(range(layers)))
    ]
    return cka_of_neighbours(torch.stack(hsic))


def _row_debiased(products: Tensor, reach: Tensor, norms: Tensor) -> Tensor:
    """Song's U-statistic over single rows: CKA of neighbours, (L-1,).

    Parameters
    ----------
    products: (pair, unit, unit) over all pairs of rows.
    reach: (layer, row), sums of the rows of the Gram matrices, diagonal included.
    norms: (layer, row), their diagonals.
    """
    layers, n = reach.shape
    whole, off = products.sum((1, 2)), reach - norms
    hsic = [
        song(whole[pair] - norms[a] @ norms[b], off[a].sum() * off[b].sum(), off[a] @ off[b], n)
        for pair, (a, b) in enumerate(pairs(range(layers)))
    ]
    return cka_of_neighbours(torch.stack(hsic))
