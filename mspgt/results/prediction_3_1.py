"""Whether the local scale of one model is more brittle than that of another by a large factor (Prediction 3.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.results.intervention.behaviour import Behaviour, load
from mspgt.stats.paired import brittleness
from mspgt.stats.paired.answers import Prediction, answer

NAME = "prediction_3_1"
ALIKE = ("apply", "decoding", "temperature", "top_p", "prompt_tokens", "new_tokens", "dose")
"""settings on which changes depend; where they differ, it is said"""

Experiment = Behaviour | str | os.PathLike[str]


def prediction_3_1(
    experiments: Sequence[Experiment], metric: str = "length_variance", names: Sequence[str] | None = None
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
    Prediction; its numbers are {metric, sigma, gamma, kappa}, the last two {verdict, ratio, smaller_over_larger}.

    Raises
    ------
    UserError: not two experiments, the same one twice, different interventions, no common strength, or no such file.
    """
    given = [experiments] if isinstance(experiments, (str, os.PathLike, Behaviour)) else list(experiments)
    if len(given) != 2:
        raise UserError(f"prediction 3.1 compares two experiments; got {len(given)}: give two.")
    if names is not None and len(names) != 2:
        raise UserError(f"two experiments have {len(names)} names; give one name for each.")
    found = [one if isinstance(one, Behaviour) else load(one) for one in given]
    if found[0].data == found[1].data:
        raise UserError("prediction 3.1 compares two models, and was given the same experiment twice.")
    settings = found[0].data["settings"]
    check_comparable(settings, found[1])
    called = list(names or (one.model for one in found))
    if called[0] == called[1]:
        called = [f"{name} ({i})" for i, name in enumerate(called, start=1)]
    numbers = {name: _numbers(one) for name, one in zip(called, found, strict=True)}
    compared = brittleness(numbers, metric, float(settings["sigma"][0]))
    reasons = (*compared["reasons"], *_circumstances(found, called))
    return Prediction(compared["verdict"], reasons, compared["numbers"])


def judged(experiment: Behaviour, other: Behaviour) -> dict[str, Any]:
    """The verdict as it stands in interventions.json: the comparison, beside the coefficients of the model itself."""
    found = prediction_3_1([experiment, other])
    return answer(found.verdict, list(found.reasons), {**_numbers(experiment), "against": dict(found.numbers)})


def check_comparable(settings: Mapping[str, Any], other: Behaviour) -> None:
    """Refuse a comparison that would say nothing.

    Parameters
    ----------
    settings: intervention and sigma of the experiment that is compared with the other.

    Raises
    ------
    UserError: another intervention, no common strength, or the other has no coefficients.
    """
    _numbers(other)
    theirs = other.data["settings"]
    if settings["intervention"] != theirs["intervention"]:
        raise UserError(
            f"prediction 3.1 compares experiments with one intervention; this one has {settings['intervention']}, that "
            f"on {other.model} {theirs['intervention']}."
        )
    if not set(settings["sigma"]) & set(theirs["sigma"]):
        mine, there = (",".join(f"{s:g}" for s in each["sigma"]) for each in (settings, theirs))
        raise UserError(
            f"prediction 3.1 compares experiments with a common sigma; this one has {mine}, that on {other.model} "
            f"{there}."
        )


def _numbers(experiment: Behaviour) -> dict[str, Any]:
    """gamma and kappa of an experiment."""
    found = next((answer.numbers for answer in experiment.answers if answer.name == NAME), {})
    if not isinstance(found.get("metrics"), Mapping):
        raise UserError(f"the experiment on {experiment.model} holds no {NAME}: run `mspgt intervene` anew.")
    return {"metrics": found["metrics"]}


def _circumstances(found: Sequence[Behaviour], names: Sequence[str]) -> list[str]:
    """What should be known of the comparison."""
    reasons = []
    families = {one.data["model"].get("family") for one in found}
    if len(families) == 1:
        reasons.append(f"Both models are of the family {families.pop()}; the paper speaks of different families.")
    unsure = [name for name, one in zip(names, found, strict=True) if not one.accepted]
    if unsure:
        reasons.append(f"The boundaries of {listed(unsure)} were not accepted.")
    one, other = (each.data["settings"] for each in found)
    if differing := [key for key in ALIKE if one.get(key) != other.get(key)]:
        reasons.append(f"The experiments differ in {listed(differing)}.")
    return reasons
