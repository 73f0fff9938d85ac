"""The contract of a signal, and SumSignal, which is what most authors write.

A signal turns what layers do on a batch into a mergeable state, and a state into a curve over transitions as a
function of document weights. Bootstrap intervals, devices, resume, merge, figures and drift follow from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.series import Plot, Series
from mspgt.core.errors import UserError, unknown
from mspgt.core.options import NoOptions, parse
from mspgt.core.state import State, Table, Units

NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "attention": "attention probabilities, which `Layer.attention` and its sisters give",
        "labels": "the labelled words of the corpus, which stand in `Batch.labels`",
        "head": "the model's logits at hand",
        "gradient": "gradients with respect to hidden states",
        "own_passes": "forward passes that the signal makes itself",
    }
)
"""what a signal may need beside hidden states -> its meaning"""
RESERVED = frozenset({"head", "gradient", "own_passes"})
"""the needs that no version gives yet: a run refuses a signal that has one before it loads anything"""

Fitted = dict[str, Tensor]
"""what `fit` returns: named tensors, saved with the run and handed to the next pass and to `prepare`"""


class Recorder(Protocol):
    """Takes the layers of one batch, in order, and gives back the batch's state."""

    def layer(self, layer: Layer) -> None:
        """Observe one layer; nothing of it may be kept by reference."""

    def rows(self) -> State:
        """The state of the batch; its keys are `batch.keys`."""


@dataclass(frozen=True)
class Report:
    """What a signal says beside its curve.

    A signal whose estimation noise can masquerade as structure gives `noise_share`: the largest standard error of its
    curve over the curve's maximum; acceptance needs it to be at most 0.10.
    """

    flags: tuple[str, ...] = ()
    """short words"""
    details: Mapping[str, Any] = field(default_factory=dict)
    """single values, and records of them: plain JSON"""
    series: Mapping[str, Any] = field(default_factory=dict)
    """declared series -> its values, as `Series.of` takes them"""
    noise_share: float | None = None


class Signal:
    """Base of all signals. Transition l (1..L-1) lies between block l and block l+1.

    Parameters
    ----------
    seed: seed of every random choice that the signal makes.
    device: where `fit` and `prepare` may do heavy arithmetic.
    options: the signal's own options, checked against `Options`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """what else than hidden states, of the keys of `NEEDS`"""
    weight: ClassVar[float] = 0.5
    """weight in the fusion"""
    unit: ClassVar[str] = ""
    """of the curve"""
    summary: ClassVar[str] = ""
    """one line for `mspgt ls`"""
    series: ClassVar[tuple[Series, ...]] = ()
    """what it reports beside its curve"""
    figures: ClassVar[tuple[Plot, ...]] = ()
    """figures of these series"""
    Options: ClassVar[type] = NoOptions
    """a frozen dataclass of `mspgt.core.options.option` fields"""
    exceptions: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """law of the conformance suite -> the reason why this signal does not obey it"""
    document_intervals: bool = True
    """False where the state cannot be resampled by document: the curve ignores weights and has no interval"""
    passes: tuple[str, ...] = ("observe",)
    """names of its passes over the corpus, in their order"""

    def __init__(self, *, seed: int = 0, device: torch.device | str = "cpu", **options: Any) -> None:
        self.seed = seed
        self.device = torch.device(device)
        self.options: Any = parse(self.Options, options)

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """A fresh recorder for one batch.

        Parameters
        ----------
        name: which of `passes` it is.
        fitted: what `fit` returned after the pass before; None in the first.
        """
        raise NotImplementedError

    def fit(self, name: str, state: State) -> Fitted | None:
        """Estimate what the next pass or `prepare` needs from the merged state; runs once, and is saved."""
        return None

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> Any:
        """All cost that does not depend on weights; state is that of the last pass."""
        raise NotImplementedError

    def curve(self, prepared: Any, weights: Tensor, rng: np.random.Generator | None) -> Tensor:
        """The curve for each replicate: weights (replicate, unit) float64 -> (replicate, transition) float64.

        `rng` is given for bootstrap replicates only: a signal with training noise resamples its seeds with it.
        """
        raise NotImplementedError

    def bytes_per_sentence(self, n_layers: int, hidden_size: int) -> float:
        """Roughly what the state takes for a sentence of 20 words; a run sums it up before it starts."""
        return 8.0 * n_layers

    def report(self, prepared: Any) -> Report:
        """Flags, details and series of the point estimate."""
        return Report()


def check_needs(signal: type[Signal]) -> None:
    """Refuse a signal that needs what it cannot be given.

    Raises
    ------
    UserError: a need that is unknown or reserved.
    """
    for need in sorted(signal.needs):
        if need not in NEEDS:
            raise unknown("need", need, NEEDS)
        if need in RESERVED:
            raise UserError(f"it needs {need} ({NEEDS[need]}), which this version does not give; leave the signal out.")


class SumSignal(Signal):
    """A signal that is a function of sums over tokens: write `sums` and `value`."""

    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        """Sums over the counted tokens of each sequence.

        Parameters
        ----------
        lower, upper: (sequence, token, dim) fp32, raw outputs of two consecutive blocks.
        content: (sequence, token) bool, the tokens that count.

        Returns
        -------
        (sequence, field): any number of fields.
        """
        raise NotImplementedError

    def value(self, sums: Tensor) -> Tensor:
        """One transition's value from summed-up sums: (..., field) float64 -> (...)."""
        raise NotImplementedError

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Keeps the previous block's output and one row of sums per sequence."""
        return _SumRecorder(self, batch)

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> Tensor:
        """Sums by unit: (unit, transition, field) float64."""
        table = state.tables["sums"]
        owner = units.index(state.keys)[table.sequence]
        sums = table.columns["sums"].double()
        return torch.zeros(units.count, *sums.shape[1:], dtype=torch.float64).index_add_(0, owner, sums)

    def curve(self, prepared: Tensor, weights: Tensor, rng: np.random.Generator | None) -> Tensor:
        """`value` of the weighted sums."""
        return self.value(torch.einsum("ru,utf->rtf", weights.double(), prepared))


class _SumRecorder:
    def __init__(self, signal: SumSignal, batch: Batch) -> None:
        self._signal, self._batch = signal, batch
        self._lower: Tensor | None = None
        self._sums: list[Tensor] = []

    def layer(self, layer: Layer) -> None:
        if layer.index == 0:
            return
        upper = layer.hidden.detach().float().clone()
        if self._lower is not None:
            sums = self._signal.sums(self._lower.to(upper.device), upper, self._batch.content.to(upper.device))
            if sums.ndim != 2 or len(sums) != len(self._batch.keys):
                raise UserError(
                    f"{type(self._signal).__name__}.sums must return (sequence, field) = "
                    f"({len(self._batch.keys)}, ...); it returned {tuple(sums.shape)}."
                )
            self._sums.append(sums.cpu().double())  # not every device has float64
        self._lower = upper

    def rows(self) -> State:
        sums = torch.stack(self._sums, dim=1)  # (sequence, transition, field)
        return State(self._batch.keys, {"sums": Table(torch.arange(len(sums)), {"sums": sums})})
