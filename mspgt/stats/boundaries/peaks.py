"""Finding the two most prominent peaks of an evidence curve (paper, section 4.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from mspgt.stats.boundaries.fusion import Floats


@dataclass(frozen=True)
class Peak:
    """A local maximum of the evidence."""

    layer: int
    """transition l: l blocks lie below it"""
    prominence: float
    height: float


def prominent_peaks(evidence: Floats, prominence: float) -> list[Peak]:
    """All peaks of at least that prominence: the most prominent first, then the higher, then the lower layer.

    A peak needs a lower neighbour on both sides, so the first and the last transition never qualify; a plateau is
    placed at its middle, rounded down.

    Parameters
    ----------
    evidence: (transition,), transition l = 1..L-1.
    """
    places, properties = find_peaks(evidence, prominence=prominence)
    peaks = [
        Peak(int(i) + 1, float(p), float(evidence[i])) for i, p in zip(places, properties["prominences"], strict=True)
    ]
    return sorted(peaks, key=lambda p: (-p.prominence, -p.height, p.layer))


def two_of_each(evidence: Floats, prominence: float) -> NDArray[np.int64]:
    """The layers of the two most prominent peaks of each replicate: (replicate, transition) -> (replicate, 2).

    Sorted by layer; a replicate with one peak holds (0, layer), one with none (0, 0).
    """
    pairs = np.zeros((len(evidence), 2), dtype=np.int64)
    for row, curve in enumerate(evidence):
        layers = sorted(p.layer for p in prominent_peaks(curve, prominence)[:2])
        if layers:
            pairs[row, 2 - len(layers) :] = layers
    return pairs
