"""The numbers that answers on predictions rest on, a record for each kind of statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mspgt.stats.paired.intervals import Ratio
from mspgt.stats.paired.kappa import Brittleness
from mspgt.stats.paired.records import ALPHA, Effect

Answer = Literal["supported", "contradicted", "undecided"]
"""what can be said of a statement"""


@dataclass(frozen=True)
class Comparison:
    """One scale against the two others: whether it changes the metric more than both, at 0.05.

    All of its parts must hold, so no correction is due (an intersection-union test, Berger 1982), and `p` is the
    largest of them: one-sided against each other scale, and, where the change has a direction, that the scale moves the
    metric that way at all. NaN where undefined.

    Attributes
    ----------
    verdict: contradicted where another scale changes the metric more.
    p: that the scale changes the metric most.
    p_over: other scale -> p that this one changes the metric more.
    p_more: other scale -> p that it changes the metric more, with Holm's correction for looking at two.
    p_moves: any scale -> p that it moves the metric in the direction in question; empty where there is none.
    """

    verdict: Answer
    p: float
    p_over: Mapping[str, float]
    p_more: Mapping[str, float]
    p_moves: Mapping[str, float]

    @property
    def deciding(self) -> float:
        """The p of the verdict: where contradicted, the least that another scale changes the metric more."""
        return min(self.p_more.values()) if self.verdict == "contradicted" else self.p

    @property
    def above(self) -> bool:
        """Whether the scale is above both others, wherever zero is."""
        return all(p < ALPHA for p in self.p_over.values())

    @property
    def stronger(self) -> tuple[str, ...]:
        """The scales that change the metric more."""
        return tuple(s for s, p in self.p_more.items() if p < ALPHA)


@dataclass(frozen=True)
class Most:
    """Whether one scale changes a metric most.

    Attributes
    ----------
    n: samples with the metric under all scales, out of `samples`.
    unit: what was resampled.
    degradation: the direction in question: a rise, a fall, or either.
    changes: scale -> mean change.
    undefined: scale -> share of its texts for which the metric is undefined.
    signed, ranks: None where there is no direction; absolute: of |mean change|. All None where nothing was tested.
    selection: pair of scales -> p below 0.05 that they leave different texts undefined; None where it was not tested.
    """

    metric: str
    n: int
    samples: int
    unit: str
    degradation: Literal["rise", "fall", "either"]
    changes: Mapping[str, float]
    undefined: Mapping[str, float]
    signed: Comparison | None = None
    absolute: Comparison | None = None
    ranks: Comparison | None = None
    selection: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Diversity:
    """What the global scale does to Self-BLEU, and to the type-token ratio where that was measured."""

    self_bleu: Effect
    ttr: Effect | None


@dataclass(frozen=True)
class Compared:
    """Whether one coefficient of two models differs by more than the factor."""

    verdict: Answer
    ratio: Ratio
    smaller_over_larger: Ratio


@dataclass(frozen=True)
class Versus:
    """Two models, by gamma at a common sigma, and by kappa; None where a model has none."""

    metric: str
    sigma: float
    gamma: Compared
    kappa: Compared | None


@dataclass(frozen=True)
class Coefficients:
    """How every metric responds to the disturbance of the local scale, and the comparison with another model."""

    metrics: Mapping[str, Brittleness]
    against: Versus | None = None
