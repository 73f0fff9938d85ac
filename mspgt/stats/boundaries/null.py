"""Do the signals stand out at the same transitions by more than chance? A test by circular shifts.

A bootstrap over documents asks whether peaks are stable against another sample of text, not whether there is
structure: noise that belongs to the layers is perfectly stable. This test asks the second question. Under the null
hypothesis the excursions of the signals have nothing to do with one another, so shifting the curves against each
other changes nothing; the claimed pair of boundaries is compared with the best pair in every shifted arrangement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mspgt.stats.boundaries.fusion import Floats

GUARD = 2
"""transitions left out at either end: trends that all signals share there would pass for coincidence"""
SEPARATION = 2
"""layers by which two boundaries are apart at least"""
EXHAUSTIVE = 20_000
"""arrangements up to which all are enumerated; of more, this many are drawn"""


@dataclass(frozen=True)
class Coincidence:
    """The outcome of the test."""

    p: float
    arrangements: int
    smallest: float
    """the smallest p that this many signals and transitions can give"""


def coincidence(normalised: Floats, weights: Floats, boundaries: tuple[int, int], seed: int = 0) -> Coincidence | None:
    """Test that the signals coincide at both boundaries.

    The statistic is the evidence at the weaker of the two claimed boundaries; in each arrangement it is compared
    with the largest value that any two transitions, `SEPARATION` apart, both reach. Taking the weaker one makes it a
    test of two boundaries: one that is real cannot carry one that is not. With all (n)^(signals-1) relative shifts
    of the n transitions inside the guard enumerated, p is exact: the share of arrangements, the observed one among
    them, that do as well.

    Parameters
    ----------
    normalised: (signal, transition), detrended and not negative, as from `by_spread`.
    weights: (signal,).
    boundaries: the claimed pair of transitions, l = 1..L-1; p is 1 for a boundary inside the guard.

    Returns
    -------
    None where the test cannot be made: one signal, or no three transitions inside the guard.
    """
    signals, transitions = normalised.shape
    inner = normalised[:, GUARD : transitions - GUARD]
    length = inner.shape[1]
    if signals < 2 or length < SEPARATION + 1:
        return None
    shifts = _relative_shifts(signals, length, seed)
    exhaustive = len(shifts) == length ** (signals - 1)
    smallest = 1 / len(shifts) if exhaustive else 1 / (1 + len(shifts))
    places = [b - 1 - GUARD for b in boundaries]
    if not all(0 <= place < length for place in places):
        return Coincidence(1.0, len(shifts), smallest)
    observed = float(np.min((weights @ inner)[places]))
    as_good = int(np.sum(best_pair(_shifted_evidence(inner, weights, shifts)) >= observed * (1 - 1e-12)))
    p = as_good / len(shifts) if exhaustive else (1 + as_good) / (1 + len(shifts))
    return Coincidence(p, len(shifts), smallest)


def best_pair(evidence: Floats) -> Floats:
    """The largest value that two transitions `SEPARATION` apart both reach: (..., transition) -> (...)."""
    from_here_on = np.flip(np.maximum.accumulate(np.flip(evidence, -1), axis=-1), -1)
    best: Floats = np.minimum(evidence[..., :-SEPARATION], from_here_on[..., SEPARATION:]).max(axis=-1)
    return best


def _relative_shifts(signals: int, length: int, seed: int) -> np.ndarray:
    """Shifts of every signal but the first: (arrangement, signal - 1); all of them, or a random subset."""
    total = length ** (signals - 1)
    if total <= EXHAUSTIVE:
        return np.stack(np.unravel_index(np.arange(total), (length,) * (signals - 1)), axis=1)
    return np.random.default_rng(seed).integers(length, size=(EXHAUSTIVE, signals - 1))


def _shifted_evidence(inner: Floats, weights: Floats, shifts: np.ndarray) -> Floats:
    """(arrangement, transition): the first signal stays, the others are rolled."""
    length = inner.shape[1]
    evidence = np.broadcast_to(weights[0] * inner[0], (len(shifts), length)).copy()
    for signal in range(1, len(inner)):
        moved = (np.arange(length) - shifts[:, signal - 1, None]) % length
        evidence += weights[signal] * inner[signal][moved]
    return evidence
