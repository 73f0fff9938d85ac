"""The terminal table: complete, aligned, within its width, readable without colours or Unicode."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mspgt.results.result import Result
from mspgt.show.run.table import render
from mspgt.testing.results import example_result


def _shown(data: dict[str, Any], width: int = 80) -> str:
    file = io.StringIO()
    render(Result(data), Console(file=file, width=width))
    return file.getvalue()


def _rows(text: str) -> dict[int, str]:
    table = re.split(r"^(?:95% intervals|no intervals)", text.split("\n\n")[1], flags=re.MULTILINE)[0]
    lines = (line.split() for line in table.splitlines())
    return {int(words[0]): " ".join(words) for words in lines if words and words[0].isdigit()}


@example(n_layers=12, extra=4, width=80, accepted=False, intervals=False)
@settings(max_examples=12, deadline=None)
@given(
    n_layers=st.integers(3, 81),
    extra=st.integers(0, 4),
    width=st.integers(80, 160),
    accepted=st.booleans(),
    intervals=st.booleans(),
)
def test_every_transition_is_shown_within_the_width(
    n_layers: int, extra: int, width: int, accepted: bool, intervals: bool
) -> None:
    data = example_result(n_layers, accepted=accepted, intervals=intervals, extra_signals=extra)
    text = _shown(data, width)
    assert list(_rows(text)) == list(range(1, n_layers))
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_three_signals_have_their_intervals_in_80_columns() -> None:
    row = _rows(_shown(example_result(32)))[11]
    assert row.count("±") == 5  # three signals and the evidence of both rules


def test_intervals_are_ends_where_there_is_room() -> None:
    data = example_result(32)
    row = _rows(_shown(data, 120))[11]
    cka = data["signals"]["cka"]
    assert f"{cka['value'][10]:.4f} {cka['low'][10]:.4f}–{cka['high'][10]:.4f}" in row


def test_half_widths_are_half_of_the_interval() -> None:
    data = example_result(32)
    probe = data["signals"]["probe"]
    half = (probe["high"][4] - probe["low"][4]) / 2
    assert f"{probe['value'][4]:.4f} ±{half:.4f}".replace("±0.", "±.") in _rows(_shown(data))[5]


def test_boundaries_are_marked_and_refused_ones_with_a_question_mark() -> None:
    accepted, refused = _rows(_shown(example_result(32))), _rows(_shown(example_result(32, accepted=False)))
    assert accepted[11].endswith("◀ L-I")
    assert accepted[21].endswith("◀ I-G")
    assert refused[11].endswith("◀ L-I?")
    assert sum("◀" in row for row in accepted.values()) == 2


def test_both_verdicts_and_their_meanings_are_shown() -> None:
    text = _shown(example_result(32, accepted=False))
    assert "mspgt's rule" in text
    assert "the paper's rule" in text
    assert "not accepted: unstable" in text
    assert "mspgt: Two peaks stand out, but they move" in text
    assert "paper: Two places stand out in every signal" in text
    assert "block 11 [7, 15] · 34.4%" in text


def test_missing_intervals_are_dashes_or_left_away() -> None:
    data = example_result(12)
    data["signals"]["cka"]["low"][2] = data["signals"]["cka"]["high"][2] = None
    data["signals"]["cka"]["value"][5] = None
    rows = _rows(_shown(data, 140))
    assert f"{data['signals']['cka']['value'][2]:.4f} – " in rows[3]
    assert rows[6].startswith("6 50% – ")
    without = _rows(_shown(example_result(12, intervals=False)))
    assert "±" not in without[3]
    assert "nan" not in str(without)


def test_notes_and_what_was_left_out_are_said() -> None:
    text = _shown(example_result(12, intervals=False))
    assert "Note: 8,204 of 241,859 tokens were masked" in text
    assert "Left out: intervals: the corpus has 6 documents" in text


def test_without_a_terminal_there_are_no_control_codes() -> None:
    assert "\x1b" not in _shown(example_result(12))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_plain_characters(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as file:
        render(Result(example_result(12)), Console(file=file, width=100))
        file.flush()
        text = raw.getvalue().decode(encoding)
    assert "?" not in text
    assert "< L-I" in text


def test_names_are_not_read_as_markup() -> None:
    data = example_result(12)
    data["signals"]["[red]mine[/]"] = data["signals"].pop("attn")
    data["notes"] = ["[bold]kept[/bold]"]
    data["model"]["name"] = "[link=x]model"
    text = _shown(data, 140)
    assert "[red]mine[/]" in text
    assert "[bold]kept[/bold]" in text
    assert "[link=x]model" in text
