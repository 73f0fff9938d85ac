"""Whether the intermediate-global boundary differs between training runs of one architecture (Prediction 3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.results.drift import Drift
from mspgt.results.loading import Given, load_several
from mspgt.stats.boundaries import OUTCOME, RULES
from mspgt.stats.boundaries.acceptance import MINIMUM_SHARE
from mspgt.stats.boundaries.phrasing import I_G
from mspgt.stats.chance import THRESHOLD, chance, exceeds
from mspgt.stats.distance import Apart, Distance, Ended, Ints, distance
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.numbers import Answer

ARCHITECTURE = ("family", "n_layers", "hidden_size", "n_heads")
"""facts of models in which runs of one architecture agree"""
SAYS = (
    f"Prediction 3.2 (section 3.3.2, equation 2) says that the {I_G} boundaries of training runs of one architecture "
    "can lie more than 30 % of the depth apart"
)
POTENTIALLY = (
    'The paper says "potentially": by its words runs without drift count as support too, as its Llama pair does; the '
    "verdict here is on whether these runs differ by so much."
)


def prediction_3_2(runs: Sequence[Given], rule: str = "mspgt", names: Sequence[str] | None = None) -> Prediction:
    """Compare where training runs of one architecture have their intermediate-global boundary at their last points.

    The paper: |rho(A, D1, Theta1) - rho(A, D2, Theta2)| > 0.3, rho = layer / blocks (equation 2). Of more than two runs
    the farthest two count. Supported where the whole interval lies above 0.3; contradicted, for these runs, where it
    lies at or below 0.3; undecided otherwise, and where a run has no boundary that the rule accepts, where fewer than
    95 % of the replicates have two peaks, or where the rule was given other signals. The numbers are given where they
    exist.

    The interval is that of `distance`. Replicates are compared one by one where the same documents were drawn for all
    runs (corpus, units, seed and number of replicates agree), elsewhere as independent draws, every combination of
    which counts.

    What is not known: only documents are drawn anew, so the interval is about these very runs, and more runs alone tell
    what other seeds or data would give. That signals had the same options, and texts the same reading, is not checked.

    Parameters
    ----------
    runs: two or more drifts, or folders or files that hold them; the last point of each is compared.
    rule: whose boundaries, "mspgt" or "paper".
    names: of the runs, for the sentences; paths, or names of models, where None.

    Returns
    -------
    Prediction; its numbers are `mspgt.stats.distance.Apart`.

    Raises
    ------
    UserError: fewer than two runs, the same run twice, different architectures, no such rule, no such file.
    """
    drifts = load_several(runs, names, Drift)
    _check_architecture(drifts)
    compared = _Comparison(tuple(_End(name, drift, rule) for name, drift in drifts.items()))
    verdict, first = compared.judged()
    reasons = (f"{verdict}: {first}.", *compared.circumstances())
    return Prediction(verdict, reasons, compared.apart())


# -------------------------------------------------------------------------------------------------------- runs


def _check_architecture(drifts: Mapping[str, Drift]) -> None:
    (first, model), *others = ((name, drift.model) for name, drift in drifts.items())
    for (name, other), key in product(others, ARCHITECTURE):
        one, another = getattr(model, key), getattr(other, key)
        if one != another:
            raise UserError(
                f"prediction 3.2 compares runs of one architecture, but {key} is {one} in {first} and {another} in "
                f"{name}; give runs that agree in {', '.join(ARCHITECTURE)}."
            )


class _End:
    """The last point of a run, by one rule."""

    def __init__(self, name: str, drift: Drift, rule: str) -> None:
        point = drift.points[-1]
        self.name, self.drift, self.step = name, drift, point.step
        self.verdict = drift.at(point.step).verdict(rule)
        self.boundary = self.verdict.intermediate_global
        self.layers: Ints | None = None
        """(replicate,) of the I-G boundary, 0 where there are not two peaks"""
        replicates = (point.replicates or {}).get(rule)
        if replicates is not None and len(replicates.pairs):
            self.layers = replicates.intermediate_global * (replicates.pairs > 0).all(axis=1)

    @property
    def corpora(self) -> Mapping[str, str | None] | None:
        """Hashes of what was read; None where one is not known."""
        hashes = self.drift.provenance.data_sha256
        return hashes if hashes and None not in hashes.values() else None

    @property
    def documents(self) -> tuple[Any, ...]:
        """What was drawn: where it is equal in two runs, their replicates have the same documents."""
        data, drawn = self.drift.data, self.drift.bootstrap
        read = (data.documents, data.sentences)  # a limit leaves the corpus' hash as it is
        count = None if self.layers is None else len(self.layers)
        return self.corpora, read, drawn.units, drawn.seed, count

    @property
    def evidence(self) -> tuple[Any, ...]:
        """What the rule was given."""
        used = {name: weight for name, weight in self.verdict.weights.items() if weight > 0}
        return used, self.verdict.prominence

    def obstacles(self) -> Iterator[str]:
        """Why this run cannot be judged."""
        rule = RULES[self.verdict.rule].title
        if self.boundary is None:
            yield f"{self.name} has no {I_G} boundary by {rule} ({self.verdict.status})"
        elif not self.verdict.accepted:
            yield f"the boundaries of {self.name} are {OUTCOME[False]} by {rule} ({self.verdict.status})"
        if self.layers is None:
            yield f"{self.name} has no bootstrap replicates"

    def ended(self) -> Ended:
        """The run as it stands in the numbers."""
        boundary = self.boundary
        if boundary is None:
            return Ended(self.name, self.step, None, None, None, False)
        return Ended(self.name, self.step, boundary.layer, boundary.relative, boundary.ci, self.verdict.accepted)


# -------------------------------------------------------------------------------------------------- comparison


class _Comparison:
    """What is said of several runs together."""

    def __init__(self, ends: Sequence[_End]) -> None:
        self.ends = ends
        self.blocks = ends[0].drift.n_layers
        self.confidence = max(end.drift.confidence for end in ends)
        self.paired = ends[0].corpora is not None and all(end.documents == ends[0].documents for end in ends)
        layers = [end.boundary.layer for end in ends if end.boundary is not None]
        self.difference = max(layers) - min(layers) if len(layers) == len(ends) else None
        """of the point estimates, in layers"""
        drawn = [end.layers for end in ends if end.layers is not None]
        self.distance: Distance | None = None
        if len(drawn) == len(ends):
            self.distance = distance(drawn, self.confidence, paired=self.paired)
        self.chance = chance(self.blocks, len(ends))

    def judged(self) -> tuple[Answer, str]:
        """The verdict and its first reason; distances are compared in layers, as whole numbers."""
        obstacles = [*(o for end in self.ends for o in end.obstacles()), *self._weaknesses()]
        lie = self._lie()
        drawn, difference = self.distance, self.difference
        if obstacles or drawn is None or drawn.low is None or drawn.high is None or difference is None:
            return "undecided", "; ".join([*obstacles, *([f"the {I_G} boundaries lie {lie}"] if lie else [])])
        if exceeds(drawn.low, self.blocks) and exceeds(difference, self.blocks):
            return "supported", f"{SAYS}; these lie {lie}"
        if not exceeds(drawn.high, self.blocks) and not exceeds(difference, self.blocks):
            return "contradicted", f"{SAYS}; these do not, they lie {lie}"
        return "undecided", f"{SAYS}; that is neither shown nor excluded for these, they lie {lie}"

    def circumstances(self) -> Iterator[str]:
        """What a reader must know beside the verdict."""
        if self.distance is not None and self.paired:
            yield "The replicates are paired: the same documents were drawn for every run."
        elif self.distance is not None:
            yield (
                "The replicates are taken as drawn independently, as corpus, units, seed and number of replicates are "
                "not known to agree."
            )
        if len({str(end.corpora) for end in self.ends if end.corpora is not None}) > 1:
            yield "The runs were measured on different corpora, and what these change is part of the difference."
        steps = [f"{end.step:,}" for end in self.ends]
        if len(set(steps)) > 1:
            yield f"The last points are at the steps {listed(steps)}; the length of training is part of the difference."
        yield self._by_chance()
        yield POTENTIALLY

    def apart(self) -> Apart:
        """What the answer rests on."""
        drawn = self.distance
        known = drawn if self.difference is not None else None  # an interval of nothing would be misread
        return Apart(
            rule=self.ends[0].verdict.rule,
            threshold=float(THRESHOLD),
            difference=self._relative(self.difference),
            low=self._relative(known.low if known else None),
            high=self._relative(known.high if known else None),
            confidence=self.confidence,
            paired=self.paired if drawn else None,
            share=drawn.share if drawn else None,
            runs=tuple(end.ended() for end in self.ends),
            chance=self.chance,
        )

    def _weaknesses(self) -> Iterator[str]:
        """Why the runs cannot be judged together."""
        if any(end.evidence != self.ends[0].evidence for end in self.ends):
            yield "the rule was given different signals, weights or prominence, which moves boundaries by itself"
        drawn = self.distance
        if drawn is not None and drawn.share < MINIMUM_SHARE:
            share, needed = f"{100 * drawn.share:.1f} %", f"{100 * MINIMUM_SHARE:g} %"
            yield f"{share} of the draws have two peaks in every run; {needed} are needed"
        elif drawn is not None and not drawn.resolved:
            yield f"{100 * self.confidence:g} % intervals of {len(self.ends)} runs need more replicates"

    def _lie(self) -> str:
        """How far apart and where, in words; nothing where a run has no boundary."""
        if self.difference is None:
            return ""
        drawn = self.distance
        span = "no interval"
        if drawn is not None and drawn.low is not None and drawn.high is not None:
            span = f"{100 * self.confidence:g} % interval {self._percent(drawn.low)} to {self._percent(drawn.high)} %"
        places = [f"{end.name} after block {end.boundary.layer}" for end in self.ends if end.boundary]
        return f"{self._percent(self.difference)} % apart ({span}): {listed(places)} of {self.blocks}"

    def _by_chance(self) -> str:
        uniform, two = self.chance["uniform"], self.chance["two_peaks"]
        if math.isnan(two):
            return f"{self.blocks} blocks are too few for two peaks, so no baseline of chance is given."
        farthest = "" if len(self.ends) == 2 else "the farthest two of "
        return (
            f"Chance alone puts {farthest}{len(self.ends)} runs of {self.blocks} blocks more than 30 % of the depth "
            f"apart with probability {uniform:.2f} if every position is as likely, {two:.2f} for the upper of two "
            "random peaks."
        )

    def _relative(self, layers: int | None) -> float | None:
        return None if layers is None else layers / self.blocks

    def _percent(self, layers: int) -> str:
        return f"{100 * layers / self.blocks:.1f}"
