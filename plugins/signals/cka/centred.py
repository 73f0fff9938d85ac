"""Stored rows, sorted by unit and centred, read tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TILE = 1024
"""rows of a tile"""


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
class CentredRows:
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
    def of(cls, hidden: Tensor, unit: Tensor, units: int, device: torch.device, zscore: bool) -> CentredRows:
        """Sort rows by unit and take their mean and standard deviation.

        Parameters
        ----------
        hidden: (row, layer, dim) of any floating type.
        unit: (row,) int64, below `units`.
        zscore: divide each dimension by its standard deviation.
        """
        order = torch.argsort(unit, stable=True)
        chunks = torch.split(hidden, max(1, (1 << 21) // max(1, hidden[0].numel())))
        centre = torch.stack([c.double().sum(0) for c in chunks]).sum(0) / len(hidden)
        spread = torch.stack([(c.double() - centre).square().sum(0) for c in chunks]).sum(0) / len(hidden)
        return cls(hidden, order, unit[order], units, device, centre, spread.sqrt(), zscore)

    def thinned(self, limit: int) -> CentredRows:
        """At most `limit` of the rows, evenly over the units."""
        kept = torch.linspace(0, len(self.unit) - 1, min(limit, len(self.unit))).round().long()
        return replace(self, order=self.order[kept], unit=self.unit[kept])

    def scaled(self, zscore: bool) -> CentredRows:
        """The same rows, z-scored or not."""
        return replace(self, zscore=zscore)

    def layer(self, layer: int, rows: slice) -> Tensor:
        """Centred rows of one layer: (row, dim) float32 on the device.

        The centre is rounded to float32: what is taken from all rows alike is at most a rounding of it. A shift
        cancels exactly where every weighted unit has the same number of rows, and nearly elsewhere; so the centre is
        fixed, that of all rows, and is not moved with the weights.
        """
        taken = self.hidden[self.order[rows], layer].to(self.device)
        centred = taken - self.centre[layer].to(self.device, torch.float32)
        if self.zscore:
            deviation = self.deviation[layer].to(self.device, torch.float32)
            centred = centred / torch.where(deviation > 0, deviation, 1)
        return centred.float()

    def tiles(self, size: int | None = None) -> list[slice]:
        """Consecutive rows, at most `size` (default `TILE`) at once."""
        size = size or TILE
        return [slice(i, min(i + size, len(self.unit))) for i in range(0, len(self.unit), size)]

    def bounds(self) -> list[int]:
        """The rows of unit a are bounds[a]:bounds[a+1]."""
        return [0, *torch.bincount(self.unit, minlength=self.units).cumsum(0).tolist()]
