"""A run in a terminal: complete, within its width, readable without colours or Unicode."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from example_run import example_run, with_signal
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mspgt.results.run import Run
from mspgt.show.run.tables import records


def shown(run: Run, width: int = 80) -> str:
    file = io.StringIO()
    run.show(Console(file=file, width=width))
    return file.getvalue()


def rows_of(text: str) -> dict[int, str]:
    """Transition -> its row, as words."""
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
    text = shown(example_run(n_layers, accepted=accepted, intervals=intervals, extra_signals=extra), width)
    assert list(rows_of(text)) == list(range(1, n_layers))
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text


def test_three_signals_have_their_intervals_in_80_columns() -> None:
    row = rows_of(shown(example_run(32)))[11]
    assert row.count("±") == 5  # three signals and the evidence of both rules


def test_intervals_are_ends_where_there_is_room() -> None:
    run = example_run(32)
    row = rows_of(shown(run, 140))[11]
    cka = run.signals["cka"]
    value, low, high = (f"{part[10]:.{cka.decimals}f}" for part in (cka.value, cka.low, cka.high))
    assert f"{value} [{low}, {high}]" in row


def test_half_widths_are_half_of_the_interval() -> None:
    run = example_run(32)
    probe = run.signals["probe"]
    half = f"{(probe.high[4] - probe.low[4]) / 2:.{probe.decimals}f}".lstrip("0")
    assert f"{probe.value[4]:.{probe.decimals}f} ±{half}" in rows_of(shown(run))[5]


def test_what_did_not_fit_is_said_to_be_elsewhere() -> None:
    run = example_run(32)
    narrow, wide = (" ".join(shown(run, width).split()) for width in (80, 160))
    assert "signals.csv" in narrow
    assert "signals.csv" not in wide


def test_boundaries_are_marked_and_refused_ones_with_a_question_mark() -> None:
    accepted, refused = (rows_of(shown(example_run(32, accepted=a))) for a in (True, False))
    assert accepted[11].endswith("◀ L-I")
    assert accepted[21].endswith("◀ I-G")
    assert refused[11].endswith("◀ L-I?")
    assert sum("◀" in row for row in accepted.values()) == 2


def test_both_verdicts_and_their_meanings_are_shown() -> None:
    text = shown(example_run(32, accepted=False))
    assert "mspgt's rule" in text
    assert "the paper's rule" in text
    assert "not accepted: unstable" in text
    assert "mspgt: Another sample of documents could move" in text
    assert "paper: By the paper's rule blocks 1-11 local" in text
    assert "block 11 [7, 15] · 34.4%" in text


def test_what_is_missing_is_a_dash_or_left_away() -> None:
    run = example_run(12)
    cka = run.signals["cka"]
    gone = cka.transition == 6
    run = with_signal(run, "cka", value=np.where(gone, np.nan, cka.value), low=np.where(gone, np.nan, cka.low))
    rows = rows_of(shown(run, 160))
    assert rows[6].startswith("6 50% – ")
    without = rows_of(shown(example_run(12, intervals=False)))
    assert "±" not in without[3]
    assert "nan" not in str(without)


def test_notes_and_what_was_left_out_are_said() -> None:
    text = shown(example_run(12, intervals=False))
    assert "Note: 8,204 of 241,859 tokens were masked" in text
    assert "Left out: corpus data has 6 documents" in text


def test_without_a_terminal_there_are_no_control_codes() -> None:
    assert "\x1b" not in shown(example_run(12))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_plain_characters(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as file:
        example_run(12).show(Console(file=file, width=100))
        file.flush()
        text = raw.getvalue().decode(encoding)
    assert "?" not in text
    assert "< L-I" in text


def test_names_are_not_read_as_markup() -> None:
    run = example_run(12)
    signals = {"[red]mine[/]" if name == "attn" else name: curve for name, curve in run.signals.items()}
    run = replace(run, signals=signals, notes=("[bold]kept[/bold]",), model=replace(run.model, name="[link=x]model"))
    text = shown(run, 140)
    assert "[red]mine[/]" in text
    assert "[bold]kept[/bold]" in text
    assert "[link=x]model" in text


def test_a_mapping_of_mappings_is_one_table_of_records() -> None:
    tasks = {"pos": {"classes": 17, "seen": {"train": 6}}, "ner": {"classes": 9, "dropped": [1, 2], "long": [0] * 50}}
    (table,) = records(with_signal(example_run(12), "attn", details={"tasks": tasks}).signals["attn"])
    assert [column.key for column in table.columns] == ["tasks", "classes", "seen train", "dropped"]
    assert [[cell.data()[0] for cell in row.cells] for row in table.rows] == [
        ["pos", 17, 6, None],
        ["ner", 9, None, "1, 2"],
    ]
