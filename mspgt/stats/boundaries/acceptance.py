"""When two peaks are accepted as boundaries: the paper's rule and ours, side by side, clause by clause.

A clause looks at a `Case` and yields findings, each a status and a sentence. A rule is a normalisation and the
clauses that it needs. Two boundaries are never forced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mspgt.stats.boundaries.fusion import Floats, by_spread, excess, fill, fuse, peaks_at_an_end
from mspgt.stats.boundaries.null import Coincidence, coincidence
from mspgt.stats.boundaries.peaks import Peak, prominent_peaks, two_of_each
from mspgt.stats.boundaries.phrasing import STATUS
from mspgt.stats.boundaries.support import LEAST_NAMED, NAMED, Support, summarise

SEVERITY = tuple(STATUS)
"""statuses, the mildest first"""

PROMINENCE_SHARE = 0.125
"""default prominence over the sum of weights; 0.3 for the paper's weights 1.0, 0.8, 0.6"""
PAPER_WEIGHTS = {"cka": 1.0, "probe": 0.8, "attn": 0.6}
"""the signals that the paper fuses, and their weights (section 4.1.1)"""
MINIMUM_BLOCKS = 12
MAXIMUM_WIDTH = 5
"""layers; the interval of a boundary must be narrower (paper, section 4.1.1)"""
MINIMUM_SHARE = 0.95
"""of replicates that must have two peaks"""
LEVEL = 0.05
"""of the test by circular shifts"""
VOTE = 2.0
"""robust standard deviations by which a signal must stand out to vote for a boundary"""
VOTES = 2
"""signals that must vote for each boundary"""
NOISE_SHARE = 0.10
"""largest standard error of a signal over its maximum (methods of the probe signal)"""


@dataclass(frozen=True)
class Curves:
    """The signals that are fused."""

    names: tuple[str, ...]
    weights: Floats
    """(signal,)"""
    point: Floats
    """(signal, transition)"""
    replicates: Floats | None
    """(signal, replicate, transition) of the document bootstrap; None where no signal has any"""
    refused: tuple[str, ...] = ()
    """sentences: which signals have no document intervals, and why"""
    noise_share: Mapping[str, float] = field(default_factory=dict)
    """signal -> share of its curve's maximum that is estimation noise"""

    @property
    def n_layers(self) -> int:
        """Blocks of the model."""
        return int(self.point.shape[1]) + 1


@dataclass(frozen=True)
class Case:
    """Everything that a clause may look at."""

    curves: Curves
    evidence: Floats
    """(transition,)"""
    peaks: tuple[Peak, ...]
    """the most prominent first"""
    support: Support | None
    coincidence: Coincidence | None
    normalisation: str

    @property
    def boundaries(self) -> tuple[int, int] | None:
        """The layers of the two most prominent peaks, in order."""
        return pair(self.peaks)


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against the boundaries, or, with status ok, a remark."""

    status: str
    sentence: str


Clause = Callable[[Case], Iterator[Finding]]


@dataclass(frozen=True)
class Procedure:
    """A rule: how signals are normalised, what it needs, and what it only remarks."""

    name: str
    title: str
    """how it is called in sentences"""
    normalisation: str
    clauses: tuple[Clause, ...]
    remarks: tuple[Clause, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What a rule makes of the curves."""

    procedure: Procedure
    prominence: float
    case: Case
    accepted: bool
    status: str
    findings: tuple[Finding, ...]
    low: Floats | None
    high: Floats | None
    """(transition,) percentile band of the evidence; None without replicates"""
    pairs: NDArray[np.int64] | None
    """(replicate, 2) layers of the two peaks, as from `two_of_each`; None without replicates"""


