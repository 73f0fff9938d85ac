"""A decision as a record: what a rule says of two boundaries, on what evidence, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mspgt.stats.boundaries.acceptance import LEVEL, PAPER, RULES, Decision
from mspgt.stats.boundaries.fusion import Floats
from mspgt.stats.boundaries.peaks import Peak
from mspgt.stats.boundaries.phrasing import STATUS
from mspgt.stats.boundaries.support import BOUNDARIES, Location
from mspgt.stats.curve import Curve

ONE_SIGNAL = "One signal alone has nothing to agree with, so its peaks are never accepted as boundaries."
TOO_FEW = (
    "No test can tell so few signals at this depth from chance, whatever they show, so no boundaries are accepted; add "
    "a signal."
)


@dataclass(frozen=True)
class Boundary:
    """A boundary that a rule places.

    Attributes
    ----------
    layer: blocks below it; relative: the same over all blocks.
    prominence: of its peak, on the scale of the evidence.
    ci: percentile interval of the layer, whole numbers; None without replicates that have two peaks.
    ci_width: of it, in layers.
    hpd: the smallest set of layers that holds the confidence's share of the replicates.
    support: share of the replicates in which the layer is one of the two.
    """

    layer: int
    relative: float
    prominence: float
    ci: tuple[int, int] | None
    ci_width: int | None
    hpd: tuple[int, ...] | None
    support: float | None


@dataclass(frozen=True)
class Joint:
    """A pair of layers, and the share of all replicates that have these two peaks."""

    layers: tuple[int, int]
    share: float


@dataclass(frozen=True, eq=False)
class Recurrence:
    """What the replicates say of peaks.

    Attributes
    ----------
    p_one_peak: share of replicates with one peak.
    mode_share: of the most frequent pair.
    joint: pairs of layers, the most frequent first.
    inclusion: (transition,) share of replicates in which it is one of the two peaks, or the only one.
    """

    p_one_peak: float
    mode_share: float
    joint: tuple[Joint, ...]
    inclusion: Floats


@dataclass(frozen=True, eq=False)
class Verdict:
    """One rule's answer: were two boundaries accepted, why or why not, and on what evidence.

    Attributes
    ----------
    rule: name of the procedure, "mspgt" or "paper".
    weights: of all signals, those of weight 0 too.
    prominence: that a peak needed.
    status: the most severe of what speaks against the boundaries, "ok" where nothing does; reasons: all of it.
    meaning: the verdict in one sentence.
    p_two_peaks: share of replicates with two peaks; None without replicates.
    null_p: of the test against chance; None where it was not made.
    local_intermediate, intermediate_global: None unless there are two peaks and at least twelve blocks: one peak is not
        named as either boundary, but stands under `peaks`.
    resampled: None without replicates, and in the points of a drift.
    """

    rule: str
    normalisation: str
    weights: Mapping[str, float]
    prominence: float
    accepted: bool
    status: str
    reasons: tuple[str, ...]
    meaning: str
    p_two_peaks: float | None
    null_p: float | None
    evidence: Curve
    local_intermediate: Boundary | None
    intermediate_global: Boundary | None
    peaks: tuple[Peak, ...]
    resampled: Recurrence | None = None

    def __post_init__(self) -> None:
        for what, name, known in (("rule", self.rule, RULES), ("status", self.status, STATUS)):
            if name not in known:
                raise ValueError(f"{what} is {name!r}, not one of {', '.join(known)}")
        if self.accepted and self.layers is None:
            raise ValueError("it is accepted without two boundaries")

    @property
    def places(self) -> dict[str, Boundary]:
        """Name of a boundary -> the boundary, of those that are placed, the lower first."""
        both = dict(zip(BOUNDARIES.values(), (self.local_intermediate, self.intermediate_global), strict=True))
        return {name: boundary for name, boundary in both.items() if boundary is not None}

    @property
    def boundaries(self) -> tuple[Boundary, ...]:
        """The boundaries that are placed, accepted or not: none or two."""
        return tuple(self.places.values())

    @property
    def layers(self) -> tuple[int, int] | None:
        """Blocks below the two boundaries; None where there are not two."""
        lower, upper = self.local_intermediate, self.intermediate_global
        return None if lower is None or upper is None else (lower.layer, upper.layer)


def verdict_of(decision: Decision, weights: Mapping[str, float]) -> Verdict:
    """The decision as a record.

    Parameters
    ----------
    weights: of all signals, those of weight 0 too.
    """
    case, support = decision.case, decision.case.support
    lower, upper = None, None
    if case.boundaries is not None and decision.status != "too_shallow":
        lower = _boundary(decision, case.boundaries[0], support.lower if support else None)
        upper = _boundary(decision, case.boundaries[1], support.upper if support else None)
    return Verdict(
        rule=decision.procedure.name,
        normalisation=decision.procedure.normalisation,
        weights=dict(weights),
        prominence=decision.prominence,
        accepted=decision.accepted,
        status=decision.status,
        reasons=tuple(finding.sentence for finding in decision.findings),
        meaning=meaning(decision),
        p_two_peaks=support.p_two if support else None,
        null_p=case.coincidence.p if case.coincidence else None,
        evidence=Curve.of(case.evidence, decision.low, decision.high),
        local_intermediate=lower,
        intermediate_global=upper,
        peaks=case.peaks,
        resampled=_resampled(decision),
    )


def meaning(decision: Decision) -> str:
    """The verdict in one sentence for people."""
    boundaries = decision.case.boundaries
    if decision.status == "not_above_null" and not decision.accepted:
        test = decision.case.coincidence
        if len(decision.case.curves.names) == 1:
            return ONE_SIGNAL
        if decision.procedure is not PAPER and test is not None and test.smallest > LEVEL:
            return TOO_FEW
    if not decision.accepted or boundaries is None:
        return STATUS[decision.status].meaning
    lower, upper = boundaries
    blocks = decision.case.curves.n_layers
    scales = f"blocks 1-{lower} local, {lower + 1}-{upper} intermediate, {upper + 1}-{blocks} global"
    if decision.procedure is PAPER:
        return (
            f"By the paper's rule {scales}; it asks for two peaks that stay put when documents are resampled, not "
            "whether chance gives such peaks."
        )
    return (
        f"{scales.capitalize()}: the evidence stands out after blocks {lower} and {upper}, whichever documents are "
        "drawn, and the signals agree there by more than chance."
    )


def _boundary(decision: Decision, layer: int, place: Location | None) -> Boundary:
    case = decision.case
    return Boundary(
        layer=layer,
        relative=layer / case.curves.n_layers,
        prominence=next(p.prominence for p in case.peaks if p.layer == layer),
        ci=(place.low, place.high) if place else None,
        ci_width=place.width if place else None,
        hpd=place.hpd if place else None,
        support=float(case.support.inclusion[layer - 1]) if case.support else None,
    )


def _resampled(decision: Decision) -> Recurrence | None:
    support = decision.case.support
    if support is None:
        return None
    joint = tuple(Joint((a, b), share) for a, b, share in support.joint)
    return Recurrence(support.p_one, joint[0].share if joint else 0.0, joint, support.inclusion)
