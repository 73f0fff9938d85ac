"""How brittle the local scale is (Prediction 3.1): gamma and kappa of one model, and the comparison of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mspgt.errors import UserError
from mspgt.paired.effects import difference, has_percentage, percentage
from mspgt.paired.intervals import fieller
from mspgt.paired.measured import BASELINE, Floats, Json, Measured, number
from mspgt.paired.resampling import Estimate, Resampling

FACTOR = 5.0
"""by which, the paper says, gamma can vary between families (section 3.3.2, Tier 3)"""
STRENGTHS = 3
"""fewest strengths for a slope on the square"""


def brittleness_of(measured: Sequence[Measured], resampling: Resampling, strengths: Mapping[float, str]) -> Json:
    """gamma and kappa of the local scale for every metric; one model alone decides nothing.

    gamma = change / sigma (section 3.3.2). kappa = slope of the change on sigma² through the origin, as strength 0
    changes nothing: Σ sigma² change / Σ sigma⁴; by equation 30 it is what does not depend on sigma. Both in units of
    the metric and in per cent of the baseline.

    Parameters
    ----------
    strengths: sigma -> name of the condition that disturbs the local scale by it.

    Returns
    -------
    A verdict, `numbers` being `{"metrics": {name: {"gamma": [{"sigma", "change", "percent"}], "kappa": {"change",
    "percent"} or None, "kappa_reason"}}}`, where a change or percentage is {value, low, high, se} or None.
    """
    numbers = {m.name: _coefficients(m, resampling, strengths) for m in measured}
    reason = "undecided: needs two models or more; compare gamma and kappa with those of a model of another family."
    return {"verdict": "undecided", "reasons": [reason], "numbers": {"metrics": numbers}}


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


def _coefficients(metric: Measured, resampling: Resampling, strengths: Mapping[float, str]) -> Json:
    positive = {s: c for s, c in sorted(strengths.items()) if s > 0 and c in metric.values}
    gamma = [{"sigma": s, **_slope(metric, resampling, {s: c}, power=1)} for s, c in positive.items()]
    kappa, reason = None, None
    if len(positive) < STRENGTHS:
        reason = f"a slope on sigma squared needs {STRENGTHS} strengths or more; there are {len(positive)}"
    else:
        kappa = _slope(metric, resampling, positive, power=2)
    return {"gamma": gamma, "kappa": kappa, "kappa_reason": reason}


def _slope(metric: Measured, resampling: Resampling, strengths: Mapping[float, str], power: int) -> Json:
    """Slope through the origin of the change on sigma^power; for one strength and power 1 it is change / sigma."""
    x = np.array(list(strengths), dtype=np.float64) ** power
    names = (BASELINE, *strengths.values())
    resampled = resampling.of(metric)

    def slope(of: Any) -> Any:
        def statistic(means: Floats) -> Floats:
            changes = [of(means[..., [0, i]]) for i in range(1, len(names))]
            return np.asarray(np.stack(changes, axis=-1) @ x / (x @ x))

        return statistic

    baseline = resampled.estimate(names, lambda means: np.asarray(means[..., 0]))
    percent = _with_se(resampled.estimate(names, slope(percentage))) if has_percentage(baseline) else None
    return {"change": _with_se(resampled.estimate(names, slope(difference))), "percent": percent}


def _with_se(found: Estimate) -> Json:
    return {**found.json(), "se": number(found.se)}


def _gamma_percent(numbers: Mapping[str, Any], metric: str) -> dict[float, Json]:
    """sigma -> gamma in per cent, where it has a standard error."""
    entries = numbers.get("metrics", {}).get(metric, {}).get("gamma", [])
    found = {float(e["sigma"]): e["percent"] for e in entries if e["percent"]}
    return {s: p for s, p in found.items() if p["value"] is not None and p["se"] is not None}
