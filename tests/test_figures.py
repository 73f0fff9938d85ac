"""Figures: drawn from the result alone, the same every time, honest about what was not accepted."""

from __future__ import annotations

import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mspgt.core.errors import UserError
from mspgt.results.result import Result
from mspgt.show.run import figures
from mspgt.stats.boundaries.fusion import NORMALISATIONS
from mspgt.testing.results import example_result

RED, PURPLE = figures.BOUNDARY_COLOURS.values()


@pytest.fixture(scope="module")
def result() -> Result:
    return Result(example_result(32))


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label)]


def _line(figure: Figure, label: str) -> Any:
    return next(line for line in figure.axes[0].lines if line.get_label() == label)


def _verticals(figure: Figure) -> dict[str, Any]:
    lines = [line for line in figure.axes[0].lines if np.ptp(np.asarray(line.get_xdata(), dtype=float)) == 0]
    return {to_hex(line.get_color()): line for line in lines}


def test_evidence_is_bold_and_is_the_verdicts_own(result: Result) -> None:
    figure = figures.evidence(result)
    bold = _line(figure, "combined evidence")
    np.testing.assert_array_equal(bold.get_ydata(), result.verdict().evidence.value)
    others = [line.get_linewidth() for line in figure.axes[0].lines if line is not bold]
    assert bold.get_linewidth() > 1.5 * max(others)


@pytest.mark.parametrize(("rule", "normalisation"), [("paper", "max"), ("mspgt", "robust")])
def test_signals_are_drawn_as_they_enter_the_evidence(result: Result, rule: str, normalisation: str) -> None:
    drawn = _line(figures.evidence(result, rule), "probe (×0.8)").get_ydata()
    expected = NORMALISATIONS[normalisation](result.signals["probe"].value)
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_boundaries_stand_at_their_layers_in_red_and_purple(result: Result) -> None:
    lines = _verticals(figures.evidence(result))
    assert lines[RED].get_xdata()[0] == 11
    assert lines[PURPLE].get_xdata()[0] == 21


def test_intervals_of_boundaries_are_shaded(result: Result) -> None:
    figure = figures.evidence(result)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    spans = [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]
    assert (10, 12) in spans
    assert (20, 22) in spans


def test_what_was_not_accepted_is_lighter_and_says_so(result: Result) -> None:
    refused = figures.evidence(Result(example_result(32, accepted=False)))
    accepted = figures.evidence(result)
    for colour in (RED, PURPLE):
        assert _verticals(refused)[colour].get_alpha() < _verticals(accepted)[colour].get_alpha()
    assert sum("not accepted: unstable" in text for text in _texts(refused)) == 2
    assert not any("not accepted" in text for text in _texts(accepted))


def test_scales_are_named_only_once_they_are_accepted(result: Result) -> None:
    names = {"local", "intermediate", "global"}
    assert names <= set(_texts(figures.evidence(result)))
    assert not names & set(_texts(figures.evidence(Result(example_result(32, accepted=False)))))


def test_axes_are_transition_below_and_relative_depth_above(result: Result) -> None:
    ax = figures.evidence(result).axes[0]
    assert ax.get_xlabel() == "transition (blocks below)"
    assert ax.get_xlim() == (0, 32)
    above = ax.child_axes[0]
    assert above.get_xlabel() == "relative depth"


@pytest.mark.parametrize(("n_layers", "intervals"), [(3, True), (12, False), (80, True)])
def test_every_depth_can_be_drawn(n_layers: int, intervals: bool) -> None:
    drawn = figures.figures(Result(example_result(n_layers, intervals=intervals, extra_signals=4)))
    assert {"evidence", "evidence-paper", "signals", "cka-matrix", "probe-f1"} == set(drawn)
    for name, figure in drawn.items():
        ET.fromstring(figures.svg(figure, name))


def test_gaps_in_a_curve_are_gaps_in_the_figure() -> None:
    data = example_result(16)
    data["signals"]["cka"]["value"][4] = None
    data["signals"]["cka"]["low"][7] = None
    drawn = _line(figures.evidence(Result(data)), "cka (×1)").get_ydata()
    assert np.isnan(drawn[4])
    assert np.isfinite(np.delete(drawn, 4)).all()


def test_figures_without_their_details_are_left_out() -> None:
    data = example_result(12)
    for signal in data["signals"].values():
        signal["details"] = {}
    assert set(figures.figures(Result(data))) == {"evidence", "evidence-paper", "signals"}


def test_probe_figure_has_a_line_per_task(result: Result) -> None:
    figure = figures.task_f1(result)
    assert figure is not None
    tasks = result.data["signals"]["probe"]["details"]["tasks"]
    for task in ("pos", "dep", "ner", "srl"):
        line = _line(figure, task)
        assert line.get_ydata().tolist() == tasks[task]["f1"]
        assert line.get_xdata().tolist() == list(range(1, 33))


def test_matrix_figure_shows_the_matrix_by_block(result: Result) -> None:
    figure = figures.cka_matrix(result)
    assert figure is not None
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), result.data["signals"]["cka"]["details"]["matrix"])
    assert tuple(image.get_extent()) == (0.5, 32.5, 0.5, 32.5)


def test_the_same_result_gives_the_same_bytes() -> None:
    def drawn() -> list[tuple[str, bytes]]:
        result = Result(example_result(12))
        made = (figures.evidence(result), figures.cka_matrix(result))
        return [(figures.svg(figure, "a"), figures.png(figure)) for figure in made if figure is not None]

    one, two = drawn(), drawn()
    assert len(one) == 2
    assert one == two


def test_files_are_svg_and_png_of_print_resolution(tmp_path: Path) -> None:
    figures.save(Result(example_result(3)), tmp_path)
    svg = (tmp_path / "evidence.svg").read_text()
    assert svg.startswith("<svg")
    assert "<dc:date>" not in svg
    png = (tmp_path / "evidence.png").read_bytes()
    width, _ = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert width > 1300


def test_drawing_leaves_matplotlibs_global_state_alone(result: Result) -> None:
    before = dict(matplotlib.rcParams)
    figures.evidence(result)
    assert dict(matplotlib.rcParams) == before
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        assert pyplot.get_fignums() == []


def test_an_unknown_normalisation_names_those_there_are() -> None:
    data = example_result(12)
    data["verdicts"]["mspgt"]["normalisation"] = "maximum"
    with pytest.raises(UserError, match="unknown normalisation 'maximum'"):
        figures.evidence(Result(data))
