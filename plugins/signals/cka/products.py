"""Sums of products of Gram entries over pairs of units: the part of CKA that costs.

M[a, b] = sum over i in a, j in b of K_ij L_ij, for each block with itself and with the next. Two exact ways: in
sample space the Gram matrices are formed tile by tile, each used for its block and its neighbour and dropped; in
feature space M[a, b] is the inner product of X_a' Y_a and X_b' Y_b, which is cheaper where rows are many and
dimensions few. Products are float32, sums float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from mspgt.plugins.signals.cka.centred import CentredRows
from mspgt.plugins.signals.cka.hsic_units import pairs

DIMENSIONS = 16
"""dimensions of one block crossed with all of the other's at once, in feature space"""


def products(rows: CentredRows) -> Tensor:
    """M of every pair of blocks, by the cheaper way: (pair, unit, unit) float64."""
    n, dim = len(rows.unit), rows.hidden.shape[2]
    by_features = 4 * dim**2 * (n + rows.units**2)  # multiplications per block
    by_samples = n**2 * (dim + 40)  # the Gram matrix, half of it, and a share for passing over it
    return products_by_features(rows) if by_features < by_samples else products_by_samples(rows)


def products_by_samples(rows: CentredRows) -> Tensor:
    """From tiles of Gram matrices; memory is one tile for every block."""
    layers, tiles = rows.hidden.shape[1], rows.tiles()
    sums = torch.zeros(2 * layers - 1, rows.units, rows.units, dtype=torch.float64, device=rows.device)
    for i, first in enumerate(tiles):
        left, left_units = _membership(rows, first)
        for second in tiles[i:]:
            right, right_units = _membership(rows, second)
            grams = [rows.layer(k, first) @ rows.layer(k, second).T for k in range(layers)]
            part = torch.stack([left @ (a * b) @ right.T for a, b in pairs(grams)]).double()
            sums[:, left_units, right_units] += part
            if first != second:
                sums[:, right_units, left_units] += part.mT
    return sums


def products_by_features(rows: CentredRows) -> Tensor:
    """From products of dimensions within each unit; memory is 16 * unit * dim."""
    layers, bounds = rows.hidden.shape[1], rows.bounds()
    everything = slice(0, len(rows.unit))
    sums = torch.zeros(2 * layers - 1, rows.units, rows.units, dtype=torch.float64, device=rows.device)
    below: Tensor | None = None
    for k in range(layers):
        block = rows.layer(k, everything)
        _add_products(sums[k], block, block, bounds)
        if below is not None:
            _add_products(sums[layers + k - 1], below, block, bounds)
        below = block
    return sums


def _add_products(sums: Tensor, x: Tensor, y: Tensor, bounds: list[int]) -> None:
    """Add inner products of X_a' Y_a over all pairs of units: (row, dim) twice, into (unit, unit) float64."""
    for some in torch.split(x, DIMENSIONS, dim=1):
        crossed = torch.stack([some[i:j].T @ y[i:j] for i, j in pairwise(bounds)], dim=1)
        sums += (crossed @ crossed.mT).sum(0, dtype=torch.float64)  # one dimension of x at a time: short sums


def _membership(rows: CentredRows, tile: slice) -> tuple[Tensor, slice]:
    """Which rows of a tile belong to which of the units that it touches: (unit, row) of 0 and 1."""
    unit = rows.unit[tile]
    low, high = int(unit[0]), int(unit[-1]) + 1
    member = torch.arange(low, high)[:, None] == unit
    return member.float().to(rows.device), slice(low, high)
