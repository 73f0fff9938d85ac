"""The engine's way through a signal, on planted batches: observe, merge, fit, the next stage, prepare, curve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mspgt.batch import Layer
from mspgt.signal import Fitted, Signal
from mspgt.state import State, Units, merge
from mspgt.testing.attention import PlantedAttention
from mspgt.testing.planted import Planted, PlantedCorpus


@dataclass(frozen=True)
class Measurement:
    """All that came of one signal on one corpus."""

    signal: Signal
    state: State
    """of the last stage, merged"""
    before: Fitted | None
    """what the stage before the last one fitted: what its recorders were given"""
    fitted: Fitted | None
    """what the last stage fitted: what `prepare` is given"""

    def prepared(self) -> tuple[Any, Units]:
        """What curves are evaluated from, and the documents it has."""
        units = Units.of(self.state.keys)
        return self.signal.prepare(self.state, self.fitted, units), units

    def curve(self) -> Tensor:
        """The point estimate: (transition,) float64."""
        prepared, units = self.prepared()
        return self.signal.curve(prepared, torch.ones(1, units.count, dtype=torch.float64), None)[0]


def measure(signal: Signal, batches: Iterable[Planted]) -> Measurement:
    """Take a signal through all its stages; batches must be a list where it has several."""
    fitted: Fitted | None = None
    for stage in signal.stages:
        before, state = fitted, observe(signal, batches, stage, fitted)
        fitted = signal.fit(stage, state)
    return Measurement(signal, state, before, fitted)


def observe(
    signal: Signal,
    batches: Iterable[Planted],
    stage: str | None = None,
    fitted: Fitted | None = None,
    *,
    spoil: bool = False,
) -> State:
    """One pass: every batch through a fresh recorder, and the states merged.

    Parameters
    ----------
    stage: the last one where None.
    fitted: what the stage before fitted.
    spoil: overwrite each layer's hidden states once the call is over, as a model may.
    """
    return merge(_record(signal, planted, stage or signal.stages[-1], fitted, spoil) for planted in batches)


def _record(signal: Signal, planted: Planted, stage: str, fitted: Fitted | None, spoil: bool) -> State:
    recorder = signal.recorder(stage, planted.batch, fitted)
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
