"""What changed from one evaluation to another: curves, and where the boundaries lie, with paired intervals.

Both evaluations see the same documents, and replicate r of both gives each document the same weight. Their differences
are therefore taken replicate by replicate: what the choice of documents does to both falls out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mspgt.core.codec import kept_as
from mspgt.stats.bootstrap import Floats, percentile_interval
from mspgt.stats.boundaries.acceptance import MINIMUM_SHARE
from mspgt.stats.boundaries.support import BOUNDARIES
from mspgt.stats.curve import Curve

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Move:
    """How far a boundary moved from one evaluation to another.

    Attributes
    ----------
    moved: blocks, deeper counts as positive.
    low, high: ends of the paired interval; None where there is none.
    real: more than noise, as `_move` decides: that the interval leaves out 0 is not enough.
    share: replicates that have both boundaries in both evaluations, 0 to 1; None where there are none.
    """

    moved: int
    low: int | None
    high: int | None
    real: bool
    share: float | None


@dataclass(frozen=True)
class Moves:
    """How both boundaries moved; None where they are not in both evaluations."""

    local_intermediate: Move | None = None
    intermediate_global: Move | None = None

    @property
    def known(self) -> dict[str, Move]:
        """Name of a boundary -> its move, of those that there are, the lower first."""
        both = dict(zip(BOUNDARIES.values(), (self.local_intermediate, self.intermediate_global), strict=True))
        return {name: move for name, move in both.items() if move is not None}


@dataclass(frozen=True)
class Shift:
    """How the boundaries moved from one evaluation to another.

    Attributes
    ----------
    start, stop: steps of the two evaluations.
    boundaries: by mspgt's rule; paper: by the paper's.
    """

    start: Annotated[int, kept_as("from")]
    stop: Annotated[int, kept_as("to")]
    boundaries: Moves
    paper: Moves

    def by(self, rule: str) -> Moves:
        """By the rule "mspgt" or "paper"."""
        return self.paper if rule == "paper" else self.boundaries


@dataclass(frozen=True, eq=False)
class Difference(Curve):
    """By how much a signal differs at each transition, in its own unit, with the paired interval."""

    value: Annotated[Floats, kept_as("difference")]


@dataclass(frozen=True, eq=False)
class Change(Shift):
    """What changed from one evaluation to another; signals that only one of the two has are not there."""

    signals: Mapping[str, Difference]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What one evaluation leaves for comparison with another.

    Attributes
    ----------
    step: optimizer steps taken.
    curves: signal -> (transition,) point estimate.
    replicates: signal with document intervals -> (replicate, transition).
    boundaries: rule -> layers of the two boundaries by the point estimate, None where there are not two.
    pairs: rule -> (replicate, 2) layers, both 0 where the replicate has fewer than two peaks; empty without replicates.
    """

    step: int
    curves: Mapping[str, Floats]
    replicates: Mapping[str, Floats]
    boundaries: Mapping[str, tuple[int, int] | None]
    pairs: Mapping[str, Ints]


def change(before: Snapshot, after: Snapshot, confidence: float) -> Change:
    """What changed from one evaluation to another.

    A signal's interval is that of percentiles of the paired differences, at each transition by itself: over a whole
    curve more than 1 - confidence of them may miss.

    Parameters
    ----------
    before, after: of the same model and documents; all replicates of both are equally many, in the same order.
    confidence: of the intervals, 0 to 1.
    """
    shared = [name for name in before.curves if name in after.curves]
    signals = {name: _difference(name, before, after, confidence) for name in shared}
    return Change(before.step, after.step, *_by_rule(before, after, confidence), signals)


def shift(before: Snapshot, after: Snapshot, confidence: float) -> Shift:
    """How the boundaries moved, without the signals; as `change`."""
    return Shift(before.step, after.step, *_by_rule(before, after, confidence))


