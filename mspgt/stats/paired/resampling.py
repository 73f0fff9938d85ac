"""Resampling prompts, or whole documents of prompts: one set of weights and groups for all metrics and conditions."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mspgt.core.errors import UserError
from mspgt.stats.paired.records import Estimate
from mspgt.stats.paired.samples import MINIMUM, Floats, Samples

Indices = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""(..., condition) means -> (...)"""

GROUPS = 20
"""of the delete-a-group jackknife; each costs one measurement of all conditions"""


class Inference(Protocol):
    """One metric together with what it would be on other samples."""

    def estimate(self, conditions: tuple[str, ...], statistic: Statistic) -> Estimate:
        """A statistic of the means of some conditions, with its interval."""
        ...


class Resampling:
    """Units, weights and groups, drawn once from a seed, so that everything resampled with them is paired.

    The unit is the document, because prompts cut from one document are dependent; where `clusters` is missing, or
    the effective number of documents (sum n)² / sum n², n being the prompts of each, is less than 10, it is the
    prompt, and `reason` says so.

    Parameters
    ----------
    samples: number of prompts.
    clusters: (sample,) the number of the document that each prompt came from.
    replicates: of the bootstrap.
    confidence: of every interval, 0 to 1.
    """

    def __init__(
        self,
        samples: int,
        *,
        clusters: NDArray[np.integer] | None = None,
        replicates: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> None:
        if clusters is not None and np.shape(clusters) != (samples,):
            raise UserError(f"clusters must name the document of each of {samples} prompts; got {np.shape(clusters)}.")
        self.samples, self.replicates, self.seed, self.confidence = samples, replicates, seed, confidence
        self.unit, self.reason = "prompt", "it is not known which document each prompt came from"
        self.units: Indices = np.arange(samples)
        if clusters is not None:
            units = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
            prompts = np.bincount(units)
            effective = samples**2 / max(int((prompts**2).sum()), 1)
            came = f"{samples} prompts came from {len(prompts)} documents, effectively {effective:.3g}"
            if len(prompts) == samples:
                self.reason = "every prompt came from a document of its own"
            elif effective < MINIMUM:
                self.reason = f"{came}, and fewer than {MINIMUM} are too few"
            else:
                self.unit, self.reason, self.units = "document", came, units
        self.count = int(self.units.max(initial=-1)) + 1
        self._weights: Floats | None = None
        self._known: dict[int, tuple[Samples, Inference]] = {}

    @property
    def weights(self) -> Floats:
        """How often each unit is drawn: (replicate, unit) float64, multinomial."""
        if self._weights is None:
            rng = np.random.default_rng([self.seed, 1])
            drawn = rng.integers(max(self.count, 1), size=(self.replicates, self.count))
            flat = drawn + self.count * np.arange(self.replicates)[:, None]
            counts = np.bincount(flat.ravel(), minlength=self.replicates * self.count)
            self._weights = counts.reshape(self.replicates, self.count).astype(np.float64)
        return self._weights

    @property
    def groups(self) -> Indices:
        """The group of each sample in the jackknife: (sample,), at most 20 groups of whole units at random."""
        groups = min(GROUPS, self.count)
        order = np.random.default_rng([self.seed, 2]).permutation(self.count)
        of_unit = np.empty(self.count, dtype=np.int64)
        of_unit[order] = np.arange(self.count) % max(groups, 1)
        return of_unit[self.units]

    @staticmethod
    def lacking(units: NDArray[np.integer]) -> str:
        """What there is too little of in samples that came from these units; empty if there is enough."""
        pairs, different = len(units), len(np.unique(units))
        if different >= MINIMUM:
            return ""
        counted = f"only {pairs} {'pair' if pairs == 1 else 'pairs'}"
        return counted if pairs < MINIMUM else f"{counted}, of {different} documents"

    def of(self, metric: Samples) -> Inference:
        """The resampled metric; a corpus-level one is measured anew once, however often this is asked for."""
        if metric.count != self.samples:
            raise UserError(f"{metric.name} has {metric.count} samples; this comparison is of {self.samples}.")
        if id(metric) not in self._known:
            made = UnitBootstrap(metric, self) if metric.level == "sample" else GroupJackknife(metric, self)
            self._known[id(metric)] = metric, made
        return self._known[id(metric)][1]


class UnitBootstrap:
    """Percentile bootstrap of the means of a sample-level metric over whole units.

    A sample counts only where all conditions of the statistic are defined; below 10 units there is no interval.
    """

    def __init__(self, metric: Samples, resampling: Resampling) -> None:
        self._metric, self._resampling = metric, resampling

    def estimate(self, conditions: tuple[str, ...], statistic: Statistic) -> Estimate:
        """A statistic of the means of some conditions, with its percentile interval."""
        values, drawn = self._metric.columns(conditions), self._resampling
        defined = np.isfinite(values).all(axis=1)
        values, units = values[defined], drawn.units[defined]
        if len(values) == 0:
            return Estimate()
        value = float(statistic(values.mean(axis=0)))
        if drawn.lacking(units) or drawn.replicates < 2:
            return Estimate(value, n=len(values))
        sums = np.stack([np.bincount(units, column, minlength=drawn.count) for column in values.T], axis=1)
        counts = np.bincount(units, minlength=drawn.count).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            replicates = statistic((drawn.weights @ sums) / (drawn.weights @ counts)[:, None])
        replicates = replicates[np.isfinite(replicates)]
        if len(replicates) < 2:
            return Estimate(value, n=len(values))
        tail = (1 - drawn.confidence) / 2
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), float(replicates.std(ddof=1)), len(values))


class GroupJackknife:
    """Delete-a-group jackknife of a corpus-level metric: groups of whole units are left out and the rest measured anew.

    A bootstrap over the scores would hold the references of each score fixed, and its interval would be too narrow;
    one over the texts would put copies of a text beside it, which no real corpus has. Leaving out groups does neither.
    The variance is (G-1)/G times the sum of squares about the mean of the G values (Shao & Wu 1989), the interval
    that of Student's t with G-1 degrees of freedom. On generated corpora of 80 texts, for Self-BLEU unchanged, moved by
    temperature or by collapse to templates, 95 % intervals covered the true difference in 91 to 99 % of the runs;
    those from the spread of paired scores in 79 to 95 %.
    """

    def __init__(self, metric: Samples, resampling: Resampling) -> None:
        self._metric, self._resampling = metric, resampling
        self._left_out: list[dict[str, float]] = []
        if metric.without is not None and resampling.count > 1:
            groups = resampling.groups
            self._left_out = [dict(metric.without(groups == g)) for g in range(int(groups.max()) + 1)]

    def estimate(self, conditions: tuple[str, ...], statistic: Statistic) -> Estimate:
        """A statistic of the corpus values of some conditions, with its jackknife interval."""
        values = self._metric.columns(conditions)
        defined = np.isfinite(values)
        units = self._resampling.units[defined.all(axis=1)]
        n = len(units)
        if not defined.any(axis=0).all():
            return Estimate()
        value = float(statistic(np.nanmean(values, axis=0)))
        groups = len(self._left_out)
        if groups < 2 or self._resampling.lacking(units):
            return Estimate(value, n=n)
        replicates = statistic(np.array([[values[c] for c in conditions] for values in self._left_out]))
        se = sqrt((groups - 1) / groups * float(((replicates - replicates.mean()) ** 2).sum()))
        reach = float(stats.t.ppf((1 + self._resampling.confidence) / 2, groups - 1)) * se
        return Estimate(value, value - reach, value + reach, se, n)
