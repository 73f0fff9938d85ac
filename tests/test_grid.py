"""One model of a table, and what each medium makes of it."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mspgt.show.grid import Cell, Column, Grid, Number, cell, grid, missing, share
from mspgt.show.html import _environment
from mspgt.show.tables import Exported
from mspgt.show.terminal import table

numbers = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


def terminal(made: Grid, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(*table(made, width), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


def html(made: Grid) -> str:
    template = _environment().from_string('{% import "parts.html" as parts with context %}{{ parts.table(part) }}')
    return template.render(part=made)


@given(st.lists(st.tuples(texts, numbers, numbers, numbers), min_size=1, max_size=5))
def test_a_csv_file_gives_back_every_number(rows: list[tuple[str, float, float, float]]) -> None:
    columns = ("name", Column("value", ends=("low", "high")))
    made = grid(columns, [(name, Number(value=v, low=low, high=high)) for name, v, low, high in rows])
    read = list(csv.reader(io.StringIO(Exported(made).to_csv(), newline="")))
    assert read[0] == ["name", "value", "low", "high"]
    for line, (name, *values) in zip(read[1:], rows, strict=True):
        assert line[0] == name
        assert line[1:] == [repr(v) if math.isfinite(v) else "" for v in values]


def test_plain_values_become_cells() -> None:
    assert [cell(value).data()[0] for value in (True, 1234, 0.5, "word", None)] == [True, 1234, 0.5, "word", None]
    assert [cell(value).pieces("ends")[0][0][0] for value in (True, False, 1234, "word")] == [
        "yes",
        "no",
        "1,234",
        "word",
    ]
    assert cell(math.nan).pieces("ends") == missing().pieces("ends") == [[("–", "faint")]]
    assert missing("no labels").pieces("ends") == [[("no labels", "faint")]]
    assert (share(0.256).text, share(math.nan).text, share(None).text) == ("25.6%", "–", "–")


WIDE = grid(
    ("layer", Column("depth", gives_way=2), Column("value", ends=("low", "high")), Column("paper", gives_way=1)),
    [(f"{i}", f"{i / 12:.0%}", Number(value=0.5, low=0.25, high=0.75), Number(value=0.1)) for i in range(1, 4)],
    "intervals cover 95 %",
    elsewhere="signals.csv",
)


@pytest.mark.parametrize(
    ("width", "there", "gone", "said"),
    [
        (60, ("depth", "[0.25, 0.75]", "paper"), (), "intervals cover 95 %\n"),
        (34, ("[0.25, 0.75]", "paper"), ("depth",), "depth did not fit and is in signals.csv"),
        (28, ("±.25", "paper"), ("[", "depth"), "± is half the interval's width"),
        (21, ("paper", "0.5"), ("±.", "["), "intervals did not fit"),
        (14, ("layer", "0.5"), ("paper   ", "±."), "depth and paper did not fit"),
    ],
)
def test_a_narrow_terminal_gives_up_the_least_first(
    width: int, there: tuple[str, ...], gone: tuple[str, ...], said: str
) -> None:
    shown = terminal(WIDE, width)
    head, *_ = shown.split("intervals cover")
    assert all(word in head for word in there)
    assert not any(word in head for word in gone)
    assert max(map(len, head.splitlines())) <= width
    assert " ".join(said.split()) in " ".join(shown.split())


@settings(deadline=None)
@given(texts, texts, texts)
def test_no_text_becomes_markup(head: str, text: str, note: str) -> None:
    made = Grid((Column("a", head), Column("b")), grid(("a", "b"), [(text, Cell("x", below=((note, "faint"),)))]).rows)
    shown = html(made)
    tags = {tag.split()[0] for tag in shown.replace("</", "<").split("<")[1:]}
    assert {tag.rstrip(">").split(">")[0] for tag in tags} <= {
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "small",
        "span",
        "div",
    }


def test_html_escapes_and_marks_styles() -> None:
    made = grid(("name", "value"), [("<b>&", Cell("high", "bad"))], "1 < 2")
    shown = html(made)
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>" not in shown
    assert '<span class="bad">high</span>' in shown
    assert "1 &lt; 2" in shown


def test_markdown_and_latex_escape_what_they_would_read_as_commands() -> None:
    made = grid((Column("a_b", left=True), Column("r", "x & y")), [("50% | *x*", Number(value=1.5, low=1, high=2))])
    exported = Exported(made)
    assert exported.to_markdown().splitlines() == [
        r"| a b | x & y |",
        "| :--- | ---: |",
        r"| 50% \| \*x\* | 1.5 \[1, 2\] |",
    ]
    latex = exported.to_latex()
    assert r"\begin{tabular}{lr}" in latex
    assert r"a b & x \& y \\" in latex
    assert r"50\% \textbar{} *x* & 1.5 [1, 2] \\" in latex


@given(st.text(max_size=30))
def test_a_row_of_markdown_stays_a_row(text: str) -> None:
    lines = Exported(grid(("a", "b"), [(text, 1)])).to_markdown().split("\n")
    assert len(lines) == 4
    assert lines[2].replace(r"\\", "").replace(r"\|", "").count("|") == 3
