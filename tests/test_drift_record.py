"""The object that a training or checkpoints give back: what it knows, exports and saves; damaged files are refused."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_drift import REPLICATES, example_drift, read
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import mspgt
from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.results.drift import Drift, Overhead
from mspgt.results.run import Run
from mspgt.show.drift import prose
from mspgt.stats.boundaries import BOUNDARIES, RULES
from mspgt.stats.changes import Move


@pytest.fixture(scope="module")
def drift() -> Drift:
    return example_drift()


@pytest.fixture(scope="module")
def saved(drift: Drift, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drift.save(tmp_path_factory.mktemp("drift"))


# ------------------------------------------------------------------------------------------------ what it knows


def test_what_a_run_shows_is_had_by_the_step(drift: Drift) -> None:
    run = drift.at(1600)
    assert isinstance(run, Run)
    assert run.signals is drift.points[6].signals
    assert run.verdicts is drift.points[6].verdicts
    assert (run.model, run.data, run.bootstrap) == (drift.model, drift.data, drift.bootstrap)
    with pytest.raises(UserError, match=r"nothing was evaluated at step 1601; available: 0, 100, .*, 2850\.$"):
        drift.at(1601)


def test_a_difference_is_that_of_the_two_curves(drift: Drift) -> None:
    for before, after, change in zip(drift.points, drift.points[1:], drift.changes, strict=False):
        assert (change.start, change.stop) == (before.step, after.step)
        assert list(change.signals) == list(drift.signals)
        for name, curve in change.signals.items():
            np.testing.assert_array_equal(curve.value, after.signals[name].value - before.signals[name].value)
            assert np.all(curve.low < curve.value)


def test_moves_bear_the_names_of_boundaries(drift: Drift) -> None:
    for before, after, change in zip(drift.points, drift.points[1:], drift.changes, strict=False):
        for rule in RULES:
            places = [point.verdicts[rule].places for point in (before, after)]
            moves = change.by(rule).known
            assert moves.keys() == places[0].keys() & places[1].keys()
            for name, move in moves.items():
                assert move.moved == places[1][name].layer - places[0][name].layer


def test_without_intervals_there_are_neither_replicates_nor_ends() -> None:
    drift = example_drift(intervals=False)
    assert all(point.replicates is None for point in drift.points)
    moves = [move for change in drift.changes for move in change.boundaries.known.values()]
    assert moves
    assert not any(move.low is not None or move.real for move in moves)
    assert all(np.isnan(curve.low).all() for change in drift.changes for curve in change.signals.values())


def test_a_single_point_has_no_changes() -> None:
    drift = example_drift(points=1)
    assert drift.changes == ()
    assert drift.overall is None


def test_runs_are_compared_at_their_ends(drift: Drift, tmp_path: Path) -> None:
    other = example_drift(seed=1)
    answer = drift.against(other)
    assert answer.verdict == "contradicted"
    assert answer.numbers.rule == "mspgt"
    assert drift.against(other.save_data(tmp_path), rule="paper").numbers.rule == "paper"
    with pytest.raises(UserError, match="needs 2 or more"):
        drift.against()


# ------------------------------------------------------------------------------------------------ in words


def test_repr_says_what_was_followed_and_found(drift: Drift) -> None:
    lines = repr(drift).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("mspgt.Drift", "model", "data", "steps", "signals", "mspgt", "paper", "found")
    ]
    assert "9 steps (0 to 2,850)" in lines[3]
    assert lines[-1].endswith(prose.headline(drift))
    later = example_drift(source="checkpoints")
    assert "intermediate-global moved by -2 blocks [-3, -1]" in repr(later).splitlines()[-2]
    assert len(repr(example_drift(points=1)).splitlines()) == 6


@pytest.mark.parametrize("options", [{}, {"points": 1}, {"n_layers": 3}, {"intervals": False}])
def test_a_notebook_shows_the_end_and_a_figure(options: dict[str, Any]) -> None:
    drift = example_drift(**options)
    shown = drift._repr_html_()
    assert prose.headline(drift) in shown
    for boundary in drift.points[-1].verdicts["mspgt"].boundaries:
        assert f"block {boundary.layer}" in shown
    assert shown.count("<svg") == 1
    assert set(re.findall(r"var\((--[\w-]+)\)", shown)) <= set(re.findall(r"(--[\w-]+):", shown))


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (Move(3, 1, 4, real=True, share=1.0), "moved by 3 blocks [1, 4]"),
        (Move(-1, -2, -1, real=True, share=1.0), "moved by -1 block [-2, -1]"),
        (Move(1, -1, 2, real=False, share=1.0), "moved within noise: 1 [-1, 2]"),
        (Move(0, 0, 0, real=False, share=1.0), "did not move"),
        (Move(0, -1, 1, real=False, share=1.0), "did not move [-1, 1]"),
        (Move(2, 1, 3, real=False, share=0.8), "moved by 2 blocks [1, 3], but not by more than noise for certain"),
        (Move(2, None, None, real=False, share=None), "moved by 2 blocks (no interval)"),
        (Move(0, None, None, real=False, share=None), "did not move (no interval)"),
    ],
)
def test_a_move_in_words(move: Move, said: str) -> None:
    assert prose.move(move) == said


def _headline(accepted: list[bool]) -> str:
    """Of the example, accepted at these points of it, from the fourth on."""
    data = example_drift().as_dict()
    for point, is_accepted in zip(data["points"][3:], accepted, strict=True):
        point["verdicts"]["mspgt"] |= {"accepted": is_accepted, "status": "ok" if is_accepted else "unstable"}
    return prose.headline(read(data))


@pytest.mark.parametrize(
    ("accepted", "headline"),
    [
        ([False] * 6, "No boundaries are accepted at any of 9 steps (0 to 2,850)."),
        ([True] * 6, "Boundaries are accepted from step 400 on: after blocks 4 and 10 of 12, at the end 4 and 8."),
        (
            [True, False, False, False, True, True],
            "Boundaries are accepted from step 2,200 on: after blocks 4 and 8 of 12 at the end.",
        ),
        ([False] * 5 + [True], "Boundaries are accepted at step 2,850: after blocks 4 and 8 of 12."),
        (
            [True, True, False, True, False, False],
            "Boundaries are accepted at 3 of 9 steps (400 to 1,600), but not at the end: positions change with the "
            "documents drawn.",
        ),
        (
            [True, False, False, False, False, False],
            "Boundaries are accepted at 1 of 9 steps (400), but not at the end: positions change with the documents "
            "drawn.",
        ),
    ],
)
def test_the_headline_says_since_when_boundaries_are_accepted(accepted: list[bool], headline: str) -> None:
    assert _headline(accepted) == headline


def test_the_headline_of_one_point_names_its_step() -> None:
    assert prose.headline(example_drift(points=1)) == "No boundaries are accepted at step 0."


def test_overhead_is_a_share_of_the_training() -> None:
    said = "123 s in all, 4.2% of the training's time (5.0% was allowed), 1 that was due skipped to stay within that"
    assert prose.describe_overhead(Overhead(123.4, 0.0421, 100, 0.05, 1)) == said
    assert prose.describe_overhead(Overhead(9.5)) == "9.5 s in all"


# ------------------------------------------------------------------------------------------------ exported


def _rows(drift: Drift, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(drift.to_csv(table).splitlines()))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def test_curves_are_those_of_the_file_to_the_last_digit(drift: Drift) -> None:
    rows = {(row["step"], row["signal"], row["transition"]): row for row in _rows(drift, "curves")}
    assert len(rows) == 9 * 5 * 11  # steps, signals and evidence, transitions
    for point in drift.as_dict()["points"]:
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
    for change in drift.as_dict()["changes"]:
        for name, curve in change["signals"].items():
            row = rows[str(change["to"]), name, "5"]
            assert [row[end] for end in ends] == [_text(curve[key][4]) for key in ("difference", "low", "high")]


def test_a_signal_that_was_left_out_once_has_no_change_there() -> None:
    data = example_drift(points=3).as_dict()
    del data["points"][1]["signals"]["probe"]
    for change in data["changes"]:
        del change["signals"]["probe"]
    rows = [row for row in _rows(read(data), "curves") if row["signal"] == "probe"]
    assert {row["step"] for row in rows} == {"0", "150"}
    assert {row["difference"] for row in rows} == {""}


def test_boundaries_have_a_row_whether_found_or_not(drift: Drift) -> None:
    rows = _rows(drift, "boundaries")
    assert len(rows) == 9 * 2 * 2
    points = drift.as_dict()["points"]
    for row, (point, rule, name) in zip(
        rows, ((p, r, n) for p in points for r in ("mspgt", "paper") for n in BOUNDARIES), strict=True
    ):
        verdict, found = point["verdicts"][rule], point["verdicts"][rule][name] or {"ci": None}
        assert (row["step"], row["rule"], row["boundary"]) == (str(point["step"]), rule, BOUNDARIES[name])
        assert (row["layer"], row["relative"]) == (_text(found.get("layer")), _text(found.get("relative")))
        assert [row["ci_low"], row["ci_high"]] == [_text(end) for end in found["ci"] or (None, None)]
        assert (row["accepted"], row["status"]) == (str(verdict["accepted"]), verdict["status"])


def test_moves_stand_in_the_rows_of_the_later_step(drift: Drift) -> None:
    rows = {(row["step"], row["rule"], row["boundary"]): row for row in _rows(drift, "boundaries")}
    for change in drift.as_dict()["changes"]:
        for rule, key in (("mspgt", "boundaries"), ("paper", "paper")):
            for name, move in change[key].items():
                row = rows[str(change["to"]), rule, BOUNDARIES[name]]
                expected = move or dict.fromkeys(("moved", "low", "high", "real"))
                found = [row[column] for column in ("moved", "moved_low", "moved_high", "real")]
                assert found == [_text(expected[k]) for k in ("moved", "low", "high", "real")]


def test_rows_have_none_where_there_is_nothing_and_columns_in_their_order(drift: Drift) -> None:
    first = drift.to_rows("boundaries")[0]
    assert list(first) == [
        *("step", "rule", "boundary", "layer", "relative", "ci_low", "ci_high", "accepted", "status"),
        *("moved", "moved_low", "moved_high", "real", "loss"),
    ]
    assert first["layer"] is first["ci_high"] is first["moved"] is first["real"] is first["loss"] is None
    assert list(drift.to_rows()[0]) == [
        *("step", "signal", "transition", "relative", "value", "low", "high"),
        *("difference", "difference_low", "difference_high", "loss"),
    ]


def test_an_unknown_table_is_refused(drift: Drift) -> None:
    with pytest.raises(UserError, match=r"unknown table 'boundary'\. Did you mean 'boundaries'\?"):
        drift.to_rows("boundary")


def test_a_data_frame_has_the_columns_of_the_csv(drift: Drift) -> None:
    pandas = pytest.importorskip("pandas")
    frame = drift.to_dataframe("boundaries")
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == drift.to_csv("boundaries").splitlines()[0].split(",")
    assert frame[frame.accepted & (frame.rule == "mspgt")].step.min() == 1600


# ------------------------------------------------------------------------------------------------ saved


def test_save_writes_everything_and_load_gives_it_back(drift: Drift, saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert {"drift.json", "drift.csv", "boundaries.csv", "report.html", "figures/drift.svg"} <= names
    for path in (saved, saved / "drift.json"):
        for found in (Drift.load(path), mspgt.load(path)):
            assert isinstance(found, mspgt.Drift)
            assert plain(found) == plain(drift)
            assert found.directory == saved


def test_the_data_alone_are_three_files(drift: Drift, saved: Path, tmp_path: Path) -> None:
    assert drift.save_data(tmp_path / "new") == tmp_path / "new"
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"drift.json", "drift.csv", "boundaries.csv"}
    assert all((tmp_path / "new" / name).read_bytes() == (saved / name).read_bytes() for name in names)
    assert (saved / "boundaries.csv").read_text() == drift.to_csv("boundaries")


def test_the_file_has_the_fields_that_are_promised(saved: Path) -> None:
    data = json.loads((saved / "drift.json").read_text(encoding="utf-8"))
    assert list(data)[:2] == ["kind", "schema"]
    assert (data["kind"], data["schema"]) == ("drift", 2)
    assert {"model", "data", "provenance", "points", "changes", "prediction_3_2", "overhead"} <= data.keys()
    assert {"step", "signals", "verdicts", "loss", "seconds"} <= data["points"][0].keys()
    assert {"from", "to", "signals", "boundaries"} <= data["changes"][0].keys()
    assert data["changes"][-1]["signals"]["cka"].keys() == {"transition", "difference", "low", "high"}
    move = data["changes"][-1]["boundaries"]["intermediate_global"]
    assert {"moved", "low", "high", "real"} <= move.keys()
    assert {"share", "every_n_steps"} <= data["overhead"].keys()
    replicates = data["points"][-1]["replicates"]["mspgt"]
    assert {name: len(layers) for name, layers in replicates.items()} == dict.fromkeys(BOUNDARIES, REPLICATES)
    assert len((saved / "drift.json").read_text(encoding="utf-8").splitlines()) < 4_000


# ------------------------------------------------------------------------------------------------ damage


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a path such as ``points.0.step``; nothing but Ellipsis removes it."""
    *above, last = path.split(".")
    block: Any = data
    for key in above:
        block = block[int(key)] if isinstance(block, list) else block[key]
    if value is ...:
        del block[last]
    else:
        block[int(last) if isinstance(block, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", 1, "d.json has schema 1; this version of mspgt reads schema 2"),
        ("kind", "run", "d.json holds 'run', not a drift"),
        ("points", ..., "d.json is damaged: the field 'points' is missing"),
        ("bootstrap", None, "bootstrap: "),
        ("model.n_layers", "12", r"model\.n_layers: it is '12', not a whole number"),
        ("points", [], "it holds no points"),
        ("points.1", "x", r"points\[1\]: it is str, not a mapping"),
        ("points.1.step", ..., r"points\[1\]: the field 'step' is missing"),
        ("points.1.step", 1.5, r"points\[1\]\.step: it is 1\.5, not a whole number"),
        ("points.1.step", 0, "step 0 follows step 0"),
        ("points.1.step", 300, "step 200 follows step 300"),
        ("points.1.step", 50, "changes do not lead from each point to the next"),
        ("points.1.loss", "low", r"points\[1\]\.loss: it is 'low', not a number"),
        ("points.2.signals", ..., r"points\[2\]: the field 'signals' is missing"),
        ("points.2.signals.cka.low", [1.0], r"points\[2\]\.signals.*cka.*a curve has 11 of transition"),
        ("points.2.verdicts.mspgt", ..., r"at step 200, .*no verdict of the rule 'mspgt'"),
        (
            "points.8.verdicts.mspgt.intermediate_global",
            None,
            r"points\[8\]\.verdicts.*accepted without two boundaries",
        ),
        ("points.8.verdicts.mspgt.status", ..., r"points\[8\]\.verdicts.*mspgt.*the field 'status' is missing"),
        ("points.2.replicates.paper.local_intermediate", [4], r"points\[2\]\.replicates.*1 values .* and 200"),
        ("points.2.replicates.mspgt.local_intermediate.7", 4.5, "no list of whole numbers"),
        ("changes", [], "changes do not lead"),
        ("changes.3.to", ..., r"changes\[3\]: the field 'to' is missing"),
        ("changes.3.signals.attn.high", [0.5], r"changes\[3\]\.signals.*attn.*a curve has 11 of transition"),
        ("changes.7.paper.local_intermediate.moved", None, r"changes\[7\].*moved: it is None, not a whole number"),
        ("overall", [], "overall: it is list, not a mapping"),
        ("overall.to", 7, "overall does not lead from the first point to the last"),
        ("overhead.share", "much", r"overhead\.share: it is 'much', not a number"),
        ("notes", "x", "notes"),
        ("bootstrap.units", 5, r"bootstrap\.units"),
        ("bootstrap.replikates", 5, "bootstrap: unknown field 'replikates'"),
    ],
)
def test_damage_is_told_in_one_sentence(path: str, value: Any, said: str) -> None:
    data = example_drift().as_dict()
    _put(data, path, value)
    with pytest.raises(UserError, match=said) as raised:
        read(data)
    assert str(raised.value).startswith("d.json")
    assert re.search(r"make it again by|give one made by", str(raised.value))


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield ".".join((*above, str(key)))
        yield from _paths(item, (*above, str(key)))


