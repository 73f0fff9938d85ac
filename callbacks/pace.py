"""When a training is evaluated, and what share of its time that takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mspgt.core.errors import UserError
from mspgt.measure.ranks import Ranks
from mspgt.results.drift import Overhead


@dataclass
class _Spent:
    """What checkpoints keep of a pace."""

    last: int | None = None
    """the step evaluated last; None before the first"""
    seen: int = 0
    """the step at which it was asked last"""
    seconds: float = 0.0
    """of all evaluations, and of preparing them"""
    latest: float = 0.0
    """seconds of the latest evaluation"""
    skipped: int = 0
    elapsed: float = 0.0
    """seconds of training, in sessions before this one"""


class Pace:
    """Every so many optimizer steps, unless that costs more than is allowed; the first rank's clock decides for all.

    Parameters
    ----------
    every: steps between evaluations.
    max_overhead: largest share of the training's time that evaluations may take.
    """

    def __init__(self, every: int, max_overhead: float | None) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise UserError(f"every_n_steps={every!r}: give a whole number of optimizer steps, from 1 up.")
        if max_overhead is not None and not _is_share(max_overhead):
            raise UserError(f"max_overhead={max_overhead!r}: give a share of the training's time above 0, at most 1.")
        self.every, self.max_overhead = every, max_overhead
        self._spent = _Spent()
        self._began: float | None = None

    @property
    def last(self) -> int | None:
        """The step evaluated last; None before the first."""
        return self._spent.last

    def start(self) -> None:
        """Training begins, or goes on."""
        self._began = time.perf_counter()

    def stop(self) -> None:
        """Training is over, or interrupted."""
        self._spent.elapsed, self._began = self._elapsed, None

    def spent(self, seconds: float) -> None:
        """Time went into preparation."""
        self._spent.seconds += seconds
        self._spent.elapsed += seconds

    def at_start(self, step: int) -> bool:
        """Whether to evaluate before any step is taken: at first, and where a checkpoint was written just before."""
        return self._reached(step) or self.last is None

    def due(self, step: int, ranks: Ranks) -> bool:
        """Whether a multiple of `every` was reached since it was asked last, and may be evaluated."""
        reached = self._reached(step)
        if not reached or self.max_overhead is None:
            return reached
        allowed = bool(ranks.broadcast(self._affordable()))
        self._spent.skipped += not allowed
        return allowed

    def evaluated(self, step: int, seconds: float) -> None:
        """An evaluation was made, or failed."""
        self._spent.last, self._spent.latest = step, seconds
        self._spent.seconds += seconds

    def is_multiple(self, step: int) -> bool:
        """Whether a step is due by itself."""
        return step % self.every == 0

    def went_back(self, step: int) -> bool:
        """Whether the training is now before what was evaluated last."""
        return self.last is not None and step < self.last

    def forget(self) -> None:
        """Another training begins: what the one before took is not its own."""
        self._spent = _Spent(seen=self._spent.seen)

    @property
    def overhead(self) -> Overhead:
        """What was spent until now."""
        elapsed = self._elapsed
        share = self._spent.seconds / elapsed if elapsed > 0 else None
        return Overhead(round(self._spent.seconds, 3), share, self.every, self.max_overhead, self._spent.skipped)

    @property
    def _elapsed(self) -> float:
        return self._spent.elapsed + (0.0 if self._began is None else time.perf_counter() - self._began)

    def _reached(self, step: int) -> bool:
        """Whether a multiple of `every` lies between the step at which it was asked last and this one."""
        before, self._spent.seen = self._spent.seen, step
        return step // self.every > before // self.every

    def _affordable(self) -> bool:
        """Whether one more evaluation, as long as the latest, stays within the allowed share."""
        latest = self._spent.latest
        return self._spent.seconds + latest <= (self.max_overhead or 1.0) * (self._elapsed + latest)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return asdict(replace(self._spent, elapsed=self._elapsed))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._spent, self._began = _Spent(**state), None


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1
