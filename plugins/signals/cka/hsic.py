"""HSIC and CKA of rows with a linear kernel, as pure functions of Gram matrices.

CKA is the ratio HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)), with the same estimator of HSIC in all three places.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear_gram(rows: Tensor) -> Tensor:
    """Inner products of rows: (..., row, dim) -> (..., row, row) float64.

    The rows are shifted by their mean first. HSIC is invariant to a shift, but products of rows that
    lie far from the origin lose the digits that matter.
    """
    rows = rows.double()
    rows = rows - rows.mean(-2, keepdim=True)
    return rows @ rows.mT


def hsic_debiased(k: Tensor, other: Tensor) -> Tensor:
    """The U-statistic HSIC_1 of Song et al. 2012 (JMLR 13, eq. 5): (..., row, row) twice -> (...).

    Rows must be distinct observations: two copies of one row put its self-similarity off the diagonal and bring
    the bias back. Fewer than 4 rows give NaN.
    """
    n = k.shape[-1]
    if n < 4:
        return torch.full(k.shape[:-2], torch.nan, dtype=k.dtype, device=k.device)
    k, other = _off_diagonal(k), _off_diagonal(other)
    k_rows, other_rows = k.sum(-1), other.sum(-1)
    return song((k * other).sum((-2, -1)), k_rows.sum(-1) * other_rows.sum(-1), (k_rows * other_rows).sum(-1), n)


def song(product: Tensor, totals: Tensor, reach: Tensor, n: int | Tensor) -> Tensor:
    """HSIC_1 from sums over two Gram matrices of n rows without their diagonals, elementwise.

    Parameters
    ----------
    product: inner product of the matrices.
    totals: product of their grand sums.
    reach: inner product of their sums of rows.
    """
    return (product + totals / ((n - 1) * (n - 2)) - 2 * reach / (n - 2)) / (n * (n - 3))


def cka(xy: Tensor, xx: Tensor, yy: Tensor) -> Tensor:
    """HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)), elementwise; NaN where a self-similarity is not positive."""
    defined = (xx > 0) & (yy > 0)
    return torch.where(defined, xy / (xx.sqrt() * yy.sqrt()), torch.nan)


def _off_diagonal(k: Tensor) -> Tensor:
    return k - torch.diag_embed(k.diagonal(dim1=-2, dim2=-1))
