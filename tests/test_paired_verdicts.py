"""Verdicts on planted changes: who changes what most, how brittle the local scale is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mspgt.errors import UserError
from mspgt.paired import PAPER_NOTES, brittleness, effects, verdicts
from mspgt.paired.brittleness import brittleness_of
from mspgt.paired.greatest import Changes, larger
from mspgt.paired.measured import SCALES, Measured
from mspgt.paired.resampling import Resampling
from mspgt.paired.verdicts import global_coherence, global_diversity, local_lexical, prediction_2_1

NAMES = {"prediction_2_1", "global_coherence", "global_diversity", "local_lexical", "prediction_3_1"}


def planted(local, intermediate, glob, *, name="length_variance", samples=300, seed=0, spread=1.0, base=10.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(base, 2, samples)
    shift = {"baseline": 0.0, "local": local, "intermediate": intermediate, "global": glob}
    return Measured(
        name, "sample", "none", {c: shared + by + rng.normal(0, spread, samples) for c, by in shift.items()}
    )


def judge(*shift, **options):
    measured = planted(*shift, **options)
    return prediction_2_1(measured, Resampling(measured.samples))


@pytest.mark.parametrize(
    ("shift", "signed", "absolute"),
    [
        ((0.1, 1.0, 0.2), "supported", "supported"),
        ((1.0, 0.1, 0.2), "contradicted", "contradicted"),
        ((0.2, 0.1, 1.0), "contradicted", "contradicted"),
        ((0.0, 0.0, 0.0), "undecided", "undecided"),
        ((0.1, 1.0, 1.0), "undecided", "undecided"),
        ((-2.0, 0.5, -0.2), "supported", "contradicted"),
    ],
)
def test_prediction_2_1_judges_the_planted_order(shift, signed, absolute):
    found = judge(*shift)
    assert found["verdict"] == found["numbers"]["signed"]["verdict"] == signed
    assert found["numbers"]["absolute"]["verdict"] == absolute
    assert found["reasons"][0].startswith(signed)
    assert any("absolute" in r for r in found["reasons"]) == (signed != absolute)


def test_falling_least_is_no_degradation():
    found = judge(-2.0, -0.5, -2.0)
    assert found["numbers"]["signed"]["verdict"] == "supported"
    assert found["verdict"] == "undecided"
    assert "no degradation" in " ".join(found["reasons"])


def test_a_few_run_on_texts_do_not_decide_unnoticed():
    measured = planted(0.0, 0.0, 0.0, samples=500)
    measured.values["intermediate"][:8] += np.random.default_rng(1).uniform(200, 300, 8)
    found = prediction_2_1(measured, Resampling(500))
    assert found["verdict"] == "supported"
    assert found["numbers"]["ranks"]["verdict"] == "undecided"
    assert any("ranks" in r for r in found["reasons"])


def test_verdicts_are_rarely_wrong_when_nothing_is_larger():
    resampling = Resampling(60)
    at_edge = [Changes(planted(-3.0, 1.0, 1.0, samples=60, seed=s), resampling) for s in range(1000, 1400)]
    signed = [changes.signed("intermediate", 1).verdict for changes in at_edge]
    assert 0.02 < signed.count("supported") / 400 < 0.08
    assert signed.count("contradicted") / 400 < 0.05
    absolute = [changes.absolute("global").verdict for changes in at_edge]
    assert absolute.count("supported") == 0


def test_equal_absolute_changes_are_called_different_at_most_at_the_level():
    rng = np.random.default_rng(2)
    units = np.arange(60)
    for one, other in ((1.0, -1.0), (1.0, 1.0), (0.0, 0.0)):
        p = [larger(rng.normal(one, 1, 60), rng.normal(other, 1, 60), units).p for _ in range(250)]
        assert np.mean([v < 0.05 for v in p]) < 0.08
    silent = [larger(rng.normal(0, 1, 60), np.zeros(60), units).p < 0.05 for _ in range(250)]
    assert np.mean(silent) < 0.08
    assert larger(rng.normal(-1, 1, 60), rng.normal(0.2, 1, 60), units).p < 0.01


def test_documents_of_like_prompts_widen_the_judgement():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(20), 10)
    wrong = {"document": 0, "prompt": 0}
    for _ in range(150):
        values = {c: np.repeat(rng.normal(size=20), 10) + rng.normal(0, 0.5, 200) for c in ("baseline", *SCALES)}
        measured = Measured("length_variance", "sample", "none", values)
        for unit, of in (("document", clusters), ("prompt", None)):
            wrong[unit] += Changes(measured, Resampling(200, clusters=of)).signed("intermediate", 1).p < 0.05
    assert wrong["document"] < 0.07 * 150
    assert wrong["prompt"] > 2 * wrong["document"] + 10


def test_samples_count_where_all_scales_are_defined():
    measured = planted(0, 1, 0, samples=50)
    measured.values["local"][:4] = np.nan
    measured.values["baseline"][2:6] = np.nan
    assert prediction_2_1(measured, Resampling(50))["numbers"]["n"] == 44


def test_coherence_must_fall_and_lexical_choice_may_move_either_way():
    resampling = Resampling(300)
    assert global_coherence(planted(0, -0.2, -1, name="coherence"), resampling)["verdict"] == "supported"
    assert global_coherence(planted(0, -1, -0.2, name="coherence"), resampling)["verdict"] == "contradicted"
    assert global_coherence(planted(-1, 0, 1, name="coherence"), resampling)["verdict"] == "contradicted"
    assert local_lexical(planted(-1, 0.1, 0.2, name="ttr"), resampling)["verdict"] == "supported"
    paper = local_lexical(planted(-0.04, 2.2, 3.1, name="ttr"), resampling)
    assert paper["verdict"] == "contradicted"
    assert "the intermediate and the global scale changes ttr more" in paper["reasons"][0]


def self_bleu_effect(change, p):
    tests = {"swap": {"statistic": change, "p": p, "p_holm": p}}
    interval = {"value": change, "low": None, "high": None}
    return {"metric": "self_bleu", "condition": "global", "difference": interval, "percent": None, "tests": tests}


@pytest.mark.parametrize(
    ("change", "p", "verdict"),
    [(-0.1, 0.001, "supported"), (0.1, 0.001, "contradicted"), (-0.1, 0.05, "undecided"), (None, None, "undecided")],
)
def test_diversity_increases_where_self_bleu_falls(change, p, verdict):
    found = global_diversity([self_bleu_effect(change, p)])
    assert found["verdict"] == verdict
    assert found["reasons"][0].startswith(verdict)


def test_every_statement_has_a_verdict_whatever_was_measured():
    resampling = Resampling(300)
    measured = [planted(0, 1, 0), planted(0, 1, 2, name="ttr"), planted(0, 0, -1, name="coherence")]
    for given in (measured, measured[:1], []):
        found = verdicts(given, effects(given, resampling), resampling, {0.1: "local"})
        json.dumps(found, allow_nan=False)
        assert set(found) == NAMES
        for v in found.values():
            assert v["verdict"] in {"supported", "contradicted", "undecided"}
            assert v["reasons"]
    assert "length_variance was not measured" in found["prediction_2_1"]["reasons"][0]
    only_local = Measured("length_variance", "sample", "none", {"baseline": np.ones(300), "local": np.ones(300)})
    assert "under intermediate and global" in prediction_2_1(only_local, resampling)["reasons"][0]
    empty = Measured("length_variance", "sample", "none", {c: np.full(300, np.nan) for c in ("baseline", *SCALES)})
    nothing = prediction_2_1(empty, resampling)
    json.dumps(nothing, allow_nan=False)
    assert nothing["verdict"] == "undecided"
    assert "too few texts" in nothing["reasons"][0]


def dosed(kappa, strengths, *, samples=400, seed=0, base=10.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(base, 1, samples)
    values = {f"local_{s}": shared + kappa * s**2 + rng.normal(0, 0.05, samples) for s in strengths}
    measured = Measured("length_variance", "sample", "none", {"baseline": shared, **values})
    return measured, {s: f"local_{s}" for s in strengths}


def test_kappa_is_the_planted_slope_and_gamma_changes_with_sigma():
    measured, names = dosed(30.0, (0.05, 0.1, 0.2))
    numbers = brittleness_of([measured], Resampling(400), names)["numbers"]["metrics"]["length_variance"]
    assert numbers["kappa"]["change"]["value"] == pytest.approx(30, abs=0.5)
    assert numbers["kappa"]["change"]["low"] < 30 < numbers["kappa"]["change"]["high"]
    assert numbers["kappa"]["percent"]["value"] == pytest.approx(300, rel=0.03)
    assert [g["change"]["value"] for g in numbers["gamma"]] == pytest.approx([1.5, 3, 6], abs=0.2)
    base = measured.values["baseline"].mean()
    change = measured.values["local_0.1"].mean() - base
    assert numbers["gamma"][1]["percent"]["value"] == pytest.approx(100 * change / base / 0.1)


def test_kappa_is_least_squares_through_the_origin_and_its_interval_covers():
    covers = []
    for seed in range(60):
        measured, names = dosed(8.0, (0.05, 0.1, 0.2), samples=60, seed=seed)
        numbers = brittleness_of([measured], Resampling(60, replicates=200, seed=seed), names)["numbers"]["metrics"]
        kappa = numbers["length_variance"]["kappa"]["change"]
        covers.append(kappa["low"] <= 8 <= kappa["high"])
        x = np.array(list(names)) ** 2
        changes = [(measured.values[c] - measured.values["baseline"]).mean() for c in names.values()]
        assert kappa["value"] == pytest.approx(np.linalg.lstsq(x[:, None], np.array(changes), rcond=None)[0][0])
    assert np.mean(covers) > 0.85


def test_kappa_needs_three_strengths_and_says_so():
    measured, names = dosed(30.0, (0.1, 0.2))
    found = brittleness_of([measured], Resampling(400), names)
    numbers = found["numbers"]["metrics"]["length_variance"]
    assert numbers["kappa"] is None
    assert "needs 3 strengths or more; there are 2" in numbers["kappa_reason"]
    assert found["verdict"] == "undecided"
    assert "undecided: needs two models or more" in found["reasons"][0]


def compared(one, other, **options):
    models = {}
    for i, (name, kappa) in enumerate({"llama": one, "qwen": other}.items()):
        measured, names = dosed(kappa, (0.1,), seed=i, **options)
        models[name] = brittleness_of([measured], Resampling(400, seed=i), names)["numbers"]
    return brittleness(json.loads(json.dumps(models, allow_nan=False)))


def test_two_models_are_compared_by_the_planted_factor():
    strong = compared(-400.0, 20.0)
    assert strong["verdict"] == "supported"
    ratio = strong["numbers"]["ratio"]
    assert ratio["low"] < -20 < ratio["high"]
    assert compared(60.0, 30.0)["verdict"] == "contradicted"
    assert compared(150.0, 30.0)["verdict"] == "undecided"


def test_a_model_that_does_not_change_gives_an_unbounded_ratio_and_still_a_verdict():
    found = compared(400.0, 0.0)
    assert found["verdict"] == "supported"
    assert any("ratio unbounded" in r for r in found["reasons"])
    assert found["numbers"]["ratio"]["low"] is None
    nothing = compared(0.0, 0.0)
    assert nothing["verdict"] == "undecided"


def test_brittleness_without_a_common_strength_is_undecided():
    models = {}
    for name, strength in (("one", 0.1), ("other", 0.2)):
        measured, names = dosed(30.0, (strength,))
        models[name] = brittleness_of([measured], Resampling(400), names)["numbers"]
    assert "no percentage of length_variance at a common sigma" in brittleness(models)["reasons"][0]
    with pytest.raises(UserError, match="two models; got 1: one"):
        brittleness({"one": models["one"]})


def test_notes_are_single_lines_about_what_the_results_name():
    assert {"length_variance", "self_bleu", "grammaticality", "prediction_2_1", "gamma", "dose"} <= set(PAPER_NOTES)
    assert all("\n" not in note and note.endswith(".") for note in PAPER_NOTES.values())
