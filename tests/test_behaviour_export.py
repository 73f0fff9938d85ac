"""The CSV of an experiment: every metric under every condition, in full precision."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from mspgt.results.intervention import Behaviour
from mspgt.results.intervention.export import COLUMNS, to_csv, write_csv
from mspgt.testing.interventions_example import METRICS, example_interventions


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return Behaviour(example_interventions(strengths=(0.1, 0.05)))


@pytest.fixture(scope="module")
def rows(behaviour: Behaviour) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["metric"], row["condition"]): row for row in csv.DictReader(to_csv(behaviour).splitlines())}


def test_there_is_a_row_for_each_metric_and_condition(
    behaviour: Behaviour, rows: dict[tuple[str, str], dict[str, str]]
) -> None:
    assert list(rows) == [(metric, condition) for metric in METRICS for condition in behaviour.conditions]
    assert len(to_csv(behaviour).splitlines()) == 1 + len(rows)


def test_columns_are_named_after_what_they_hold(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    tests = [f"{p}_{test}" for test in ("swap", "t", "wilcoxon", "tost") for p in ("p", "p_holm")]
    assert list(next(iter(rows.values()))) == [*COLUMNS, *tests]


def test_numbers_are_those_of_the_file_to_the_last_digit(
    behaviour: Behaviour, rows: dict[tuple[str, str], dict[str, str]]
) -> None:
    for entry in behaviour.data["effects"]:
        row = rows[entry["metric"], entry["condition"]]
        for what in ("difference", "percent"):
            for end, column in (("value", what), ("low", f"{what}_low"), ("high", f"{what}_high")):
                expected = (entry[what] or {}).get(end)
                assert row[column] == ("" if expected is None else repr(expected))
        for name, test in entry["tests"].items():
            assert float(row[f"p_{name}"]) == test["p"]
            assert float(row[f"p_holm_{name}"]) == test["p_holm"]
        value = behaviour.data["metrics"][entry["metric"]]["values"][entry["condition"]]
        assert [row[key] for key in ("mean", "low", "high", "n")] == [str(v) for v in value.values()]
        assert (row["pairs"], row["primary"]) == (str(entry["n"]), entry["primary"] or "")
        versus = entry.get("versus_control") or {"value": None, "p_holm": None}
        assert row["versus_control"] == ("" if versus["value"] is None else repr(versus["value"]))
        assert row["p_holm_versus_control"] == ("" if versus["p_holm"] is None else repr(versus["p_holm"]))


def test_what_is_not_there_is_an_empty_field(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    baseline = rows["ttr", "baseline"]
    assert baseline["mean"] == "0.638"
    assert {baseline[key] for key in ("difference", "percent_low", "d_z", "p_t", "p_swap")} == {""}
    assert rows["self_bleu", "global"]["p_t"] == ""
    assert rows["divergence", "global"]["percent"] == ""


def test_names_with_commas_and_quotes_come_back(tmp_path: Path) -> None:
    data = example_interventions(controls=False)
    name = 'a, "b"\nc'
    data["metrics"] = {name: data["metrics"]["ttr"]}
    data["metrics"][name]["values"]["local"]["mean"] = math.inf
    write_csv(Behaviour(data), tmp_path / "interventions.csv")
    with open(tmp_path / "interventions.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert {row["metric"] for row in found} == {name}
    assert found[1]["mean"] == ""
