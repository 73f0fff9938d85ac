"""What a terminal shows of any parts: within its width, in its characters, and nothing that could act on it."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from example_kind import SHOWN, weights
from rich.cells import cell_len
from rich.console import Console

import mspgt.show
from mspgt.show.grid import Cell, Column, Grid, Number, Row, grid
from mspgt.show.terminal import ASCII, table

SIGNALS = ("cka", "probe", "attn", "spread")


def wide(rows: int = 12) -> Grid:
    """A row for each transition, a column for each signal, and one for what comes first to give way."""
    columns = (
        Column("transition", "l"),
        Column("depth", gives_way=2),
        *(Column(name, ends=(f"{name}_low", f"{name}_high")) for name in SIGNALS),
        Column("paper", "paper's", gives_way=1),
        Column("boundary", " ", left=True),
    )
    cells = [
        (
            Cell(str(i)),
            f"{i / rows:.0%}",
            *(Number(value=i + 0.125, low=i - 0.5, high=i + 0.5, show="{:.2f}".format) for _ in SIGNALS),
            Number(value=0.25),
            Cell("◀ L-I" if i == 4 else "", "local-intermediate"),
        )
        for i in range(1, rows + 1)
    ]
    return grid(columns, cells, "what it shows", elsewhere="x.csv")


def printed(made: Grid, width: int, **options: bool) -> str:
    console = Console(file=io.StringIO(), width=width, color_system="standard" if options else None, **options)  # type: ignore[arg-type]
    console.print(*table(made, width), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [25, 40, 60, 80, 120])
def test_no_number_is_cut_at_any_width(width: int) -> None:
    text = printed(wide(), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    for i in range(1, 13):
        (row,) = (line for line in text.splitlines() if line.split()[:1] == [str(i)])
        assert f"{i + 0.125:.2f}" in row
    assert "◀ L-I" in text


HALF, NONE = "± is half the interval's width; its ends are in x.csv", "intervals did not fit; their ends are in x.csv"


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (120, ()),
        (80, (HALF,)),
        (70, ("depth did not fit and is in x.csv", HALF)),
        (60, (NONE,)),
        (50, ("depth did not fit and is in x.csv", NONE)),
        (40, ("depth and paper's did not fit and are in x.csv", NONE)),
        (30, ("depth, spread and paper's did not fit and are in x.csv", NONE)),
    ],
)
def test_the_caption_says_what_gave_way_and_where_it_is(width: int, said: tuple[str, ...]) -> None:
    text = " ".join(printed(wide(), width).split())
    assert text.endswith("; ".join(["what it shows", *said]))


def test_nothing_is_said_of_a_file_where_there_is_none() -> None:
    made = Grid(wide().columns, wide().rows)
    text = " ".join(printed(made, 50).split())
    assert text.endswith("depth did not fit; intervals did not fit")


def test_values_stand_below_each_other_with_their_intervals() -> None:
    made = grid(
        ("name", "value"), [("a", Number(value=9.5, low=9, high=10)), ("b", Number(value=10.5, low=9, high=11))]
    )
    first, second = (line for line in printed(made, 80).splitlines() if line.split()[0] in "ab")
    assert first.index("[") == second.index("[")
    assert first.index("9.5") + len("9.5") == second.index("10.5") + len("10.5")


def test_a_heading_is_folded_before_its_column_is_left_out() -> None:
    made = grid(("block", Column("size", "root mean square")), [(1, 0.125)])
    assert "root" in printed(made, 15)
    assert "did not fit" not in printed(made, 15)


def test_styles_have_looks_and_none_without_colours() -> None:
    made = Grid((Column("a"), Column("b")), (Row((Cell("1"), Cell("refused", "bad")), "intermediate-global"),))
    assert "\x1b" not in printed(made, 40)
    coloured = printed(made, 40, force_terminal=True)
    assert "\x1b[31mrefused" in coloured
    assert "\x1b[35m" in coloured


def test_control_characters_and_half_a_surrogate_pair_are_not_printed() -> None:
    evil = "\x1b]0;title\x07\x1b[2Jname\r\x9b31m\ud800"
    made = Grid((Column("a", evil), Column(evil)), grid(("a", "b"), [(evil, Cell(evil))]).rows, (evil,), notes=(evil,))
    text = printed(made, 100)
    assert not {"\x1b", "\x07", "\r", "\x9b", "\ud800"} & set(text)
    assert text.count("name") == 6
    assert "name31m?" in text


def test_every_character_that_parts_are_worded_with_has_one_in_ascii() -> None:
    folder = Path(mspgt.show.__file__).parent
    used: set[str] = set()
    for path in [*folder.rglob("*.py"), folder.parent / "core" / "phrases.py"]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name not in ("tables.py", "terminal.py"):
            used |= {c for n in ast.walk(tree) if isinstance(n, ast.Constant) for c in str(n.value)}
    assert "".join(sorted(used)).translate(ASCII).isascii()


def test_a_console_without_unicode_gets_plain_characters() -> None:
    result = weights("tiny-llama-a")
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as file:
        result.show(Console(file=file, width=60))
        file.flush()
        text = raw.getvalue().decode("ascii")
    assert SHOWN.headline(result) in text
    assert "?" not in text
