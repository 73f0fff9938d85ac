"""Whether the local scale of one model is more brittle than that of another by a large factor (Prediction 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.results.intervention import Behaviour
from mspgt.results.loading import Given, load_several
from mspgt.stats.boundaries import OUTCOME
from mspgt.stats.paired import brittleness
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.kappa import Brittleness
from mspgt.stats.paired.numbers import Coefficients, Versus

NAME = "prediction_3_1"
ALIKE = ("apply", "decoding", "temperature", "top_p", "prompt_tokens", "new_tokens", "dose")
"""settings on which changes depend; where they differ, it is said"""


def prediction_3_1(
    experiments: Sequence[Given], metric: str = "length_variance", names: Sequence[str] | None = None
) -> Prediction:
    """Compare how brittle the local scales of two models are.

    The paper: gamma_L, the change of a metric per sigma when the local scale is disturbed, varies between families by
    more than a factor of 5 (section 3.3.2, Tier 3, equation 8). Supported where the interval of the smaller gamma over
    the larger lies within 1/5 of zero, contradicted, for this pair, where it lies outside, undecided otherwise. The
    same is said of kappa, the limit of change / sigma squared, where both experiments have three strengths or more.

    Parameters
    ----------
    experiments: two experiments with the same intervention, or directories or files that hold them.
    metric: what is compared, in per cent of the baseline.
    names: of the models, for the sentences; as the experiments call them, where None.

    Returns
    -------
    Prediction; its numbers are `mspgt.stats.paired.numbers.Versus`, None where there is no common sigma.

    Raises
    ------
    UserError: not two experiments, the same one twice, different interventions, no common strength, or no such file.
    """
    by_name = load_several(experiments, names, Behaviour)
    if len(by_name) != 2:
        raise UserError(f"prediction 3.1 compares two experiments; got {len(by_name)}: give two.")
    one, other = by_name.values()
    interventions, strengths = _done(one)
    check_comparable(interventions, strengths, other)
    compared = brittleness({name: _coefficients(each) for name, each in by_name.items()}, metric, strengths[0])
    return replace(compared, reasons=(*compared.reasons, *_circumstances(by_name)))


def judged(experiment: Behaviour, other: Behaviour) -> Prediction:
    """The answer that an experiment keeps: the comparison, beside the coefficients of the model itself."""
    compared, own = prediction_3_1([experiment, other]), experiment.verdicts[NAME]
    against = compared.numbers if isinstance(compared.numbers, Versus) else None
    return replace(compared, numbers=Coefficients(_coefficients(experiment), against), note=own.note)


def check_comparable(interventions: Sequence[str], strengths: Sequence[float], other: Behaviour) -> None:
    """Refuse a comparison that would say nothing.

    Parameters
    ----------
    interventions, strengths: of the experiment that is compared with the other.

    Raises
    ------
    UserError: another intervention, no common strength, or the other has no coefficients.
    """
    _coefficients(other)
    others, there = _done(other)
    if list(interventions) != others:
        raise UserError(
            f"prediction 3.1 compares experiments with one intervention; this one has {listed(interventions)}, that on "
            f"{other.model.name} {listed(others)}."
        )
    if not set(strengths) & set(there):
        mine, theirs = (",".join(f"{s:g}" for s in each) for each in (strengths, there))
        raise UserError(
            f"prediction 3.1 compares experiments with a common sigma; this one has {mine}, that on {other.model.name} "
            f"{theirs}."
        )


def _done(experiment: Behaviour) -> tuple[list[str], list[float]]:
    """Its interventions, and its strengths, the main one first."""
    disturbed = [condition for condition in experiment.conditions if condition.group]
    return list(dict.fromkeys(c.intervention for c in disturbed)), list(dict.fromkeys(c.sigma for c in disturbed))


def _coefficients(experiment: Behaviour) -> Mapping[str, Brittleness]:
    """gamma and kappa of an experiment, by metric."""
    if NAME in experiment.verdicts and isinstance(numbers := experiment.verdicts[NAME].numbers, Coefficients):
        return numbers.metrics
    raise UserError(f"the experiment on {experiment.model.name} holds no {NAME}: run `mspgt intervene` anew.")


def _circumstances(by_name: Mapping[str, Behaviour]) -> list[str]:
    """What should be known of the comparison."""
    reasons = []
    families = {one.model.family for one in by_name.values()}
    if len(families) == 1:
        reasons.append(f"Both models are of the family {families.pop()}; the paper speaks of different families.")
    unsure = [name for name, one in by_name.items() if not one.accepted]
    if unsure:
        reasons.append(f"The boundaries of {listed(unsure)} were {OUTCOME[False]}.")
    one, other = (each.settings for each in by_name.values())
    if differing := [key for key in ALIKE if getattr(one, key) != getattr(other, key)]:
        reasons.append(f"The experiments differ in {listed(differing)}.")
    return reasons
