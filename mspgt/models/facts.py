"""What a file of results says of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """What a file of results says of a model.

    Attributes
    ----------
    family: model_type of its configuration.
    n_heads: of the first block; 0 where the configuration does not say.
    parameters: shared ones are counted once.
    dtype: precision of the weights, and how they are quantised if they are.
    """

    name: str
    family: str
    n_layers: int
    hidden_size: int
    n_heads: int
    parameters: int
    dtype: str
