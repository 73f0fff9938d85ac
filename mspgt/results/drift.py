"""Drift: how layers organise while a model trains: evaluations at many steps, and what changed between them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import UserError
from mspgt.core.provenance import Provenance
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.evaluate import Bootstrap
from mspgt.measure.history import History, Point
from mspgt.models.facts import ModelFacts
from mspgt.results.kinds import Kind, resolve
from mspgt.results.result import Result
from mspgt.results.run import Run
from mspgt.stats.boundaries import RULES
from mspgt.stats.changes import Change, Shift
from mspgt.stats.distance import Apart
from mspgt.stats.paired.answers import Prediction

SAVING_TABLES = "mspgt.show.saving:save_tables"
COMPARING = "mspgt.results.prediction_3_2:prediction_3_2"
"""what compares several drifts: it stands on this module"""


@dataclass(frozen=True)
class Overhead:
    """What evaluating took.

    Attributes
    ----------
    seconds: of all evaluations.
    share: of the time since training began, this session's and earlier ones'; None before any time went by, and where
        checkpoints were measured.
    every_n_steps, max_overhead: steps between evaluations and the largest share allowed; None where there are none.
    skipped: evaluations that were due but would have exceeded `max_overhead`.
    """

    seconds: float
    share: float | None = None
    every_n_steps: int | None = None
    max_overhead: float | None = None
    skipped: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Drift(Result):
    """Curves and boundaries at many steps of a training, and what changed.

    Attributes
    ----------
    points: every evaluation, the earliest first; there is at least one.
    changes: what changed from each point to the next.
    overall: how the boundaries moved from the first point to the last; None where there is one point.
    prediction_3_2: the answer on the paper's prediction; None where it was not asked.
    training: what the callback's sessions of one training have in common; None where checkpoints were measured.
    notes: what a reader must know beside the numbers; left_out: what was not measured; one sentence each. Points have
        their own.
    """

    kind: ClassVar[Kind] = Kind(
        name="drift",
        file="drift.json",
        what="a drift",
        maker="training with `BoundaryDrift`, or by `mspgt drift out=...`",
        shown="mspgt.show.drift:SHOWN",
        verb="drift",
    )

    model: ModelFacts
    data: CorpusFacts
    provenance: Provenance
    settings: Mapping[str, Any]
    bootstrap: Bootstrap
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    overall: Shift | None
    prediction_3_2: Prediction | None
    overhead: Overhead
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    training: str | None = None

    def __post_init__(self) -> None:
        steps = [point.step for point in self.points]
        if not steps:
            raise ValueError("it holds no points")
        for before, after in pairwise(steps):
            if before >= after:
                raise ValueError(f"step {after:,} follows step {before:,}")
        if [(change.start, change.stop) for change in self.changes] != list(pairwise(steps)):
            raise ValueError("changes do not lead from each point to the next")
        if self.overall is not None and (self.overall.start, self.overall.stop) != (steps[0], steps[-1]):
            raise ValueError("overall does not lead from the first point to the last")
        for point in self.points:
            self._check(point)
        if self.prediction_3_2 is not None and self.apart is None:
            raise ValueError("prediction_3_2 holds other numbers than how far apart runs lie")

    def _check(self, point: Point) -> None:
        """A point must hold what a run does."""
        try:
            self._run(point).verdict()
        except (ValueError, UserError) as error:
            raise ValueError(f"at step {point.step:,}, {error}") from error

    @classmethod
    def from_history(cls, history: History, **others: Any) -> Drift:
        """The drift of a history, which has a point at least.

        Parameters
        ----------
        others: the fields that a history does not know.
        """
        if history.bootstrap is None:
            raise ValueError("it holds no points")
        return cls(
            bootstrap=history.bootstrap,
            points=tuple(history.points),
            changes=tuple(history.changes),
            overall=history.overall,
            **{"prediction_3_2": None, **others},
        )

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.model.n_layers

    @property
    def incomplete(self) -> bool:
        """Whether something was left out, at any step."""
        return bool(self.left_out) or any(point.left_out for point in self.points)

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return self.bootstrap.confidence

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """The step of each point, (point,) int, strictly increasing."""
        return np.array([point.step for point in self.points], dtype=np.int64)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals measured at any point, in their order."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.signals))

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that could be applied at any point, mspgt's first."""
        return tuple(rule for rule in RULES if any(rule in point.verdicts for point in self.points))

    @property
    def apart(self) -> Apart | None:
        """The numbers of the answer on prediction 3.2; None where it was not asked."""
        numbers = self.prediction_3_2 and self.prediction_3_2.numbers
        return numbers if isinstance(numbers, Apart) else None

    def at(self, step: int) -> Run:
        """What a run shows at a step.

        Raises
        ------
        UserError: nothing was evaluated at this step.
        """
        for point in self.points:
            if point.step == step:
                return self._run(point)
        steps = ", ".join(str(point.step) for point in self.points)
        raise UserError(f"nothing was evaluated at step {step}; available: {steps}.")

    def _run(self, point: Point) -> Run:
        return Run(
            self.model,
            self.data,
            point.signals,
            point.verdicts,
            self.bootstrap,
            self.provenance,
            point.notes,
            point.left_out,
            self.settings,
        )

    def against(self, *others: Drift | str | os.PathLike[str], rule: str = "mspgt") -> Prediction:
        """Answer the paper's prediction 3.2 from the last points of this training and of others.

        Parameters
        ----------
        others: drifts, or folders or files that hold them, of models of the same architecture.
        rule: whose boundaries, "mspgt" or "paper".

        Raises
        ------
        UserError: as `mspgt.prediction_3_2`.
        """
        answer: Prediction = resolve(COMPARING)([self, *others], rule=rule)
        return answer

    def save_data(self, directory: str | os.PathLike[str]) -> Path:
        """Write drift.json, drift.csv and boundaries.csv alone; returns the directory.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        root = super().save_data(directory)
        resolve(SAVING_TABLES)(self, root)
        return root
