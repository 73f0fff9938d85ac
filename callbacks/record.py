"""What a training has shown: its history, where that comes from, and the folder that it is written to."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mspgt.callbacks.pace import Overhead
from mspgt.callbacks.watch import Outcome
from mspgt.core.provenance import command, provenance
from mspgt.measure.history import History
from mspgt.results.drift import Drift
from mspgt.results.drift.schema import FILE, SCHEMA

Json = dict[str, Any]


class Record:
    """The drift of a training as far as it has come.

    Parameters
    ----------
    settings: the block `settings` of drift.json.

    Attributes
    ----------
    history: its points, and the changes between them.
    left_out: what could not be evaluated, one sentence each.
    """

    def __init__(self, settings: Json) -> None:
        self.history = History()
        self.left_out: list[str] = []
        self._settings = settings
        self._training = uuid.uuid4().hex
        """by which a folder is known as this training's own, in later sessions too"""
        self._facts: Json = {}
        """the blocks model, data and provenance, and the notes"""
        self._started = time.time()
        self._wanted = Path("drift")
        self._folder: Path | None = None

    def fits(self, manifest: Json) -> bool:
        """Whether another evaluation of this model on this corpus can be compared with those before."""
        if not self._facts:
            return True
        given = {corpus: entry["sha256"] for corpus, entry in manifest["data"].items()}
        known = self._facts["provenance"]["data_sha256"], self._facts["model"]["n_layers"]
        return bool(known == (given, manifest["model"]["n_layers"]))

    def begin(self, manifest: Json, notes: list[str], device: str, folder: Path) -> None:
        """A session begins, the first of a training or one that goes on.

        Parameters
        ----------
        manifest: what is watched, as that of a run.
        notes: what a reader must know of it, one sentence each.
        device: that the model is on.
        folder: where to write. Where another training wrote there, a number is added to the name.
        """
        self._started = time.time()
        about = provenance(manifest, {"started": self._started, "command": command(), "device": device})
        self._facts |= {"model": manifest["model"], "provenance": about, "notes": list(notes)}
        self._wanted, self._folder = folder, None

    def add(self, step: int, outcome: Outcome, *, loss: float | None, seconds: float, end: bool) -> Json:
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
        self._facts["data"] = outcome.data
        self._facts["provenance"]["seconds"] = round(time.time() - self._started, 1)
        return point

    def drift(self, overhead: Overhead) -> Drift:
        """What was found until now; there is at least one point."""
        return Drift(
            {
                "schema": SCHEMA,
                "model": self._facts["model"],
                "data": self._facts["data"],
                "provenance": self._facts["provenance"],
                "settings": {**self._settings, "training": self._training},
                "bootstrap": self.history.bootstrap,
                "points": self.history.points,
                "changes": self.history.changes,
                "overall": self.history.overall,
                "prediction_3_2": None,
                "overhead": asdict(overhead),
                "notes": self._facts["notes"],
                "left_out": self.left_out,
            }
        )

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
        if not (folder / FILE).exists():
            return False
        try:
            found = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return bool(found["settings"]["training"] != self._training)
        except (OSError, ValueError, TypeError, LookupError):  # whatever it is, it is not ours
            return True

    def state_dict(self) -> Json:
        """All but the folder, as plain values and tensors."""
        return {
            "history": self.history.state_dict(),
            "left_out": list(self.left_out),
            "facts": dict(self._facts),
            "training": self._training,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.history.load_state_dict(state["history"])
        self.left_out, self._facts = list(state["left_out"]), dict(state["facts"])
        self._training = state["training"]
