"""A result: checked at the door, exported in full, saved whole, loaded unchanged."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_atomically
from mspgt.results.result import Result, load
from mspgt.results.schema import plain
from mspgt.testing.results import example_result


@pytest.fixture(scope="module")
def result() -> Result:
    return Result(example_result())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Result(example_result(12)).save(tmp_path_factory.mktemp("run"))


def test_signals_are_arrays_over_transitions(result: Result) -> None:
    assert list(result.signals) == ["cka", "probe", "attn"]
    cka = result.signals["cka"]
    assert cka.transition.tolist() == list(range(1, 32))
    assert cka.weight == 1.0
    assert (cka.low <= cka.value).all()
    assert (cka.value <= cka.high).all()
    assert cka.value.dtype == np.float64


def test_boundaries_are_ours_and_say_where_they_lie(result: Result) -> None:
    lower, upper = result.boundaries
    assert (lower.name, lower.layer, lower.relative, lower.ci) == ("local-intermediate", 11, 11 / 32, (10, 12))
    assert (upper.name, upper.layer) == ("intermediate-global", 21)
    assert lower.accepted
    assert repr(lower) == "<local-intermediate after block 11 of 32 (34% of the depth), CI [10, 12], accepted>"


def test_boundaries_that_were_not_accepted_say_so() -> None:
    result = Result(example_result(accepted=False))
    assert all("not accepted: unstable" in repr(b) for b in result.boundaries)
    assert "No boundaries are accepted" in result.headline


def test_a_shallow_model_has_no_boundaries() -> None:
    result = Result(example_result(6))
    assert result.boundaries == ()
    assert "too few blocks" in repr(result)


def test_the_headline_names_the_blocks_of_each_scale(result: Result) -> None:
    assert result.headline == "Blocks 1–11 of 32 are local, 12–21 intermediate and 22–32 global."


def test_repr_shows_model_data_signals_and_both_verdicts(result: Result) -> None:
    lines = repr(result).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["model", "data", "signals", "mspgt", "paper"]
    assert len({len(line) - len(line[11:]) for line in lines[1:]}) == 1
    assert "example-7b" in lines[1]
    assert "6.74 B parameters" in lines[1]
    assert "L-I after block 11 [10, 12]" in lines[4]


def test_unknown_rule_names_the_rules_there_are(result: Result) -> None:
    with pytest.raises(UserError, match="no verdict of the rule 'mine'; available: mspgt, paper"):
        result.verdict("mine")


def test_contents_are_copied_and_the_callers_object_is_left_alone() -> None:
    data = example_result(12)
    before = copy.deepcopy(data)
    result = Result(data)
    data["model"]["name"] = "changed"
    assert result.model == before["model"]["name"]
    assert result.data == before


def test_what_is_not_finite_becomes_null() -> None:
    data = example_result(12)
    data["signals"]["cka"]["value"][2] = math.nan
    data["signals"]["cka"]["low"] = np.array([np.inf] * 11)
    result = Result(data)
    assert result.data["signals"]["cka"]["value"][2] is None
    assert result.data["signals"]["cka"]["low"] == [None] * 11
    assert np.isnan(result.signals["cka"].value[2])
    json.dumps(result.data, allow_nan=False)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_plain_is_always_json_and_doing_it_twice_changes_nothing(value: object) -> None:
    once = plain(value)
    assert plain(once) == once
    assert json.loads(json.dumps(once, allow_nan=False)) == once


# ------------------------------------------------------------------------------------------------- export


def test_csv_has_every_signal_and_the_evidence_of_both_rules(result: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert list(rows[0]) == ["signal", "transition", "relative", "value", "low", "high", "weight"]
    assert len(rows) == 31 * 5
    assert {row["signal"] for row in rows} == {"cka", "probe", "attn", "evidence.mspgt", "evidence.paper"}
    at = next(row for row in rows if row["signal"] == "probe" and row["transition"] == "16")
    assert float(at["value"]) == result.data["signals"]["probe"]["value"][15]
    assert float(at["relative"]) == 0.5
    assert float(at["weight"]) == 0.8


def test_missing_intervals_are_empty_cells() -> None:
    rows = list(csv.DictReader(io.StringIO(Result(example_result(12, intervals=False)).to_csv())))
    assert {row["low"] for row in rows} == {""}
    assert "" not in {row["value"] for row in rows}


def test_dataframe_has_the_rows(result: Result) -> None:
    pandas = pytest.importorskip("pandas")
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc[frame.signal == "cka", "value"].tolist() == result.signals["cka"].value.tolist()


def test_dataframe_without_pandas_names_the_command(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        result.to_dataframe()


# ------------------------------------------------------------------------------------------- save and load


def test_save_writes_what_a_run_directory_holds(saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    figures = {"evidence", "evidence-paper", "signals", "cka-matrix", "probe-f1"}
    expected = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert names == expected | {"result.json", "signals.csv", "report.html"}


def test_save_then_load_changes_nothing(saved: Path) -> None:
    for path in (saved, saved / "result.json", str(saved)):
        assert load(path).data == Result(example_result(12)).data


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    for name in ("result.json", "signals.csv", "report.html"):
        (tmp_path / name).write_text("old")
    Result(example_result(6)).save(tmp_path)
    assert load(tmp_path).n_layers == 6
    assert "old" not in {path.read_text() for path in tmp_path.glob("*.*")}
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: Result) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"could not write .*result\.json .*No space left"):
        result.save(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no result at .*give a directory that holds result"),
        ("{", r"is not JSON \(line 1"),
        ("[1]", "holds a list, not a result"),
        ("{}", "has schema None; this version of mspgt reads schema 1"),
        ('{"schema": 2}', "has schema 2; this version of mspgt reads schema 1"),
        ('{"schema": 1}', "not a complete result: 'model' is missing"),
    ],
)
def test_loading_what_is_no_result_is_one_sentence(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_loading_bytes_that_are_not_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read"):
        load(tmp_path)


@pytest.mark.parametrize("block", ["model", "data", "signals", "verdicts", "bootstrap", "provenance"])
def test_a_missing_block_is_named(block: str) -> None:
    data = example_result(12)
    del data[block]
    with pytest.raises(UserError, match=f"'{block}' is missing"):
        Result(data)


def test_a_curve_of_unequal_lengths_is_named() -> None:
    data = example_result(12)
    data["signals"]["attn"]["low"].pop()
    with pytest.raises(UserError, match=r"damaged: signals\.attn has 11 of transition, 11 of value, 10 of low"):
        Result(data)


# -------------------------------------------------------------------------------------------------- same


def test_same_numbers_ignores_provenance_and_sees_the_last_digit() -> None:
    one, other = example_result(12), example_result(12)
    other["provenance"]["seconds"] = 1.0
    assert Result(one).same_numbers(Result(other))
    value = other["signals"]["cka"]["value"]
    value[3] = math.nextafter(value[3], 2)
    assert not Result(one).same_numbers(Result(other))
    assert Result(one).same_numbers(Result(other), rtol=1e-12)


def test_same_numbers_sees_a_null_and_a_missing_signal() -> None:
    one, other = example_result(12), example_result(12)
    other["signals"]["cka"]["low"][0] = None
    assert not Result(one).same_numbers(Result(other), rtol=1.0)
    del other["signals"]["cka"]
    assert not Result(one).same_numbers(Result(other), rtol=1.0)


# ---------------------------------------------------------------------------------------------- notebooks


def test_notebook_display_escapes_names() -> None:
    data = example_result(12)
    data["model"]["name"] = "<script>alert(1)</script>"
    shown = Result(data)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<svg" in shown


def test_plot_gives_a_figure_and_draws_into_given_axes(result: Result) -> None:
    from matplotlib.figure import Figure

    assert isinstance(result.plot(), Figure)
    own = Figure()
    ax = own.add_subplot()
    assert result.plot(ax=ax) is own
    assert ax.lines
