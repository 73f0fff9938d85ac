"""skip: a block's update of the residual stream is left out."""

from __future__ import annotations

from torch import Tensor

from mspgt.contracts.intervention import Block, LayerStatistics
from mspgt.plugins.interventions.towards import Towards


class Skip(Towards):
    """A share of the way back to what the block was given."""

    summary = "leaves out what the block adds: at strength 1 it does nothing"
    strength_means = "the block does nothing"

    def target(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """(row, token, dim)."""
        return layer.incoming
