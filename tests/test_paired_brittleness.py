"""How brittle the local scale is: gamma, kappa on planted responses, and two models compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.stats.paired import brittleness
from mspgt.stats.paired.brittleness import local_brittleness
from mspgt.stats.paired.conditions import Condition, Conditions
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples


def named(strengths):
    return Conditions([Condition(f"local_{s}", "local", s) for s in strengths])


def dosed(kappa, strengths, *, samples=400, seed=0, base=10.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(base, 1, samples)
    values = {f"local_{s}": shared + kappa * s**2 + rng.normal(0, 0.05, samples) for s in strengths}
    return Samples("length_variance", "sample", "none", {"baseline": shared, **values}), named(strengths)


RESPONSES = {
    "square": lambda x: 2 * x,
    "exponential": lambda x: 0.04 * (1 - np.exp(-x / 0.02)),
    "hyperbolic": lambda x: 2 * x / (1 + 50 * x),
    "tanh": lambda x: 0.05 * np.tanh(40 * x),
}
"""change by sigma squared, of slope 2 at 0"""
GRID = (0.02, 0.05, 0.1, 0.2)


def responding(curve, *, seed, samples=200, noise=0.005):
    rng = np.random.default_rng(seed)
    shared = rng.normal(10, 1, samples)
    values = {f"local_{s}": shared + curve(s**2) + rng.normal(0, noise * (s / 0.1) ** 0.5, samples) for s in GRID}
    return Samples("ttr", "sample", "none", {"baseline": shared, **values}), named(GRID)


def judged(metric, conditions, *, noise=True, **options):
    return local_brittleness([metric], Resampling(metric.count, **options), conditions, noise=noise)


def response(metric, conditions, **options):
    return judged(metric, conditions, **options).numbers.metrics[metric.name]


def test_kappa_is_the_planted_slope_and_gamma_changes_with_sigma():
    metric, names = dosed(30.0, (0.05, 0.1, 0.2))
    numbers = response(metric, names)
    kappa = numbers.kappa
    assert kappa.change.low < 30 < kappa.change.high
    assert kappa.change.value == pytest.approx(30, abs=5)
    base = metric.values["baseline"].mean()
    assert kappa.percent.value == pytest.approx(100 * kappa.change.value / base)
    assert [g.change.value for g in numbers.gamma] == pytest.approx([1.5, 3, 6], abs=0.2)
    assert [p.change.value for p in numbers.per_square] == pytest.approx([30, 30, 30], abs=4)
    assert {p.change.n for p in (*numbers.gamma, *numbers.per_square, kappa)} == {400}
    assert not numbers.lack_of_fit.flag
    change = metric.values["local_0.1"].mean() - base
    assert numbers.gamma[1].percent.value == pytest.approx(100 * change / base / 0.1)


@pytest.mark.parametrize("name", RESPONSES)
def test_the_interval_of_kappa_covers_the_slope_at_zero_of_responses_that_saturate(name):
    found = [
        response(*responding(RESPONSES[name], seed=seed), replicates=200, seed=seed).kappa.change for seed in range(60)
    ]
    assert np.mean([k.low <= 2 <= k.high for k in found]) >= 0.87
    assert np.mean([k.value for k in found]) == pytest.approx(2, abs=0.15)


def test_kappa_is_the_weighted_fit_of_three_powers():
    metric, names = responding(RESPONSES["hyperbolic"], seed=3, noise=0.02)
    kappa = response(metric, names, replicates=4000).kappa.change
    differences = [metric.values[c] - metric.values["baseline"] for c in names.strengths("local").values()]
    changes = np.array([d.mean() for d in differences])
    errors = np.array([d.std() for d in differences])
    powers = np.array(GRID)[:, None] ** [2, 4, 6]
    expected = np.linalg.lstsq(powers / errors[:, None], changes / errors, rcond=None)[0][0]
    assert kappa.value == pytest.approx(expected, rel=0.05)


def test_a_response_that_is_no_square_law_is_flagged():
    bent, names = responding(RESPONSES["hyperbolic"], seed=1, noise=0.002)
    found = judged(bent, names)
    lack = found.numbers.metrics["ttr"].lack_of_fit
    assert lack.flag
    assert lack.change.value == pytest.approx(2 / 3 - 2 / 1.02, abs=0.4)
    assert "not the same at the smallest and the largest strength for ttr" in found.reasons[1]
    flags = [response(*responding(RESPONSES["square"], seed=s), replicates=200).lack_of_fit.flag
             for s in range(40)]  # fmt: skip
    assert np.mean(flags) < 0.15


def test_kappa_is_of_noise_alone():
    metric, names = responding(RESPONSES["square"], seed=0)
    numbers = response(metric, names, noise=False)
    assert (numbers.kappa, numbers.per_square, numbers.lack_of_fit) == (None, (), None)
    assert "of added noise" in numbers.kappa_reason
    assert len(numbers.gamma) == 4


def test_kappa_needs_three_strengths_and_says_so():
    metric, names = dosed(30.0, (0.1, 0.2))
    found = judged(metric, names)
    numbers = found.numbers.metrics["length_variance"]
    assert numbers.kappa is None
    assert "needs 3 strengths or more; there are 2" in numbers.kappa_reason
    assert found.verdict == "undecided"
    assert "one model alone decides nothing" in found.reasons[0]


def test_without_standard_errors_there_is_no_kappa():
    metric, names = dosed(30.0, (0.05, 0.1, 0.2), samples=9)
    numbers = response(metric, names)
    assert numbers.kappa is None
    assert numbers.kappa_reason == "the changes have no standard errors"
    assert numbers.gamma[0].percent is None
    json.dumps(plain(numbers), allow_nan=False)


def compared(one, other, **options):
    models = {}
    for i, (name, kappa) in enumerate({"llama": one, "qwen": other}.items()):
        metric, names = dosed(kappa, (0.1,), seed=i, **options)
        models[name] = judged(metric, names, seed=i).numbers.metrics
    return brittleness(models)


def test_two_models_are_compared_by_the_planted_factor():
    strong = compared(-400.0, 20.0)
    assert strong.verdict == "supported"
    ratio = strong.numbers.gamma.ratio
    assert ratio.low < -20 < ratio.high
    assert compared(60.0, 30.0).verdict == "contradicted"
    assert compared(150.0, 30.0).verdict == "undecided"


def test_a_model_that_does_not_change_gives_an_unbounded_ratio_and_still_a_verdict():
    found = compared(400.0, 0.0)
    assert found.verdict == "supported"
    assert any("ratio unbounded" in r for r in found.reasons)
    assert np.isnan(found.numbers.gamma.ratio.low)
    nothing = compared(0.0, 0.0)
    assert nothing.verdict == "undecided"


def test_brittleness_without_a_common_strength_is_undecided():
    models = {}
    for name, strength in (("one", 0.1), ("other", 0.2)):
        metric, names = dosed(30.0, (strength,))
        models[name] = judged(metric, names).numbers.metrics
    assert "no percentage of length_variance at a common sigma" in brittleness(models).reasons[0]
    with pytest.raises(UserError, match="two models; got 1: one"):
        brittleness({"one": models["one"]})


def test_gamma_and_kappa_stand_in_the_first_sentence():
    metric, names = dosed(30.0, (0.1, 0.05, 0.2))
    found = judged(metric, names)
    numbers = found.numbers.metrics["length_variance"]
    gamma = next(g.percent for g in numbers.gamma if g.sigma == 0.1)
    said = found.reasons[0]
    assert f"gamma of length_variance at sigma=0.1 is {gamma.value:+.3g}% [{gamma.low:.3g}, " in said
    assert f"kappa {numbers.kappa.percent.value:+.3g}% [" in said


def doses(one, other):
    models = {}
    for i, (name, kappa) in enumerate({"llama": one, "qwen": other}.items()):
        metric, names = dosed(kappa, (0.1, 0.2, 0.4), seed=i)
        models[name] = judged(metric, names, seed=i).numbers.metrics
    return models


def test_gamma_is_compared_at_the_strength_asked_for_and_kappa_beside_it():
    models = doses(400.0, 20.0)
    at = {sigma: brittleness(models, sigma=sigma).numbers for sigma in (None, 0.1, 0.3)}
    assert [at[sigma].sigma for sigma in at] == [0.4, 0.1, 0.4]  # the largest where none is known
    assert at[0.1].gamma.verdict == at[0.1].kappa.verdict == "supported"
    ratio = at[0.1].kappa.ratio
    assert ratio.low < 20 < ratio.high
    assert any("By kappa, llama over qwen" in reason for reason in brittleness(models).reasons)
    first = compared(400.0, 20.0)
    assert first.numbers.kappa is None
    assert "kappa is not compared: llama has none (needs 3 strengths" in first.reasons[-1]
