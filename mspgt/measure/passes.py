"""The engine: takes signals through all their passes over their corpora, and fits them in between.

Who runs a pass is a `Loop`: Lightning's predict loop over shards on disk, or a plain one in memory. Where states and
fits stand afterwards is a `Kept`. Everything else, for a run, a drift or a training that is watched, is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from mspgt.contracts.signal import Fitted, Signal
from mspgt.core.errors import MachineError, not_fitted
from mspgt.core.state import State
from mspgt.measure.collector import Collector
from mspgt.measure.evaluate import Measured, Say
from mspgt.models import LoadedModel


class Loop(Protocol):
    """Runs a pass, alone or with other processes; all of them make the same calls in the same order."""

    @property
    def first(self) -> bool:
        """Whether this process is the first, which alone fits and concludes."""

    def observe(self, model: LoadedModel, corpus: str, number: int, collector: Collector) -> None:
        """One pass over a corpus; afterwards the first process has the states of all."""

    def agree(self, failures: Mapping[str, str]) -> dict[str, str]:
        """The failures of all processes, in each of them; and in each of them what the first has fitted."""


class Kept(Protocol):
    """Holds states and fits."""

    def state(self, corpus: str, number: int, signal: str) -> State:
        """The merged state of a signal after a pass."""

    def fitted(self, signal: str, number: int) -> Fitted | None:
        """What a signal fitted after a pass; None where nothing is kept."""

    def keep(self, signal: str, number: int, fitted: Fitted) -> None:
        """Keep what a signal fitted."""


@dataclass(frozen=True)
class Homes:
    """Which corpora are read, and on which of them each signal is measured.

    Attributes
    ----------
    sources: corpus, "data" and perhaps "labels" -> what it is read from.
    of: signal -> corpus: signals that need labels go to `labels` where it is given.
    """

    signals: Mapping[str, Signal]
    sources: Mapping[str, Any]
    of: Mapping[str, str]

    @classmethod
    def given(cls, signals: Mapping[str, Signal], data: Any, labels: Any) -> Homes:
        """The homes of signals, for a corpus and perhaps a second one with labels."""
        labelled = [name for name, signal in signals.items() if "labels" in signal.needs]
        second = {"labels": labels} if labels is not None and labelled else {}
        home = "labels" if second else "data"
        return cls(signals, {"data": data} | second, {n: home if n in labelled else "data" for n in signals})

    @property
    def needs_attention(self) -> bool:
        """Whether any signal looks at attention."""
        return any("attention" in signal.needs for signal in self.signals.values())

    def labelled(self, corpus: str) -> bool:
        """Whether a signal that needs labels is measured on a corpus."""
        return any("labels" in signal.needs for signal in self.on(corpus).values())

    def on(self, corpus: str) -> dict[str, Signal]:
        """The signals that are measured on a corpus."""
        return {name: signal for name, signal in self.signals.items() if self.of[name] == corpus}

    def passes(self, corpus: str) -> int:
        """Passes over a corpus: one without signals is read too, as what there is to read in it is reported."""
        return max((len(signal.passes) for signal in self.on(corpus).values()), default=1)


def make_passes(homes: Homes, model: LoadedModel, loop: Loop, kept: Kept, notes: list[str]) -> dict[str, str]:
    """All passes over all corpora; a signal that raises is left out, in all processes, and the others go on.

    Parameters
    ----------
    notes: what a reader must know is added to it, one sentence each.

    Returns
    -------
    signal that raised -> the sentence that says so.
    """
    failures: dict[str, str] = {}
    for corpus in homes.sources:
        for number in range(homes.passes(corpus)):
            signals = homes.on(corpus).items()
            due = {name: s for name, s in signals if number < len(s.passes) and name not in failures}
            fitted = {name: kept.fitted(name, number - 1) for name in due} if number else {}
            collector = Collector(due, number, fitted, failures, notes)
            loop.observe(model, corpus, number, collector)
            failures = loop.agree(collector.failures)
            if loop.first:
                further = {n: s for n, s in due.items() if number + 1 < len(s.passes) and n not in failures}
                for name, signal in further.items():
                    _measure(name, signal, corpus, number, kept, failures, lambda _: None)
            failures = loop.agree(failures)
    return failures


def measured(homes: Homes, kept: Kept, failures: dict[str, str], say: Say) -> dict[str, Measured]:
    """What each signal measured, in the order in which they were given: sums over signals depend on it.

    Parameters
    ----------
    failures: signals that are left out; those that cannot be fitted are added.
    """
    by_signal: dict[str, Measured] = {}
    for name, signal in homes.signals.items():
        if name not in failures:
            one = _measure(name, signal, homes.of[name], len(signal.passes) - 1, kept, failures, say)
            by_signal |= {} if one is None else {name: one}
    return by_signal


def _measure(
    name: str, signal: Signal, corpus: str, number: int, kept: Kept, failures: dict[str, str], say: Say
) -> Measured | None:
    """A signal after a pass, fitted where it is not yet; None, and an entry in `failures`, where that fails."""
    try:
        state, fitted = kept.state(corpus, number, name), kept.fitted(name, number)
        if fitted is None:
            if type(signal).fit is not Signal.fit:
                say(f"{name}: fitting")
            with torch.enable_grad():
                fitted = _on_cpu(signal.fit(signal.passes[number], state))
            if fitted is not None:
                kept.keep(name, number, fitted)
    except MachineError:
        raise
    except Exception as error:  # a plugin's own fault must not take the others down
        failures[name] = not_fitted(name, error)
        return None
    return Measured(signal, state, fitted, corpus)


def _on_cpu(fitted: Fitted | None) -> Fitted | None:
    """Tensors that any process can be given."""
    return None if fitted is None else {name: value.detach().cpu() for name, value in fitted.items()}
