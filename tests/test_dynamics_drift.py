"""The object that a training or checkpoints give back: it exports, draws, saves and is loaded again."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mspgt
from mspgt.core.errors import UserError
from mspgt.results.drift import Drift, load
from mspgt.results.drift.export import COLUMNS, to_json
from mspgt.results.intervention import Behaviour
from mspgt.results.result import Result
from mspgt.results.schema import BOUNDARIES
from mspgt.testing.drift_example import example_drift
from mspgt.testing.interventions_example import example_interventions
from mspgt.testing.results import example_result


@pytest.fixture(scope="module")
def drift() -> Drift:
    return Drift(example_drift())


@pytest.fixture(scope="module")
def saved(drift: Drift, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drift.save(tmp_path_factory.mktemp("drift"))


# ------------------------------------------------------------------------------------------------ shown


def test_repr_says_what_was_followed_and_found(drift: Drift) -> None:
    lines = repr(drift).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("mspgt.Drift", "model", "data", "steps", "signals", "found", "mspgt", "paper")
    ]
    assert "9 steps (0 to 2,850)" in lines[3]
    assert lines[5].endswith(drift.headline)
    later = Drift(example_drift(source="checkpoints"))
    assert "intermediate-global moved by -2 blocks [-3, -1]" in repr(later).splitlines()[-1]
    assert len(repr(Drift(example_drift(points=1))).splitlines()) == 6


@pytest.mark.parametrize("options", [{}, {"points": 1}, {"n_layers": 3}, {"intervals": False}])
def test_a_notebook_shows_the_end_and_a_figure(options: dict[str, Any]) -> None:
    drift = Drift(example_drift(**options))
    shown = drift._repr_html_()
    assert drift.headline in shown
    assert shown.count("<tr>") == 2
    assert shown.count("<svg") == 1


def test_findings_are_had_by_their_step(drift: Drift) -> None:
    assert drift.at(1600) is drift.points[6].findings
    with pytest.raises(UserError, match=r"nothing was evaluated at step 1601; available: 0, 100, .*, 2850\.$"):
        drift.at(1601)


def test_figures_are_drawn_by_name(drift: Drift) -> None:
    assert drift.plot().axes
    with pytest.raises(UserError, match=r"'drft'.*drift"):
        drift.plot("drft")


def test_runs_are_compared_at_their_ends(drift: Drift, tmp_path: Path) -> None:
    other = Drift(example_drift(seed=1))
    answer = drift.against(other)
    assert answer.verdict == "contradicted"
    assert answer.numbers["rule"] == "mspgt"
    assert drift.against(other.save_data(tmp_path), rule="paper").numbers["rule"] == "paper"
    with pytest.raises(UserError, match="two or more"):
        drift.against()


# ------------------------------------------------------------------------------------------------ exported


def _rows(drift: Drift, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(drift.to_csv(table).splitlines()))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def test_curves_are_those_of_the_file_to_the_last_digit(drift: Drift) -> None:
    rows = {(row["step"], row["signal"], row["transition"]): row for row in _rows(drift, "curves")}
    assert len(rows) == 9 * 5 * 11  # steps, signals and evidence, transitions
    for point in drift.data["points"]:
        evidence = {f"evidence.{rule}": verdict["evidence"] for rule, verdict in point["verdicts"].items()}
        for name, curve in (point["signals"] | evidence).items():
            for i, transition in enumerate(curve["transition"]):
                row = rows[str(point["step"]), name, str(transition)]
                assert [row[key] for key in ("value", "low", "high")] == [
                    _text(curve[key][i]) for key in ("value", "low", "high")
                ]
                assert row["loss"] == _text(point["loss"])
                assert float(row["relative"]) == transition / 12


def test_a_change_stands_in_the_rows_of_the_later_step(drift: Drift) -> None:
    rows = {(row["step"], row["signal"], row["transition"]): row for row in _rows(drift, "curves")}
    ends = ("difference", "difference_low", "difference_high")
    assert all(row[end] == "" for row in rows.values() for end in ends if row["step"] == "0" or "." in row["signal"])
    for change in drift.data["changes"]:
        for name, curve in change["signals"].items():
            row = rows[str(change["to"]), name, "5"]
            assert [row[end] for end in ends] == [_text(curve[key][4]) for key in ("difference", "low", "high")]


def test_a_signal_that_was_left_out_once_has_no_change_there() -> None:
    data = example_drift(points=3)
    del data["points"][1]["signals"]["probe"]
    for change in data["changes"]:
        del change["signals"]["probe"]
    rows = [row for row in _rows(Drift(data), "curves") if row["signal"] == "probe"]
    assert {row["step"] for row in rows} == {"0", "150"}
    assert {row["difference"] for row in rows} == {""}


def test_boundaries_have_a_row_whether_found_or_not(drift: Drift) -> None:
    rows = _rows(drift, "boundaries")
    assert len(rows) == 9 * 2 * 2
    for row, (step, rule, name) in zip(
        rows,
        ((p, r, n) for p in drift.data["points"] for r in ("mspgt", "paper") for n in BOUNDARIES),
        strict=True,
    ):
        verdict, found = step["verdicts"][rule], step["verdicts"][rule][name] or {"ci": None}
        assert (row["step"], row["rule"], row["boundary"]) == (str(step["step"]), rule, BOUNDARIES[name])
        assert (row["layer"], row["relative"]) == (_text(found.get("layer")), _text(found.get("relative")))
        assert [row["ci_low"], row["ci_high"]] == [_text(end) for end in found["ci"] or (None, None)]
        assert (row["accepted"], row["status"]) == (str(verdict["accepted"]), verdict["status"])


def test_moves_stand_in_the_rows_of_the_later_step(drift: Drift) -> None:
    rows = {(row["step"], row["rule"], row["boundary"]): row for row in _rows(drift, "boundaries")}
    for change in drift.data["changes"]:
        for rule, key in (("mspgt", "boundaries"), ("paper", "paper")):
            for name, move in change[key].items():
                row = rows[str(change["to"]), rule, BOUNDARIES[name]]
                expected = move or dict.fromkeys(("moved", "low", "high", "real"))
                given_ = [row[column] for column in ("moved", "moved_low", "moved_high", "real")]
                assert given_ == [_text(expected[k]) for k in ("moved", "low", "high", "real")]


def test_an_unknown_table_is_refused(drift: Drift) -> None:
    with pytest.raises(UserError, match=r"unknown table 'boundary'\. Did you mean 'boundaries'\?"):
        drift.to_rows("boundary")


def test_a_data_frame_has_the_columns_of_the_csv(drift: Drift) -> None:
    pandas = pytest.importorskip("pandas")
    frame = drift.to_dataframe("boundaries")
    assert isinstance(frame, pandas.DataFrame)
    assert tuple(frame.columns) == COLUMNS["boundaries"]
    assert frame[frame.accepted & (frame.rule == "mspgt")].step.min() == 1600


def test_without_pandas_a_data_frame_says_how_to_get_it(drift: Drift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        drift.to_dataframe()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_reads_back_as_the_same_values(value: Any) -> None:
    assert json.loads(to_json(value)) == value


def test_lists_of_numbers_are_a_line_each(drift: Drift) -> None:
    assert to_json({"a": [1, None, 2.5], "b": [[1], []], "c": {}}) == (
        '{\n "a": [1, null, 2.5],\n "b": [\n  [1],\n  []\n ],\n "c": {}\n}'
    )
    assert len(to_json(drift.data).splitlines()) < 3_000


# ------------------------------------------------------------------------------------------------ saved


def test_save_writes_everything_and_load_gives_it_back(drift: Drift, saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert {"drift.json", "drift.csv", "boundaries.csv", "report.html", "figures/drift.svg"} <= names
    for path in (saved, saved / "drift.json"):
        for found in (load(path), mspgt.load(path)):
            assert isinstance(found, mspgt.Drift)
            assert found.data == drift.data


def test_the_data_alone_are_three_files(drift: Drift, saved: Path, tmp_path: Path) -> None:
    assert drift.save_data(tmp_path / "new") == tmp_path / "new"
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"drift.json", "drift.csv", "boundaries.csv"}
    assert all((tmp_path / "new" / name).read_bytes() == (saved / name).read_bytes() for name in names)
    assert (saved / "boundaries.csv").read_text() == drift.to_csv("boundaries")


# ------------------------------------------------------------------------------------------------ loaded


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"no drift at .*drift\.json; give a directory that holds drift\.json, made by training with"),
        (b"\xff\xfe", r"cannot read .*drift\.json"),
        (b'{"schema": 1,\n', r"drift\.json is not JSON \(line 2: .*\); make it again"),
        (b"[1]", r"drift\.json holds a list, not a drift; give a drift\.json"),
        (b'{"schema": 7}', r"drift\.json has schema 7; this version of mspgt reads schema 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "drift.json").write_bytes(content)
    with pytest.raises(UserError, match=said):
        load(tmp_path)


def test_mspgt_load_tells_what_a_file_is_by_what_it_says(tmp_path: Path) -> None:
    made = {
        Drift: example_drift(points=2),
        Behaviour: example_interventions(controls=False),
        Result: example_result(12),
    }
    for kind, data in made.items():
        (tmp_path / "mine.json").write_text(json.dumps(data))
        assert type(mspgt.load(tmp_path / "mine.json")) is kind


def test_mspgt_load_names_all_kinds_of_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"result\.json .*interventions\.json .*drift\.json"):
            mspgt.load(path)
    (tmp_path / "drift.json").write_text("{}")
    with pytest.raises(UserError, match=r"drift\.json has schema None"):
        mspgt.load(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds result\.json and drift\.json; give the path of one of them"):
        mspgt.load(tmp_path)
