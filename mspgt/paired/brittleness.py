"""How brittle the local scale is (Prediction 3.1): gamma of one model, and the comparison of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mspgt.errors import UserError
from mspgt.paired.intervals import fieller
from mspgt.paired.kappa import Response, square_law
from mspgt.paired.measured import Json, Measured
from mspgt.paired.resampling import Resampling

FACTOR = 5.0
"""by which, the paper says, gamma can vary between families (section 3.3.2, Tier 3)"""


def brittleness_of(
    measured: Sequence[Measured], resampling: Resampling, strengths: Mapping[float, str], *, noise: bool
) -> Json:
    """gamma and kappa of the local scale for every metric; one model alone decides nothing.

    gamma = change / sigma (section 3.3.2); kappa, what change / sigma² tends to at small sigma, is that of
    `kappa.square_law`. Both in units of the metric and in per cent of the baseline.

    Parameters
    ----------
    strengths: sigma -> name of the condition that disturbs the local scale by it.
    noise: whether sigma is the standard deviation of noise; otherwise there is no kappa.

    Returns
    -------
    A verdict, `numbers` being `{"metrics": {name: {"gamma": [{"sigma", "change", "percent"}], **square_law}}}`, where a
    change or percentage is {value, low, high, se, n} or None.
    """
    numbers = {}
    for metric in measured:
        response = Response(metric, resampling, strengths)
        gamma = [{"sigma": s, **response.slope({s: 1 / s})} for s in response.strengths]
        numbers[metric.name] = {"gamma": gamma, **square_law(response, noise)}
    reasons = ["undecided: needs two models or more; compare gamma and kappa with those of a model of another family."]
    bent = [name for name, found in numbers.items() if (found["lack_of_fit"] or {}).get("flag")]
    if bent:
        reasons.append(
            f"change / sigma squared is not the same at the smallest and the largest strength for {', '.join(bent)}."
        )
    return {"verdict": "undecided", "reasons": reasons, "numbers": {"metrics": numbers}}


def brittleness(models: Mapping[str, Mapping[str, Any]], metric: str = "length_variance") -> Json:
    """Compare the local brittleness of two models, from the `prediction_3_1` numbers of their interventions.

    Supported where the interval of smaller / larger gamma (per cent) lies within ±1/5, contradicted for this pair
    where it lies outside, undecided otherwise. The larger one divides, so that a model that hardly changes at all does
    not make the interval unbounded; the ratio as the paper writes it (equation 8) stands beside it, with Fieller's
    interval or as unbounded. The models were run apart, so their estimates are taken as independent.

    Raises
    ------
    UserError: not two models.
    """
    if len(models) != 2:
        raise UserError(f"brittleness compares two models; got {len(models)}: {', '.join(models) or 'none'}.")
    (one, first), (other, second) = models.items()
    at = [_gamma_percent(numbers, metric) for numbers in (first, second)]
    common = sorted(set(at[0]) & set(at[1]))
    if not common:
        reason = f"undecided: {one} and {other} have no percentage of {metric} at a common sigma."
        return {"verdict": "undecided", "reasons": [reason], "numbers": {"metric": metric}}
    sigma = common[-1]
    a, b = at[0][sigma], at[1][sigma]
    ratio = fieller(a["value"], b["value"], a["se"], b["se"])
    small, large = sorted((a, b), key=lambda g: abs(g["value"]))
    inverse = fieller(small["value"], large["value"], small["se"], large["se"])
    edge = 1 / FACTOR
    if inverse.bounded and -edge < inverse.low and inverse.high < edge:
        verdict, reason = "supported", f"the local scales differ by more than a factor of {FACTOR:g}"
    elif inverse.bounded and (inverse.low > edge or inverse.high < -edge):
        verdict, reason = "contradicted", f"in this pair the local scales differ by less than a factor of {FACTOR:g}"
    else:
        verdict, reason = "undecided", f"a factor of {FACTOR:g} is neither shown nor excluded"
    shown = f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})" if ratio.bounded else "ratio unbounded"
    reasons = [f"{verdict}: {reason}.", f"gamma of {metric}, {one} over {other} at sigma={sigma:g}: {shown}."]
    if not ratio.bounded:
        reasons.append(f"ratio unbounded: the interval of {other}'s gamma contains 0.")
    numbers = {"metric": metric, "sigma": sigma, "ratio": ratio.json(), "smaller_over_larger": inverse.json()}
    return {"verdict": verdict, "reasons": reasons, "numbers": numbers}


def _gamma_percent(numbers: Mapping[str, Any], metric: str) -> dict[float, Json]:
    """sigma -> gamma in per cent, where it has a standard error."""
    entries = numbers.get("metrics", {}).get(metric, {}).get("gamma", [])
    found = {float(e["sigma"]): e["percent"] for e in entries if e["percent"]}
    return {s: p for s, p in found.items() if p["value"] is not None and p["se"] is not None}