WHOLE = json.dumps(example_drift(points=3).as_dict())


@settings(max_examples=150)
@given(
    st.sampled_from(list(_paths(json.loads(WHOLE)))),
    st.sampled_from([None, "x", [], {}, -1, 1.5, True, [1], {"a": 1}, math.nan]),
)
def test_whatever_is_opened_can_be_shown(path: str, value: Any) -> None:
    data = json.loads(WHOLE)
    _put(data, path, value)
    try:
        drift = read(data)
    except UserError:
        return
    assert prose.headline(drift) in repr(drift)
    assert len(drift.to_csv("boundaries").splitlines()) == 1 + 2 * sum(len(p.verdicts) for p in drift.points)
    drift.show(Console(file=io.StringIO(), width=80))


@settings(max_examples=20)
@given(st.integers(3, 24), st.integers(1, 12), st.booleans(), st.sampled_from(["training", "checkpoints"]))
def test_a_file_gives_back_what_was_written(n_layers: int, points: int, intervals: bool, source: str) -> None:
    drift = example_drift(n_layers, points, intervals=intervals, source=source)
    again = read(json.loads(json.dumps(drift.as_dict(), allow_nan=False)))
    assert plain(again) == plain(drift)
    for before, after in pairwise(again.points):
        assert before.step < after.step
