"""Views of drift.json: points, changes and moves as the file has them, damaged files refused in one sentence."""

from __future__ import annotations

import copy
import io
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mspgt.core.errors import UserError
from mspgt.results.drift import Drift
from mspgt.results.drift.schema import Move, Recorded
from mspgt.results.result import Result
from mspgt.results.schema import BOUNDARIES, RULES
from mspgt.show.drift.table import render
from mspgt.testing.drift_example import example_drift
from mspgt.testing.results import example_result

BLOCKS = ("model", "data", "bootstrap", "provenance")


@pytest.fixture(scope="module")
def drift() -> Recorded:
    return Recorded(example_drift())


def test_points_are_those_of_the_file(drift: Recorded) -> None:
    blocks = drift.data["points"]
    assert drift.steps.tolist() == [block["step"] for block in blocks]
    assert np.isnan(drift.points[0].loss)
    assert [point.loss for point in drift.points[1:]] == [block["loss"] for block in blocks[1:]]
    assert [point.seconds for point in drift.points] == [block["seconds"] for block in blocks]
    assert [point.end for point in drift.points] == [False] * 8 + [True]
    assert [len(point.notes) for point in drift.points] == [0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_findings_of_a_point_are_those_of_a_result(drift: Recorded) -> None:
    block, findings = drift.data["points"][4], drift.points[4].findings
    whole = example_result(12) | {key: drift.data[key] for key in BLOCKS}
    result = Result(whole | {"signals": block["signals"], "verdicts": block["verdicts"]})
    assert result.same_numbers(findings)
    assert findings.headline == result.headline
    assert drift.describe_model == result.describe_model


def test_replicates_have_a_column_for_each_boundary(drift: Recorded) -> None:
    for point, block in zip(drift.points, drift.data["points"], strict=True):
        assert point.replicates is not None
        for rule in RULES:
            assert point.replicates[rule].shape == (drift.data["bootstrap"]["replicates"], 2)
            for column, key in zip(point.replicates[rule].T, BOUNDARIES, strict=True):
                assert column.tolist() == block["replicates"][rule][key]


def test_a_difference_is_that_of_the_two_curves(drift: Recorded) -> None:
    for before, after, change in zip(drift.points, drift.points[1:], drift.changes, strict=False):
        assert (change.start, change.stop) == (before.step, after.step)
        assert list(change.signals) == list(drift.signals)
        for name, curve in change.signals.items():
            difference = after.findings.signals[name].value - before.findings.signals[name].value
            np.testing.assert_allclose(curve.value, difference)
            assert np.all(curve.low < curve.value)


def test_moves_bear_the_names_of_boundaries(drift: Recorded) -> None:
    for before, after, change in zip(drift.points, drift.points[1:], drift.changes, strict=False):
        for rule, moves in change.boundaries.items():
            for name, move in moves.items():
                layers = [
                    {b.name: b.layer for b in point.findings.verdict(rule).boundaries}.get(name)
                    for point in (before, after)
                ]
                assert (move is None) == (None in layers)
                if move is not None and layers[0] is not None and layers[1] is not None:
                    assert move.moved == layers[1] - layers[0]


def test_without_intervals_there_are_neither_replicates_nor_ends() -> None:
    drift = Recorded(example_drift(intervals=False))
    assert all(point.replicates is None for point in drift.points)
    moves = [move for change in drift.changes for move in change.boundaries["mspgt"].values() if move]
    assert moves
    assert not any(move.has_interval or move.real for move in moves)
    assert all(np.isnan(curve.low).all() for change in drift.changes for curve in change.signals.values())


def test_a_single_point_has_no_changes() -> None:
    drift = Recorded(example_drift(points=1))
    assert drift.changes == ()
    assert drift.overall is None


def test_contents_become_plain_and_the_given_ones_stay() -> None:
    data = example_drift(points=2)
    data["points"][1]["loss"] = math.inf
    data["points"][1]["signals"]["cka"]["value"] = np.array([math.nan] * 11)
    drift = Recorded(data)
    assert math.isnan(drift.points[1].loss)
    assert drift.data["points"][1]["signals"]["cka"]["value"] == [None] * 11
    assert data["points"][1]["loss"] == math.inf


# ------------------------------------------------------------------------------------------------ sentences


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (Move(3, 1, 4, True, 1.0), "moved by 3 blocks [1, 4]"),
        (Move(-1, -2, -1, True, 1.0), "moved by -1 block [-2, -1]"),
        (Move(1, -1, 2, False, 1.0), "moved within noise: 1 [-1, 2]"),
        (Move(0, 0, 0, False, 1.0), "did not move"),
        (Move(0, -1, 1, False, 1.0), "did not move [-1, 1]"),
        (Move(2, 1, 3, False, 0.8), "moved by 2 blocks [1, 3], but not by more than noise for certain"),
        (Move(2), "moved by 2 blocks (no interval)"),
        (Move(0), "did not move (no interval)"),
    ],
)
def test_a_move_in_words(move: Move, words: str) -> None:
    assert str(move) == words


