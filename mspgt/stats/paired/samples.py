"""What the statistics are given: a metric's values under every condition, samples paired by position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mspgt.contracts.metric import Direction, Level, Swapped
from mspgt.core.errors import UserError
from mspgt.stats.paired.conditions import BASELINE

Floats = NDArray[np.float64]
Without = Callable[[NDArray[np.bool_]], Mapping[str, float]]

MINIMUM = 10
"""complete pairs, or documents with one, below which there is no percentage, no interval, no test and no verdict"""


@dataclass(frozen=True)
class Samples:
    """One metric's value for every sample under each condition.

    Raises
    ------
    UserError: no baseline, or conditions with different numbers of samples.
    """

    name: str
    level: Level
    """"sample": a value depends on its own text alone; "corpus": on all texts of its condition"""
    direction: Direction
    """which way is better: "higher", "lower" or "none" """
    values: Mapping[str, Floats]
    """condition -> (sample,) float64, NaN where undefined; the corpus value is the mean over the defined ones"""
    swapped: Callable[[str], Swapped] | None = None
    """condition -> (sample,) bool, the samples that change sides -> (baseline value, condition value), measured anew;
    for the randomisation test of a corpus-level metric, which is left out where this is None"""
    without: Without | None = None
    """(sample,) bool, the samples that are left out -> the corpus value of every condition, measured anew on the
    others; for the intervals of a corpus-level metric, which are left out where this is None"""

    def __post_init__(self) -> None:
        if BASELINE not in self.values:
            raise UserError(f"{self.name} has no values of the condition {BASELINE!r}, to which all are compared.")
        sizes = {condition: np.shape(values) for condition, values in self.values.items()}
        if len(set(sizes.values())) > 1 or any(len(size) != 1 for size in sizes.values()):
            raise UserError(f"{self.name} must have one value per sample in every condition; its values are {sizes}.")

    @property
    def count(self) -> int:
        """How many samples every condition has."""
        return len(self.values[BASELINE])

    def columns(self, conditions: tuple[str, ...]) -> Floats:
        """The values of some conditions side by side: (sample, condition) float64."""
        return np.stack([np.asarray(self.values[c], dtype=np.float64) for c in conditions], axis=1)
