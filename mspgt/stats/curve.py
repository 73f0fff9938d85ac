"""A quantity at each transition, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """A quantity at each transition, with its interval.

    Attributes
    ----------
    transition: (transition,) int, l lies between block l and block l+1, counted from 1.
    value, low, high: (transition,) float, in the quantity's own unit; NaN where there is none.
    """

    transition: NDArray[np.int64]
    value: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("transition", "value", "low", "high")}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{count} of {name}" for name, count in lengths.items())
            raise ValueError(f"a curve has {listed}; all must be equally many")

    @classmethod
    def of(cls, value: Floats, low: Floats | None = None, high: Floats | None = None) -> Self:
        """A curve over all transitions; without an interval where `low` and `high` are None."""
        none = np.full(len(value), np.nan)
        return cls(
            np.arange(1, len(value) + 1), _finite(value), *(none if e is None else _finite(e) for e in (low, high))
        )

    def __repr__(self) -> str:
        span = f"{np.nanmin(self.value):.4g} to {np.nanmax(self.value):.4g}" if self else "no values"
        without = "" if self.has_intervals else ", without intervals"
        return f"<{type(self).__name__} of {len(self.transition)} transitions, {span}{without}>"

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.value).any())

    @property
    def has_intervals(self) -> bool:
        """Whether any transition has an interval."""
        return bool(np.isfinite(self.low).any() and np.isfinite(self.high).any())

    @property
    def decimals(self) -> int:
        """Decimals worth showing, 0 to 4: two digits of the typical interval, or of a tenth of the range."""
        spans = (self.high - self.low)[np.isfinite(self.high - self.low)]
        finite = self.value[np.isfinite(self.value)]
        size = float(np.median(spans)) if len(spans) else float(np.ptp(finite)) / 10 if len(finite) else 1.0
        return min(max(1 - math.floor(math.log10(size)), 0), 4) if size > 0 else 3


def _finite(values: Floats) -> Floats:
    """The same with NaN in place of infinities."""
    return np.where(np.isfinite(values), values, np.nan)
