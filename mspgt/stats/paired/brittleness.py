"""How brittle the local scale is (Prediction 3.1): gamma of one model, and the comparison of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.stats.paired.answers import answer, undecided
from mspgt.stats.paired.intervals import fieller
from mspgt.stats.paired.kappa import Response, square_law
from mspgt.stats.paired.measured import Json, Measured
from mspgt.stats.paired.resampling import Resampling

STRUCTURE = "length_variance"
"""the metric that stands for structure (section 4.2.1)"""
MAIN = "local"
"""the condition that disturbs the local scale at the main strength"""
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
    told = _coefficients(numbers, strengths)
    reasons = [f"undecided: {told}one model alone decides nothing, give against= an experiment on another family."]
    bent = [name for name, found in numbers.items() if (found["lack_of_fit"] or {}).get("flag")]
    if bent:
        reasons.append(
            f"change / sigma squared is not the same at the smallest and the largest strength for {', '.join(bent)}."
        )
    return answer("undecided", reasons, {"metrics": numbers})


def brittleness(models: Mapping[str, Mapping[str, Any]], metric: str = STRUCTURE, sigma: float | None = None) -> Json:
    """Compare the local brittleness of two models, from the `prediction_3_1` numbers of their interventions.

    Supported where the interval of smaller / larger gamma (per cent) lies within ±1/5, contradicted for this pair
    where it lies outside, undecided otherwise. The larger one divides, so that a model that hardly changes at all does
    not make the interval unbounded; the ratio as the paper writes it (equation 8) stands beside it, with Fieller's
    interval or as unbounded. The models were run apart, so their estimates are taken as independent. The same of kappa,
    which does not depend on sigma, stands beside that of gamma where both models have it.

    Parameters
    ----------
    sigma: at which gamma is compared; where None, or where one model has none at it, the largest that both have.

    Returns
    -------
    A verdict, `numbers` being {metric, sigma, gamma, kappa}; gamma and kappa are {verdict, ratio, smaller_over_larger}
    or None.

    Raises
    ------
    UserError: not two models.
    """
    if len(models) != 2:
        raise UserError(f"brittleness compares two models; got {len(models)}: {', '.join(models) or 'none'}.")
    both = {name: numbers.get("metrics", {}).get(metric, {}) for name, numbers in models.items()}
    (one, first), (other, second) = both.items()
    at = [{float(e["sigma"]): e["percent"] for e in found.get("gamma", []) if _known(e)} for found in (first, second)]
    common = sorted(set(at[0]) & set(at[1]))
    if not common:
        return undecided(f"{one} and {other} have no percentage of {metric} at a common sigma", {"metric": metric})
    sigma = sigma if sigma in common else common[-1]
    gamma = _compared(at[0][sigma], at[1][sigma])
    verdict = gamma["verdict"]
    reasons = [
        f"{verdict}: {_MEANING[verdict]}.",
        f"gamma of {metric}, {one} over {other} at sigma={sigma:g}: {_ratio(gamma, other)}.",
    ]
    kappa = None
    if _known(first["kappa"]) and _known(second["kappa"]):
        kappa = _compared(first["kappa"]["percent"], second["kappa"]["percent"])
        reasons.append(f"By kappa, {one} over {other}: {_ratio(kappa, other)}, it is {kappa['verdict']}.")
    else:
        without = [f"{name} has none ({found['kappa_reason']})" for name, found in both.items() if not found["kappa"]]
        reasons.append(f"kappa is not compared: {listed(without) or 'it has no percentage'}.")
    return answer(verdict, reasons, {"metric": metric, "sigma": sigma, "gamma": gamma, "kappa": kappa})


_MEANING = {
    "supported": f"the local scales differ by more than a factor of {FACTOR:g}",
    "contradicted": f"in this pair the local scales differ by less than a factor of {FACTOR:g}",
    "undecided": f"a factor of {FACTOR:g} is neither shown nor excluded",
}


def _compared(a: Json, b: Json) -> Json:
    """Whether two coefficients differ by more than the factor."""
    ratio = fieller(a["value"], b["value"], a["se"], b["se"])
    small, large = sorted((a, b), key=lambda found: abs(found["value"]))
    inverse = fieller(small["value"], large["value"], small["se"], large["se"])
    edge, verdict = 1 / FACTOR, "undecided"
    if inverse.bounded and -edge < inverse.low and inverse.high < edge:
        verdict = "supported"
    elif inverse.bounded and (inverse.low > edge or inverse.high < -edge):
        verdict = "contradicted"
    return {"verdict": verdict, "ratio": ratio.json(), "smaller_over_larger": inverse.json()}


def _ratio(found: Json, divisor: str) -> str:
    ratio = found["ratio"]
    if not ratio["bounded"]:
        return f"ratio unbounded, as the interval of {divisor} contains 0"
    return f"{ratio['value']:.3g} ({ratio['low']:.3g} to {ratio['high']:.3g})"


def _known(found: Mapping[str, Any] | None) -> bool:
    """Whether there is a percentage with a standard error."""
    percent = (found or {}).get("percent") or {}
    return percent.get("value") is not None and percent.get("se") is not None


def _coefficients(numbers: Mapping[str, Json], strengths: Mapping[float, str]) -> str:
    """gamma at the main strength, and kappa, of the metric of structure, or of the first there is."""
    name = STRUCTURE if STRUCTURE in numbers else next(iter(numbers), None)
    main = next((s for s, condition in strengths.items() if condition == MAIN), None)
    gamma = next((g for g in (numbers[name]["gamma"] if name else ()) if g["sigma"] == main), None)
    if name is None or gamma is None:
        return ""
    kappa, why = numbers[name]["kappa"], numbers[name]["kappa_reason"]
    said = f"kappa {_in_words(kappa)}" if kappa else f"there is no kappa ({why})"
    return f"gamma of {name} at sigma={main:g} is {_in_words(gamma)}, {said}; "


def _in_words(slope: Json) -> str:
    """A coefficient with its interval, in per cent of the baseline where that is defined."""
    found, unit = (slope["percent"], "%") if slope["percent"] else (slope["change"], "")
    if found["value"] is None:
        return "not known"
    interval = f" [{found['low']:.3g}, {found['high']:.3g}]" if found["low"] is not None else ""
    return f"{found['value']:+.3g}{unit}{interval}"