def integer_interval(values: Ints, confidence: float, counts: Ints | None = None) -> tuple[int, int]:
    """Percentile interval of whole numbers; each end is one of them, and as many lie beyond the one as the other.

    The lower end is the smallest value at or below which at least (1 - confidence) / 2 of all lie (the inverse of the
    distribution function), the upper end its mirror image: with all signs turned, the interval is turned. With fewer
    than `enough` values these are the extremes, and more than 1 - confidence can be missed.

    Parameters
    ----------
    values: (value,), at least one.
    counts: (value,), how often each occurs; once where None.
    """
    order = np.argsort(values)
    times = np.ones_like(values) if counts is None else counts
    needed = (1 - confidence) / 2 * int(times.sum())
    ascending, descending = values[order], values[order[::-1]]
    low = ascending[np.searchsorted(np.cumsum(times[order]), needed)]
    high = descending[np.searchsorted(np.cumsum(times[order[::-1]]), needed)]
    return int(low), int(high)


def enough(replicates: int, confidence: float) -> bool:
    """Whether so many replicates have a value at each end to spare for an interval: 40 or more for 95 %."""
    return (1 - confidence) / 2 * replicates >= 1 - 1e-9


def _difference(name: str, before: Snapshot, after: Snapshot, confidence: float) -> Difference:
    with np.errstate(invalid="ignore"):  # infinities have no difference, and none is shown
        interval: tuple[Floats | None, Floats | None] = (None, None)
        if name in before.replicates and name in after.replicates:
            interval = percentile_interval(after.replicates[name] - before.replicates[name], confidence)
        return Difference.of(after.curves[name] - before.curves[name], *interval)


def _by_rule(before: Snapshot, after: Snapshot, confidence: float) -> tuple[Moves, Moves]:
    """By mspgt's rule and by the paper's."""
    return _moves("mspgt", before, after, confidence), _moves("paper", before, after, confidence)


def _moves(rule: str, before: Snapshot, after: Snapshot, confidence: float) -> Moves:
    first, last = before.boundaries.get(rule), after.boundaries.get(rule)
    if first is None or last is None:
        return Moves()
    drawn = _differences(before.pairs.get(rule), after.pairs.get(rule))
    same_signals = before.curves.keys() == after.curves.keys()
    return Moves(*(_move(last[side] - first[side], drawn, side, confidence, same_signals) for side in (0, 1)))


@dataclass(frozen=True)
class _Drawn:
    layers: Ints
    """(replicate, 2) differences, of the replicates that have two peaks at both points"""
    share: float
    """of all replicates"""


def _differences(before: Ints | None, after: Ints | None) -> _Drawn | None:
    if before is None or after is None:
        return None
    both = (before > 0).all(axis=1) & (after > 0).all(axis=1)
    return _Drawn((after - before)[both], float(both.mean()))


def _move(moved: int, drawn: _Drawn | None, side: int, confidence: float, same_signals: bool) -> Move:
    """How far one boundary moved, and whether that is more than another choice of documents would give.

    A move is real if all of this holds; each clause keeps out something that looks like a move and is none:

    * The interval leaves out 0. Where two peaks compete, replicates choose now the one, now the other, and the interval
      reaches from one to the other. A move towards a peak that in truth only ties with the old one is called real in
      about (1 - confidence) / 2 of all samples of documents, and less often where the two tie at both points.
    * At least `MINIMUM_SHARE` of the replicates have two peaks at both points: the interval speaks of these alone.
    * The point estimate moved to the side on which the interval lies; near a tie it need not.
    * There are `enough` replicates.
    * The same signals were measured at both points: another set of signals makes another evidence.

    What this does not know: where the boundary would lie after training from another seed, as only documents are drawn
    anew. The error rate is that of one move; among many that did not happen some are called real. A boundary is the
    lower or upper of the two most prominent peaks, so where a third peak takes over from one, both can move. With ten
    or twenty documents percentile intervals are a little too narrow, here as everywhere.
    """
    if drawn is None or not len(drawn.layers):
        return Move(moved, None, None, False, drawn.share if drawn else None)
    low, high = integer_interval(drawn.layers[:, side], confidence)
    beyond = (low > 0 and moved > 0) or (high < 0 and moved < 0)
    real = beyond and drawn.share >= MINIMUM_SHARE and enough(len(drawn.layers), confidence) and same_signals
    return Move(moved, low, high, real, drawn.share)
