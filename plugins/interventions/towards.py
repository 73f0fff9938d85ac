"""Interventions that go a share of the way from a block's output to something else."""

from __future__ import annotations

from torch import Tensor

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics


class Towards(Intervention):
    """hidden + strength * (target - hidden): write `target`."""

    limits = (0.0, 1.0)

    def target(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """What a strength of 1 puts in the place of `hidden`: expands to (row, token, dim)."""
        raise NotImplementedError

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """Go the share; all the way is the target itself, without rounding."""
        if self.strength == 0:
            return hidden
        target = self.target(hidden, layer, positions, samples, statistics)
        if self.strength == 1:
            return target.expand_as(hidden).to(hidden.dtype, copy=True)
        start = hidden.float()
        return (start + self.strength * (target.float() - start)).to(hidden.dtype)
