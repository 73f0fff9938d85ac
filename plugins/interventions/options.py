"""Options of the built-in interventions, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.core.options import option


@dataclass(frozen=True)
class GaussianOptions:
    """Options of `gaussian`."""

    per_dim: bool = option(False, "noise of each dimension in units of its own standard deviation")
