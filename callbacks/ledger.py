"""What a training has shown: its history, where that comes from, and the folder that it is written to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mspgt.callbacks.watch import Outcome, Watch
from mspgt.core.codec import plain, structure
from mspgt.core.errors import UserError
from mspgt.core.provenance import Provenance
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.history import History, Point
from mspgt.models.facts import ModelFacts
from mspgt.results.drift import Drift, Overhead


@dataclass(frozen=True)
class _Facts:
    """What a drift says beside its points; `data` is known once there is one."""

    model: ModelFacts
    provenance: Provenance
    notes: tuple[str, ...]
    data: CorpusFacts | None = None


class Ledger:
    """The drift of a training as far as it has come.

    Parameters
    ----------
    settings: as they stand in drift.json.

    Attributes
    ----------
    history: its points, and the changes between them.
    left_out: what could not be evaluated, one sentence each.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.history = History()
        self.left_out: list[str] = []
        self._settings = settings
        self._training = uuid.uuid4().hex
        """by which a folder is known as this training's own, in later sessions too"""
        self._facts: _Facts | None = None
        self._started = time.time()
        self._wanted = Path("drift")
        self._folder: Path | None = None

    def fits(self, watch: Watch) -> bool:
        """Whether another evaluation of this model on this corpus can be compared with those before."""
        if self._facts is None:
            return True
        known = self._facts.provenance.data_sha256, self._facts.model.n_layers
        return known == (watch.data_sha256, watch.model.n_layers)

    def begin(self, watch: Watch, folder: Path) -> None:
        """A session begins, the first of a training or one that goes on.

        Parameters
        ----------
        watch: what is watched.
        folder: where to write. Where another training wrote there, a number is added to the name.
        """
        self._started = time.time()
        data = None if self._facts is None else self._facts.data
        self._facts = _Facts(watch.model.facts, watch.provenance(self._started), tuple(watch.notes), data)
        self._wanted, self._folder = folder, None

    def add(self, step: int, outcome: Outcome, *, loss: float | None, seconds: float, end: bool) -> Point:
        """Add a point; its arguments and what is returned are those of `History.add`."""
        point = self.history.add(
            step,
            outcome.evaluation,
            loss=loss,
            seconds=seconds,
            end=end,
            notes=outcome.notes,
            left_out=outcome.left_out,
        )
        facts = self._known
        self._facts = replace(facts, data=outcome.data, provenance=facts.provenance.since(self._started))
        return point

    def drift(self, overhead: Overhead) -> Drift:
        """What was found until now; there is at least one point."""
        facts = self._known
        return Drift.from_history(
            self.history,
            model=facts.model,
            data=facts.data,
            provenance=facts.provenance,
            settings=self._settings,
            training=self._training,
            overhead=overhead,
            notes=facts.notes,
            left_out=tuple(self.left_out),
        )

    @property
    def _known(self) -> _Facts:
        if self._facts is None:
            raise RuntimeError("a session must begin before its first point")
        return self._facts

    @property
    def folder(self) -> Path:
        """Where this training is written: the folder that was wanted, or a numbered one beside it."""
        if self._folder is None:
            number, self._folder = 1, self._wanted
            while self._is_taken(self._folder):
                number += 1
                self._folder = self._wanted.with_name(f"{self._wanted.name}-{number}")
        return self._folder

    def _is_taken(self, folder: Path) -> bool:
        """Whether the drift of another training lies there."""
        if not (folder / Drift.kind.file).exists():
            return False
        try:
            return Drift.load(folder).training != self._training
        except UserError:  # whatever it is, it is not ours
            return True

    def state_dict(self) -> dict[str, Any]:
        """All but the folder, as plain values and tensors."""
        return {
            "history": self.history.state_dict(),
            "left_out": list(self.left_out),
            "facts": plain(self._facts),
            "training": self._training,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.history.load_state_dict(state["history"])
        self.left_out, self._training = list(state["left_out"]), state["training"]
        facts = state["facts"]
        self._facts = None if facts is None else structure(facts, _Facts, "the checkpoint's history of boundaries")