def decide(
    curves: Curves, procedure: Procedure, prominence: float | None = None, confidence: float = 0.95, seed: int = 0
) -> Decision:
    """Apply a rule to the curves and to each of their replicates.

    Parameters
    ----------
    prominence: on the scale of the fused evidence; 0.125 x the sum of weights where None.
    seed: of the arrangements drawn for the null test where they are too many to enumerate.
    """
    if prominence is None:
        prominence = default_prominence(curves.weights)
    evidence = fuse(fill(curves.point), curves.weights, procedure.normalisation)
    peaks = tuple(prominent_peaks(evidence, prominence))
    support, low, high, pairs = None, None, None, None
    if curves.replicates is not None:
        resampled = fuse(fill(curves.replicates), curves.weights, procedure.normalisation)
        pairs = two_of_each(resampled, prominence)
        support = summarise(pairs, len(evidence), confidence)
        low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    boundaries = pair(peaks)
    tested = None
    if boundaries is not None and curves.n_layers >= MINIMUM_BLOCKS:
        tested = coincidence(by_spread(fill(curves.point)), curves.weights, boundaries, seed)
    case = Case(curves, evidence, peaks, support, tested, procedure.normalisation)
    against = [finding for clause in procedure.clauses for finding in clause(case)]
    remarks = [finding for clause in procedure.remarks for finding in clause(case)]
    findings = tuple(sorted([*against, *remarks], key=lambda f: -SEVERITY.index(f.status)))
    status = findings[0].status if findings else "ok"
    accepted = not any(f.status != "ok" for f in against)
    return Decision(procedure, prominence, case, accepted, status, findings, low, high, pairs)


def default_prominence(weights: Floats) -> float:
    """0.125 x the sum of weights: 0.3 for the paper's three signals."""
    return PROMINENCE_SHARE * float(np.sum(weights))


def pair(peaks: tuple[Peak, ...]) -> tuple[int, int] | None:
    """The layers of the two most prominent peaks, in order; None where there are fewer."""
    if len(peaks) < 2:
        return None
    lower, upper = sorted(p.layer for p in peaks[:2])
    return lower, upper


# ---------------------------------------------------------------------------------------------------- clauses


def deep_enough(case: Case) -> Iterator[Finding]:
    """A dozen blocks: with fewer, two peaks among so few transitions mean nothing."""
    blocks = case.curves.n_layers
    if blocks < MINIMUM_BLOCKS:
        yield Finding(
            "too_shallow",
            f"the model has {blocks} blocks; boundaries are claimed from {MINIMUM_BLOCKS} blocks on, below that only "
            "curves and intervals are given.",
        )


def two_peaks(case: Case) -> Iterator[Finding]:
    """At least two peaks of the prominence that the rule needs."""
    if not case.peaks:
        yield Finding("no_peak", "the evidence has no peak of the prominence that the rule needs.")
    elif len(case.peaks) == 1:
        layer = case.peaks[0].layer
        yield Finding("one_peak", f"the evidence has one peak, at {layer}: this does not tell which boundary it is.")


def several_signals(case: Case) -> Iterator[Finding]:
    """One signal alone is never accepted."""
    if len(case.curves.names) < 2:
        alone = ", ".join(case.curves.names)
        yield Finding("not_above_null", f"one signal ({alone}) has nothing to coincide with; give at least two.")


def narrow(case: Case) -> Iterator[Finding]:
    """Every signal has document intervals, and both boundaries' intervals are narrower than five layers."""
    for sentence in case.curves.refused:
        yield Finding("unstable", sentence)
    if case.support is None:
        if not case.curves.refused:
            yield Finding("unstable", "there are no bootstrap replicates, so no interval.")
        return
    if case.boundaries is None:
        return
    for name, place in case.support.places.items():
        if place is None:
            yield Finding("unstable", f"no replicate has two peaks, so the {name} boundary has no interval.")
        elif place.width >= MAXIMUM_WIDTH:
            yield Finding(
                "unstable",
                f"the interval of the {name} boundary, {place.low} to {place.high}, is {place.width} layers wide; "
                f"the rule needs less than {MAXIMUM_WIDTH}.",
            )


def usually_two(case: Case) -> Iterator[Finding]:
    """Nearly all replicates have two peaks; an interval over the few that do would look narrow."""
    if case.support is not None and case.boundaries is not None and case.support.p_two < MINIMUM_SHARE:
        yield Finding(
            "unstable",
            f"{case.support.p_two:.0%} of the replicates have two peaks; the rule needs {MINIMUM_SHARE:.0%}.",
        )


def above_null(case: Case) -> Iterator[Finding]:
    """The signals coincide at both boundaries more than when shifted against each other."""
    test = case.coincidence
    if test is None or test.p <= LEVEL:
        return
    sentence = f"the signals coincide there no better than when shifted against each other (p = {test.p:.3f})"
    if test.smallest > LEVEL:
        sentence += f"; with so few signals and blocks no p below {test.smallest:.3f} is possible"
    elif test.p == 1:
        sentence += "; the test cannot tell a boundary within two transitions of an end from a trend"
    yield Finding("not_above_null", sentence + ".")


