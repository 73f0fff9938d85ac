"""History: the points of a running analysis, added one by one, and all that is kept to go on from there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mspgt.core.codec import plain, structure
from mspgt.measure.evaluate import Bootstrap, Evaluation, SignalCurve
from mspgt.stats.bootstrap import Floats
from mspgt.stats.boundaries import Verdict
from mspgt.stats.changes import Change, Ints, Shift, Snapshot, change, shift

SINGLE = (bool, int, float, str, type(None))
"""details of a signal that points keep: matrices at every step would be most of the file"""


@dataclass(frozen=True, eq=False)
class Layers:
    """Both boundaries in each bootstrap replicate, (replicate,) blocks below; 0 where it has fewer than two peaks."""

    local_intermediate: NDArray[np.int64]
    intermediate_global: NDArray[np.int64]

    def __post_init__(self) -> None:
        lower, upper = len(self.local_intermediate), len(self.intermediate_global)
        if lower != upper:
            raise ValueError(f"it has {lower} values of the lower boundary and {upper} of the upper one")

    @property
    def pairs(self) -> Ints:
        """(replicate, 2), the lower first."""
        return np.stack([self.local_intermediate, self.intermediate_global], axis=1)


@dataclass(frozen=True, eq=False)
class Point:
    """One evaluation.

    Attributes
    ----------
    step: optimizer steps taken; 0 is before training.
    signals, verdicts: as of a run, without what would be most of the file.
    loss: mean training loss since the point before; NaN where it is not known.
    seconds: that the evaluation took.
    end: evaluated because training ended here, not because the step was due.
    replicates: rule -> boundaries in each replicate; None without replicates.
    """

    step: int
    signals: Mapping[str, SignalCurve]
    verdicts: Mapping[str, Verdict]
    loss: float
    seconds: float
    end: bool
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    replicates: Mapping[str, Layers] | None

    @property
    def accepted(self) -> bool:
        """Whether mspgt's rule accepts boundaries here."""
        return self.verdicts["mspgt"].accepted

    def snapshot(self, replicates: Mapping[str, Floats]) -> Snapshot:
        """What changes are computed from.

        Parameters
        ----------
        replicates: signal -> (replicate, transition), which a point does not keep.
        """
        return Snapshot(
            self.step,
            {name: curve.value for name, curve in self.signals.items()},
            replicates,
            {rule: verdict.layers for rule, verdict in self.verdicts.items()},
            {rule: layers.pairs for rule, layers in (self.replicates or {}).items()},
        )


@dataclass(frozen=True)
class _Kept:
    """What a history keeps beside replicates of curves."""

    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    bootstrap: Bootstrap | None


class History:
    """Evaluations at growing steps, and the changes between them.

    Attributes
    ----------
    points: the earliest first; changes: from each point to the next.
    bootstrap: of the latest evaluation; None before the first.
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.changes: list[Change] = []
        self.bootstrap: Bootstrap | None = None
        self._latest: list[Mapping[str, Floats]] = []
        """replicates of curves of the last point; before them those of the point before, while the last may be dropped
        yet"""

    @property
    def step(self) -> int | None:
        """Step of the last point."""
        return self.points[-1].step if self.points else None

    @property
    def overall(self) -> Shift | None:
        """The moves from the first point to the last; None where there is one point."""
        if len(self.points) < 2 or self.bootstrap is None:
            return None
        first, last = (self.points[i].snapshot({}) for i in (0, -1))
        return shift(first, last, self.bootstrap.confidence)

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
    ) -> Point:
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
        drawn = evaluation.replicates
        point = Point(
            step,
            {name: _short(curve) for name, curve in evaluation.signals.items()},
            {rule: replace(verdict, resampled=None) for rule, verdict in evaluation.verdicts.items()},
            loss if loss is not None and math.isfinite(loss) else math.nan,
            round(seconds, 3),
            end,
            tuple(notes),
            tuple(left_out),
            {rule: Layers(*pairs.T) for rule, pairs in drawn.pairs.items()} or None,
        )
        if self.points:
            before, after = self.points[-1].snapshot(self._latest[-1]), point.snapshot(drawn.curves)
            self.changes.append(change(before, after, evaluation.bootstrap.confidence))
        self.bootstrap = evaluation.bootstrap
        self.points.append(point)
        self._latest = [*self._latest[-1:], drawn.curves] if end else [drawn.curves]
        return point

    def drop_end(self) -> None:
        """Forget a point that was evaluated only because training ended: it goes on now."""
        if self.points and self.points[-1].end:
            self.points.pop()
            self.changes = self.changes[: max(0, len(self.points) - 1)]
            self._latest.pop()

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain values and tensors."""
        kept = _Kept(tuple(self.points), tuple(self.changes), self.bootstrap)
        latest = [{name: torch.from_numpy(np.array(v)) for name, v in drawn.items()} for drawn in self._latest]
        return {**plain(kept), "latest": latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises
        ------
        UserError: it is damaged, or of another version of mspgt.
        """
        kept = structure({k: v for k, v in state.items() if k != "latest"}, _Kept, "the history of the drift")
        self.points, self.changes, self.bootstrap = list(kept.points), list(kept.changes), kept.bootstrap
        self._latest = [{name: values.cpu().numpy() for name, values in drawn.items()} for drawn in state["latest"]]


def _short(curve: SignalCurve) -> SignalCurve:
    """A signal's curve with single values of its details, and nothing that it shows beside."""
    return replace(
        curve, details={k: v for k, v in curve.details.items() if isinstance(v, SINGLE)}, series={}, figures=()
    )
