"""How brittle the local scale is (Prediction 3.1): gamma of one model, and the comparison of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.stats.paired.answers import Prediction, undecided
from mspgt.stats.paired.conditions import Conditions
from mspgt.stats.paired.intervals import fieller
from mspgt.stats.paired.kappa import Brittleness, Response, brittleness_of
from mspgt.stats.paired.numbers import Answer, Coefficients, Compared, Versus
from mspgt.stats.paired.records import Estimate
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

STRUCTURE = "length_variance"
"""the metric that stands for structure (section 4.2.1)"""
LOCAL = "local"
"""the group that is disturbed"""
FACTOR = 5.0
"""by which, the paper says, gamma can vary between families (section 3.3.2, Tier 3)"""


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
    The answer, whose numbers are `Coefficients`.
    """
    strengths = conditions.strengths(LOCAL)
    by_metric = {m.name: brittleness_of(Response(m, resampling, strengths), noise) for m in metrics}
    known = _coefficients(by_metric, next(iter(strengths), None))
    reasons = [f"undecided: {known}one model alone decides nothing, give against= an experiment on another family."]
    if bent := [name for name, one in by_metric.items() if one.lack_of_fit and one.lack_of_fit.flag]:
        reasons.append(
            f"change / sigma squared is not the same at the smallest and the largest strength for {', '.join(bent)}."
        )
    return Prediction("undecided", tuple(reasons), Coefficients(by_metric))


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
    The answer, whose numbers are `Versus`.

    Raises
    ------
    UserError: not two models.
    """
    if len(models) != 2:
        raise UserError(f"brittleness compares two models; got {len(models)}: {', '.join(models) or 'none'}.")
    (one, first), (other, second) = ((name, metrics.get(metric)) for name, metrics in models.items())
    at = [{g.sigma: g.comparable for g in model.gamma if g.comparable} if model else {} for model in (first, second)]
    common = sorted(set(at[0]) & set(at[1]))
    if not (first and second and common):
        return undecided(f"{one} and {other} have no percentage of {metric} at a common sigma")
    sigma = sigma if sigma in common else common[-1]
    gamma = _compared(at[0][sigma], at[1][sigma])
    reasons = [
        f"{gamma.verdict}: {_MEANING[gamma.verdict]}.",
        f"gamma of {metric}, {one} over {other} at sigma={sigma:g}: {_ratio(gamma, other)}.",
    ]
    kappa = None
    limits = [model.kappa.comparable for model in (first, second) if model.kappa and model.kappa.comparable]
    if len(limits) == 2:
        kappa = _compared(*limits)
        reasons.append(f"By kappa, {one} over {other}: {_ratio(kappa, other)}, it is {kappa.verdict}.")
    else:
        both = {one: first, other: second}
        without = [f"{name} has none ({model.kappa_reason})" for name, model in both.items() if not model.kappa]
        reasons.append(f"kappa is not compared: {listed(without) or 'it has no percentage'}.")
    return Prediction(gamma.verdict, tuple(reasons), Versus(metric, sigma, gamma, kappa))


_MEANING = {
    "supported": f"the local scales differ by more than a factor of {FACTOR:g}",
    "contradicted": f"in this pair the local scales differ by less than a factor of {FACTOR:g}",
    "undecided": f"a factor of {FACTOR:g} is neither shown nor excluded",
}


def _compared(a: Estimate, b: Estimate) -> Compared:
    """Whether two coefficients differ by more than the factor."""
    small, large = sorted((a, b), key=lambda estimate: abs(estimate.value))
    inverse = fieller(small.value, large.value, small.se, large.se)
    edge = 1 / FACTOR
    verdict: Answer = "undecided"
    if inverse.bounded and -edge < inverse.low and inverse.high < edge:
        verdict = "supported"
    elif inverse.bounded and (inverse.low > edge or inverse.high < -edge):
        verdict = "contradicted"
    return Compared(verdict, fieller(a.value, b.value, a.se, b.se), inverse)


def _ratio(compared: Compared, divisor: str) -> str:
    ratio = compared.ratio
    if not ratio.bounded:
        return f"ratio unbounded, as the interval of {divisor} contains 0"
    return f"{ratio.value:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"


def _coefficients(metrics: Mapping[str, Brittleness], main: float | None) -> str:
    """gamma at the main strength, and kappa, of the metric of structure, or of the first there is."""
    name = STRUCTURE if STRUCTURE in metrics else next(iter(metrics), "")
    gamma = next((g for g in metrics[name].gamma if g.sigma == main), None) if name else None
    if gamma is None:
        return ""
    kappa, why = metrics[name].kappa, metrics[name].kappa_reason
    limit = f"kappa {kappa}" if kappa else f"there is no kappa ({why})"
    return f"gamma of {name} at sigma={main:g} is {gamma}, {limit}; "
