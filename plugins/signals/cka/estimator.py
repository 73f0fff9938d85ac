"""What an estimator of CKA is: the part of the signal that the option `estimator` chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Recorder
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units

MIN_CLUSTERS = 4
"""the U-statistic is a mean over four distinct documents"""


@dataclass(frozen=True)
class PreparedCKA:
    """An estimate of CKA between neighbouring blocks, ready for any weights."""

    cka: Callable[[Tensor], Tensor]
    """weights (replicate, unit) -> (replicate, L-1) float64; NaN where a block's self-similarity is not positive"""
    units: int
    details: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Any] = field(default_factory=dict)
    """both for the report"""


class Estimator:
    """Base of the estimators; the arguments are those of `mspgt.Signal`."""

    passes: tuple[str, ...] = ("observe",)
    document_intervals = True
    exceptions: Mapping[str, str] = MappingProxyType({})

    def __init__(self, options: Any, seed: int, device: torch.device) -> None:
        self.options, self.seed, self.device = options, seed, device

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """A fresh recorder for one batch."""
        raise NotImplementedError

    def fit(self, name: str, state: State) -> Fitted | None:
        """What the next pass needs."""
        return None

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedCKA:
        """All cost that does not depend on weights."""
        raise NotImplementedError


def float64_device(device: torch.device) -> torch.device:
    """The device itself, or the CPU for one that has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def need_clusters(count: int, kind: str) -> None:
    """Refuse too few clusters for the cluster-debiased estimator.

    Raises
    ------
    UserError: there are fewer than 4.
    """
    if count < MIN_CLUSTERS:
        raise UserError(
            f"cka: found {kind}s with counted tokens: {count}; the debiased estimator compares rows of "
            f"{MIN_CLUSTERS} different {kind}s: give a corpus with more, or cka.estimator=biased."
        )
