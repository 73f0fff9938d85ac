"""Passes in memory: a plain loop over batches, alone or shared among processes, that keeps the states it gathers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted
from mspgt.core.state import State
from mspgt.measure.collector import CENSUS, Collector
from mspgt.measure.ranks import Ranks, agreed
from mspgt.models import LoadedModel
from mspgt.models.capture import Capture

ROOM = 64 << 20
"""bytes of states that are kept batch by batch before they are merged"""


class InMemory:
    """Runs passes (`passes.Loop`) and holds what they give (`passes.Kept`).

    Parameters
    ----------
    corpora: name -> batches, one or more, the same in every process; they are dealt to the processes in turn.

    Attributes
    ----------
    censuses: corpus -> tokens, sentences and labelled instances of its sequences; in the first process.
    """

    def __init__(self, corpora: Mapping[str, Sequence[Batch]], ranks: Ranks) -> None:
        self._corpora, self._ranks = corpora, ranks
        self.censuses: dict[str, State] = {}
        self._states: dict[str, State] = {}
        """signal -> its state after its latest pass"""
        self._fitted: dict[tuple[str, int], Fitted] = {}

    @property
    def first(self) -> bool:
        """Whether this process is the first."""
        return self._ranks.rank == 0

    def observe(self, model: LoadedModel, corpus: str, number: int, collector: Collector) -> None:
        """One pass; the model is left as it was.

        Raises
        ------
        UserError: the model cannot be measured in one of the processes; the same in all.
        """
        with agreed(self._ranks):
            states = self._share(model, self._corpora[corpus], collector)
        every = self._ranks.exchange((collector.failures, collector.notes))
        for failures, _ in reversed(every):  # where several processes have a sentence, the first's stands in all
            collector.failures.update(failures)
        collector.notes[:] = dict.fromkeys(note for _, notes in every for note in notes)
        parts = self._ranks.gather({name: s for name, s in states.items() if name not in collector.failures})
        if parts is not None:
            merged = collector.merged(parts)
            self.censuses.setdefault(corpus, merged.pop(CENSUS))
            self._states |= merged

    def agree(self, failures: Mapping[str, str]) -> dict[str, str]:
        """What the first process says, in all of them."""
        self._fitted, agreed_on = self._ranks.broadcast((self._fitted, dict(failures)))
        return dict(agreed_on)

    def state(self, corpus: str, number: int, signal: str) -> State:
        """The state of a signal after its latest pass."""
        return self._states[signal]

    def fitted(self, signal: str, number: int) -> Fitted | None:
        """What a signal fitted after a pass."""
        return self._fitted.get((signal, number))

    def keep(self, signal: str, number: int, fitted: Fitted) -> None:
        """Hold what a signal fitted."""
        self._fitted[signal, number] = fitted

    def _share(self, model: LoadedModel, batches: Sequence[Batch], collector: Collector) -> dict[str, State]:
        """What this process observes. States are merged in between: totals would be kept once for every batch."""
        parts: list[dict[str, State]] = []
        new = 0
        with Capture(model.model, model.blocks, attention=collector.needs_attention) as capture:
            for batch in batches[self._ranks.rank :: self._ranks.world]:
                parts.append(collector.observe(capture, batch.to(model.device)))
                new += _nbytes(parts[-1])
                if new > max(ROOM, _nbytes(parts[0])):  # what is merged has doubled, so that rows are copied but twice
                    parts, new = [collector.merged(parts)], 0
        return collector.merged(parts)


def _nbytes(states: Mapping[str, State]) -> int:
    return sum(state.nbytes for state in states.values())
