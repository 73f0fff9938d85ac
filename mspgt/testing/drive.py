"""The engine's way through a signal, on planted batches: observe, merge, fit, the next pass, prepare, curve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mspgt.contracts.batch import Layer
from mspgt.contracts.signal import Fitted, Report, Signal
from mspgt.core.state import State, Units, merge
from mspgt.testing.attention import PlantedAttention
from mspgt.testing.planted import Planted, PlantedCorpus


@dataclass(frozen=True)
class PlantedMeasurement:
    """All that came of one signal on one corpus."""

    signal: Signal
    state: State = field(repr=False)
    """of the last pass, merged"""
    before: Fitted | None = field(repr=False)
    """what the pass before the last one fitted: what its recorders were given"""
    fitted: Fitted | None = field(repr=False)
    """what the last pass fitted: what `prepare` is given"""

    @cached_property
    def units(self) -> Units:
        """The documents that were measured."""
        return Units.of(self.state.keys)

    @cached_property
    def _prepared(self) -> Any:
        return self.signal.prepare(self.state, self.fitted, self.units)

    @cached_property
    def _curve(self) -> Tensor:
        return self.replicates(torch.ones(1, self.units.count, dtype=torch.float64))[0]

    def prepared(self) -> tuple[Any, Units]:
        """What curves are evaluated from, and the documents it has; prepared once."""
        return self._prepared, self.units

    def curve(self) -> Tensor:
        """The point estimate: (transition,) float64."""
        return self._curve

    def replicates(self, weights: Tensor, rng: np.random.Generator | None = None) -> Tensor:
        """Curves for weights (replicate, unit): (replicate, transition) float64."""
        return self.signal.curve(self._prepared, weights, rng)

    def report(self) -> Report:
        """What the signal says beside its curve."""
        return self.signal.report(self._prepared)


def measure(signal: Signal, batches: Iterable[Planted]) -> PlantedMeasurement:
    """Take a signal through all its passes; batches must be a list where it has several."""
    fitted: Fitted | None = None
    for name in signal.passes:
        before, state = fitted, observe(signal, batches, name, fitted)
        fitted = signal.fit(name, state)
    return PlantedMeasurement(signal, state, before, fitted)


def observe(
    signal: Signal,
    batches: Iterable[Planted],
    name: str | None = None,
    fitted: Fitted | None = None,
    *,
    spoil: bool = False,
) -> State:
    """One pass: every batch through a fresh recorder, and the states merged.

    Parameters
    ----------
    name: of the pass, the last one where None.
    fitted: what the pass before fitted.
    spoil: overwrite each layer's hidden states once the call is over, as a model may.
    """
    return merge(_record(signal, planted, name or signal.passes[-1], fitted, spoil) for planted in batches)


def _record(signal: Signal, planted: Planted, name: str, fitted: Fitted | None, spoil: bool) -> State:
    recorder = signal.recorder(name, planted.batch, fitted)
    for layer in planted.layers:
        recorder.layer(layer if "attention" in signal.needs else Layer(layer.index, layer.hidden))
        if spoil:
            layer.hidden.fill_(torch.nan)
    return recorder.rows()


def tensors_of(planted: Planted) -> list[Tensor]:
    """Copies of every tensor that a signal is shown."""
    batch = planted.batch
    shown = [batch.input_ids, batch.attention_mask, batch.content, batch.sentence]
    for labels in batch.labels.values():
        shown += [labels.sequence, labels.slots, labels.target, labels.sentence, labels.word]
    for layer in planted.layers:
        shown.append(layer.hidden)
        if isinstance(layer.view, PlantedAttention):
            shown.append(layer.view.probabilities)
    return [t.clone() for t in shown]


def split(corpus: PlantedCorpus, shards: int = 3) -> list[PlantedCorpus]:
    """The corpus in parts of disjoint documents."""
    documents = corpus.documents()
    return [corpus.of(documents[i::shards]) for i in range(shards)]
