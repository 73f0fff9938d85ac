"""History: the points of a running analysis, added one by one, and all that is kept to go on from there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mspgt.measure.evaluate import Evaluation
from mspgt.results.schema import BOUNDARIES
from mspgt.stats.boundaries.fusion import Floats
from mspgt.stats.changes import Snapshot, change, moves

Json = dict[str, Any]
SCALARS = (bool, int, float, str, type(None))


class History:
    """Evaluations at growing steps, and the changes between them.

    Attributes
    ----------
    points, changes, overall: as drift.json has them.
    bootstrap: the block `bootstrap` of the latest evaluation.
    """

    def __init__(self) -> None:
        self.points: list[Json] = []
        self.changes: list[Json] = []
        self.bootstrap: Json = {}
        self._latest: list[Snapshot] = []
        """of the last point; before it that of the point before, while the last may yet be dropped"""

    @property
    def step(self) -> int | None:
        """Step of the last point."""
        return self.points[-1]["step"] if self.points else None

    @property
    def overall(self) -> Json | None:
        """The moves from the first point to the last."""
        if len(self.points) < 2:
            return None
        first, last = (_of_point(self.points[i]) for i in (0, -1))
        return moves(first, last, float(self.bootstrap["confidence"]))

    def add(
        self,
        step: int,
        evaluation: Evaluation,
        *,
        loss: float | None = None,
        seconds: float = 0.0,
        end: bool = False,
        notes: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> Json:
        """Add a point.

        Parameters
        ----------
        step: optimizer steps taken; larger than that of the last point.
        loss: mean training loss since the last point.
        seconds: that the evaluation took.
        end: evaluated because training ended here, not because the step was due.

        Returns
        -------
        The point.
        """
        snapshot = _snapshot(step, evaluation)
        confidence = float(evaluation.bootstrap["confidence"])
        changed = [change(before, snapshot, confidence) for before in self._latest[-1:]]
        pairs = snapshot.pairs
        point = {
            "step": step,
            "signals": {name: _short(block) for name, block in evaluation.signals.items()},
            "verdicts": {n: {k: v for k, v in b.items() if k != "resampled"} for n, b in evaluation.verdicts.items()},
            "loss": loss if loss is not None and math.isfinite(loss) else None,
            "seconds": round(seconds, 3),
            "end": end,
            "notes": list(notes),
            "left_out": list(left_out),
            "replicates": {r: dict(zip(BOUNDARIES, p.T.tolist(), strict=True)) for r, p in pairs.items()} or None,
        }
        self.bootstrap = evaluation.bootstrap
        self.points.append(point)
        self.changes += changed
        self._latest = [*self._latest[-1:], snapshot] if end else [snapshot]
        return point

    def drop_end(self) -> None:
        """Forget a point that was evaluated only because training ended: it goes on now."""
        if self.points and self.points[-1]["end"]:
            self.points.pop()
            self.changes = self.changes[: max(0, len(self.points) - 1)]
            self._latest.pop()

    def state_dict(self) -> Json:
        """All of it, as plain values and tensors."""
        return {
            "points": list(self.points),
            "changes": list(self.changes),
            "bootstrap": dict(self.bootstrap),
            "latest": [_packed(snapshot) for snapshot in self._latest],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.points, self.changes = list(state["points"]), list(state["changes"])
        self.bootstrap = dict(state["bootstrap"])
        self._latest = [
            Snapshot(
                point["step"],
                _curves(point["signals"]),
                {name: values.cpu().numpy() for name, values in packed.items()},
                _boundaries(point["verdicts"]),
                _pairs(point["replicates"]),
            )
            for point, packed in zip(self.points[-len(state["latest"]) :], state["latest"], strict=False)
        ]


def _snapshot(step: int, evaluation: Evaluation) -> Snapshot:
    replicates = evaluation.replicates
    return Snapshot(
        step, _curves(evaluation.signals), replicates.curves, _boundaries(evaluation.verdicts), replicates.pairs
    )


def _of_point(point: Json) -> Snapshot:
    """What a point alone tells: everything but the replicates of curves."""
    return Snapshot(
        point["step"], _curves(point["signals"]), {}, _boundaries(point["verdicts"]), _pairs(point["replicates"])
    )


def _curves(signals: Mapping[str, Any]) -> dict[str, Floats]:
    return {n: np.array([math.nan if v is None else v for v in block["value"]]) for n, block in signals.items()}


def _boundaries(verdicts: Mapping[str, Any]) -> dict[str, tuple[int, int] | None]:
    found: dict[str, tuple[int, int] | None] = {}
    for rule, verdict in verdicts.items():
        lower, upper = (verdict[key] for key in BOUNDARIES)
        found[rule] = None if lower is None or upper is None else (lower["layer"], upper["layer"])
    return found


def _pairs(replicates: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        rule: np.array([sides[key] for key in BOUNDARIES], dtype=np.int64).T
        for rule, sides in (replicates or {}).items()
    }


def _packed(snapshot: Snapshot) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(values)) for name, values in snapshot.replicates.items()}


def _short(block: Mapping[str, Any]) -> Json:
    """A signal's block, of the details single values only: matrices at every step would be most of the file."""
    return {**block, "details": {k: v for k, v in block["details"].items() if isinstance(v, SCALARS)}}
