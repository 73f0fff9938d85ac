"""The record of an experiment: it keeps what was found, puts it in words, exports, saves and is loaded again."""

from __future__ import annotations

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example_behaviour import METRICS, example_behaviour, renamed, with_effect, with_effects

import mspgt
from mspgt.core.errors import UserError
from mspgt.results.intervention import Behaviour
from mspgt.show.intervention import prose
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.records import Estimate, MetricValue, Test


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return example_behaviour(sigmas=(0.1, 0.02, 0.2))


@pytest.fixture(scope="module")
def small() -> Behaviour:
    return example_behaviour(controls=False, without=tuple(METRICS)[3:])


@pytest.fixture(scope="module")
def saved(small: Behaviour, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save(tmp_path_factory.mktemp("experiment"))


# ------------------------------------------------------------------------------------------- conditions and effects


def test_conditions_are_sorted_into_strengths_doses_and_controls(behaviour: Behaviour) -> None:
    assert behaviour.scales == {s: s for s in SCALES}
    assert [v.sigma for v in behaviour.strengths] == [0.02, 0.1, 0.2]
    assert behaviour.strengths[1].conditions == behaviour.scales
    assert [v.label for v in behaviour.doses] == ["sigma 0.1", "matched", "control", "matched-control"]
    assert behaviour.doses[2].conditions["global"] == "global-control"
    found = [name for variant in behaviour.variants for name in variant.conditions.values()]
    assert sorted(found) == sorted(c.name for c in behaviour.conditions[1:])


def test_one_strength_has_no_dose_response_and_no_doses_without_controls(small: Behaviour) -> None:
    assert small.strengths == ()
    assert small.doses == ()


def test_the_swap_test_decides_for_corpus_level_metrics(behaviour: Behaviour) -> None:
    effect = behaviour.effect("self_bleu", "global")
    assert (effect.primary, effect.p) == ("swap", effect.tests["swap"].p_holm)
    assert math.isnan(effect.versus_control.p_holm) if effect.versus_control else False
    assert behaviour.effect("coherence", "global-control").versus_control is None


def test_what_was_not_computed_has_no_numbers(behaviour: Behaviour) -> None:
    effect = behaviour.effect("ttr", "baseline")
    assert not effect.difference
    assert math.isnan(effect.p)
    assert (effect.stars, effect.why_untested) == ("", "")


def test_unknown_names_are_answered_with_the_nearest(behaviour: Behaviour) -> None:
    with pytest.raises(UserError, match=r"unknown metric 'tttr'. Did you mean 'ttr'"):
        behaviour.effect("tttr", "local")
    with pytest.raises(UserError, match=r"unknown condition 'globl'. Did you mean 'global'"):
        behaviour.effect("ttr", "globl")


@pytest.mark.parametrize(
    ("p", "stars"), [(0.0009, "***"), (0.001, "**"), (0.009, "**"), (0.049, "*"), (0.05, ""), (math.nan, "")]
)
def test_stars_are_those_of_the_corrected_p(small: Behaviour, p: float, stars: str) -> None:
    tests = {"t": Test(1.0, 1e-9, p), "wilcoxon": Test(p_holm=0.0)}
    effect = with_effect(small, "ttr", "local", tests=tests).effect("ttr", "local")
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
def test_what_a_change_means_follows_from_the_metric(
    behaviour: Behaviour, metric: str, change: float, verdict: str
) -> None:
    for p, expected in ((0.001, verdict), (0.5, "")):
        given = with_effect(behaviour, metric, "local", difference=Estimate(change), tests={"t": Test(p_holm=p)})
        assert given.metrics[metric].judge(given.effect(metric, "local")) == expected


def test_a_scale_less_its_control_is_in_points_of_the_percentage(behaviour: Behaviour) -> None:
    effect, mean = behaviour.effect("coherence", "global"), behaviour.metrics["coherence"].values["baseline"].mean
    points, versus = effect.versus_control_percent, effect.versus_control
    assert points is not None
    assert versus is not None
    assert points.value == pytest.approx(100 * versus.value / mean)
    assert behaviour.effect("divergence", "global").versus_control_percent is None


# ---------------------------------------------------------------------------------------------------- words


def test_the_headline_names_what_changes() -> None:
    counts = {"local": 2, "intermediate": 0, "global": 6}
    seen = dict.fromkeys(counts, 0)

    def changed(effect: Any) -> dict[str, Any]:
        if not effect.tests:
            return {}
        seen[effect.condition] += 1
        p = 0.01 if seen[effect.condition] <= counts[effect.condition] else 0.9
        return {"tests": {name: replace(test, p_holm=p) for name, test in effect.tests.items()}}

    found = with_effects(example_behaviour(controls=False), changed)
    assert prose.headline(found) == (
        "Disturbing blocks 1–5 (local) changes self_bleu and length_variance; blocks 6–9 (intermediate) changes no "
        "tested metric; blocks 10–12 (global) changes all 7 tested metrics but grammaticality. Not tested: divergence "
        "(0 in every text of the baseline)."
    )
    unsure = replace(found, run=replace(found.run, accepted=False))
    assert "; the boundaries between the scales were not accepted. Not tested" in prose.headline(unsure)
    assert "boundaries not accepted" in prose.describe_scales(unsure)


def test_what_was_not_tested_under_some_scales_says_under_which(small: Behaviour) -> None:
    found = with_effects(
        small,
        lambda e: (
            {"tests": {}, "primary": None, "untested": "fewer than 10 pairs"}
            if e.metric == "length_variance" and e.condition != "local"
            else {}
        ),
    )
    assert "length_variance under intermediate and global (fewer than 10 pairs)" in prose.untested(found)
    assert found.effect("length_variance", "local").why_untested == ""


def test_nothing_tested_is_said(small: Behaviour) -> None:
    nothing = replace(small, metrics={}, effects=())
    assert prose.headline(nothing) == "No change was tested."


def test_the_stars_say_which_test_decides(small: Behaviour) -> None:
    assert "(paired t, or swaps" in prose.stars(small)
    tests = {"t": Test(p_holm=0.001), "t_document": Test(p_holm=0.2)}
    found = with_effect(small, "ttr", "local", primary="t_document", tests=tests)
    assert found.effect("ttr", "local").p == 0.2
    assert "(paired t of whole documents, or swaps" in prose.stars(found)


def test_descriptions_say_scales_settings_and_dtype(behaviour: Behaviour) -> None:
    said = prose.describe_settings(behaviour)
    assert "gaussian of sigma 0.1, 0.02, 0.2" in said
    assert "temperature 1.0, top-p 0.95, float32" in said
    assert prose.describe_scales(behaviour) == (
        "local 1–5, intermediate 6–9, global 10–12 of 12 blocks; boundaries accepted by the run (runs/example-12)"
    )
    greedy = replace(behaviour, settings=replace(behaviour.settings, decoding="greedy"))
    assert "decoding greedy, float32" in prose.describe_settings(greedy)


def test_answers_say_their_verdict_once() -> None:
    answer = Prediction("supported", ("supported: the scale does (p = 0.0004). Section 3.", "By ranks too."), None)
    assert prose.reasons(answer) == ("The scale does (p = 0.0004). Section 3.", "By ranks too.")
    assert prose.first_reason(answer) == "The scale does (p = 0.0004)."
    names = {"prediction_2_1": "prediction 2.1", "global_diversity": "global diversity", "a2": "a2"}
    assert {name: prose.spoken(name) for name in names} == names


def test_repr_says_what_was_done_and_found(small: Behaviour) -> None:
    lines = repr(small).splitlines()
    assert [line.split()[0] for line in lines] == ["mspgt.Behaviour", "model", "scales", "done", "verdicts", "found"]
    assert "prediction 2.1 supported" in lines[4]
    assert prose.headline(small) in lines[5]


def test_a_notebook_shows_the_table_of_changes(small: Behaviour) -> None:
    shown = small._repr_html_()
    assert "<table>" in shown
    assert all(name in shown for name in small.metrics)


# ---------------------------------------------------------------------------------------------------- files


def test_save_writes_everything_and_load_gives_it_back(small: Behaviour, saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    drawn = {"figures/changes.svg", "figures/changes.png"}
    assert names == {"interventions.json", "interventions.csv", "report.html", *drawn}
    for path in (saved, saved / "interventions.json"):
        found = mspgt.load(path)
        assert isinstance(found, mspgt.Behaviour)
        assert found.as_dict() == small.as_dict()
        assert found.effects[0].tests == small.effects[0].tests
    assert small.incomplete
    assert not replace(small, not_measured={}).incomplete


def test_the_file_has_the_fields_of_the_schema(saved: Path) -> None:
    data = json.loads((saved / "interventions.json").read_text(encoding="utf-8"))
    assert (data["kind"], data["schema"]) == ("intervention", 2)
    assert data["conditions"][1]["name"] == data["conditions"][1]["group"] == "local"
    assert data["run"]["groups"][2] == {"name": "global", "blocks": [10, 11, 12]}
    assert {"mean", "low", "high", "n"} == data["metrics"]["ttr"]["values"]["local"].keys()
    assert {"statistic", "p", "p_holm"} == data["effects"][0]["tests"]["swap"].keys()
    assert {"verdict", "reasons", "numbers", "note", "matched"} == data["verdicts"]["prediction_2_1"].keys()
    assert data["examples"][0].keys() == {"sample", "prompt", "texts"}


def test_nan_becomes_null(small: Behaviour, tmp_path: Path) -> None:
    values = {**small.metrics["ttr"].values, "local": MetricValue(1.0, math.nan, math.inf, 3)}
    found = renamed(small, "ttr", "ttr", values=values)
    found.save_data(tmp_path)
    assert found.as_dict()["metrics"]["ttr"]["values"]["local"] == {"mean": 1.0, "low": None, "high": None, "n": 3}
    assert math.isnan(Behaviour.load(tmp_path).metrics["ttr"].values["local"].low)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"is not JSON \(line 1: "),
        ("[]", "holds a list"),
        ('{"kind": "intervention", "schema": 1}', "has schema 1; this version of mspgt reads schema 2"),
        ('{"kind": "drift", "schema": 2}', "holds 'drift', not an experiment"),
        ('{"kind": "intervention", "schema": 2}', "is damaged: .*is missing; make it again by `mspgt intervene"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "interventions.json").write_text(text)
    with pytest.raises(UserError, match=message):
        Behaviour.load(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("metrics", "ttr"), 1, r"metrics\['ttr'\]: it is int, not a mapping"),
        (("effects", 0), 3, r"effects\[0\]: it is int, not a mapping"),
        (("effects", 0, "metric"), "other", "effects holds other under local"),
        (("conditions", 1, "sigma"), "weak", r"conditions\[1\].sigma: it is 'weak', not a number"),
        (("run", "layers"), {}, "run: unknown field 'layers'"),
        (("metrics", "ttr", "direction"), "up", "direction: it is 'up', not one of 'higher', 'lower', 'none'"),
        (("metrics", "ttr", "level"), "", "level: it is '', not one of 'sample', 'corpus'"),
        (
            ("verdicts", "local_lexical", "verdict"),
            "yes",
            "verdict: it is 'yes', not one of 'supported', 'contradicted'",
        ),
        (("verdicts", "local_lexical", "reasons"), [], r"verdicts\['local_lexical'\]: an answer gives no reasons"),
        (
            ("verdicts", "local_lexical", "numbers", "record"),
            "More",
            "numbers: record is 'More', not one of Most, Diver",
        ),
        (("verdicts", "local_lexical", "numbers", "changes"), 1, "numbers.changes: it is int, not a mapping"),
        (("verdicts", "local_lexical", "numbers", "n"), "many", "numbers.n: it is 'many', not a whole number"),
        (("settings", "dose"), "large", "settings.dose: it is 'large', not one of 'paper', 'matched', 'both'"),
        (("settings", "sigma"), 0.1, "settings.sigma: it is 0.1, not a list"),
        (("bootstrap", "confidence"), 95.0, "bootstrap: confidence is 95, not a share between 0 and 1"),
        (("conditions", 1, "group"), "lokal", "condition local is of the group 'lokal', which is not there"),
        (("conditions", 1, "control"), "none", "condition local controls 'none', which is not there"),
        (("conditions", 1, "blocks"), [0, 1], "local has blocks that a model of 12 does not have"),
        (("run", "groups", 2, "blocks"), [12, 13], "global has blocks that a model of 12 does not have"),
    ],
)
def test_a_damaged_file_names_the_field(
    saved: Path, tmp_path: Path, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    data = json.loads((saved / "interventions.json").read_text(encoding="utf-8"))
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    (tmp_path / "interventions.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        Behaviour.load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"an experiment is not at .*interventions\.json; give a directory"):
        Behaviour.load(tmp_path)


def test_figures_are_drawn_by_name(small: Behaviour) -> None:
    assert len(small.plot().axes) == 2
    with pytest.raises(UserError, match=r"'change'.*changes"):
        small.plot("change")
    with pytest.raises(UserError, match="nothing to show in the figure 'doses': it needs dose=matched"):
        small.plot("doses")


# ------------------------------------------------------------------------------------------------------- csv


@pytest.fixture(scope="module")
def rows(behaviour: Behaviour) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["metric"], row["condition"]): row for row in csv.DictReader(behaviour.to_csv().splitlines())}


