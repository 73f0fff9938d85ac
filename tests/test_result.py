"""A run: made of records, exported in full, saved whole, loaded unchanged."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from equal_runs import same_numbers
from example_run import example_run, with_signal

from mspgt.core.codec import dumps
from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_atomically
from mspgt.results.run import Run


@pytest.fixture(scope="module")
def run() -> Run:
    return example_run()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example_run(12).save(tmp_path_factory.mktemp("run"))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_signals_are_arrays_over_transitions(run: Run) -> None:
    assert list(run.signals) == ["cka", "probe", "attn"]
    cka = run.signals["cka"]
    assert cka.transition.tolist() == list(range(1, 32))
    assert cka.weight == 1.0
    assert (cka.low <= cka.value).all()
    assert (cka.value <= cka.high).all()
    assert cka.value.dtype == np.float64


def test_a_curve_shows_itself_in_a_line(run: Run) -> None:
    assert repr(run.signals["cka"]).startswith("<SignalCurve of 31 transitions, 1.8")
    without = example_run(12, intervals=False).verdict().evidence
    assert repr(without).endswith(", without intervals>")


def test_boundaries_are_ours_and_say_where_they_lie(run: Run) -> None:
    lower, upper = run.boundaries
    assert (lower.layer, lower.relative, lower.ci) == (11, 11 / 32, (11, 11))
    assert upper.layer == 21
    assert run.verdict().layers == (11, 21)
    assert list(run.verdict().places) == ["local-intermediate", "intermediate-global"]


def test_a_shallow_model_has_no_boundaries() -> None:
    run = example_run(6)
    assert run.boundaries == ()
    assert "too few blocks" in repr(run)


def test_repr_shows_model_data_signals_both_verdicts_and_the_answer(run: Run) -> None:
    lines = repr(run).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["model", "data", "signals", "mspgt", "paper", "found"]
    assert all(line[11] == " " and line[12] != " " for line in lines[1:])
    assert "example-7b" in lines[1]
    assert "6.74 B parameters" in lines[1]
    assert "L-I after block 11 [11, 11]" in lines[4]
    assert lines[-1].endswith("Blocks 1–11 of 32 are local, 12–21 intermediate and 22–32 global.")


def test_unknown_rule_names_the_rules_there_are(run: Run) -> None:
    with pytest.raises(UserError, match="no verdict of the rule 'mine'; available: mspgt, paper"):
        run.verdict("mine")


def test_a_curve_of_another_depth_is_no_part_of_a_run(run: Run) -> None:
    with pytest.raises(ValueError, match=r"signals.cka has 31 transitions, the model 12 blocks"):
        replace(run, model=replace(run.model, n_layers=12))


# ------------------------------------------------------------------------------------------------- export


def test_csv_has_every_signal_and_the_evidence_of_both_rules(run: Run) -> None:
    rows = rows_of(run.to_csv())
    assert list(rows[0]) == ["signal", "transition", "relative", "value", "low", "high", "weight"]
    assert len(rows) == 31 * 5
    assert {row["signal"] for row in rows} == {"cka", "probe", "attn", "evidence.mspgt", "evidence.paper"}
    at = next(row for row in rows if row["signal"] == "probe" and row["transition"] == "16")
    assert float(at["value"]) == run.signals["probe"].value[15]
    assert float(at["relative"]) == 0.5
    assert float(at["weight"]) == 0.8
    assert {row["weight"] for row in rows if row["signal"].startswith("evidence")} == {""}


def test_missing_intervals_are_empty_cells() -> None:
    rows = rows_of(example_run(12, intervals=False).to_csv())
    assert {row["low"] for row in rows} == {""}
    assert "" not in {row["value"] for row in rows}


def test_every_value_of_every_series_is_exported(run: Run) -> None:
    rows = rows_of(run.to_csv("series"))
    assert list(rows[0]) == ["signal", "series", "axis", "row", "column", "value"]
    assert len(rows) == 32 * 32 + 32 * 3 + 3
    f1 = [r for r in rows if r["signal"] == "probe" and r["series"] == "f1" and r["column"] == "pos"]
    assert [int(row["row"]) for row in f1] == list(range(1, 33))
    assert [float(row["value"]) for row in f1] == run.signals["probe"].series["f1"].values["pos"].tolist()
    assert {row["axis"] for row in f1} == {"block"}


def test_boundaries_of_both_rules_are_exported(run: Run) -> None:
    rows = run.to_rows("boundaries")
    assert [(row["rule"], row["boundary"], row["layer"]) for row in rows] == [
        ("mspgt", "local-intermediate", 11),
        ("mspgt", "intermediate-global", 21),
        ("paper", "local-intermediate", 11),
        ("paper", "intermediate-global", 21),
    ]
    assert (rows[0]["ci_low"], rows[0]["ci_high"], rows[0]["relative"], rows[0]["verdict"]) == (
        *(11, 11, 11 / 32),
        "accepted",
    )


def test_an_unknown_table_names_those_there_are(run: Run) -> None:
    with pytest.raises(UserError, match=r"'serie'.*Did you mean 'series'"):
        run.to_rows("serie")


def test_dataframe_has_the_rows(run: Run) -> None:
    pandas = pytest.importorskip("pandas")
    frame = run.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc[frame.signal == "cka", "value"].tolist() == run.signals["cka"].value.tolist()


def test_dataframe_without_pandas_names_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        run.to_dataframe()


# ------------------------------------------------------------------------------------------- save and load


def test_save_writes_what_a_run_directory_holds(saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    figures = {"evidence", "evidence-paper", "signals", "cka-matrix", "probe-f1"}
    expected = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert names == expected | {"result.json", "signals.csv", "series.csv", "boundaries.csv", "report.html"}


def test_save_then_load_changes_nothing(tmp_path: Path) -> None:
    run = example_run(12)
    run = with_signal(run, "attn", value=np.where(run.signals["attn"].transition == 3, np.nan, 0.5), flags=("mine",))
    run.save_data(tmp_path)
    for path in (tmp_path, tmp_path / "result.json", str(tmp_path)):
        read = Run.load(path)
        assert read.as_dict() == run.as_dict()
        assert same_numbers(read, run)
        assert read.directory == tmp_path
    assert math.isnan(read.signals["attn"].value[2])
    assert read.signals["cka"].figures == run.signals["cka"].figures


def test_the_file_says_first_what_it_is(run: Run) -> None:
    data = run.as_dict()
    assert list(data.items())[:2] == [("kind", "run"), ("schema", 2)]
    assert None not in data["signals"]["cka"]["value"]
    assert dumps(data) == dumps(json.loads(dumps(data)))


def test_saving_replaces_what_was_there(tmp_path: Path) -> None:
    for name in ("result.json", "signals.csv", "report.html"):
        (tmp_path / name).write_text("old")
    example_run(6).save(tmp_path)
    assert Run.load(tmp_path).n_layers == 6
    assert "old" not in {path.read_text() for path in tmp_path.glob("*.*")}
    assert not list(tmp_path.rglob("*.tmp"))


def full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match=r"could not write .*result\.json .*No space left"):
        run.save(tmp_path)


@pytest.mark.parametrize("field", ["model", "data", "signals", "verdicts", "bootstrap", "provenance", "notes"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    data = example_run(12).as_dict()
    del data[field]
    with pytest.raises(UserError, match=f"result.json is damaged: .*the field '{field}' is missing; make it again"):
        load_text(tmp_path, data)


def test_a_curve_of_unequal_lengths_is_named(tmp_path: Path) -> None:
    data = example_run(12).as_dict()
    data["signals"]["attn"]["low"].pop()
    with pytest.raises(UserError, match=r"damaged: signals\['attn'\]: a curve has 11 of transition.* 10 of low"):
        load_text(tmp_path, data)


def load_text(folder: Path, data: Any) -> Run:
    (folder / "result.json").write_text(json.dumps(data), encoding="utf-8")
    return Run.load(folder)


# -------------------------------------------------------------------------------------------------- same


def test_same_numbers_ignores_provenance_and_sees_the_last_digit() -> None:
    one = example_run(12)
    assert same_numbers(one, replace(one, provenance=replace(one.provenance, seconds=1.0)))
    value = one.signals["cka"].value.copy()
    value[3] = math.nextafter(value[3], 9)
    other = with_signal(one, "cka", value=value)
    assert not same_numbers(one, other)
    assert same_numbers(one, other, rtol=1e-12)


def test_same_numbers_sees_what_is_not_there() -> None:
    one = example_run(12)
    low = one.signals["cka"].low.copy()
    low[0] = math.nan
    assert not same_numbers(one, with_signal(one, "cka", low=low), rtol=1.0)
    fewer = {name: curve for name, curve in one.signals.items() if name != "cka"}
    assert not same_numbers(one, replace(one, signals=fewer), rtol=1.0)


# ---------------------------------------------------------------------------------------------- notebooks


def test_notebook_display_escapes_names() -> None:
    run = example_run(12)
    shown = replace(run, model=replace(run.model, name="<script>alert(1)</script>"))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<svg" in shown


def test_plot_gives_a_figure_and_draws_into_given_axes(run: Run) -> None:
    from matplotlib.figure import Figure

    assert isinstance(run.plot(), Figure)
    own = Figure()
    ax = own.add_subplot()
    assert run.plot(ax=ax, rule="paper") is own
    assert ax.lines
    assert isinstance(run.plot("probe-f1"), Figure)
    with pytest.raises(UserError, match=r"'evidense'.*Did you mean 'evidence'"):
        run.plot("evidense")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("signals", {}, "it has no signal"),
        ("verdicts", {}, "no verdict of the rule 'mspgt'"),
        ("verdicts.mspgt.intermediate_global", None, r"verdicts.*accepted without two boundaries"),
        ("signals.cka.transition", [99] * 11, "signals.cka has transitions that do not count from 1"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    saved: Path, tmp_path: Path, path: str, value: Any, message: str
) -> None:
    data = json.loads((saved / "result.json").read_text(encoding="utf-8"))
    *folders, last = path.split(".")
    place = data
    for name in folders:
        place = place[name]
    place[last] = value
    (tmp_path / "result.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        Run.load(tmp_path)
