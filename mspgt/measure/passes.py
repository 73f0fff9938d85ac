"""All passes over corpora in memory, alone or shared among processes: from batches to what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Signal
from mspgt.core.errors import UserError, not_fitted
from mspgt.core.state import State
from mspgt.measure.collector import READING, Collector
from mspgt.measure.evaluate import Measured
from mspgt.models import LoadedModel
from mspgt.models.capture import Capture

ROOM = 64 << 20
"""bytes of states that are kept batch by batch before they are merged"""


# ------------------------------------------------------------------------------------------- processes


class Ranks(Protocol):
    """The processes that share a corpus; each of them makes the same calls in the same order."""

    rank: int
    world: int

    def gather(self, value: Any) -> list[Any] | None:
        """Every process's value in the first one, None in the others."""

    def exchange(self, value: Any) -> list[Any]:
        """Every process's value in each of them."""

    def broadcast(self, value: Any) -> Any:
        """The first process's value in each of them."""


class Alone:
    """One process."""

    rank, world = 0, 1

    def gather(self, value: Any) -> list[Any]:
        """The value itself."""
        return [value]

    exchange = gather

    def broadcast(self, value: Any) -> Any:
        """The value itself."""
        return value


@contextmanager
def agreed(ranks: Ranks) -> Iterator[None]:
    """What raises in one process raises in all of them, once each has come to the end of the block.

    So no process waits for one that has given up. There are no exchanges inside the block.

    Raises
    ------
    UserError: the sentence of the first process that raised.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:  # the others wait for an answer, whatever happened here
        error = raised
    told = ranks.exchange(None if error is None else _sentence(error))
    if why := next(filter(None, told), None):
        if isinstance(error, UserError) and str(error) == why:
            raise error
        raise UserError(why) from error


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


# ------------------------------------------------------------------------------------------- passes


@dataclass
class Measurement:
    """What all passes gave."""

    measured: dict[str, Measured] = field(default_factory=dict)
    """signal -> what it measured, in the order in which they were given: sums over signals depend on it"""
    readings: dict[str, State] = field(default_factory=dict)
    """corpus -> tokens, sentences and labelled instances of its sequences"""
    failures: dict[str, str] = field(default_factory=dict)
    """signal that raised in any process -> the sentence that says so"""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Passes:
    """Takes signals through all their passes over their corpora.

    A signal that raises is left out, in all processes, and the others go on.

    Parameters
    ----------
    signals: name -> signal.
    home: name -> the corpus that it is measured on.
    corpora: name -> batches, one or more, the same in every process; they are dealt to the processes in turn.
    """

    signals: Mapping[str, Signal]
    home: Mapping[str, str]
    corpora: Mapping[str, Sequence[Batch]]
    ranks: Ranks

    def __call__(self, model: LoadedModel) -> Measurement | None:
        """Measure a model, which is left as it was; the answer is in the first process, None in the others.

        Raises
        ------
        UserError: the model cannot be measured in one of the processes; the same in all.
        """
        found = Measurement()
        for corpus in self.corpora:
            mine = {name: signal for name, signal in self.signals.items() if self.home[name] == corpus}
            fitted: dict[str, Fitted | None] = {}
            # A corpus without signals is read too: what there is to read in it is reported.
            for number in range(max((len(s.passes) for s in mine.values()), default=1)):
                due = {n: s for n, s in mine.items() if number < len(s.passes) and n not in found.failures}
                collector = Collector(due, number, fitted, found.failures, found.notes)
                states = self._pass(model, corpus, collector)
                if states is not None:
                    found.readings.setdefault(corpus, states[READING])
                    fitted = _fit(corpus, collector, states, found)
                fitted, found.failures = self.ranks.broadcast((fitted, found.failures))
        found.measured = {name: found.measured[name] for name in self.signals if name in found.measured}
        return found if self.ranks.rank == 0 else None

    def _pass(self, model: LoadedModel, corpus: str, collector: Collector) -> dict[str, State] | None:
        """The states of one pass, merged, in the first process; None in the others."""
        with agreed(self.ranks):
            states = self._share(model, self.corpora[corpus], collector)
        told = self.ranks.exchange((collector.failures, collector.notes))
        for failures, _ in reversed(told):  # where several processes have a sentence, the first's stands in all
            collector.failures.update(failures)
        collector.notes[:] = dict.fromkeys(note for _, notes in told for note in notes)
        parts = self.ranks.gather({name: s for name, s in states.items() if name not in collector.failures})
        return None if parts is None else collector.merged(parts)

    def _share(self, model: LoadedModel, batches: Sequence[Batch], collector: Collector) -> dict[str, State]:
        """What this process observes. States are merged in between: totals would be kept once for every batch."""
        parts: list[dict[str, State]] = []
        new = 0
        with Capture(model.model, model.blocks, attention=collector.needs_attention) as capture:
            for batch in batches[self.ranks.rank :: self.ranks.world]:
                parts.append(collector.observe(capture, batch.to(model.device)))
                new += _nbytes(parts[-1])
                if new > max(ROOM, _nbytes(parts[0])):  # what is merged has doubled, so that rows are copied but twice
                    parts, new = [collector.merged(parts)], 0
        return collector.merged(parts)


def _nbytes(states: Mapping[str, State]) -> int:
    return sum(state.nbytes for state in states.values())


def _fit(
    corpus: str, collector: Collector, states: Mapping[str, State], found: Measurement
) -> dict[str, Fitted | None]:
    """Fit each signal after a pass; answers what its next pass needs. After its last one a signal is measured."""
    fitted: dict[str, Fitted | None] = {}
    for name in [name for name in collector.signals if name not in collector.failures]:
        signal, number = collector.signals[name], collector.number
        try:
            with torch.enable_grad():
                fit = _on_cpu(signal.fit(signal.passes[number], states[name]))
        except Exception as error:  # a plugin's own fault must not take the others down
            found.failures[name] = not_fitted(name, error)
            continue
        if number + 1 < len(signal.passes):
            fitted[name] = fit
        else:
            found.measured[name] = Measured(signal, states[name], fit, corpus)
    return fitted


def _on_cpu(fitted: Fitted | None) -> Fitted | None:
    """Tensors that any process can be given."""
    return None if fitted is None else {name: value.detach().cpu() for name, value in fitted.items()}
