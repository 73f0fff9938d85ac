"""The example of a kind of one's own: all that a result of any kind has, without a line of code in `mspgt.show`."""

from __future__ import annotations

import csv
import io
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_kind import SHOWN, Weights, weights
from matplotlib.figure import Figure
from rich.console import Console

import mspgt
from mspgt.core.errors import UserError
from mspgt.models import load
from mspgt.results.kinds import RECORDS

EXAMPLE = Path(__file__).parent.parent / "examples" / "example_kind.py"


@pytest.fixture(scope="module")
def found() -> Weights:
    return weights("tiny-llama-a")


def terminal(result: Weights, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    result.show(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_its_numbers_are_those_of_the_weights(found: Weights) -> None:
    for block, count, size in zip(load("tiny-llama-a").blocks, found.parameters, found.size, strict=True):
        squares = sum(float(p.detach().double().square().sum()) for p in block.parameters())
        assert count == sum(p.numel() for p in block.parameters())
        assert size == pytest.approx((squares / count) ** 0.5, rel=1e-12)


def test_it_is_saved_and_read_back(found: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found.save(tmp_path)
    again = Weights.load(tmp_path)
    assert (again.model, again.parameters) == (found.model, found.parameters)
    np.testing.assert_array_equal(again.size, found.size)
    monkeypatch.setitem(RECORDS, "weights", "example_kind:Weights")  # type: ignore[arg-type]
    assert mspgt.load(tmp_path).as_dict() == found.as_dict()


def test_what_stands_beside_its_file(found: Weights, tmp_path: Path) -> None:
    found.save(tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"weights.json", "weights.csv", "report.html", "figures/size.svg", "figures/size.png"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for shown in (SHOWN.kicker, SHOWN.headline(found), "<svg", "root mean square", "weights.csv", "0.139"):
        assert shown in page


def test_its_table_leaves_in_every_form(found: Weights) -> None:
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [float(row["size"]) for row in rows] == found.size.tolist()  # in full precision
    assert [row["block"] for row in found.to_rows() if row["mark"]] == [found.largest]
    assert found.to_markdown().startswith("| block | parameters | root mean square |")
    assert r"\toprule" in found.to_latex()
    assert "12 & 110,784" in found.to_latex("weights")
    with pytest.raises(UserError, match="unknown table 'weight'"):
        found.to_latex("weight")


def test_its_figure_has_a_point_for_each_block(found: Weights) -> None:
    figure = found.plot()
    assert isinstance(figure, Figure)
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == list(range(1, 13))  # type: ignore[arg-type]
    np.testing.assert_array_equal(line.get_ydata(), found.size)
    with pytest.raises(UserError, match="unknown figure 'sizes'"):
        found.plot("sizes")


def test_a_terminal_shows_it_and_lets_a_column_go(found: Weights) -> None:
    assert terminal(found).rstrip().endswith("0.168             largest")
    narrow = terminal(found, width=35)
    assert max(map(len, narrow.splitlines())) == 35
    assert narrow.rstrip().endswith("0.168")


def test_repr_and_notebook_give_the_answer(found: Weights) -> None:
    assert repr(found).startswith("mspgt.Weights")
    for text in (repr(found), found._repr_html_()):
        assert SHOWN.headline(found) in text
    assert "<svg" in found._repr_html_()


def test_a_damaged_file_is_named_with_its_field(found: Weights, tmp_path: Path) -> None:
    file = found.save(tmp_path) / "weights.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"parameters"', '"parameter"', 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"weights\.json.*parameter"):
        Weights.load(tmp_path)


def test_it_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "tiny-qwen-a", str(tmp_path / "out")])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "has the largest weights" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").is_file()


def test_it_stays_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 120
