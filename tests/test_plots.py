"""Figures from descriptions: drawn from series alone, the same every time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from example_run import example_run
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mspgt.contracts.series import HeatMap, Lines, Plot, Series, SeriesValues
from mspgt.core.errors import UserError
from mspgt.show import plots
from mspgt.show.drawing import BOUNDARY_COLOURS
from mspgt.show.figures import png, svg
from mspgt.show.parts import PlotOf

L = 12
LINES = Lines("f1", ("f1",), "What probes read", "F1", (0.0, 1.0))
HEAT = HeatMap("matrix", "matrix", "Similarity", highest=1.0)


def values(axis: str = "block", columns: str = "task", names: tuple[str, ...] = ("pos", "ner")) -> SeriesValues:
    rows = {"transition": L - 1, "block": L, "layer": L + 1}.get(axis, 5)
    return Series("f1", axis, "share", columns).of(
        {name: np.linspace(0, 0.1 * i, rows) for i, name in enumerate(names)}, L
    )


def matrix() -> SeriesValues:
    return Series("matrix", "block", columns="block").of(np.eye(L), L)


def draw(plot: Plot, series: dict[str, SeriesValues], marked: bool = False) -> Figure:
    figure = plots.draw(PlotOf(plot, series, example_run(L).verdict() if marked else None))
    assert figure is not None
    return figure


def marks(figure: Figure, of: str = "x") -> dict[str, Any]:
    """Colour -> where the line of a boundary stands."""
    lines = [(line, np.asarray(getattr(line, f"get_{of}data")(), dtype=float)) for line in figure.axes[0].lines]
    return {to_hex(line.get_color()): at[0] for line, at in lines if len(at) == 2 and np.ptp(at) == 0}


def test_rows_that_have_names_are_called_by_them() -> None:
    one = Series("f1", "class").of({"NOUN": 0.4, "VERB": 0.2}, L)
    assert (one.names, one.labels, one.values["f1"].tolist()) == (("NOUN", "VERB"), ("NOUN", "VERB"), [0.4, 0.2])
    several = Series("f1", "class", columns="task").of(
        {"pos": {"NOUN": 1, "VERB": None}, "dep": {"NOUN": 0, "VERB": 1}}, L
    )
    (ax,) = draw(LINES, {"f1": several}).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["NOUN", "VERB"]
    ax = draw(HeatMap("f1", "f1", "F1"), {"f1": several}).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["NOUN", "VERB"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["pos", "dep"]


@pytest.mark.parametrize(
    ("series", "given", "said"),
    [
        (
            Series("f1", "block"),
            dict.fromkeys("abcdefghijkl", 1.0),
            "over the axis 'block' needs numbers without names",
        ),
        (
            Series("f1", "class", columns="task"),
            {"a": {"x": 1}, "b": {"y": 1}},
            "the same names of rows in each column",
        ),
        (Series("f1", "class", columns="task"), {"a": {"x": 1}, "b": [1]}, "the same names of rows in each column"),
        (Series("f1", "class", columns="task"), [1, 2], "needs numbers for each task, by its name"),
        (Series("f1", "block", columns="block"), {"a": [1]}, "needs its numbers alone, not by name"),
    ],
)
def test_rows_whose_names_do_not_fit_are_refused(series: Series, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        series.of(given, L)


def test_names_that_are_not_as_many_as_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 3 names of rows, but not as many values in each column"):
        SeriesValues("class", "", "", "", True, {"f1": np.ones(2)}, ("a", "b", "c"))


def test_a_series_that_is_not_there_draws_nothing() -> None:
    assert plots.draw(PlotOf(LINES, {})) is None
    assert plots.draw(PlotOf(HEAT, {"f1": values()})) is None


@pytest.mark.parametrize(("axis", "first"), [("transition", 1), ("block", 1), ("layer", 0), ("epoch", 1)])
def test_lines_stand_over_the_numbers_of_their_axis(axis: str, first: int) -> None:
    figure = draw(LINES, {"f1": values(axis)})
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.lines] == ["pos", "ner"]
    assert ax.lines[0].get_xdata()[0] == first  # type: ignore[index]
    assert ax.get_xlabel() == axis
    assert ax.get_ylim() == (0.0, 1.0)
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_a_unit_stands_in_for_a_label_and_one_line_needs_no_legend() -> None:
    figure = draw(Lines("loss", ("loss",), "Loss"), {"loss": Series("loss", "epoch", "nat").of([3, 2, 1], L)})
    assert figure.axes[0].get_ylabel() == "nat"
    assert figure.axes[0].get_legend() is None


def test_every_line_looks_different_from_the_others() -> None:
    figure = draw(LINES, {"f1": values(names=tuple(f"task{i}" for i in range(17)))})
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 17


@pytest.mark.parametrize(("axis", "half"), [("transition", 0.0), ("block", 0.5), ("layer", 0.5)])
def test_boundaries_lie_between_blocks(axis: str, half: float) -> None:
    verdict = example_run(L).verdict()
    places = {BOUNDARY_COLOURS[name]: boundary.layer + half for name, boundary in verdict.places.items()}
    assert marks(draw(LINES, {"f1": values(axis)}, marked=True)) == places


def test_boundaries_are_not_marked_on_another_axis_or_without_a_verdict() -> None:
    assert marks(draw(LINES, {"f1": values("epoch")}, marked=True)) == {}
    assert marks(draw(LINES, {"f1": values()})) == {}


def test_a_matrix_is_marked_both_ways_and_other_columns_are_named() -> None:
    figure = draw(HEAT, {"matrix": matrix()}, marked=True)
    assert figure.axes[0].images[0].get_clim()[1] == 1.0
    assert len(figure.axes[0].lines) == 4
    named = draw(HeatMap("f1", "f1", "F1"), {"f1": values()}, marked=True)
    assert [label.get_text() for label in named.axes[0].get_xticklabels()] == ["pos", "ner"]
    assert len(named.axes[0].lines) == 2


def test_a_series_without_any_number_is_still_drawn() -> None:
    empty = Series("f1", "block", columns="task").of({"pos": [None] * L, "ner": [None] * L}, L)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for plot in (LINES, HeatMap("f1", "f1", "F1")):
            assert png(draw(plot, {"f1": empty}))


def test_names_are_not_read_as_formulas() -> None:
    names = (r"$\frac{1$", "a_b")
    for plot in (Lines("f1", ("f1",), r"$\x$", r"$\x$"), HeatMap("f1", "f1", r"$\x$", r"$\x$")):
        text = svg(draw(plot, {"f1": values(names=names)}), "f1")
        assert r"$\x$" in text
        assert names[0] in text


def test_the_same_description_gives_the_same_bytes() -> None:
    for plot, series in ((LINES, {"f1": values()}), (HEAT, {"matrix": matrix()})):
        one, other = draw(plot, series, marked=True), draw(plot, series, marked=True)
        assert svg(one, plot.name) == svg(other, plot.name)
        assert png(one) == png(other)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", '"><script>'])
def test_a_figures_name_is_that_of_a_file(name: str) -> None:
    with pytest.raises(UserError, match="a figure cannot be called"):
        Lines(name, ("f1",), "F1")
    with pytest.raises(UserError, match="a figure cannot be called"):
        HeatMap(name, "f1", "F1")
