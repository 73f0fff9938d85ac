"""What drift.json (schema 1) says, checked once and given as typed views: points, changes between them, moves.

Figures, tables, the page and the CSV read these views and nothing else, so a drift read back from disk a year later is
shown exactly as it was on its day.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import UserError
from mspgt.core.files import read_kept
from mspgt.results.drift.points import Change, Move, Point, change, point
from mspgt.results.schema import STATUS, plain

__all__ = ["FILE", "SCHEMA", "Change", "Move", "Point", "Recorded", "contents"]

SCHEMA = 1
FILE = "drift.json"
SHARED = ("model", "data", "bootstrap", "provenance")
"""the mappings that all points of a drift have in common, as in result.json"""
AGAIN = "make it again by training with `BoundaryDrift`, or with `mspgt drift`."

View = TypeVar("View")


@dataclass(frozen=True, eq=False, repr=False)
class Recorded:
    """What drift.json says; `mspgt.Drift` is this with a table, figures and files.

    Parameters
    ----------
    data: the contents; arrays become lists, NaN and infinities null, and the caller's object is left alone.
    where: the file they come from, named in messages.

    Raises
    ------
    UserError: another schema, or a missing or damaged part.
    """

    data: Mapping[str, Any]
    where: str = "the drift"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", plain(self.data))
        _check(self.data, self.where)
        _check_inside(self)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.points[0].findings.model

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.points[0].findings.n_layers

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return self.points[0].findings.confidence

    @property
    def describe_model(self) -> str:
        """The model in one line: name, shape, parameters, dtype."""
        return self.points[0].findings.describe_model

    @property
    def describe_data(self) -> str:
        """The held-out corpus in one line: name and counts."""
        return self.points[0].findings.describe_data

    @property
    def describe_intervals(self) -> str:
        """How the intervals were made, in one phrase."""
        return self.points[0].findings.describe_intervals

    @property
    def describe_steps(self) -> str:
        """The steps in one phrase: ``9 steps (0 to 4,000)``."""
        first, last = self.points[0].step, self.points[-1].step
        return f"{len(self.points)} steps ({first:,} to {last:,})" if len(self.points) > 1 else f"step {first:,}"

    @property
    def describe_overhead(self) -> str:
        """What the evaluations cost, in one phrase."""
        seconds = self.overhead.get("seconds") or sum(point.seconds for point in self.points)
        parts = [f"{seconds:,.0f} s in all" if seconds >= 9.95 else f"{seconds:.1f} s in all"]
        share, allowed, skipped = (self.overhead.get(key) for key in ("share", "max_overhead", "skipped"))
        if share is not None:
            limit = "" if allowed is None else f" ({allowed:.1%} was allowed)"
            parts.append(f"{share:.1%} of the training's time{limit}")
        if skipped:
            parts.append(f"{skipped:,} that {'was' if skipped == 1 else 'were'} due skipped to stay within that")
        return ", ".join(parts)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """The step of each point, (point,) int, strictly increasing."""
        return np.array([point.step for point in self.points], dtype=np.int64)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Every evaluation, the earliest first; there is at least one."""
        shared = {key: self.data[key] for key in SHARED}
        return tuple(self._read("points", lambda block: point(block, shared, self.where)))

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What changed from each point to the next."""
        return tuple(self._read("changes", change))

    @cached_property
    def overall(self) -> Change | None:
        """How the boundaries moved from the first point to the last; None where there is one point."""
        block = self.data.get("overall")
        if block is None:
            return None
        with _reading("overall", self.where):
            return change(block)

    @property
    def prediction(self) -> Mapping[str, Any] | None:
        """The answer on the paper's prediction 3.2, {verdict, reasons, numbers}; None where it was not asked."""
        return self.data.get("prediction_3_2")

    @property
    def overhead(self) -> Mapping[str, Any]:
        """Share of the training time spent here, steps between evaluations, and the limit; null for checkpoints."""
        return self.data.get("overhead") or {}

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the evaluations."""
        return self.data.get("settings") or {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the numbers."""
        return tuple(map(str, self.data.get("notes") or ()))

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not measured, and why."""
        return tuple(map(str, self.data.get("left_out") or ()))

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals measured at any point, in their order."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.findings.signals))

    @property
    def headline(self) -> str:
        """The answer in one plain sentence."""
        accepted = [point.accepted for point in self.points]
        last = self.points[-1]
        if not any(accepted):
            where = f"any of {self.describe_steps}" if len(self.points) > 1 else self.describe_steps
            return f"No boundaries are accepted at {where}."
        if not last.accepted:
            steps = [point.step for point in self.points if point.accepted]
            span = f"{steps[0]:,} to {steps[-1]:,}" if len(steps) > 1 else f"{steps[0]:,}"
            verdict = last.findings.verdict()
            why = STATUS.get(verdict.status, verdict.status)
            return (
                f"Boundaries are accepted at {len(steps)} of {len(accepted)} steps ({span}), but not at the end: {why}."
            )
        first = self.points[len(accepted) - accepted[::-1].index(False) if False in accepted else 0]
        then, now = (" and ".join(str(b.layer) for b in p.findings.boundaries) for p in (first, last))
        if first is last:
            return f"Boundaries are accepted at step {last.step:,}: after blocks {now} of {self.n_layers}."
        places = (
            f"{now} of {self.n_layers} at the end" if then == now else f"{then} of {self.n_layers}, at the end {now}"
        )
        return f"Boundaries are accepted from step {first.step:,} on: after blocks {places}."

    def _read(self, part: str, read: Callable[[Any], View]) -> Iterator[View]:
        for i, block in enumerate(self.data[part]):
            with _reading(f"{part}[{i}]", self.where):
                if not isinstance(block, dict):
                    raise ValueError("it is no mapping")
                yield read(block)


def _check(data: Mapping[str, Any], where: str) -> None:
    """Every part is there and of its kind; what is inside points and changes is checked where it is read."""
    if data.get("schema") != SCHEMA:
        raise UserError(
            f"{where} has schema {data.get('schema')!r}; this version of mspgt reads schema {SCHEMA}: {AGAIN}"
        )
    kinds = dict.fromkeys(SHARED, dict) | {"settings": dict, "points": list, "changes": list}
    for key, kind in kinds.items():
        if not isinstance(data.get(key), kind):
            raise UserError(f"{where} is not a complete drift: {key!r} is missing; {AGAIN}")
    if not isinstance(data["model"].get("n_layers"), int):
        raise UserError(f"{where} is not a complete drift: model.n_layers is missing; {AGAIN}")
    if not data["points"]:
        raise UserError(f"{where} holds no points; {AGAIN}")
    for key in ("overall", "prediction_3_2", "overhead"):
        if not isinstance(data.get(key), (dict, type(None))):
            raise UserError(f"{where} is damaged: {key} holds no mapping; {AGAIN}")
    for key, value in (data.get("overhead") or {}).items():
        if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
            raise UserError(f"{where} is damaged: overhead.{key} is {value!r}, not a number; {AGAIN}")
    for key in ("notes", "left_out"):
        if not isinstance(data.get(key), (list, type(None))):
            raise UserError(f"{where} is damaged: {key} holds no list; {AGAIN}")


def contents(path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], str]:
    """What a drift.json, given by its path or directory, holds, and the path of the file.

    Raises
    ------
    UserError: there is none, or it is not JSON.
    """
    data, file = read_kept(path, FILE, "drift", "training with `BoundaryDrift` or by `mspgt drift out=...`")
    return data, str(file)


def _check_inside(drift: Recorded) -> None:
    """Steps increase, and changes lead from each point to the next; reads every part, so that damage is found now."""
    steps = drift.steps.tolist()
    for before, after in pairwise(steps):
        if before >= after:
            raise UserError(f"{drift.where} is damaged: step {after} follows step {before}; {AGAIN}")
    with _reading("model, data or bootstrap", drift.where):
        _ = drift.confidence, drift.describe_model, drift.describe_data, drift.describe_intervals
    given = [(change.start, change.stop) for change in drift.changes]
    if given != list(pairwise(steps)):
        raise UserError(f"{drift.where} is damaged: changes do not lead from each point to the next; {AGAIN}")
    whole = drift.overall
    if whole is not None and (whole.start, whole.stop) != (steps[0], steps[-1]):
        raise UserError(f"{drift.where} is damaged: overall does not lead from the first point to the last; {AGAIN}")


@contextmanager
def _reading(part: str, where: str) -> Iterator[None]:
    """Whatever is wrong inside a part is said in one sentence that names the part."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where} is damaged: {part} cannot be read ({what}); {AGAIN}") from None
