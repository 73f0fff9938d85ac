"""resample: what a token says at a block gives way to what another text's token says there."""

from __future__ import annotations

from torch import Tensor

from mspgt.contracts.intervention import Block, LayerStatistics
from mspgt.core.random import integers
from mspgt.plugins.interventions.towards import Towards


class Resample(Towards):
    """A share of the way to the output at a token of another text (resample ablation, Chan et al. 2022).

    Unlike the mean, it is an output that the blocks above can have met. The token is drawn by seed, sample and
    position, and is the same for every block.
    """

    summary = "moves the output towards that of another text"
    strength_means = "another text's output in place of the output"

    def target(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """(row, token, dim)."""
        return statistics.bank[integers(self.seed, samples, positions, len(statistics.bank))]
