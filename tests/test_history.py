"""The history of a running analysis: points, changes between them, and going on from what was kept."""

from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mspgt.contracts.series import Lines, Series
from mspgt.contracts.signal import Report, SumSignal
from mspgt.core.codec import plain
from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.measure.evaluate import Evaluation, Measured, Rule, evaluate
from mspgt.measure.history import History

DOCUMENTS, LAYERS = 12, 14


class Ratio(SumSignal):
    """The ratio of two sums."""

    series = (Series("parts", axis="part"),)
    figures = (Lines("parts", ("parts",), "Parts"),)

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        return sums[..., 0] / sums[..., 1]

    def report(self, prepared: Any) -> Report:
        return Report((), {"rows": 7, "matrix": [[1.0, 2.0], [3.0, 4.0]], "by": {"a": 1.0}}, {"parts": [1.0, 2.0]})


def evaluation(number: int, names: str = "ab") -> Evaluation:
    """What a small corpus gives at some time of a training: bumps that move."""
    measured = {}
    for name in names:
        rng = np.random.default_rng([number, ord(name)])
        level = 10 + rng.standard_normal(LAYERS - 1)
        level[[3 + number % 2, 8 + number % 3]] += 8
        counts = rng.integers(5, 20, (DOCUMENTS, 1)) * np.ones(LAYERS - 1)
        sums = torch.from_numpy(np.stack([counts * (level + 0.3 * rng.standard_normal(counts.shape)), counts], -1))
        keys = tuple(Key("data", f"{i:02d}", 0) for i in range(DOCUMENTS))
        state = State(keys, {"sums": Table(torch.arange(DOCUMENTS), {"sums": sums})})
        measured[name] = Measured(Ratio(), state, None, "data")
    return evaluate(measured, LAYERS, Rule({}, None, 50, 0))


EVALUATIONS = [evaluation(number) for number in range(4)]


def contents(history: History) -> Any:
    return plain(vars(history) | {"_latest": None, "overall": history.overall})


def stored(history: History) -> History:
    """The history as a checkpoint gives it back."""
    file = io.BytesIO()
    torch.save(history.state_dict(), file)
    file.seek(0)
    again = History()
    again.load_state_dict(torch.load(file, weights_only=True))
    return again


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["due", "end", "interrupted"]), max_size=8))
def test_a_history_that_is_stored_at_any_moment_goes_on_as_if_it_had_not_been(moments: list[str]) -> None:
    """And one in which the training ended now and then is, once it goes on, as if it had not ended."""
    whole, broken = History(), History()
    for step, moment in enumerate(moments):
        found = EVALUATIONS[step % len(EVALUATIONS)]
        if moment == "due":
            whole.add(step, found, loss=0.5 * step)
            broken.add(step, found, loss=0.5 * step)
        elif moment == "end":
            broken.add(step, found, end=True)
            broken = stored(broken)
            broken.drop_end()
        else:
            broken = stored(broken)
        assert contents(broken) == contents(whole) | {"bootstrap": plain(broken.bootstrap)}


def test_changes_lead_from_point_to_point_and_have_paired_intervals_after_a_restart_too() -> None:
    history = History()
    for step, found in enumerate(EVALUATIONS):
        history = stored(history)
        history.add(10 * step, found)
    assert [(c.start, c.stop) for c in history.changes] == [(0, 10), (10, 20), (20, 30)]
    for step, (before, after) in enumerate(pairwise(EVALUATIONS)):
        for name in "ab":
            drawn = after.replicates.curves[name] - before.replicates.curves[name]
            low = np.quantile(drawn, 0.025, axis=0)
            assert history.changes[step].signals[name].low == pytest.approx(low)


def test_overall_leads_from_the_first_point_to_the_last() -> None:
    history = History()
    history.add(0, EVALUATIONS[0])
    assert history.overall is None
    for step in (5, 9):
        history.add(step, EVALUATIONS[step % 4])
    moves = history.overall
    assert moves is not None
    assert (moves.start, moves.stop) == (0, 9)
    first, last = (point.verdicts["mspgt"].boundaries[0].layer for point in history.points[::2])
    assert moves.boundaries.local_intermediate is not None
    assert moves.boundaries.local_intermediate.moved == last - first


def test_a_point_keeps_what_is_small() -> None:
    history = History()
    point = history.add(3, EVALUATIONS[0], loss=math.nan, seconds=1.23456, notes=["n"], left_out=["l"])
    whole, kept = EVALUATIONS[0].signals["a"], point.signals["a"]
    assert kept.details.keys() & {"rows", "matrix", "by"} == {"rows"}
    assert (list(whole.series), list(kept.series)) == (["parts"], [])
    assert (len(whole.figures), len(kept.figures)) == (1, 0)
    assert EVALUATIONS[0].verdicts["mspgt"].resampled is not None
    assert point.verdicts["mspgt"].resampled is None
    assert plain(point.loss) is None
    assert (point.seconds, point.notes, point.left_out) == (1.235, ("n",), ("l",))
    assert point.replicates is not None
    assert point.replicates["mspgt"].pairs.shape == (50, 2)


def test_a_signal_that_was_left_out_once_has_no_change_and_comes_back() -> None:
    history = History()
    for step, found in enumerate((EVALUATIONS[0], evaluation(1, "a"), EVALUATIONS[2])):
        history.add(step, found)
    assert [set(c.signals) for c in history.changes] == [{"a"}, {"a"}]
    assert set(history.points[-1].signals) == {"a", "b"}


def test_an_evaluation_that_cannot_be_added_leaves_the_history_as_it_was() -> None:
    history = History()
    history.add(0, EVALUATIONS[0])
    before, fewer = contents(history), evaluation(1)
    fewer.replicates.curves["a"] = fewer.replicates.curves["a"][:7]  # type: ignore[index]
    with pytest.raises(ValueError, match="broadcast"):
        history.add(1, fewer)
    assert contents(history) == before
