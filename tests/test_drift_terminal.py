"""The terminal table of a drift: within its width, readable without colours or Unicode, for few steps and many."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from example_drift import example_drift, read
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mspgt.core.codec import plain
from mspgt.results.drift import Drift
from mspgt.show.drift import prose


def _shown(drift: Drift | dict[str, Any], width: int = 80) -> str:
    file = io.StringIO()
    (drift if isinstance(drift, Drift) else read(drift)).show(Console(file=file, width=width))
    return file.getvalue()


def _words(drift: Drift | dict[str, Any], width: int = 80) -> str:
    return " ".join(_shown(drift, width).split())


def _row(text: str, step: str) -> list[str]:
    """The cells of a step, separated by two blanks or more."""
    return next(
        re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if re.match(rf"\s*{re.escape(step)}\s\s", line)
    )


def _steps(text: str) -> list[str]:
    """The first cell of each row of the table."""
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line) == {"─"})
    end = next(i for i, line in enumerate(lines) if line.startswith("L-I and I-G:"))
    return [line.split()[0] for line in lines[rule + 1 : end]]


@settings(max_examples=20)
@given(
    width=st.integers(80, 140),
    n_layers=st.sampled_from([4, 12, 32, 80]),
    points=st.integers(1, 40),
    accepted=st.booleans(),
    intervals=st.booleans(),
    source=st.sampled_from(["training", "checkpoints"]),
)
def test_every_drift_is_shown_within_the_width(
    width: int, n_layers: int, points: int, accepted: bool, intervals: bool, source: str
) -> None:
    data = example_drift(n_layers, points, accepted=accepted, intervals=intervals, source=source).as_dict()
    text = _shown(data, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "nan" not in text
    heads = next(line for line in text.splitlines() if "verdict" in line)
    assert heads.split()[0] == "step"
    assert "moved" in heads
    assert prose.headline(read(data)) in " ".join(text.split())


def test_a_row_is_a_step_with_its_loss_boundaries_verdict_and_move() -> None:
    data = example_drift().as_dict()
    layers = [b["layer"] for b in (data["points"][7]["verdicts"]["mspgt"][k] for k in _KEYS)]
    ends = [b["ci"] for b in (data["points"][7]["verdicts"]["mspgt"][k] for k in _KEYS)]
    cells = _row(_shown(data), "2,200")
    assert cells[1] == f"{data['points'][7]['loss']:.2f}"
    assert cells[2:4] == [f"{layer} [{low}, {high}]" for layer, (low, high) in zip(layers, ends, strict=True)]
    assert cells[4:] == ["accepted", "I-G -2*", "4, 8"]
    assert _row(_shown(data), "200") == ["200", "4.78", "–", "–", "one peak", "–", "2, 10"]
    assert _row(_shown(data), "700")[4:6] == ["unstable", "0"]


_KEYS = ("local_intermediate", "intermediate_global")


def test_a_move_that_may_be_noise_has_no_star() -> None:
    data = example_drift(accepted=False).as_dict()
    moved = [c["boundaries"]["intermediate_global"] for c in data["changes"] if c["boundaries"]["intermediate_global"]]
    assert not any(move["real"] for move in moved)
    text = _shown(data)
    assert _row(text, "2,200")[5] == "I-G -2"
    assert "*" not in "".join(_row(text, "2,200"))


def test_a_wide_terminal_has_columns_for_the_papers_rule() -> None:
    cells = _row(_shown(example_drift(), 120), "400")
    assert cells[2:6] == ["4 [2, 8]", "10 [7, 10]", "unstable", "–"]
    assert cells[6:] == ["4 [4, 4]", "10 [9, 10]", "accepted"]


def test_a_narrow_terminal_loses_the_papers_columns_before_intervals_before_losses() -> None:
    data = example_drift(32).as_dict()
    heads = {w: next(line for line in _shown(data, w).splitlines() if "verdict" in line) for w in (120, 80, 50, 43)}
    assert "verdict (paper)" in heads[120]
    assert heads[80].split() == ["step", "loss", "L-I", "I-G", "verdict", "moved", "paper"]
    assert "[" in " ".join(_row(_shown(data, 80), "1,600"))
    assert "[" not in " ".join(_row(_shown(data, 50), "1,600"))
    assert "loss" in heads[50]
    assert "loss" not in heads[43]


def test_unaccepted_boundaries_of_the_papers_rule_are_marked_where_its_verdict_has_no_column() -> None:
    text = _shown(example_drift(intervals=False))
    assert _row(text, "700")[-1] == "4, 10 ?"
    assert "? not accepted" in _words(example_drift(intervals=False))


def test_without_the_papers_rule_there_is_no_column_of_it() -> None:
    data = example_drift().as_dict()
    for point in data["points"]:
        del point["verdicts"]["paper"], point["signals"]["attn"]
    for change in data["changes"]:
        del change["signals"]["attn"]
    assert "paper" not in _shown(data, 120)


def test_checkpoints_have_no_losses() -> None:
    assert "loss" not in _shown(example_drift(source="checkpoints"))


@pytest.mark.parametrize(("largest", "shown"), [(8.0, "8.00"), (41.7, "41.7"), (0.0312, "0.0312"), (1840.0, "1,840")])
def test_losses_have_the_decimals_of_the_largest(largest: float, shown: str) -> None:
    data = example_drift(points=3).as_dict()
    data["points"][1]["loss"], data["points"][2]["loss"] = largest, largest / 2
    assert _row(_shown(data), "100")[1] == shown


# ------------------------------------------------------------------------------------------------ many steps


def test_of_many_steps_the_first_the_last_and_events_are_shown() -> None:
    data = example_drift(32, 40).as_dict()
    text = _shown(data)
    steps = [f"{point['step']:,}" for point in data["points"]]
    shown = _steps(text)
    assert shown[:6] == steps[:6]
    assert shown[-10:] == steps[-10:]
    assert {"2,900", "9,200", "37,900"} <= set(shown)  # one peak, unstable, accepted
    hidden = sum(int(n) for n in re.findall(r"…\s+(\d+) hidden", text))
    assert hidden == 40 - (len(shown) - shown.count("…"))
    assert f"{hidden} of 40 steps are hidden" in " ".join(text.split())


@settings(max_examples=10)
@given(points=st.integers(1, 60))
def test_a_table_has_no_more_rows_than_a_screen(points: int) -> None:
    data = example_drift(points=points).as_dict()
    for i, change in enumerate(data["changes"]):  # something happens at every other step
        change["boundaries"]["local_intermediate"] = {"moved": 1, "low": 1, "high": 1, "real": i % 2 == 0, "share": 1.0}
    text = _shown(data)
    shown = _steps(text)
    assert len(shown) <= 33
    assert "…  1 hidden" not in re.sub(r"\s+", "  ", text)
    if points <= 24:
        assert shown == [f"{point['step']:,}" for point in data["points"]]


# ------------------------------------------------------------------------------------------------ below


def test_overall_moves_of_both_rules_are_told() -> None:
    words = _words(example_drift(source="checkpoints"), 100)
    assert "From step 100 to 3,700 by mspgt's rule: local-intermediate did not move" in words
    assert "by the paper's rule: local-intermediate did not move [-1, 1]; intermediate-global moved by -2" in words
    assert words.index("mspgt's rule: local") < words.index("paper's rule: local")
    assert "From step 0 to 2,850: no boundaries at both to compare." in _words(example_drift())


def test_prediction_overhead_and_what_was_left_out_are_told() -> None:
    data = example_drift(intervals=False).as_dict()
    answer = example_drift().against(example_drift(seed=1))
    data["prediction_3_2"] = plain(answer)
    words = _words(data)
    first = answer.reasons[0].removeprefix("contradicted: ")
    assert f"Prediction 3.2 contradicted: {first} Evaluations:" in words
    assert "3.1% of the training's time (5.0% was allowed)" in words
    assert f"Note: {data['notes'][0]}" in words
    assert f"Note (step 200): {data['points'][2]['notes'][0]}" in words
    assert f"Left out: {data['left_out'][0]}" in words
    assert "Prediction" not in _shown(example_drift())


def test_a_note_of_several_steps_is_told_once() -> None:
    data = example_drift().as_dict()
    for i in (0, 3):
        data["points"][i]["left_out"] = ["probe was left out: [bold]no labels[/bold]."]
    for point in data["points"]:
        point["notes"] = ["the batch was halved."]
    words = _words(data)
    assert "Left out (steps 0, 400): probe was left out: [bold]no labels[/bold]." in words
    assert "Note (steps 0 to 2,850, 9 in all): the batch was halved." in words


def test_ascii_terminals_get_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    example_drift(32, 40).show(Console(file=file, width=80))
    file.flush()
    text = raw.getvalue().decode("ascii")
    assert "?" not in re.sub(r"\?\s+not\s+accepted", "", text)
    assert re.search(r"^ +: .*13 hidden", text, flags=re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80
