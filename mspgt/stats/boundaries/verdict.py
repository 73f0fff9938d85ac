"""A decision in words and as a block of result.json (schema 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mspgt.stats.boundaries.acceptance import LEVEL, PAPER, Decision
from mspgt.stats.boundaries.fusion import Floats
from mspgt.stats.boundaries.support import Location

MEANING = {
    "probe_noise": "The jumps of a signal are too noisy to carry boundaries, so none are accepted.",
    "endpoint_dominated": "The layers change most at an end of the network, where no boundary can be found.",
    "unstable": "Another sample of documents could move the boundaries, so they are not accepted.",
    "not_above_null": "Layers stand out, but the signals do not agree where by more than chance, so no boundaries "
    "are accepted.",
    "one_peak": "One place stands out; two are needed to part local, intermediate and global processing.",
    "no_peak": "The layers change gradually: nothing stands out as a boundary.",
    "too_shallow": "The model is too shallow for claims about boundaries; its curves and intervals stand.",
}
"""what each status says to people"""
ONE_SIGNAL = "One signal alone has nothing to agree with, so its peaks are never accepted as boundaries."
TOO_FEW = (
    "So few signals at this depth cannot be told from chance, whatever they show, so no boundaries are accepted; add a "
    "signal."
)


def verdict_block(decision: Decision, weights: Mapping[str, float]) -> dict[str, Any]:
    """The decision as plain JSON values.

    The boundaries are null unless there are two peaks and at least twelve blocks: one peak is not named as either
    boundary, but listed under `peaks`. Beside schema 1 stand `meaning`, `peaks` and `resampled`.

    Parameters
    ----------
    weights: of all signals, those of weight 0 too.
    """
    case, support = decision.case, decision.case.support
    local, glob = None, None
    if case.boundaries is not None and decision.status != "too_shallow":
        local = _boundary(decision, case.boundaries[0], support.lower if support else None)
        glob = _boundary(decision, case.boundaries[1], support.upper if support else None)
    return {
        "normalisation": decision.procedure.normalisation,
        "weights": dict(weights),
        "prominence": decision.prominence,
        "accepted": decision.accepted,
        "status": decision.status,
        "reasons": [finding.sentence for finding in decision.findings],
        "meaning": meaning(decision),
        "p_two_peaks": support.p_two if support else None,
        "null_p": case.coincidence.p if case.coincidence else None,
        "evidence": band(case.evidence, decision.low, decision.high),
        "local_intermediate": local,
        "intermediate_global": glob,
        "peaks": [{"layer": p.layer, "prominence": p.prominence, "height": p.height} for p in case.peaks],
        "resampled": _resampled(decision),
    }


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
        return MEANING[decision.status]
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


def band(value: Floats, low: Floats | None, high: Floats | None) -> dict[str, Any]:
    """A curve with its band: {transition, value, low, high}, nulls where a value or the band is missing."""
    none = [None] * len(value)
    return {
        "transition": list(range(1, len(value) + 1)),
        "value": plain(value),
        "low": none if low is None else plain(low),
        "high": none if high is None else plain(high),
    }


def plain(value: Any) -> Any:
    """The value as plain JSON: arrays and tuples as lists, what is not a finite number as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _boundary(decision: Decision, layer: int, place: Location | None) -> dict[str, Any]:
    case = decision.case
    return {
        "layer": layer,
        "relative": layer / case.curves.n_layers,
        "prominence": next(p.prominence for p in case.peaks if p.layer == layer),
        "ci": [place.low, place.high] if place else None,
        "ci_width": place.width if place else None,
        "hpd": list(place.hpd) if place else None,
        "support": float(case.support.inclusion[layer - 1]) if case.support else None,
    }


def _resampled(decision: Decision) -> dict[str, Any] | None:
    support = decision.case.support
    if support is None:
        return None
    return {
        "p_one_peak": support.p_one,
        "mode_share": support.joint[0][2] if support.joint else 0.0,
        "joint": [{"layers": [a, b], "share": share} for a, b, share in support.joint],
        "inclusion": plain(support.inclusion),
    }