def test_the_csv_has_a_row_for_each_metric_and_condition(
    behaviour: Behaviour, rows: dict[tuple[str, str], dict[str, str]]
) -> None:
    assert list(rows) == [(metric, condition.name) for metric in METRICS for condition in behaviour.conditions]
    assert len(behaviour.to_rows()) == len(rows)
    tests = [f"{p}_{test}" for test in ("swap", "t", "wilcoxon", "tost") for p in ("p", "p_holm")]
    assert list(next(iter(rows.values()))) == [
        *("metric", "level", "direction", "unit", "condition", "mean", "low", "high", "n", "pairs"),
        *(f"{c}{end}" for c in ("difference", "percent", "d_z", "versus_control") for end in ("", "_low", "_high")),
        *("p_holm_versus_control", "primary", *tests),
    ]


def test_numbers_are_those_of_the_record_to_the_last_digit(
    behaviour: Behaviour, rows: dict[tuple[str, str], dict[str, str]]
) -> None:
    def text(value: float) -> str:
        return repr(value) if math.isfinite(value) else ""

    for effect in behaviour.effects:
        row = rows[effect.metric, effect.condition]
        versus = effect.versus_control
        for what, found in (("difference", effect.difference), ("percent", effect.percent), ("versus_control", versus)):
            ends = (math.nan,) * 3 if found is None else (found.value, found.low, found.high)
            assert [row[what], row[f"{what}_low"], row[f"{what}_high"]] == list(map(text, ends))
        for name, test in effect.tests.items():
            assert [row[f"p_{name}"], row[f"p_holm_{name}"]] == [text(test.p), text(test.p_holm)]
        value = behaviour.metrics[effect.metric].values[effect.condition]
        assert [row["mean"], row["low"], row["high"]] == list(map(text, (value.mean, value.low, value.high)))
        assert [row["n"], row["pairs"]] == [str(value.n), str(effect.difference.n)]
        assert row["primary"] == (effect.primary or "")
        assert row["p_holm_versus_control"] == text(math.nan if versus is None else versus.p_holm)


def test_what_is_not_there_is_an_empty_field(behaviour: Behaviour, rows: dict[tuple[str, str], dict[str, str]]) -> None:
    baseline = rows["ttr", "baseline"]
    assert float(baseline["mean"]) == pytest.approx(0.638, abs=0.02)
    assert {baseline[key] for key in ("pairs", "difference", "percent_low", "d_z", "primary", "p_t", "p_swap")} == {""}
    assert rows["self_bleu", "global"]["p_t"] == ""
    assert rows["divergence", "global"]["percent"] == ""
    first = behaviour.to_rows()[0]
    assert (first["difference"], first["primary"], first["pairs"]) == (None, None, None)


def test_names_with_commas_and_quotes_come_back(small: Behaviour, tmp_path: Path) -> None:
    name = 'a, "b"\nc'
    (tmp_path / "it.csv").write_text(renamed(small, "ttr", name).to_csv(), encoding="utf-8")
    with open(tmp_path / "it.csv", newline="", encoding="utf-8") as file:
        assert name in {row["metric"] for row in csv.DictReader(file)}


def test_without_pandas_a_data_frame_says_how_to_get_it(small: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        small.to_dataframe()
