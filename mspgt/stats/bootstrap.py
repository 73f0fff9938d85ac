"""Resampling documents: weights over units, curves under those weights, intervals. Written once, for all signals.

The unit is the document, because tokens and sentences of one document are dependent: a sentence bootstrap gives
intervals that are too short. Every corpus has its own units and one weight matrix, shared by all signals measured
on that corpus, so that the dependence of their errors is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mspgt.contracts.signal import Signal
from mspgt.core.errors import PluginError
from mspgt.core.state import Units, stable_code

Floats = NDArray[np.float64]

MINIMUM_DOCUMENTS = 10
"""with fewer documents a bootstrap distribution has too few values for an interval to mean anything"""

CHUNK = 250
"""replicates evaluated at a time: bounds the memory of signals that keep rows"""


def ones(units: Units) -> Tensor:
    """The weights of the point estimate: (1, unit) float64."""
    return torch.ones(1, units.count, dtype=torch.float64)


def multinomial_weights(units: Units, replicates: int, seed: int, corpus: str) -> Tensor:
    """How often each unit is drawn in each replicate of the document bootstrap.

    Units that hold no document (possible once documents are grouped by hash) are never drawn.

    Returns
    -------
    (replicate, unit) float64; each row sums to the number of units that hold a document. The same seed and corpus
    give the same weights.
    """
    occupied = _occupied(units)
    rng = np.random.default_rng([seed, stable_code(corpus)])
    drawn = occupied[rng.integers(len(occupied), size=(replicates, len(occupied)))]
    flat = drawn + units.count * np.arange(replicates)[:, None]
    counts = np.bincount(flat.ravel(), minlength=replicates * units.count)
    return torch.from_numpy(counts.reshape(replicates, units.count).astype(np.float64))


def leave_one_out(units: Units) -> Tensor:
    """Weights of the jackknife: each row leaves out one unit that holds documents; (replicate, unit) float64."""
    occupied = _occupied(units)
    weights = torch.ones(len(occupied), units.count, dtype=torch.float64)
    weights[torch.arange(len(occupied)), torch.from_numpy(occupied)] = 0
    return weights


def halves(units: Units, seed: int, corpus: str) -> Tensor:
    """Weights that split the units at random into two halves: (2, unit) float64, rows sum to one per unit."""
    occupied = _occupied(units)
    order = np.random.default_rng([seed, stable_code(corpus), 2]).permutation(occupied)
    first = torch.zeros(units.count, dtype=torch.float64)
    first[torch.from_numpy(order[: len(order) // 2].copy())] = 1
    return torch.stack([first, 1 - first])


def evaluate_curves(
    signal: Signal, prepared: Any, weights: Tensor, rng: np.random.Generator | None, transitions: int
) -> Floats:
    """The signal's curve under each row of weights, a bounded number of replicates at a time.

    Parameters
    ----------
    weights: (replicate, unit) float64.
    rng: for bootstrap replicates, so that signals with training noise resample their seeds; None for point estimates.

    Returns
    -------
    (replicate, transition) float64.

    Raises
    ------
    PluginError: the signal returned a curve of another shape.
    """
    parts = []
    for chunk in torch.split(weights, CHUNK):
        curve = torch.as_tensor(signal.curve(prepared, chunk, rng)).detach().cpu()
        if tuple(curve.shape) != (len(chunk), transitions):
            raise PluginError(
                f"{type(signal).__name__}.curve must return (replicate, transition) = ({len(chunk)}, {transitions}); "
                f"it returned {tuple(curve.shape)}."
            )
        parts.append(curve.double().numpy())
    return np.concatenate(parts) if parts else np.empty((0, transitions))


def percentile_interval(replicates: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Percentile interval over the first axis: (replicate, ...) -> two (...).

    Where any replicate is undefined there is no interval: NaN.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def _occupied(units: Units) -> NDArray[np.int64]:
    return np.array(sorted(set(units.of_document.values())), dtype=np.int64)
