"""All passes over corpora in memory, alone or shared among processes: from batches to what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mspgt.batch import Batch
from mspgt.capture import Capture
from mspgt.collect import READING, Collector
from mspgt.errors import UserError, not_fitted
from mspgt.evaluate import Measured
from mspgt.models import LoadedModel
from mspgt.signal import Fitted, Signal
from mspgt.state import State, merge


class Ranks(Protocol):
    """The processes that share a corpus."""

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


@dataclass
class Measurement:
    """What all passes gave."""

    measured: dict[str, Measured] = field(default_factory=dict)
    readings: dict[str, State] = field(default_factory=dict)
    """corpus -> tokens, sentences and labelled instances of its sequences"""
    failures: dict[str, str] = field(default_factory=dict)
    """signal that raised in any process -> the sentence that says so"""
    notes: list[str] = field(default_factory=list)


@dataclass
class Passes:
    """Takes signals through all their passes over their corpora.

    Parameters
    ----------
    signals: name -> signal.
    home: name -> the corpus that it is measured on.
    corpora: name -> batches on the CPU, the same in every process; they are dealt to the processes in turn.
    """

    signals: Mapping[str, Signal]
    home: Mapping[str, str]
    corpora: Mapping[str, Sequence[Batch]]
    ranks: Ranks

    def __call__(self, model: LoadedModel) -> Measurement | None:
        """Measure a model, which is left as it was; the answer is in the first process, None in the others.

        Raises
        ------
        UserError: the same in every process, whichever could not go on.
        """
        found = Measurement()
        for corpus in self.corpora:
            mine = {name: signal for name, signal in self.signals.items() if self.home[name] == corpus}
            fitted: dict[str, Fitted | None] = {}
            last = max((len(s.stages) for s in mine.values()), default=1) - 1
            for stage in range(last + 1):
                here = {name: signal for name, signal in mine.items() if stage < len(signal.stages)}
                parts = self._pass(model, corpus, here, stage, fitted, found)
                fits, error = None, None
                if parts is not None:
                    try:
                        fits = self._fits(here, stage, _merged(parts), corpus, found)
                    except Exception as raised:  # the others wait for an answer
                        error = _said(raised)
                error, fits, found.failures = self.ranks.broadcast(
                    (error, fits if stage < last else None, found.failures)
                )
                if error is not None:
                    raise UserError(error)
                fitted = fits or {}
        return found if self.ranks.rank == 0 else None

    def _pass(
        self,
        model: LoadedModel,
        corpus: str,
        signals: Mapping[str, Signal],
        stage: int,
        fitted: Mapping[str, Fitted | None],
        found: Measurement,
    ) -> list[dict[str, State]] | None:
        """One pass; the states of each process in the first one."""
        collector = Collector(signals, stage, fitted, dict(found.failures))
        states: dict[str, State] = {}
        error: str | None = None
        try:
            states = self._observe(model, collector, self.corpora[corpus])
        except Exception as raised:  # the others wait for an answer, whatever happened here
            error = _said(raised)
        told = self.ranks.exchange((error, collector.failures, collector.notes))
        for why, failures, notes in told:
            if why is not None:
                raise UserError(why)
            found.failures |= failures
            found.notes += [note for note in notes if note not in found.notes]
        return self.ranks.gather({name: s for name, s in states.items() if name not in found.failures})

    def _observe(self, model: LoadedModel, collector: Collector, batches: Sequence[Batch]) -> dict[str, State]:
        mine = batches[self.ranks.rank :: self.ranks.world]
        with Capture(model.model, model.blocks, attention=collector.needs_attention) as capture:
            return collector.merged([collector.observe(capture, batch.to(model.device)) for batch in mine])

    def _fits(
        self, signals: Mapping[str, Signal], stage: int, states: dict[str, State], corpus: str, found: Measurement
    ) -> dict[str, Fitted | None]:
        """Fit each signal; after its last stage it is measured."""
        found.readings.setdefault(corpus, states[READING])
        fitted: dict[str, Fitted | None] = {}
        for name, signal in signals.items():
            if name in found.failures or name not in states:
                continue
            try:
                with torch.enable_grad():
                    fitted[name] = signal.fit(signal.stages[stage], states[name])
            except Exception as error:  # a plugin's own fault must not take the others down
                found.failures[name] = not_fitted(name, error)
                continue
            if stage + 1 == len(signal.stages):
                found.measured[name] = Measured(signal, states[name], fitted[name], corpus)
        return fitted


def _merged(parts: Sequence[Mapping[str, State]]) -> dict[str, State]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: merge([part[name] for part in parts if name in part]) for name in names}


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
