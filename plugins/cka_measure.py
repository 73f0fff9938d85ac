"""From stored rows to CKA: sums for any document weights, the point values beside them, and the layer matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.plugins.cka_centred import Rows, full_precision
from mspgt.plugins.cka_products import products
from mspgt.plugins.hsic import cka
from mspgt.plugins.hsic_units import UnitSums, distinct_tuples, pairs, triples


@dataclass(frozen=True)
class Measured:
    """Sums for any weights, and CKA of neighbouring blocks of the rows as they are, (L-1,) each."""

    sums: UnitSums
    debiased: Tensor
    """U-statistic, pairs within a unit left out"""
    row_debiased: Tensor
    """Song's U-statistic, as if rows were independent"""
    biased: Tensor
    """V-statistic"""


def measure(rows: Rows, distinct: bool) -> Measured:
    """Everything that does not depend on weights.

    Parameters
    ----------
    distinct: the sums are those of the U-statistic over distinct units; else of the V-statistic.
    """
    with full_precision():
        whole = products(rows)
    apart, own, norms = _affinities(rows)
    unit = rows.unit.to(rows.device)
    together = [a.scatter(1, unit[:, None], o[:, None]) for a, o in zip(apart, own, strict=True)]
    row_debiased = _song(whole, torch.stack([a.sum(1) for a in together]), norms)
    between_units = whole - torch.diag_embed(whole.diagonal(dim1=1, dim2=2))
    debiased = _unit_sums(unit, between_units, apart, distinct=True)
    biased = _unit_sums(unit, whole, together, distinct=False)
    equal = torch.ones(1, rows.units)
    return Measured(debiased if distinct else biased, debiased.cka(equal)[0], row_debiased, biased.cka(equal)[0])


def layer_matrix(rows: Rows) -> Tensor:
    """CKA of every two blocks by the U-statistic over distinct units: (layer, layer) float64.

    Every Gram matrix is needed at once, tile by tile: meant for a few thousand rows.
    """
    with full_precision():
        between = _between_units(rows)
    affinity, _, _ = _affinities(rows)
    unit = rows.unit.to(rows.device)
    reach = torch.stack([a.sum(1) for a in affinity])  # (layer, row)
    flat = torch.stack([a.flatten() for a in affinity])
    three = reach @ reach.T - flat @ flat.T
    inner = torch.stack([_by_unit(a, unit, rows.units) for a in affinity])
    by_unit, total = inner.sum(2), inner.sum((1, 2))
    four = total[:, None] * total - 4 * by_unit @ by_unit.T + 2 * inner.flatten(1) @ inner.flatten(1).T
    n2, n3, n4 = distinct_tuples(torch.bincount(unit, minlength=rows.units).double()[None])
    hsic = between / n2 + four / n4 - 2 * three / n3
    own = hsic.diagonal()
    return cka(hsic, own[:, None].expand_as(hsic), own.expand_as(hsic))


def _between_units(rows: Rows) -> Tensor:
    """Inner products of all Gram matrices over pairs of rows of distinct units: (layer, layer) float64."""
    layers, unit = rows.hidden.shape[1], rows.unit.to(rows.device)
    found = torch.zeros(layers, layers, dtype=torch.float64, device=rows.device)
    everything = slice(0, len(unit))
    for tile in rows.tiles(256):
        grams = torch.stack([rows.layer(k, tile) @ rows.layer(k, everything).T for k in range(layers)])
        by_row = grams.masked_fill_(unit[tile, None] == unit, 0.0).transpose(0, 1)
        found += (by_row @ by_row.mT).sum(0, dtype=torch.float64)  # short float32 sums
    return found


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


def _unit_sums(unit: Tensor, products: Tensor, affinity: list[Tensor], distinct: bool) -> UnitSums:
    units = products.shape[1]
    return UnitSums(
        rows=torch.bincount(unit, minlength=units).double(),
        products=products,
        inner=torch.stack([_by_unit(a, unit, units) for a in affinity]),
        shared=torch.stack([_by_unit(a * b, unit, units) for a, b in pairs(affinity)]),
        triples=triples(affinity, unit, units),
        distinct=distinct,
    )


def _song(products: Tensor, reach: Tensor, norms: Tensor) -> Tensor:
    """Song's U-statistic over single rows: CKA of neighbours, (L-1,).

    Parameters
    ----------
    products: (pair, unit, unit) over all pairs of rows.
    reach: (layer, row), sums of the rows of the Gram matrices, diagonal included.
    norms: (layer, row), their diagonals.
    """
    layers, n = reach.shape
    whole, off = products.sum((1, 2)), reach - norms
    hsic = []
    for pair, (a, b) in enumerate(pairs(list(range(layers)))):
        u = whole[pair] - norms[a] @ norms[b] + off[a].sum() * off[b].sum() / ((n - 1) * (n - 2))
        hsic.append((u - 2 * off[a] @ off[b] / (n - 2)) / (n * (n - 3)))
    own, between = torch.stack(hsic[:layers]), hsic[layers:]
    return cka(torch.stack(between) if between else own[:0], own[:-1], own[1:])


def _by_unit(values: Tensor, unit: Tensor, units: int) -> Tensor:
    """Sum rows by unit: (row, field) -> (unit, field)."""
    return torch.zeros(units, values.shape[1], dtype=values.dtype, device=values.device).index_add_(0, unit, values)