def _headline(accepted: list[bool]) -> str:
    """Of the example, accepted at these points of it, from the fourth on."""
    data = example_drift()
    for point, is_accepted in zip(data["points"][3:], accepted, strict=True):
        point["verdicts"]["mspgt"] |= {"accepted": is_accepted, "status": "ok" if is_accepted else "unstable"}
    return Recorded(data).headline


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
    assert Recorded(example_drift(points=1)).headline == "No boundaries are accepted at step 0."


def test_overhead_is_a_share_of_the_training() -> None:
    data = example_drift()
    data["overhead"] = {"share": 0.0421, "max_overhead": 0.05, "seconds": 123.4, "skipped": 1}
    said = "123 s in all, 4.2% of the training's time (5.0% was allowed), 1 that was due skipped to stay within that"
    assert Recorded(data).describe_overhead == said
    data["overhead"] = {"share": None, "every_n_steps": None, "max_overhead": None}
    assert re.fullmatch(r"\d\d s in all", Recorded(data).describe_overhead)


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
        ("schema", 2, "d.json has schema 2; this version of mspgt reads schema 1"),
        ("points", ..., "d.json is not a complete drift: 'points' is missing"),
        ("bootstrap", None, "'bootstrap' is missing"),
        ("model.n_layers", "12", r"model\.n_layers is missing"),
        ("points", [], "d.json holds no points"),
        ("points.1", "x", r"points\[1\] cannot be read \(it is no mapping\)"),
        ("points.1.step", ..., r"points\[1\] cannot be read \('step' is missing\)"),
        ("points.1.step", 1.5, r"points\[1\] cannot be read \(step is 1\.5, not a whole number\)"),
        ("points.1.step", 0, "step 0 follows step 0"),
        ("points.1.step", 300, "step 200 follows step 300"),
        ("points.1.step", 50, "changes do not lead from each point to the next"),
        ("points.1.loss", "low", r"points\[1\] cannot be read .*'low'"),
        ("points.2.signals", ..., r"d\.json, step 200, is not a complete result: 'signals' is missing"),
        ("points.2.signals.cka.low", [1.0], r"d\.json, step 200, is damaged: signals\.cka has 11 of transition"),
        ("points.2.verdicts.mspgt", ..., r"points\[2\] cannot be read \(verdicts\.mspgt is missing\)"),
        ("points.8.verdicts.mspgt.intermediate_global", None, r"points\[8\].*accepted without two boundaries"),
        ("points.8.verdicts.mspgt.status", ..., r"points\[8\] cannot be read \('status' is missing\)"),
        ("points.2.replicates.paper.local_intermediate", [4], r"replicates\.paper has 1 and 200 values"),
        ("points.2.replicates.mspgt.local_intermediate.7", 4.5, "not a whole number"),
        ("changes", [], "changes do not lead"),
        ("changes.3.to", ..., r"changes\[3\] cannot be read \('to' is missing\)"),
        ("changes.3.signals.attn.high", [0.5], r"changes\[3\] cannot be read \(the arrays of attn differ in length\)"),
        ("changes.7.paper.local_intermediate.moved", None, r"changes\[7\].*moved is None"),
        ("overall", [], "overall holds no mapping"),
        ("overall.to", 7, "overall does not lead from the first point to the last"),
        ("overhead.share", "much", r"overhead\.share is 'much', not a number"),
        ("notes", "x", "notes holds no list"),
        ("bootstrap.units", 5, "model, data or bootstrap cannot be read"),
    ],
)
def test_damage_is_told_in_one_sentence(path: str, value: Any, said: str) -> None:
    data = example_drift()
    _put(data, path, value)
    with pytest.raises(UserError, match=said) as raised:
        Recorded(data, "d.json")
    assert str(raised.value).startswith("d.json")
    assert re.search(r"(make|Make) it again|must be equally many\.$", str(raised.value))


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield ".".join((*above, str(key)))
        yield from _paths(item, (*above, str(key)))


WHOLE = example_drift(points=3)


@settings(max_examples=150)
@given(
    st.sampled_from(list(_paths(WHOLE))), st.sampled_from([None, "x", [], {}, -1, 1.5, True, [1], {"a": 1}, math.nan])
)
def test_whatever_is_opened_can_be_shown(path: str, value: Any) -> None:
    data = copy.deepcopy(WHOLE)
    _put(data, path, value)
    try:
        drift = Drift(data)
    except UserError:
        return
    assert drift.headline in repr(drift)
    assert len(drift.to_csv("boundaries").splitlines()) == 1 + 2 * sum(len(p.findings.rules) for p in drift.points)
    render(drift, Console(file=io.StringIO(), width=80))
