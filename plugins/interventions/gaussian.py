"""gaussian: noise in proportion to a block's own spread (Experiment 2 of the paper, section 4.3)."""

from __future__ import annotations

from torch import Tensor

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics
from mspgt.core.random import gaussian
from mspgt.plugins.interventions.options import GaussianOptions


class Gaussian(Intervention):
    """hidden + strength * std * noise, with standard normal noise keyed by seed, sample, block, position, dimension.

    The paper's sigma_l = 0.1 std_l is a strength of 0.1. The standard deviation is that within dimensions, or each
    dimension's own with `per_dim`.
    """

    summary = "adds Gaussian noise in units of each layer's standard deviation (the paper's)"
    strength_means = "noise as large as the spread of the block's output"
    Options = GaussianOptions

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """Add noise."""
        if self.strength == 0:
            return hidden
        noise = gaussian(self.seed, samples, layer.index, positions, hidden.shape[-1])
        std = statistics.std_dim if self.options.per_dim else statistics.std
        return (hidden.float() + noise * (self.strength * std)).to(hidden.dtype)
