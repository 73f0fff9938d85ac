"""Views of interventions.json: conditions sorted, effects judged, damaged files refused in one sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mspgt.core.errors import UserError
from mspgt.core.phrases import amount, change, listed, magnitude, percentage, probability, runs
from mspgt.results.intervention import Behaviour, load
from mspgt.results.intervention.conditions import SCALES, variants
from mspgt.testing.interventions_example import METRICS, example_interventions


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return Behaviour(example_interventions(strengths=(0.1, 0.02, 0.2)))


def _with(metric: str, condition: str, **changed: Any) -> Behaviour:
    data = example_interventions(controls=False)
    for effect in data["effects"]:
        if (effect["metric"], effect["condition"]) == (metric, condition):
            effect.update(changed)
    return Behaviour(data)


def test_conditions_are_sorted_into_strengths_doses_and_controls(behaviour: Behaviour) -> None:
    assert behaviour.scales == SCALES
    assert [v.strength for v in behaviour.strengths] == [0.02, 0.1, 0.2]
    assert behaviour.strengths[1].conditions == {s: s for s in SCALES}
    assert [v.kind for v in behaviour.doses] == ["", "matched", "control"]
    assert behaviour.doses[2].conditions["global"] == "global-control"


def test_doses_are_those_of_the_first_strength() -> None:
    names = ["baseline", "local", "local-matched", "local@0.5", "local-matched@0.5", "local-control"]
    names += ["local-matched-control", "local-control@0.5"]
    data = example_interventions(strengths=(0.1,), controls=False)
    data["conditions"], data["settings"]["sigma"] = names, [0.1, 0.5]
    found = Behaviour(data)
    assert [v.label for v in found.doses] == ["sigma 0.1", "matched", "control", "matched-control"]
    assert [v.label for v in found.variants][2:4] == ["sigma 0.5", "matched, sigma 0.5"]
    assert [v.conditions["local"] for v in found.strengths] == ["local", "local@0.5"]


@given(st.lists(st.text(min_size=1), unique=True), st.one_of(st.none(), st.floats(0, 9), st.lists(st.floats(0, 9))))
def test_every_condition_but_the_baseline_has_one_variant(names: list[str], sigma: Any) -> None:
    found = [name for variant in variants(["baseline", *names], sigma) for name in variant.conditions.values()]
    assert sorted(found) == sorted(name for name in names if name != "baseline")


def test_one_strength_has_no_dose_response_and_no_doses_without_controls() -> None:
    plain = Behaviour(example_interventions(controls=False))
    assert plain.strengths == ()
    assert plain.doses == ()


def test_effects_are_those_of_the_file(behaviour: Behaviour) -> None:
    entry = next(
        e for e in behaviour.data["effects"] if (e["metric"], e["condition"]) == ("coherence", "intermediate@0.02")
    )
    effect = behaviour.effect("coherence", "intermediate@0.02")
    assert effect.difference.value == entry["difference"]["value"]
    assert effect.percent.high == entry["percent"]["high"]
    assert effect.tests["wilcoxon"].p == entry["tests"]["wilcoxon"]["p"]
    assert effect.p == entry["tests"]["t"]["p_holm"]


def test_the_swap_test_decides_for_corpus_level_metrics(behaviour: Behaviour) -> None:
    effect = behaviour.effect("self_bleu", "global")
    assert effect.primary == "swap"
    assert effect.p == effect.tests["swap"].p_holm


def test_the_test_that_decides_is_named_in_the_file() -> None:
    found = _with("ttr", "local", primary="t_document", tests={"t": {"p_holm": 0.001}, "t_document": {"p_holm": 0.2}})
    assert found.effect("ttr", "local").p == 0.2
    assert "(paired t of whole documents, or swaps" in found.stars
    assert "(paired t, or swaps" in Behaviour(example_interventions()).stars


def test_pairs_are_counted_where_some_are_missing(behaviour: Behaviour) -> None:
    assert behaviour.effect("length_variance", "global").pairs == "n = 162"
    assert behaviour.effect("ttr", "global").pairs == ""
    assert behaviour.effect("ttr", "baseline").pairs == ""


def test_what_is_zero_in_the_baseline_is_neither_tested_nor_counted(behaviour: Behaviour) -> None:
    effect = behaviour.effect("divergence", "global")
    assert effect.difference.has_interval
    assert math.isnan(effect.p)
    assert effect.untested == "0 in every text of the baseline"
    assert behaviour.headline.endswith("Not tested: divergence (0 in every text of the baseline).")


def test_a_scale_less_its_control_is_read(behaviour: Behaviour) -> None:
    blocks = {(e["metric"], e["condition"]): e.get("versus_control") for e in behaviour.data["effects"]}
    effect = behaviour.effect("coherence", "global")
    assert effect.versus_control.low == blocks["coherence", "global"]["low"]
    assert effect.versus_control_p == blocks["coherence", "global"]["p_holm"]
    assert math.isnan(behaviour.effect("self_bleu", "global").versus_control_p)
    assert not behaviour.effect("coherence", "global-control").versus_control


def test_an_interval_of_d_z_is_that_of_the_difference_in_its_unit(behaviour: Behaviour) -> None:
    effect = behaviour.effect("coherence", "global")
    sd = effect.difference.value / effect.d_z.value
    assert effect.d_z.low == pytest.approx(effect.difference.low / sd)
    assert effect.d_z.high == pytest.approx(effect.difference.high / sd)
    given_ = _with("ttr", "local", d_z={"value": 0.5, "low": 0.1, "high": 0.9}).effect("ttr", "local")
    assert (given_.d_z.low, given_.d_z.high) == (0.1, 0.9)


@pytest.mark.parametrize(
    ("p", "stars"), [(0.0009, "***"), (0.001, "**"), (0.009, "**"), (0.049, "*"), (0.05, ""), (None, "")]
)
def test_stars_are_those_of_the_corrected_p(p: float | None, stars: str) -> None:
    found = _with("ttr", "local", tests={"t": {"statistic": 1.0, "p": 1e-9, "p_holm": p}, "wilcoxon": {"p_holm": 0.0}})
    effect = found.effect("ttr", "local")
    assert effect.stars == stars
    assert effect.significant == bool(stars)


@pytest.mark.parametrize(
    ("metric", "change", "verdict"),
    [
        ("coherence", 1.0, "better"),
        ("coherence", -1.0, "worse"),
        ("coherence", 0.0, ""),
        ("ttr", 1.0, "more diverse"),
        ("ttr", -1.0, "less diverse"),
        ("perplexity", 1.0, "worse"),
        ("perplexity", -1.0, "better"),
        ("length_variance", 1.0, ""),
    ],
)
def test_what_a_change_means_follows_from_the_metric(metric: str, change: float, verdict: str) -> None:
    found = _with(metric, "local", difference={"value": change}, tests={"t": {"p_holm": 0.001}})
    assert found.metrics[metric].judge(found.effect(metric, "local")) == verdict
    unsure = _with(metric, "local", difference={"value": change}, tests={"t": {"p_holm": 0.5}})
    assert unsure.metrics[metric].judge(unsure.effect(metric, "local")) == ""


def test_the_headline_names_what_changes() -> None:
    data = example_interventions(controls=False)
    counts = {"local": 2, "intermediate": 0, "global": 6}
    for scale, count in counts.items():
        for i, effect in enumerate(e for e in data["effects"] if e["condition"] == scale and e["tests"]):
            for test in effect["tests"].values():
                test["p_holm"] = 0.01 if i < count else 0.9
    assert Behaviour(data).headline == (
        "Disturbing blocks 1–5 (local) changes self_bleu and length_variance; blocks 6–9 (intermediate) changes no "
        "tested metric; blocks 10–12 (global) changes all 7 tested metrics but grammaticality. Not tested: divergence "
        "(0 in every text of the baseline)."
    )
    data["run"]["accepted"] = False
    assert "; these boundaries were not accepted. Not tested" in Behaviour(data).headline


def test_what_was_not_tested_under_some_scales_says_under_which() -> None:
    data = example_interventions(controls=False)
    for effect in data["effects"]:
        if effect["metric"] == "length_variance" and effect["condition"] != "local":
            effect.update(tests={}, primary=None, untested="fewer than 10 pairs")
    found = Behaviour(data)
    assert "length_variance under intermediate and global (fewer than 10 pairs)" in found.untested
    assert found.effect("length_variance", "local").untested == ""


def test_a_scale_less_its_control_is_in_points_of_the_percentage(behaviour: Behaviour) -> None:
    effect, mean = behaviour.effect("coherence", "global"), behaviour.metrics["coherence"].values["baseline"].mean
    assert effect.versus_control_percent.value == pytest.approx(100 * effect.versus_control.value / mean.value)
    assert not behaviour.effect("divergence", "global").versus_control_percent


def test_boundaries_that_nobody_accepted_are_not_accepted() -> None:
    data = example_interventions()
    for accepted in (False, None):
        data["run"]["accepted"] = accepted
        assert not Behaviour(data).accepted
        assert "boundaries not accepted" in Behaviour(data).describe_boundaries


def test_descriptions_say_model_settings_and_dtype(behaviour: Behaviour) -> None:
    assert behaviour.describe_model == "example-12 (llama): 12 blocks × 512, 8 heads, 57.9 M parameters"
    assert "float32" in behaviour.describe_settings
    assert "gaussian of sigma 0.1, 0.02, 0.2" in behaviour.describe_settings
    assert behaviour.describe_boundaries == (
        "local 1–5, intermediate 6–9, global 10–12 of 12 blocks; boundaries accepted by the run (runs/example-12)"
    )


def test_greedy_decoding_has_no_temperature(behaviour: Behaviour) -> None:
    assert "temperature 1.0, top-p 0.95" in behaviour.describe_settings
    data = example_interventions()
    data["settings"]["decoding"] = "greedy"
    assert "decoding greedy, float32" in Behaviour(data).describe_settings


def test_answers_say_their_verdict_once(behaviour: Behaviour) -> None:
    first = behaviour.answers[0]
    assert (first.title, first.verdict) == ("prediction 2.1", "supported")
    assert first.reasons == ("The intermediate scale changes length_variance most (p = 0.0004).",)
    assert behaviour.answers[1].title == "global diversity"


def test_unknown_names_are_answered_with_the_nearest(behaviour: Behaviour) -> None:
    with pytest.raises(UserError, match=r"unknown metric 'tttr'. Did you mean 'ttr'"):
        behaviour.effect("tttr", "local")
    with pytest.raises(UserError, match=r"unknown condition 'globl'. Did you mean 'global'"):
        behaviour.effect("ttr", "globl")


def test_what_was_not_computed_has_no_numbers(behaviour: Behaviour) -> None:
    effect = behaviour.effect("ttr", "baseline")
    assert not effect.difference
    assert math.isnan(effect.p)
    assert effect.stars == ""


def test_the_smallest_file_is_read() -> None:
    smallest = {"schema": 1, "model": {}, "run": {}, "metrics": {}, "conditions": ["baseline"], "effects": []}
    found = Behaviour(smallest)
    assert found.headline.startswith("No change was tested")
    assert found.model == "unnamed model"
    assert found.variants == found.answers == found.notes == ()
    assert "not accepted" in found.describe_boundaries


def test_the_caller_keeps_the_data_and_nan_becomes_null() -> None:
    data = example_interventions()
    data["metrics"]["ttr"]["values"]["local"]["low"] = math.nan
    found = Behaviour(data)
    assert found.data["metrics"]["ttr"]["values"]["local"]["low"] is None
    assert math.isnan(data["metrics"]["ttr"]["values"]["local"]["low"])
    assert not found.metrics["ttr"].values["local"].mean.has_interval


@pytest.mark.parametrize("of", ["file", "directory"])
def test_load_gives_back_what_was_written(tmp_path: Path, of: str) -> None:
    data = example_interventions()
    (tmp_path / "interventions.json").write_text(json.dumps(data), encoding="utf-8")
    found = load(tmp_path if of == "directory" else tmp_path / "interventions.json")
    assert found.data == Behaviour(data).data
    assert list(found.metrics) == list(METRICS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"is not JSON \(line 1: "),
        ("[]", "holds a list"),
        ('{"schema": 2}', "has schema 2; this version of mspgt reads schema 1"),
        ('{"schema": 1, "model": {}}', "'run' is missing"),
        ('{"schema":1,"model":{},"run":{},"metrics":{"x":1},"conditions":[],"effects":[]}', "damaged: metrics.x"),
        ('{"schema":1,"model":{},"run":{},"metrics":{},"conditions":[],"effects":[3]}', r"damaged: effects\[0\]"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "interventions.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no experiment at .*interventions\.json; give a directory"):
        load(tmp_path)


def test_numbers_are_written_in_three_digits() -> None:
    assert [amount(v) for v in (0.03117, 41.71, 1840.4, -2.5e9, 0, 12, None, math.nan)] == [
        *("0.0312", "41.7", "1,840", "-2.5e+09", "0", "12", "–", "–")
    ]
    assert [percentage(v) for v in (-27.36, 1840.2, 2e6)] == ["27.4%", "1,840%", "2.0e+06%"]
    assert [probability(p) for p in (0.0344, 0.00002, 0.0, math.nan)] == ["0.034", "2e-05", "0.000", "–"]
    assert [magnitude(n) for n in (6_738_415_616, 57_934_848, 4_200, 12)] == ["6.74 B", "57.9 M", "4.2 k", "12"]
    assert runs([9, 7, 8, 12]) == "7–9, 12"
    assert [change(v, percent=True) for v in (0.04, -0.04, -3.0)] == ["0.0%", "0.0%", "↓3.0%"]
    assert [change(v) for v in (0.0, -0.02)] == ["0", "↓0.02"]
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
