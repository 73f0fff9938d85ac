"""What the bootstrap says about where the two boundaries are: shares, intervals, competing peaks."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.boundaries.fusion import Floats

BOUNDARIES = {"local_intermediate": "local-intermediate", "intermediate_global": "intermediate-global"}
"""field of a verdict -> name of the boundary, the lower first"""
NEAR = 2
"""layers within which two replicates speak of the same peak"""
COMPETING = 0.10
"""share of the replicates with two peaks further away above which their peaks are named as competing"""
NAMED = 3
"""competing peaks of a boundary named at most"""
LEAST_NAMED = 0.01
"""share of the replicates from which on a competing peak is named"""


@dataclass(frozen=True)
class Location:
    """The bootstrap distribution of one boundary, over the replicates that have two peaks."""

    low: int
    high: int
    """percentile interval; the percentiles of an integer are integers"""
    hpd: tuple[int, ...]
    """the smallest set of layers that holds the confidence's share of replicates"""
    mode: int
    mode_share: float
    away: float
    """share of replicates further than `NEAR` layers from the mode"""
    rivals: tuple[tuple[int, float], ...]
    """(layer, share) of these replicates, the most frequent first"""

    @property
    def width(self) -> int:
        """Width of the percentile interval in layers."""
        return self.high - self.low


@dataclass(frozen=True)
class Support:
    """The full rule applied to every replicate."""

    p_two: float
    """share of replicates with at least two peaks"""
    p_one: float
    joint: tuple[tuple[int, int, float], ...]
    """(lower layer, upper layer, share of all replicates), the most frequent first"""
    inclusion: Floats
    """(transition,): share of replicates in which the transition is one of the two peaks, or the only one"""
    lower: Location | None
    upper: Location | None
    """None where no replicate has two peaks"""

    @property
    def places(self) -> dict[str, Location | None]:
        """Where each boundary is, by its name."""
        return dict(zip(BOUNDARIES.values(), (self.lower, self.upper), strict=True))

    def competing(self) -> dict[str, Location]:
        """The boundaries that more than a tenth of the replicates put elsewhere than at their mode."""
        return {name: place for name, place in self.places.items() if place is not None and place.away > COMPETING}


def summarise(pairs: NDArray[np.int64], transitions: int, confidence: float) -> Support:
    """Describe the peaks of all replicates.

    Parameters
    ----------
    pairs: (replicate, 2), as from `two_of_each`; at least one replicate.
    transitions: number of transitions, L - 1.
    """
    replicates = len(pairs)
    two = pairs[pairs[:, 0] > 0]
    counts = Counter((int(a), int(b)) for a, b in two)
    joint = tuple((a, b, n / replicates) for (a, b), n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    inclusion = np.bincount(pairs.ravel(), minlength=transitions + 1)[1:] / replicates
    lower, upper = (locate(two[:, side], confidence) if len(two) else None for side in (0, 1))
    p_one = float(np.mean((pairs[:, 0] == 0) & (pairs[:, 1] > 0)))
    return Support(len(two) / replicates, p_one, joint, inclusion, lower, upper)


def locate(layers: NDArray[np.int64], confidence: float) -> Location:
    """Percentile interval, highest-density set and mode of a boundary's layer over replicates: (replicate,) ints."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(layers, [tail, 1 - tail], method="inverted_cdf")
    values, counts = np.unique(layers, return_counts=True)
    order = np.lexsort((values, -counts))  # the most frequent first, ties by layer
    needed = math.ceil(confidence * len(layers) - 1e-9)
    size = int(np.searchsorted(np.cumsum(counts[order]), needed)) + 1
    mode = int(values[order[0]])
    far = np.abs(values - mode) > NEAR
    away = float(counts[far].sum() / len(layers))
    hpd = tuple(sorted(int(v) for v in values[order[:size]]))
    rivals = tuple((int(values[i]), float(counts[i] / len(layers))) for i in order if far[i])
    return Location(int(low), int(high), hpd, mode, float(counts[order[0]] / len(layers)), away, rivals)
