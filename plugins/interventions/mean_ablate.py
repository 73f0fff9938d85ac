"""mean_ablate: what a token says at a block gives way to what tokens say on average."""

from __future__ import annotations

from torch import Tensor

from mspgt.contracts.intervention import Block, LayerStatistics
from mspgt.plugins.interventions.towards import Towards


class MeanAblate(Towards):
    """A share of the way to the block's mean output on the corpus."""

    summary = "moves the output towards its mean over the corpus"
    strength_means = "the mean in place of the output"

    def target(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """(dim,)."""
        return statistics.mean
