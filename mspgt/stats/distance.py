"""How far apart the boundaries of several runs lie, over bootstrap replicates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.changes import enough, integer_interval

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Distance:
    """The distance of the farthest two runs, in layers.

    Attributes
    ----------
    low, high: interval; None where no replicate counts.
    share: of the draws in which every run has the boundary.
    resolved: whether there are replicates enough for both ends, so many that some lie beyond them.
    """

    low: int | None
    high: int | None
    share: float
    resolved: bool


@dataclass(frozen=True)
class Ended:
    """A run at its last point.

    Attributes
    ----------
    layer: blocks below the I-G boundary; relative: the same over all blocks; None where it is not placed.
    ci: interval of the layer.
    """

    name: str
    step: int
    layer: int | None
    relative: float | None
    ci: tuple[int, int] | None
    accepted: bool


@dataclass(frozen=True)
class Apart:
    """The numbers of the answer on prediction 3.2; distances are shares of the depth.

    Attributes
    ----------
    difference: of the point estimates; low, high: of the interval; None where a run has no boundary.
    paired: whether the same documents were drawn for all runs; None without replicates.
    share: of the draws in which every run has two peaks.
    chance: model of chance -> probability of more than the threshold; NaN where there is none.
    """

    rule: str
    threshold: float
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    paired: bool | None
    share: float | None
    runs: tuple[Ended, ...]
    chance: Mapping[str, float]


def distance(layers: Sequence[Ints], confidence: float, *, paired: bool) -> Distance:
    """Interval of the largest distance between any two runs.

    Noise alone makes a distance: its percentiles would lie too high, the more so the more runs there are. So the ends
    are those of the *signed* differences of each pair of runs, folded at 0 afterwards. The upper end is the largest
    that any pair allows: it is too small only where that of the truly farthest pair is. The lower end is the largest
    that any pair needs; as the best of several, each may miss only its part of 1 - confidence (Bonferroni).

    Parameters
    ----------
    layers: of each run, (replicate,), 0 where the boundary is missing; at least two runs, each with replicates.
    confidence: of the interval, 0 to 1.
    paired: replicate r of all runs has the same documents; otherwise every combination of replicates is a draw.
    """
    shares = [float(np.mean(run > 0)) for run in layers]
    if paired:
        whole = np.all([run > 0 for run in layers], axis=0)
        kept, share = [run[whole] for run in layers], float(whole.mean())
    else:
        kept, share = [run[run > 0] for run in layers], math.prod(shares)
    fewest = min(map(len, kept))
    if not fewest:
        return Distance(None, None, share, False)
    pairs = math.comb(len(layers), 2)
    strict = 1 - (1 - confidence) / pairs
    low = max(max(a, -b) for a, b in _signed(kept, strict, paired))
    high = max(max(-a, b) for a, b in _signed(kept, confidence, paired))
    return Distance(max(low, 0), high, share, enough(fewest, strict))


def _signed(kept: Sequence[Ints], confidence: float, paired: bool) -> Iterator[tuple[int, int]]:
    """The interval of the signed difference of each pair of runs."""
    for one, other in combinations(kept, 2):
        if paired:
            yield integer_interval(one - other, confidence)
        else:
            (a, times_a), (b, times_b) = (np.unique(run, return_counts=True) for run in (one, other))
            counts = np.multiply.outer(times_a, times_b)
            yield integer_interval(np.subtract.outer(a, b).ravel(), confidence, counts.ravel())
