"""scale: a block's output made larger or smaller."""

from __future__ import annotations

from math import inf

from torch import Tensor

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics


class Scale(Intervention):
    """hidden * (1 + strength); a negative strength makes it smaller."""

    summary = "multiplies the output"
    strength_means = "the output doubled"
    limits = (-1.0, inf)

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """Multiply."""
        if self.strength == 0:
            return hidden
        return (hidden.float() * (1 + self.strength)).to(hidden.dtype)
