"""Figures of a run: drawn from the run alone, the same every time, honest about what was not accepted."""

from __future__ import annotations

import struct
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from example_run import example_run, with_signal
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mspgt.contracts.series import Lines
from mspgt.core.errors import UserError
from mspgt.results.run import Run
from mspgt.show.drawing import BOUNDARY_COLOURS
from mspgt.show.run.figures import declared, evidence
from mspgt.stats.boundaries.fusion import NORMALISATIONS

RED, PURPLE = BOUNDARY_COLOURS.values()


@pytest.fixture(scope="module")
def run() -> Run:
    return example_run(32)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label)]


def line(figure: Figure, label: str) -> Any:
    return next(line for line in figure.axes[0].lines if line.get_label() == label)


def verticals(figure: Figure) -> dict[str, Any]:
    lines = [line for line in figure.axes[0].lines if np.ptp(np.asarray(line.get_xdata(), dtype=float)) == 0]
    return {to_hex(line.get_color()): line for line in lines}


def test_evidence_is_bold_and_is_the_verdicts_own(run: Run) -> None:
    figure = run.plot()
    bold = line(figure, "combined evidence")
    np.testing.assert_array_equal(bold.get_ydata(), run.verdict().evidence.value)
    others = [line.get_linewidth() for line in figure.axes[0].lines if line is not bold]
    assert bold.get_linewidth() > 1.5 * max(others)


@pytest.mark.parametrize(("rule", "normalisation"), [("paper", "max"), ("mspgt", "robust")])
def test_signals_are_drawn_as_they_enter_the_evidence(run: Run, rule: str, normalisation: str) -> None:
    drawn = line(run.plot(rule=rule), "probe (×0.8)").get_ydata()
    expected = NORMALISATIONS[normalisation](run.signals["probe"].value)
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)


def test_boundaries_stand_at_their_layers_in_red_and_purple(run: Run) -> None:
    lines = verticals(run.plot())
    assert lines[RED].get_xdata()[0] == 11
    assert lines[PURPLE].get_xdata()[0] == 21


def test_intervals_of_boundaries_are_shaded() -> None:
    figure = example_run(32, accepted=False).plot()
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    spans = [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]
    assert {(7, 15), (17, 25)} <= set(spans)


def test_what_was_not_accepted_is_lighter_and_says_so(run: Run) -> None:
    refused, accepted = example_run(32, accepted=False).plot(), run.plot()
    for colour in (RED, PURPLE):
        assert verticals(refused)[colour].get_alpha() < verticals(accepted)[colour].get_alpha()
    assert sum("not accepted: unstable" in text for text in texts(refused)) == 2
    assert not any("not accepted" in text for text in texts(accepted))


def test_scales_are_named_only_once_they_are_accepted(run: Run) -> None:
    names = {"local", "intermediate", "global"}
    assert names <= set(texts(run.plot()))
    assert not names & set(texts(example_run(32, accepted=False).plot()))


def test_axes_are_transition_below_and_relative_depth_above(run: Run) -> None:
    ax = run.plot().axes[0]
    assert ax.get_xlabel() == "transition (blocks below)"
    assert ax.get_xlim() == (0, 32)
    assert ax.child_axes[0].get_xlabel() == "relative depth"


@pytest.mark.parametrize(("n_layers", "intervals"), [(3, True), (12, False), (80, True)])
def test_every_depth_can_be_drawn(tmp_path: Path, n_layers: int, intervals: bool) -> None:
    example_run(n_layers, intervals=intervals, extra_signals=4).save(tmp_path)
    drawn = {path.stem: path for path in (tmp_path / "figures").glob("*.svg")}
    assert {"evidence", "evidence-paper", "signals", "cka-matrix", "probe-f1"} == set(drawn)
    for path in drawn.values():
        ET.fromstring(path.read_text(encoding="utf-8"))


def test_gaps_in_a_curve_are_gaps_in_the_figure() -> None:
    run = example_run(16)
    cka = run.signals["cka"]
    run = with_signal(run, "cka", value=np.where(cka.transition == 5, np.nan, cka.value))
    drawn = line(run.plot(), "cka (×1)").get_ydata()
    assert np.isnan(drawn[4])
    assert np.isfinite(np.delete(drawn, 4)).all()


def test_a_figure_without_its_series_is_left_out_and_says_so_when_asked_for() -> None:
    run = example_run(12)
    run = with_signal(run, "cka", series={})
    assert isinstance(run.plot("probe-f1"), Figure)
    with pytest.raises(UserError, match="cka-matrix"):
        run.plot("cka-matrix")
    without = with_signal(with_signal(run, "cka", figures=()), "probe", figures=())
    assert declared(without) == {}


def test_two_signals_may_declare_figures_of_one_name() -> None:
    run = example_run(12)
    mine = Lines("probe-f1", ("own",), "Mine")
    run = with_signal(run, "attn", series={"own": run.signals["probe"].series["f1"]}, figures=(mine,))
    assert list(declared(run)) == ["cka-matrix", "probe-f1", "attn-probe-f1"]


def test_declared_lines_have_a_line_per_column(run: Run) -> None:
    figure = run.plot("probe-f1")
    for task, values in run.signals["probe"].series["f1"].values.items():
        drawn = line(figure, task)
        np.testing.assert_array_equal(drawn.get_ydata(), values)
        assert list(drawn.get_xdata()) == list(range(1, 33))
    assert figure.axes[0].get_ylim() == (0, 1)
    assert {RED, PURPLE} <= set(verticals(figure))
    assert verticals(figure)[RED].get_xdata()[0] == 11.5


def test_a_declared_heat_map_shows_the_matrix_by_block(run: Run) -> None:
    image = run.plot("cka-matrix").axes[0].images[0]
    matrix = np.stack([*run.signals["cka"].series["similarity"].values.values()], axis=1)
    np.testing.assert_array_equal(image.get_array(), matrix)
    assert tuple(image.get_extent()) == (0.5, 32.5, 0.5, 32.5)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    def files(name: str) -> dict[str, bytes]:
        folder = example_run(12).save(tmp_path / name)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}

    one, other = files("one"), files("other")
    assert len(one) == 15
    assert one == other


def test_files_are_svg_and_png_of_print_resolution(tmp_path: Path) -> None:
    folder = example_run(3).save(tmp_path) / "figures"
    svg = (folder / "evidence.svg").read_text()
    assert svg.startswith("<svg")
    assert "<dc:date>" not in svg
    png = (folder / "evidence.png").read_bytes()
    width, _ = struct.unpack(">II", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert width > 1300


def test_drawing_leaves_matplotlibs_global_state_alone(run: Run) -> None:
    before = dict(matplotlib.rcParams)
    run.plot()
    assert dict(matplotlib.rcParams) == before
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        assert pyplot.get_fignums() == []


def test_an_unknown_normalisation_names_those_there_are() -> None:
    run = example_run(12)
    odd = replace(run.verdict(), normalisation="maximum")
    with pytest.raises(UserError, match="unknown normalisation 'maximum'"):
        evidence(replace(run, verdicts={"mspgt": odd}))
