"""The axis of training steps: linear, or logarithmic away from zero where steps are roughly geometric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.scale import LinearScale, SymmetricalLogScale
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from mspgt.stats.bootstrap import Floats

EVEN = 0.7
"""share of the gaps between steps that must count on a linear axis: exp(entropy of their widths) over their number"""
CROWDED = 5, 100
"""steps in the first hundredth of a linear axis that would be lost: so many, the last so many times the first"""
LARGE = 10_000
"""step from which on thousands are written as k"""


@dataclass(frozen=True, eq=False)
class StepAxis:
    """Where steps lie on an axis.

    Parameters
    ----------
    steps: every step that is drawn, increasing; those of all runs where runs share the axis.
    """

    steps: tuple[int, ...]

    @property
    def logarithmic(self) -> bool:
        """Whether a linear axis would lose the early steps."""
        steps = np.array(self.steps, dtype=np.float64)
        if len(steps) < 3:
            return False
        widths = np.diff(steps) / np.ptp(steps)
        counting = math.exp(-float(np.sum(widths * np.log(widths)))) / len(widths)
        early = steps[(steps > 0) & (steps <= steps[-1] / 100)]
        many, spread = CROWDED
        return counting < EVEN or (len(early) >= many and bool(early[-1] >= spread * early[0]))

    def edges(self, steps: Sequence[int]) -> Floats:
        """Edges of the cells of some of the steps, (step + 1,): half-way on the axis between two steps.

        The first and the last cell are at least as wide as is typical, so that no evaluation is a sliver.
        """
        places = self._transform(np.array(steps, dtype=np.float64))
        halves = np.diff(places) / 2
        if not len(halves):
            halves = np.array([0.5])
        typical = float(np.median(halves))
        inner = places[:-1] + halves[: len(places) - 1]
        ends = places[0] - max(typical, halves[0]), places[-1] + max(typical, halves[-1])
        return self._inverted(np.array([ends[0], *inner, ends[1]]))

    def set(self, ax: Any, *, room: float = 1.0, label: str = "training step") -> None:
        """Scale, limits, ticks and label of the horizontal axis of `ax`, with a small tick at each step.

        Parameters
        ----------
        room: width of `ax` over that of a page.
        """
        edges = self.edges(self.steps)
        if self.logarithmic:
            ax.set_xscale("symlog", linthresh=self._first, linscale=self._linear_part)
        ax.set_xlim(edges[0], edges[-1])
        ticks = self._ticks(room)
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(FixedLocator(self.steps))
        ax.xaxis.remove_overlapping_locs = False
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(axis="x", which="minor", length=2.2, width=0.5)
        thousands = self.steps[-1] >= LARGE
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: step_text(x, thousands=thousands)))
        if label:
            ax.set_xlabel(label)

    @property
    def _first(self) -> int:
        return next((step for step in self.steps if step > 0), 1)

    @property
    def _linear_part(self) -> float:
        """Length of the axis from 0 to the first step, in decades: the typical distance of two steps."""
        positive = [step for step in self.steps if step > 0]
        return 0.9 * max(float(np.median(np.diff(np.log10(positive)))), 0.06 * math.log10(positive[-1] / positive[0]))

    @property
    def _scale(self) -> Any:
        if self.logarithmic:
            return SymmetricalLogScale(linthresh=self._first, linscale=self._linear_part)
        return LinearScale(None)

    def _transform(self, steps: Floats) -> Floats:
        return np.asarray(self._scale.get_transform().transform(steps), dtype=np.float64)

    def _inverted(self, places: Floats) -> Floats:
        return np.asarray(self._scale.get_transform().inverted().transform(places), dtype=np.float64)

    def _ticks(self, room: float) -> list[float]:
        first, last = self.steps[0], self.steps[-1]
        if first == last:
            return [first]
        if not self.logarithmic:
            nice = MaxNLocator(max(2, round(8 * room)), integer=True, steps=[1, 2, 2.5, 5, 10])
            places = [float(tick) for tick in nice.tick_values(first, last) if first <= tick <= last]
            return places or [first, last]
        decades = range(math.floor(math.log10(self._first)), math.ceil(math.log10(last)) + 1)
        whole = [10.0**d for d in decades]
        finer = [m * decade for decade in whole for m in (1, 2, 5)]
        ticks = [tick for tick in whole if self._first <= tick <= last]
        if len(ticks) < 3:
            ticks = [tick for tick in finer if self._first <= tick <= last]
        return [*([0.0] if first == 0 else []), *self._apart(ticks, room)]

    def _apart(self, ticks: Sequence[float], room: float) -> list[float]:
        """Every second tick, or third, once all of them would touch each other and 0."""
        places = self._transform(np.array([self.steps[0], *ticks]))
        span = float(np.ptp(self._transform(np.array([self.steps[0], self.steps[-1]], dtype=np.float64))))
        gap = 0.06 / room * span
        kept = [
            tick for tick, place in zip(ticks, places[1:], strict=True) if self.steps[0] or place - places[0] >= gap
        ]
        skip = math.ceil(gap / float(np.min(np.diff(self._transform(np.array(kept)))))) if len(kept) > 1 else 1
        return list(kept[::skip])


def step_text(step: float, *, thousands: bool = False) -> str:
    """A step as text: 1,500, or 1.5k where `thousands` are written so."""
    if thousands and step >= 1_000:
        return f"{step / 1e6:g}M" if step >= 1e6 else f"{step / 1e3:g}k"
    return f"{step:,.0f}" if float(step).is_integer() else f"{step:g}"
