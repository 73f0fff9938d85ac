"""How brittle the local scale is (Prediction 3.1): gamma of one model, and the comparison of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mspgt.core.codec import structure
from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.stats.paired.answers import Prediction, answer, undecided
from mspgt.stats.paired.conditions import Conditions
from mspgt.stats.paired.intervals import Ratio, fieller
from mspgt.stats.paired.kappa import Brittleness, Response, brittleness_of
from mspgt.stats.paired.records import Estimate
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

STRUCTURE = "length_variance"
"""the metric that stands for structure (section 4.2.1)"""
LOCAL = "local"
"""the group that is disturbed"""
FACTOR = 5.0
"""by which, the paper says, gamma can vary between families (section 3.3.2, Tier 3)"""


@dataclass(frozen=True)
class Compared:
    """Whether one coefficient of two models differs by more than the factor."""

    verdict: str
    ratio: Ratio
    smaller_over_larger: Ratio


def local_brittleness(
    metrics: Sequence[Samples], resampling: Resampling, conditions: Conditions, *, noise: bool
) -> Prediction:
    """gamma and kappa of the local scale for every metric; one model alone decides nothing.

    gamma = change / sigma (section 3.3.2); kappa, what change / sigma² tends to at small sigma, is that of
    `kappa.brittleness_of`. Both in units of the metric and in per cent of the baseline.

    Parameters
    ----------
    noise: whether sigma is the standard deviation of noise; otherwise there is no kappa.

    Returns
    -------
    The answer, whose numbers are `{"metrics": {name: Brittleness}}`; `coefficients` reads them.
    """
    strengths = conditions.strengths(LOCAL)
    found = {m.name: brittleness_of(Response(m, resampling, strengths), noise) for m in metrics}
    known = _coefficients(found, next(iter(strengths), None))
    reasons = [
        f"undecided: {known}one model alone decides nothing, give against= an experiment on another family.",
    ]
    if bent := [name for name, one in found.items() if one.lack_of_fit and one.lack_of_fit.flag]:
        reasons.append(
            f"change / sigma squared is not the same at the smallest and the largest strength for {', '.join(bent)}."
        )
    return answer("undecided", reasons, {"metrics": found})


def coefficients(found: Prediction, where: str) -> dict[str, Brittleness]:
    """The numbers of `local_brittleness` by metric, as records.

    Parameters
    ----------
    where: what the answer is of, for the message.

    Raises
    ------
    UserError: the answer holds no such numbers.
    """
    return structure(found.numbers.get("metrics"), dict[str, Brittleness], where)


def brittleness(
    models: Mapping[str, Mapping[str, Brittleness]], metric: str = STRUCTURE, sigma: float | None = None
) -> Prediction:
    """Compare the local brittleness of two models.

    Supported where the interval of smaller / larger gamma (per cent) lies within ±1/5, contradicted for this pair
    where it lies outside, undecided otherwise. The larger one divides, so that a model that hardly changes at all does
    not make the interval unbounded; the ratio as the paper writes it (equation 8) stands beside it, with Fieller's
    interval or as unbounded. The models were run apart, so their estimates are taken as independent. The same of kappa,
    which does not depend on sigma, stands beside that of gamma where both models have it.

    Parameters
    ----------
    models: name -> the coefficients of its metrics.
    sigma: at which gamma is compared; where None, or where one model has none at it, the largest that both have.

    Returns
    -------
    The answer, whose numbers are {metric, sigma, gamma, kappa}; gamma and kappa are `Compared` or None.

    Raises
    ------
    UserError: not two models.
    """
    if len(models) != 2:
        raise UserError(f"brittleness compares two models; got {len(models)}: {', '.join(models) or 'none'}.")
    (one, first), (other, second) = ((name, found.get(metric)) for name, found in models.items())
    at = [{g.sigma: g.comparable for g in found.gamma if g.comparable} if found else {} for found in (first, second)]
    common = sorted(set(at[0]) & set(at[1]))
    if not (first and second and common):
        return undecided(f"{one} and {other} have no percentage of {metric} at a common sigma", {"metric": metric})
    sigma = sigma if sigma in common else common[-1]
    gamma = _compared(at[0][sigma], at[1][sigma])
    reasons = [
        f"{gamma.verdict}: {_MEANING[gamma.verdict]}.",
        f"gamma of {metric}, {one} over {other} at sigma={sigma:g}: {_ratio(gamma, other)}.",
    ]
    kappa = None
    limits = [found.kappa.comparable for found in (first, second) if found.kappa and found.kappa.comparable]
    if len(limits) == 2:
        kappa = _compared(*limits)
        reasons.append(f"By kappa, {one} over {other}: {_ratio(kappa, other)}, it is {kappa.verdict}.")
    else:
        both = {one: first, other: second}
        without = [f"{name} has none ({found.kappa_reason})" for name, found in both.items() if not found.kappa]
        reasons.append(f"kappa is not compared: {listed(without) or 'it has no percentage'}.")
    return answer(gamma.verdict, reasons, {"metric": metric, "sigma": sigma, "gamma": gamma, "kappa": kappa})


_MEANING = {
    "supported": f"the local scales differ by more than a factor of {FACTOR:g}",
    "contradicted": f"in this pair the local scales differ by less than a factor of {FACTOR:g}",
    "undecided": f"a factor of {FACTOR:g} is neither shown nor excluded",
}


def _compared(a: Estimate, b: Estimate) -> Compared:
    """Whether two coefficients differ by more than the factor."""
    small, large = sorted((a, b), key=lambda found: abs(found.value))
    inverse = fieller(small.value, large.value, small.se, large.se)
    edge, verdict = 1 / FACTOR, "undecided"
    if inverse.bounded and -edge < inverse.low and inverse.high < edge:
        verdict = "supported"
    elif inverse.bounded and (inverse.low > edge or inverse.high < -edge):
        verdict = "contradicted"
    return Compared(verdict, fieller(a.value, b.value, a.se, b.se), inverse)


def _ratio(found: Compared, divisor: str) -> str:
    ratio = found.ratio
    if not ratio.bounded:
        return f"ratio unbounded, as the interval of {divisor} contains 0"
    return f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _coefficients(found: Mapping[str, Brittleness], main: float | None) -> str:
    """gamma at the main strength, and kappa, of the metric of structure, or of the first there is."""
    name = STRUCTURE if STRUCTURE in found else next(iter(found), "")
    gamma = next((g for g in found[name].gamma if g.sigma == main), None) if name else None
    if gamma is None:
        return ""
    kappa, why = found[name].kappa, found[name].kappa_reason
    said = f"kappa {kappa}" if kappa else f"there is no kappa ({why})"
    return f"gamma of {name} at sigma={main:g} is {gamma}, {said}; "
