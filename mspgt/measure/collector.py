"""Collector: feeds batches through a model into the states of signals. Knows no Lightning.

It decides which tokens count (massive activations do not), proves that activations are finite, keeps a plugin that
raises from taking the others down, and halves a batch that does not fit on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.signal import Fitted, Recorder, Signal
from mspgt.core.errors import UserError, sentence
from mspgt.core.state import State, Table, merge
from mspgt.models.capture import Capture

MASSIVE = 20.0
"""a token is massive where its RMS exceeds this many medians of its own sequence in some layer (methods of
Sun et al. 2024, 2402.17762)"""

CENSUS = "_census"
"""name under which shards keep what was read: tokens and instances per sequence, and so which sequences are done"""


@dataclass
class Collector:
    """Observes batches for one pass of several signals.

    Parameters
    ----------
    signals: name -> signal; all of them have this pass.
    number: of the pass over the corpus, from 0.
    fitted: what each signal fitted on the pass before.
    """

    signals: Mapping[str, Signal]
    number: int = 0
    fitted: Mapping[str, Fitted | None] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """signal that raised -> the sentence that says so; it is not asked again"""
    notes: list[str] = field(default_factory=list)

    @property
    def needs_attention(self) -> bool:
        """Whether any signal looks at attention."""
        return any("attention" in s.needs for s in self.signals.values())

    def observe(self, capture: Capture, batch: Batch) -> dict[str, State]:
        """Run one batch and return the state of each signal, and the census of what was read.

        Raises
        ------
        UserError: activations are not finite (names layer and document).
        """
        try:
            return self._observe(capture, batch)
        except torch.OutOfMemoryError:
            if len(batch.keys) == 1:
                raise UserError(
                    f"one sequence of {batch.input_ids.shape[1]} tokens does not fit on {batch.input_ids.device}; "
                    "give a smaller max_length, a smaller dtype, or device_map=auto."
                ) from None
        torch.cuda.empty_cache()
        half = len(batch.keys) // 2
        note = f"a batch did not fit on the device and was halved ({len(batch.keys)} to {half} sequences)"
        self.notes.append(note)
        parts = [self.observe(capture, batch.select(rows)) for rows in (range(half), range(half, len(batch.keys)))]
        return self.merged([{name: state for name, state in p.items() if all(name in q for q in parts)} for p in parts])

    def _observe(self, capture: Capture, batch: Batch) -> dict[str, State]:
        states, rms = self._pass(capture, batch)
        _require_finite(rms, batch)
        massive = _massive(rms, batch)
        if bool(massive.any()):  # hidden states do not depend on the mask, so a second pass settles it
            states, _ = self._pass(capture, batch.without(massive))
        states[CENSUS] = _census(batch, massive)
        return states

    def _pass(self, capture: Capture, batch: Batch) -> tuple[dict[str, State], Tensor]:
        """One forward pass: states of all signals, and RMS (layer, sequence, token) of layers 1..L."""
        recorders: dict[str, Recorder] = {}
        for name, signal in self.signals.items():
            with self._guard(name):
                recorders[name] = signal.recorder(signal.passes[self.number], batch, self.fitted.get(name))
        rms: list[Tensor] = []

        def observe(layer: Layer) -> None:
            if layer.index > 0:
                wide = torch.promote_types(layer.hidden.dtype, torch.float32)
                norm = torch.linalg.vector_norm(layer.hidden, dim=-1, dtype=wide).float()
                here = batch.content.device
                rms.append(norm.to(here, non_blocking=here.type != "cpu"))  # on the CPU it is read unsynchronised
            for name in [n for n in recorders if n not in self.failures]:
                with self._guard(name):
                    recorders[name].layer(layer)

        capture.run(batch, observe)
        states: dict[str, State] = {}
        for name in [n for n in recorders if n not in self.failures]:
            with self._guard(name):
                states[name] = _checked(recorders[name].rows(), batch)
        return states, torch.stack(rms)

    def merged(self, observed: Sequence[Mapping[str, State]]) -> dict[str, State]:
        """The states of several batches as one; a signal whose states do not merge is left out like one that raises."""
        states: dict[str, State] = {}
        for name in dict.fromkeys(name for batch in observed for name in batch):
            with self._guard(name):
                states[name] = merge(batch[name] for batch in observed if name in batch)
        return states

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        """Turns what a plugin raises into a sentence in `failures`; lets the end of memory through."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a plugin's own fault must not take the others down
            self.failures[name] = (
                f"plugin {name!r} raised while it observed a batch ({sentence(error)}); it was left out."
            )


def _checked(state: State, batch: Batch) -> State:
    """A batch's state in main memory; it speaks of the sequences of the batch and of no others."""
    if sorted(state.keys) != sorted(batch.keys):
        raise UserError(
            f"rows() gave a state of {len(state.keys)} keys that are not the {len(batch.keys)} of its batch"
        )
    return state.cpu()


def _require_finite(rms: Tensor, batch: Batch) -> None:
    bad = ~torch.isfinite(rms) & batch.attention_mask
    if bool(bad.any()):
        layer, row = (int(i) for i in bad.any(-1).nonzero()[0])
        key = batch.keys[row]
        raise UserError(
            f"block {layer + 1} gives NaN or infinite activations in document {key.document!r} (sequence "
            f"{key.sequence}); try another dtype (float16 overflows where bfloat16 does not) or leave it out."
        )


def _massive(rms: Tensor, batch: Batch) -> Tensor:
    """(sequence, token) bool: tokens that would count but are massive in some layer."""
    known = rms.masked_fill(~batch.attention_mask, float("nan"))
    median = known.nanmedian(dim=-1, keepdim=True).values
    return (rms > MASSIVE * median).any(0) & batch.content


def sentences(batch: Batch) -> list[int]:
    """How many sentences each sequence holds."""
    return [len(set(row[row >= 0].tolist())) for row in batch.sentence.cpu()]


def _census(batch: Batch, massive: Tensor) -> State:
    """Per sequence: tokens, those left out, sentences, and labelled instances of each task."""
    columns = {
        "tokens": batch.attention_mask.sum(1),
        "content": (batch.content & ~massive).sum(1),
        "massive": massive.sum(1),
        "sentences": torch.tensor(sentences(batch)),
    }
    for task, labels in batch.labels.items():
        columns[f"labels_{task}"] = torch.bincount(labels.sequence, minlength=len(batch.keys))
    columns = {name: value.to("cpu", torch.int64) for name, value in columns.items()}
    return State(batch.keys, {"sequences": Table(torch.arange(len(batch.keys)), columns)})
