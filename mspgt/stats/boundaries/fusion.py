"""Fusing the signals into one evidence curve: normalise each, weigh, add (paper, eq. 6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WINDOW = 9
"""transitions in the running median that the robust normalisation takes as the level"""
HALF_SCALE = 6.0
"""robust standard deviations at which the robust normalisation reaches one half"""
RESOLUTION = 1e-6
"""share of a curve's size below which its spread is rounding (activations are fp32), not structure"""
RELEVANT = 0.01
"""share of a curve's range that counts as one robust standard deviation at least: where a curve is smooth or monotone,
most values are their own running median, and the MAD alone would make the smallest ripple stand out"""


def by_maximum(curves: Floats) -> Floats:
    """S / max S, the paper's (eq. 6): (..., transition); a curve without a positive value gives zeros.

    This is no map onto [0, 1]: a curve between 1.00 and 1.03 lands in [0.97, 1].
    """
    top = curves.max(axis=-1, keepdims=True)
    return np.where(top > 0, curves / np.where(top > 0, top, 1), 0.0)


def excess(curves: Floats) -> Floats:
    """(S - running median) / (1.4826 MAD), negative values cut to 0: (..., transition), in robust standard deviations.

    The running median takes out trends over depth, so a curve is judged by how it stands out from its surroundings.
    The spread is the MAD, but at least `RELEVANT` of the curve's range and `RESOLUTION` of its size.
    """
    half = WINDOW // 2
    padded = np.pad(curves, [(0, 0)] * (curves.ndim - 1) + [(half, half)], mode="edge")
    above = curves - np.median(sliding_window_view(padded, WINDOW, axis=-1), axis=-1)
    centre = np.median(above, axis=-1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(above - centre), axis=-1, keepdims=True)
    rounding = RESOLUTION * np.abs(curves).max(axis=-1, keepdims=True)
    spread = np.maximum(spread, np.maximum(rounding, RELEVANT * np.ptp(curves, axis=-1, keepdims=True)))
    return np.where(spread > 0, np.maximum(above, 0) / np.where(spread > 0, spread, 1), 0.0)


def by_spread(curves: Floats) -> Floats:
    """z / (z + 6) of the excess z: (..., transition) in [0, 1), the robust normalisation.

    Bounded, so that a signal with a tiny spread cannot outvote the others, and strictly rising, so that no two
    transitions are made equal.
    """
    z = excess(curves)
    return z / (z + HALF_SCALE)


NORMALISATIONS: dict[str, Callable[[Floats], Floats]] = {"max": by_maximum, "robust": by_spread}


def fuse(curves: Floats, weights: Floats, normalisation: str) -> Floats:
    """Weighted sum of the normalised signals, normalised anew in each replicate.

    Parameters
    ----------
    curves: (signal, ..., transition); undefined values must have been filled.
    weights: (signal,).
    normalisation: a key of `NORMALISATIONS`.

    Returns
    -------
    (..., transition) in [0, sum of weights] for signals that are not negative.
    """
    return np.tensordot(weights, NORMALISATIONS[normalisation](curves), axes=1)


def fill(curves: Floats) -> Floats:
    """Undefined values replaced by the median of their own curve, so that they neither make nor hide a peak."""
    undefined = ~np.isfinite(curves)
    if not undefined.any():
        return curves
    filled = curves.copy()
    for row in np.ndindex(curves.shape[:-1]):
        known = curves[row][~undefined[row]]
        filled[row][undefined[row]] = np.median(known) if len(known) else 0.0
    return filled


def contribution(curve: Floats, weight: float) -> float:
    """How much of the paper's evidence a signal can move: weight x (max - min) / max of its curve."""
    normalised = by_maximum(curve)
    return float(weight * (normalised.max() - normalised.min()))


def peaks_at_an_end(curve: Floats) -> bool:
    """Whether the largest value stands at the first or the last transition, where no peak can be found."""
    return bool(curve.max() in (curve[0], curve[-1]) and curve.max() > curve.min())