def consensus(case: Case) -> Iterator[Finding]:
    """At each boundary at least two signals stand out, each by itself."""
    if case.boundaries is None or len(case.curves.names) < VOTES:
        return
    stands_out = excess(fill(case.curves.point)) >= VOTE  # (signal, transition)
    for layer in case.boundaries:
        voters = [n for n, out in zip(case.curves.names, stands_out[:, layer - 1], strict=True) if out]
        if len(voters) < VOTES:
            who = f"only {voters[0]} stands" if voters else "no signal stands"
            yield Finding(
                "not_above_null",
                f"at {layer} {who} out by {VOTE:g} robust standard deviations; the rule needs {VOTES} signals.",
            )


def interior_leads(case: Case) -> Iterator[Finding]:
    """Neither the evidence nor a signal is largest at an end, where no peak can be found.

    Dividing by the maximum lets an end flatten the interior, a reason for doubt. The robust normalisation does not
    divide by it, and at an end its running median is the value itself, so there it is only worth knowing.
    """
    status = "ok" if case.normalisation == "robust" else "endpoint_dominated"
    if peaks_at_an_end(case.evidence):
        at = int(case.evidence.argmax()) + 1
        yield Finding(status, f"the evidence is largest at transition {at}, an end, where no peak can be found.")
    for name, curve in zip(case.curves.names, fill(case.curves.point), strict=True):
        if peaks_at_an_end(curve):
            at = int(curve.argmax()) + 1
            yield Finding(status, f"{name} is largest at transition {at}, an end, where no peak can be found.")


def quiet_signals(case: Case) -> Iterator[Finding]:
    """No signal's jumps are estimation noise."""
    for name, share in case.curves.noise_share.items():
        if not share <= NOISE_SHARE:
            yield Finding(
                "probe_noise",
                f"the standard error of {name} is {share:.0%} of its maximum; the rule needs at most "
                f"{NOISE_SHARE:.0%}, so its weight in the evidence is not to be trusted.",
            )


def papers_signals(case: Case) -> Iterator[Finding]:
    """The paper states its rule for three signals; on any other set it is an extension, and is said to be one."""
    given = dict(zip(case.curves.names, case.curves.weights.tolist(), strict=True))
    if given != PAPER_WEIGHTS:
        theirs, ours = (", ".join(f"{name} {w:g}" for name, w in of.items()) for of in (PAPER_WEIGHTS, given))
        yield Finding("ok", f"the paper states its rule for the signals and weights {theirs}; here they are {ours}.")


def settled(case: Case) -> Iterator[Finding]:
    """Few replicates put a boundary somewhere else: an interval of two separate peaks can still be narrow."""
    for finding in competing_peaks(case):
        yield Finding("unstable", finding.sentence)


def competing_peaks(case: Case) -> Iterator[Finding]:
    """Other layers that a noticeable share of the replicates choose."""
    if case.support is None or case.boundaries is None:
        return
    for name, place in case.support.competing().items():
        named = [(layer, share) for layer, share in place.rivals[:NAMED] if share >= LEAST_NAMED]
        layers = ", ".join(f"{layer} ({share:.0%})" for layer, share in named)
        yield Finding(
            "ok",
            f"the {name} boundary has competing peaks: {place.away:.0%} of the replicates put it far from "
            f"{place.mode}, at {layers}.",
        )


PAPER = Procedure(
    "paper",
    "the paper's rule",
    "max",
    clauses=(deep_enough, two_peaks, several_signals, narrow),
    remarks=(interior_leads, papers_signals, competing_peaks),
)
"""The paper's: S / max S, two peaks, intervals narrower than five layers over the replicates that have two peaks"""

MSPGT = Procedure(
    "mspgt",
    "mspgt's rule",
    "robust",
    clauses=(
        deep_enough,
        two_peaks,
        several_signals,
        narrow,
        usually_two,
        settled,
        above_null,
        consensus,
        quiet_signals,
    ),
    remarks=(interior_leads,),
)
"""Ours: robust normalisation, and every clause; accepted means that the status is ok"""

RULES = {procedure.name: procedure for procedure in (MSPGT, PAPER)}
"""name -> rule, in the order in which verdicts are shown"""
