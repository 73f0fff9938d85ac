"""HSIC of weighted documents, from sums over the rows of pairs and triples of documents.

The rows i of a layer belong to resampling units a, b, c (documents). A replicate weights whole units; its HSIC is
a polynomial in the weights whose coefficients, gathered here once, do not depend on them. With `distinct`, pairs
within a unit are left out (the cluster-debiased U-statistic over distinct units), so that dependence between the
rows of one document adds no bias and a unit of weight 2 never meets its own copy.

Layers are numbered 0..L-1 here; *pairs* are the L pairs (l, l) followed by the L-1 pairs (l, l+1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from mspgt.plugins.signals.cka.hsic import cka
from mspgt.plugins.signals.cka.triples import Triples

T = TypeVar("T")
REPLICATES = 250
"""replicates evaluated at once; bounds the memory of a curve"""


@dataclass(frozen=True)
class UnitSums:
    """All that HSIC needs of the rows, for any weights of the units. Sums are float64."""

    rows: Tensor
    """(unit,): number of rows"""
    products: Tensor
    """(pair, unit, unit): sum over i in a, j in b of K_ij L_ij"""
    inner: Tensor
    """(layer, unit, unit): sum over i in a, j in b of K_ij"""
    shared: Tensor
    """(pair, unit, unit): sum over i in a of K_ib L_ib"""
    triples: Triples
    distinct: bool
    """pairs within a unit are left out: diagonals are zero, and the U-statistic applies"""

    def cka(self, weights: Tensor) -> Tensor:
        """CKA of neighbouring layers: weights (replicate, unit) -> (replicate, L-1) float64."""
        return cka_of_neighbours(self.hsic(weights))

    def hsic(self, weights: Tensor) -> Tensor:
        """HSIC of every pair: weights (replicate, unit) >= 0 -> (replicate, pair) float64.

        With `distinct`, fewer than 4 units of positive weight give NaN: the statistic has no value there.
        """
        estimate = self._debiased if self.distinct else self._biased
        weights = weights.to(self.rows.device, torch.float64)
        if not len(weights):
            return self.rows.new_empty(0, len(self.products))
        parts = torch.split(weights, REPLICATES)
        return torch.cat([estimate(part / (part @ self.rows)[:, None]) for part in parts])

    def _biased(self, v: Tensor) -> Tensor:
        """V-statistic; v is scaled so that the weighted number of rows is 1."""
        reach = self.inner @ v.T  # (layer, unit, replicate)
        total = (v.T * reach).sum(1)
        left, right = sides(len(self.inner))
        return (_form(self.products, v, v) + total[left] * total[right]).T - 2 * self.triples(v)

    def _debiased(self, v: Tensor) -> Tensor:
        """U-statistic over distinct units; v is scaled so that the weighted number of rows is 1."""
        squares = v * v
        left, right = sides(len(self.inner))
        reach = self.inner @ v.T  # (layer, unit, replicate)
        total = (v.T * reach).sum(1)
        two = _form(self.products, v, v).T
        three = self.triples(v) - _form(self.shared, v, squares).T
        meet = torch.stack([(squares.T * reach[a] * reach[b]).sum(0) for a, b in zip(left, right, strict=True)])
        four = total[left] * total[right] - 4 * meet
        both = (self.inner[a] * self.inner[b] for a, b in zip(left, right, strict=True))
        four = (four + 2 * _form(both, squares, squares)).T
        n2, n3, n4 = distinct_tuples(v * self.rows)
        return two / n2[:, None] + four / n4[:, None] - 2 * three / n3[:, None]


def distinct_tuples(mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of products of the masses of 2, 3 and 4 distinct units, each (replicate,).

    Parameters
    ----------
    mass: (replicate, unit) float64, weight times number of rows. Fewer than 4 positive masses give NaN.
    """
    p1, p2, p3, p4 = (mass.pow(k).sum(-1) for k in (1, 2, 3, 4))
    n2 = p1**2 - p2
    n3 = p1**3 - 3 * p1 * p2 + 2 * p3
    n4 = p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4
    return n2, n3, torch.where((mass > 0).sum(-1) >= 4, n4, torch.nan)


def _form(matrices: Iterable[Tensor], left: Tensor, right: Tensor) -> Tensor:
    """Bilinear forms: (pair, unit, unit), (replicate, unit) twice -> (pair, replicate)."""
    return torch.stack([((matrix @ right.T) * left.T).sum(0) for matrix in matrices])


def pairs(layers: Sequence[T]) -> list[tuple[T, T]]:
    """The pairs (l, l), then the pairs (l, l+1)."""
    return [*zip(layers, layers, strict=True), *pairwise(layers)]


def sides(layers: int) -> tuple[list[int], list[int]]:
    """The first and the second layer of every pair."""
    return [*range(layers), *range(layers - 1)], [*range(layers), *range(1, layers)]


def cka_of_neighbours(hsic: Tensor) -> Tensor:
    """CKA of neighbouring layers from HSIC of every pair: (..., pair) -> (..., L-1)."""
    layers = (hsic.shape[-1] + 1) // 2
    own, between = hsic[..., :layers], hsic[..., layers:]
    return cka(between, own[..., :-1], own[..., 1:])
