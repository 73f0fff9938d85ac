"""Figures of a drift: right numbers at right places, every evaluation seen, nothing invented, the same bytes."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from drift_multiples import compare
from example_drift import example_drift, read
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mspgt.core.errors import UserError
from mspgt.results.drift import Drift
from mspgt.show.drawing import BACKGROUND, BOUNDARY_COLOURS
from mspgt.show.drift import series
from mspgt.show.drift.drawing import COLOUR_MAP
from mspgt.show.drift.heat import heat_map
from mspgt.show.drift.steps import StepAxis, step_text
from mspgt.show.figures import draw, png, svg
from mspgt.show.figures import figures as drawings

RED, PURPLE = BOUNDARY_COLOURS.values()
GEOMETRIC = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 4000, 8000, 16000, 33000, 66000, 99000, 143000)


@pytest.fixture(scope="module")
def drift() -> Drift:
    return example_drift()


@pytest.fixture(scope="module")
def figure(drift: Drift) -> Figure:
    return heat_map(drift)


def figures(drift: Drift) -> dict[str, Figure]:
    """Every figure that there is."""
    return {name: drawing.figure for name, drawing in drawings(drift).items()}


def _at(drift: Drift, steps: tuple[int, ...]) -> Drift:
    """The same drift at other steps."""
    data = drift.as_dict()
    for point, step in zip(data["points"], steps, strict=True):
        point["step"] = step
    for change, (before, after) in zip(data["changes"], pairwise(steps), strict=True):
        change["from"], change["to"] = before, after
    data["overall"]["from"], data["overall"]["to"] = steps[0], steps[-1]
    return read(data)


def _without_boundaries(drift: Drift) -> Drift:
    data = drift.as_dict()
    for point in data["points"]:
        for verdict in point["verdicts"].values():
            verdict.update(accepted=False, status="no_peak", local_intermediate=None, intermediate_global=None)
    for change in (*data["changes"], data["overall"]):
        for key in ("boundaries", "paper"):
            change[key] = dict.fromkeys(change[key])
    return read(data)


def _meshes(figure: Figure) -> list[tuple[Axes, QuadMesh]]:
    """Heat maps without colour bars."""
    found = [(ax, c) for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh)]
    return [(ax, mesh) for ax, mesh in found if ax.get_label() != "<colorbar>" and mesh.get_array().shape[1] != 1]


def _heat(figure: Figure) -> tuple[Axes, QuadMesh]:
    return next((ax, c) for ax in figure.axes for c in ax.collections if isinstance(c, QuadMesh))


def _values(mesh: QuadMesh) -> np.ndarray:
    return np.ma.filled(mesh.get_array().astype(float), np.nan)


def _marks(ax: Axes, marker: str, face: str) -> dict[float, float]:
    """Step -> height of markers of a kind."""
    kept = [li for li in ax.lines if li.get_marker() == marker and to_hex(li.get_markerfacecolor()) == face]
    return {float(x): float(y) for line in kept for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}


def _texts(figure: Figure) -> list[Any]:
    """Every text that is seen."""
    every = [*figure.axes, *(child for ax in figure.axes for child in ax.child_axes)]
    found = [t for ax in every for t in (*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label)]
    for axis in (axis for ax in every for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        found += [label for tick in ticks for label in (tick.label1, tick.label2)]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    found += [figure._suptitle] if figure._suptitle else []
    return [t for t in found if t.get_text() and t.get_visible() and t.get_window_extent().width]


# ------------------------------------------------------------------------------------------------------ steps


@pytest.mark.parametrize(
    ("steps", "logarithmic"),
    [
        ((0,), False),
        ((0, 5000), False),
        (tuple(range(0, 30_000, 500)), False),
        ((0, *range(500, 10_001, 500), 10_003), False),
        (tuple(100 * i * i for i in range(60)), False),
        (GEOMETRIC, True),
        (GEOMETRIC[1:], True),
        ((0, 10, 100, 1000), True),
        ((1, 2, 4, 8, 16, 32, 64), True),
        ((*GEOMETRIC[:12], *range(2000, 143_001, 1000)), True),
    ],
)
def test_the_axis_is_logarithmic_where_steps_are_roughly_geometric(steps: tuple[int, ...], logarithmic: bool) -> None:
    assert StepAxis(steps).logarithmic is logarithmic


@given(st.sets(st.integers(0, 2_000_000), min_size=1, max_size=60).map(sorted))
def test_every_step_has_a_cell_of_its_own(steps: list[int]) -> None:
    edges = StepAxis(tuple(steps)).edges(steps)
    assert len(edges) == len(steps) + 1
    assert np.all(np.diff(edges) > 0)
    assert np.all(edges[:-1] < steps)
    assert np.all(edges[1:] > steps)


def test_cells_meet_half_way_and_the_outer_ones_are_no_slivers() -> None:
    edges = StepAxis((0, 100, 200, 400, 403)).edges((0, 100, 200, 400, 403))
    np.testing.assert_allclose(edges, [-50, 50, 150, 300, 401.5, 453])


def test_step_0_and_all_decades_are_labelled_on_a_logarithmic_axis() -> None:
    figure = heat_map(_at(example_drift(12, 20, source="checkpoints"), GEOMETRIC))
    ax, _ = _heat(figure)
    figure.canvas.draw()
    low, high = ax.get_xlim()
    labels = [t.get_text() for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert labels == ["0", "10", "100", "1k", "10k", "100k"]
    widths = np.diff(ax.transData.transform([(edge, 1) for edge in StepAxis(GEOMETRIC).edges(GEOMETRIC)])[:, 0])
    assert widths.min() > 0.01 * widths.sum()


def test_steps_are_written_short_and_alike() -> None:
    assert [step_text(s) for s in (0, 500, 2500)] == ["0", "500", "2,500"]
    assert [step_text(s, thousands=True) for s in (0, 500, 2500, 20_000, 1_500_000)] == [
        *("0", "500", "2.5k", "20k", "1.5M"),
    ]


# --------------------------------------------------------------------------------------------------- heat maps


@pytest.mark.parametrize("rule", ["mspgt", "paper"])
def test_cells_are_the_evidence_of_the_rule(drift: Drift, rule: str) -> None:
    _, mesh = _heat(heat_map(drift, rule))
    expected = np.stack([point.verdicts[rule].evidence.value for point in drift.points], axis=1)
    np.testing.assert_array_equal(_values(mesh), expected)
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], StepAxis(tuple(drift.steps)).edges(drift.steps))
    np.testing.assert_allclose(corners[:, 0, 1], np.arange(0.5, 12))


def test_colours_get_brighter_with_the_value_in_grey_too() -> None:
    colours = mpl.colormaps[COLOUR_MAP](np.linspace(0, 1, 64))[:, :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    assert np.all(np.diff(linear @ [0.2126, 0.7152, 0.0722]) > 0)


def test_boundaries_are_filled_where_accepted_and_hollow_where_not(drift: Drift, figure: Figure) -> None:
    ax, _ = _heat(figure)
    for marker, colour, key in (("o", RED, 0), ("s", PURPLE, 1)):
        for face, accepted in ((colour, True), (BACKGROUND, False)):
            placed = [p for p in drift.points if p.verdicts["mspgt"].boundaries and p.accepted is accepted]
            expected = {float(p.step): float(p.verdicts["mspgt"].boundaries[key].layer) for p in placed}
            assert expected
            assert _marks(ax, marker, face) == expected


def test_lines_are_dotted_until_both_ends_are_accepted_and_have_gaps() -> None:
    data = example_drift(12, 10).as_dict()
    absent = {"local_intermediate": None, "intermediate_global": None}
    data["points"][5]["verdicts"]["mspgt"].update(absent, status="no_peak")
    for change in data["changes"][4:6]:
        change["boundaries"] = absent
    drift = read(data)
    ax, _ = _heat(heat_map(drift))
    accepted = series.tracks(drift, "mspgt")[0].accepted.tolist()
    lines = [li for li in ax.lines if li.get_linestyle() != "None" and to_hex(li.get_color()) == RED]
    drawn: dict[bool, set[tuple[int, ...]]] = {firm: set() for firm in (True, False)}
    for line in lines:
        xy = np.asarray(line.get_xydata(), dtype=float).reshape(-1, 3, 2)[:, :2]
        whole = [tuple(piece[:, 0].astype(int)) for piece in xy if np.isfinite(piece).all()]
        drawn[line.get_linestyle() == "-"] |= set(whole)
    placed = [i for i, layer in enumerate(series.tracks(drift, "mspgt")[0].layer) if np.isfinite(layer)]
    pairs = [(i, j) for i, j in pairwise(range(10)) if i in placed and j in placed]
    for firm in (True, False):
        expected = {
            (drift.points[i].step, drift.points[j].step) for i, j in pairs if (accepted[i] and accepted[j]) is firm
        }
        assert drawn[firm] == expected
        assert expected
    assert not any(drift.points[5].step in pair for pair in drawn[True] | drawn[False])


def test_intervals_are_drawn_from_end_to_end(drift: Drift, figure: Figure) -> None:
    ax, _ = _heat(figure)
    bars = [c for c in ax.collections if isinstance(c, LineCollection)]
    drawn = {tuple(map(tuple, segment)) for bar in bars for segment in bar.get_segments()}
    expected = {
        ((point.step, boundary.ci[0]), (point.step, boundary.ci[1]))
        for point in drift.points
        for boundary in point.verdicts["mspgt"].boundaries
        if boundary.ci and boundary.ci[0] < boundary.ci[1]
    }
    assert expected
    assert drawn == expected


def test_many_intervals_become_a_band_between_their_ends() -> None:
    drift = example_drift(32, 60)
    ax, _ = _heat(heat_map(drift))
    track = series.tracks(drift, "mspgt")[0]
    bands = [p for p in ax.patches if to_hex(p.get_facecolor()) == RED]
    assert len(bands) == 1
    values, _, baseline = bands[0].get_data()
    wide = track.low < track.high
    np.testing.assert_array_equal(values[wide], track.high[wide])
    np.testing.assert_array_equal(baseline[wide], track.low[wide])
    assert np.isnan(values[~wide]).all()


def test_real_moves_are_marked_at_their_step_and_in_their_direction(drift: Drift) -> None:
    for rule in ("mspgt", "paper"):
        drawn = set()
        for ax in heat_map(drift, rule).axes:
            for line in ax.lines:
                if line.get_marker() in "^v":
                    colour = to_hex(line.get_color())
                    drawn |= {(float(x), colour, line.get_marker()) for x in line.get_xdata()}
        expected = {
            (float(change.stop), BOUNDARY_COLOURS[name], "^" if move.moved > 0 else "v")
            for change in drift.changes
            for name, move in change.by(rule).known.items()
            if move.real
        }
        assert expected
        assert drawn == expected


def test_the_loss_is_drawn_where_it_is_known_and_left_out_where_none_is(drift: Drift, figure: Figure) -> None:
    def panel(figure: Figure) -> Axes | None:
        return next((ax for ax in figure.axes if ax.get_ylabel() == "training loss"), None)

    shown = panel(figure)
    assert shown is not None
    np.testing.assert_array_equal(shown.lines[0].get_ydata(), [point.loss for point in drift.points])
    assert shown.get_xlim() == _heat(figure)[0].get_xlim()
    assert panel(heat_map(example_drift(source="checkpoints"))) is None


def test_a_rule_that_could_not_be_applied_somewhere_leaves_a_gap_there() -> None:
    data = example_drift().as_dict()
    del data["points"][4]["verdicts"]["paper"]
    _, mesh = _heat(heat_map(read(data), "paper"))
    missing = np.isnan(_values(mesh)).all(axis=0)
    assert missing.tolist() == [i == 4 for i in range(9)]
    for point in data["points"]:
        point["verdicts"].pop("paper", None)
    assert set(figures(read(data))) == {"drift", "boundaries", "signals"}
    with pytest.raises(UserError, match="needs the signals of the paper's rule"):
        draw(read(data), "drift-paper")


def test_signals_are_in_their_own_units_on_one_axis_of_steps(drift: Drift) -> None:
    figure = draw(drift, "signals")
    shown = {ax.get_title(loc="left"): (ax, mesh) for ax, mesh in _meshes(figure)}
    assert list(shown) == list(drift.signals)
    for name, (ax, mesh) in shown.items():
        expected = np.stack([point.signals[name].value for point in drift.points], axis=1)
        np.testing.assert_array_equal(_values(mesh), expected)
        assert mesh.get_clim() == (expected.min(), expected.max())
        assert ax.get_xlim() == shown["cka"][0].get_xlim()


def test_a_signal_that_failed_at_a_step_is_empty_there() -> None:
    data = example_drift().as_dict()
    del data["points"][2]["signals"]["attn"]
    _, mesh = _meshes(draw(read(data), "signals"))[2]
    assert np.isnan(_values(mesh)).all(axis=0).tolist() == [i == 2 for i in range(9)]


# -------------------------------------------------------------------------------------------- boundaries alone


def test_boundaries_are_relative_depths_by_both_rules(drift: Drift) -> None:
    panels = draw(drift, "boundaries").axes
    assert [ax.get_title(loc="left") for ax in panels] == ["mspgt's rule", "the paper's rule"]
    for ax, rule in zip(panels, ("mspgt", "paper"), strict=True):
        placed = {float(p.step): b for p in drift.points for b in p.verdicts[rule].boundaries[:1]}
        drawn = _marks(ax, "o", RED) | _marks(ax, "o", BACKGROUND)
        assert drawn == pytest.approx({step: boundary.relative for step, boundary in placed.items()})
        assert ax.get_ylim() == (0, 1)


def test_without_any_boundary_there_are_heat_maps_that_say_so() -> None:
    drift = _without_boundaries(example_drift())
    drawn = figures(drift)
    assert set(drawn) == {"drift", "signals", "drift-paper"}
    title = drawn["drift"]._suptitle
    assert title is not None
    assert "no boundaries placed" in title.get_text()
    assert not drawn["drift"].legends
    with pytest.raises(UserError, match="needs a step at which a rule places boundaries"):
        draw(drift, "boundaries")


def test_boundaries_that_were_never_accepted_are_said_in_the_title(figure: Figure) -> None:
    refused = heat_map(example_drift(accepted=False))._suptitle
    assert refused is not None
    assert "no boundaries accepted" in refused.get_text()
    assert figure._suptitle is not None
    assert "no boundaries" not in figure._suptitle.get_text()


def test_an_unknown_figure_or_rule_names_those_there_are(drift: Drift) -> None:
    with pytest.raises(UserError, match=r"unknown figure 'drfit'.*drift"):
        draw(drift, "drfit")
    with pytest.raises(UserError, match=r"unknown rule 'papers'.*paper"):
        heat_map(drift, "papers")


# ------------------------------------------------------------------------------------------------ several runs


def test_runs_share_axes_and_colours() -> None:
    runs = {f"run {i}": example_drift(12 + 6 * i, 5 + i, seed=i) for i in range(4)}
    figure = compare(runs, "paper")
    shown = _meshes(figure)
    assert [ax.get_title(loc="left") for ax, _ in shown] == list(runs)
    whole = np.concatenate([series.evidence(run, "paper").ravel() for run in runs.values()])
    for (ax, mesh), run in zip(shown, runs.values(), strict=True):
        np.testing.assert_array_equal(_values(mesh), series.evidence(run, "paper"))
        assert mesh.get_clim() == (whole.min(), whole.max())
        assert (ax.get_xlim(), ax.get_ylim()) == (shown[0][0].get_xlim(), shown[0][0].get_ylim())
        assert ax.get_xlim()[0] < 0
        assert ax.get_xlim()[1] > max(int(r.steps[-1]) for r in runs.values())


def test_runs_without_a_loss_say_so_beside_those_with_one() -> None:
    trained, kept = example_drift(), example_drift(source="checkpoints")
    assert any(t.get_text() == "not known" for ax in compare({"a": trained, "b": kept}).axes for t in ax.texts)
    assert not any(ax.get_ylabel() == "loss" for ax in compare({"b": kept}).axes)


def test_comparing_nothing_or_by_a_rule_that_a_run_lacks_is_refused(drift: Drift) -> None:
    with pytest.raises(UserError, match="no drifts were given"):
        compare({})
    data = example_drift().as_dict()
    for point in data["points"]:
        point["verdicts"].pop("paper", None)
    with pytest.raises(UserError, match="unknown rule 'paper'"):
        compare({"a": drift, "b": read(data)}, "paper")


# ------------------------------------------------------------------------------------------- looks and bytes


def _long() -> Drift:
    data = example_drift(80, 60).as_dict()
    data["model"]["name"] = "an-organisation/a-model-with-a-$name$-that-goes-on-and-on-" * 3
    return read(data)


EXTREMES: dict[str, Callable[[], Drift]] = {
    "one point": lambda: example_drift(12, 1),
    "two points": lambda: example_drift(12, 2),
    "80 blocks, 60 points": _long,
    "geometric": lambda: _at(example_drift(24, 20), GEOMETRIC),
    "few blocks": lambda: example_drift(3, 4, intervals=False),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", EXTREMES)
def test_no_text_lies_over_another_or_outside(kind: str) -> None:
    drift = EXTREMES[kind]()
    drawn = figures(drift) | {"three": compare({kind: drift, "a name that is long " * 5: drift, "c": drift})}
    for name, figure in drawn.items():
        figure.canvas.draw()
        boxes = [(text.get_text(), text.get_window_extent()) for text in _texts(figure)]
        over = [
            (name, one, other)
            for (one, a), (other, b) in combinations(boxes, 2)
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        ]
        assert over == []
        width, height = figure.bbox.width, figure.bbox.height
        outside = [t for t, b in boxes if b.x0 < -1 or b.x1 > width + 1 or b.y0 < -1 or b.y1 > height + 1]
        assert (name, outside) == (name, [])


def test_names_are_no_formulas() -> None:
    data = example_drift(12, 3).as_dict()
    data["model"]["name"] = "cost_$a$_<b>"
    for point in data["points"]:
        point["signals"]["own_$x$"] = point["signals"].pop("attn")
    for name, figure in figures(read(data)).items():
        text = svg(figure, name)
        ET.fromstring(text)
        assert "cost_$a$" in text
        assert ("own_$x$" in text) is (name == "signals")


def test_a_heat_map_of_thousands_of_cells_stays_small_as_svg() -> None:
    assert len(svg(heat_map(example_drift(80, 60)), "drift")) < 400_000


def test_the_same_drift_gives_the_same_bytes(tmp_path: Path) -> None:
    def example() -> Drift:
        return example_drift(12, 2, intervals=False)

    folder = example().save(tmp_path) / "figures"
    again = figures(example())
    assert {path.name for path in folder.iterdir()} == {f"{name}.{end}" for name in again for end in ("svg", "png")}
    for name, figure in again.items():
        assert (folder / f"{name}.svg").read_text(encoding="utf-8") == svg(figure, name)
    raster = (folder / "drift.png").read_bytes()
    assert raster == png(heat_map(example()))
    width, height = struct.unpack(">II", raster[16:24])
    assert width == 1480
    assert height > 800
