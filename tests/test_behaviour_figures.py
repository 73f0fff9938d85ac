"""Figures of an experiment: right numbers, no text over another, the same bytes every time, marked when they must."""

from __future__ import annotations

import math
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_behaviour import METRICS, example_behaviour, renamed, with_effect, with_effects
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mspgt.results.intervention import Behaviour
from mspgt.show.figures import figures, svg
from mspgt.show.intervention.bars import changes
from mspgt.show.intervention.drawing import COLOURS
from mspgt.show.intervention.panels import dose_response, doses
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.records import Estimate

STRENGTHS = (0.1, 0.02, 0.2)
example = cache(example_behaviour)


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return example(sigmas=STRENGTHS)


def _drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def _bars(ax: Any) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def _texts(figure: Figure) -> list[Any]:
    """Every text that is seen."""
    found = [text for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label)]
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    found += [figure._suptitle] if figure._suptitle else []
    return [text for text in found if text.get_text() and text.get_visible() and text.get_window_extent().width]


def test_there_is_a_figure_for_all_that_can_be_shown(behaviour: Behaviour) -> None:
    assert list(figures(behaviour)) == ["changes", "dose-response", "doses"]
    assert list(figures(example(controls=False))) == ["changes"]
    assert figures(example(controls=False, without=tuple(METRICS))) == {}


def test_bars_are_the_changes_of_the_file(behaviour: Behaviour) -> None:
    percent, standard = _drawn(changes(behaviour)).axes
    row = list(METRICS).index("coherence")
    for ax, what in ((percent, "percent"), (standard, "standardised")):
        bars = {
            to_hex(b.get_facecolor()): b for b in _bars(ax) if row - 0.5 < b.get_y() + b.get_height() / 2 < row + 0.5
        }
        for scale in SCALES:
            expected = getattr(behaviour.effect("coherence", scale), what).value
            assert bars[COLOURS[scale]].get_width() == pytest.approx(expected)


def test_intervals_are_drawn_from_end_to_end(behaviour: Behaviour) -> None:
    percent, _ = _drawn(changes(behaviour)).axes
    lines = {tuple(np.round(np.asarray(line.get_xdata(), dtype=float), 9)) for line in percent.lines}
    estimate = behaviour.effect("coherence", "global").percent
    assert estimate is not None
    assert (round(estimate.low, 9), round(estimate.high, 9)) in lines


def test_undefined_percentages_are_said_and_have_standard_deviations() -> None:
    given = with_effects(example(controls=False), lambda e: {"percent": None} if e.metric == "repetition" else {})
    percent, standard = _drawn(changes(given)).axes
    row = list(METRICS).index("repetition")
    zero = list(METRICS).index("divergence")
    assert sorted(t.xy[1] for t in percent.texts if t.get_text() == "undefined") == sorted([row, zero])
    assert not [b for b in _bars(percent) if abs(b.get_y() + b.get_height() / 2 - row) < 0.5]
    assert len([b for b in _bars(standard) if abs(b.get_y() + b.get_height() / 2 - row) < 0.5]) == 3


def test_a_gigantic_bar_is_cut_and_bears_its_number() -> None:
    huge = Estimate(18_402.0, 18_000.0, 19_000.0)
    percent, _ = _drawn(changes(with_effect(example(controls=False), "repetition", "global", percent=huge))).axes
    assert max(abs(b.get_width()) for b in _bars(percent)) < 600
    assert any(t.get_text().startswith("+18,402%") for t in percent.texts)
    assert percent.get_xlim()[1] < 1_000


def test_no_bar_is_cut_where_all_are_alike() -> None:
    values = np.linspace(10, 40, len(example(controls=False).effects))
    each = iter(values)
    given = with_effects(
        example(controls=False), lambda _: {"percent": Estimate(value := next(each), value - 1, value + 1)}
    )
    percent, _ = _drawn(changes(given)).axes
    np.testing.assert_allclose(sorted(b.get_width() for b in _bars(percent)), sorted(values))
    assert not [t for t in percent.texts if "%" in t.get_text()]


def test_dose_response_runs_over_all_strengths(behaviour: Behaviour) -> None:
    figure = _drawn(dose_response(behaviour))
    assert len(figure.axes) == len(METRICS)
    ax = figure.axes[list(METRICS).index("perplexity")]
    line = next(line for line in ax.lines if to_hex(line.get_color()) == COLOURS["global"])
    np.testing.assert_array_equal(line.get_xdata(), [0, *sorted(STRENGTHS)])
    expected = [behaviour.effect("perplexity", c).difference.value for c in ("global@0.02", "global", "global@0.2")]
    np.testing.assert_array_equal(line.get_ydata(), [0, *expected])


def test_one_large_value_does_not_drown_the_rest() -> None:
    given = with_effect(example(sigmas=STRENGTHS), "perplexity", "global@0.2", difference=Estimate(900.0))
    figure = _drawn(dose_response(given))
    kinds = {name: ax.get_yscale() for name, ax in zip(METRICS, figure.axes, strict=True)}
    assert [name for name, kind in kinds.items() if kind == "symlog"] == ["perplexity"]


def test_a_unit_does_not_repeat_the_name_of_its_metric() -> None:
    given = renamed(example(sigmas=STRENGTHS), "perplexity", "perplexity", unit="perplexity")
    titles = [ax.get_title(loc="left") for ax in _drawn(dose_response(given)).axes]
    assert "perplexity" in titles


def test_doses_stand_side_by_side(behaviour: Behaviour) -> None:
    ax = _drawn(doses(behaviour)).axes[list(METRICS).index("ttr")]
    points = [line for line in ax.lines if line.get_marker() not in ("None", "", None)]
    drawn = sorted((round(float(p.get_xdata()[0]), 6), float(p.get_ydata()[0])) for p in points)
    expected = [
        behaviour.effect("ttr", f"{scale}{kind}").difference.value
        for scale in SCALES
        for kind in ("", "-matched", "-control", "-matched-control")
    ]
    assert [y for _, y in drawn] == expected


@pytest.mark.parametrize("make", [changes, dose_response, doses])
def test_boundaries_that_were_not_accepted_are_marked_in_the_title(make: Callable[[Behaviour], Figure | None]) -> None:
    for accepted in (True, False):
        title = _drawn(make(example(sigmas=STRENGTHS, accepted=accepted)))._suptitle
        assert title is not None
        assert ("boundaries not accepted" in " ".join(title.get_text().split())) is not accepted


@pytest.mark.parametrize("make", [changes, dose_response, doses])
@pytest.mark.parametrize("harsh", [False, True])
def test_no_text_lies_over_another(make: Callable[[Behaviour], Figure | None], harsh: bool) -> None:
    given = example(sigmas=(0.1, 0.01, 0.012, 0.5), accepted=not harsh)
    if harsh:
        name = "an-organisation/a-model-with-a-name-that-goes-on-and-on-" * 2
        given = replace(given, model=replace(given.model, name=name))
        given = renamed(given, "ttr", "third_party_metric_with_a_long_name", unit="units of a third party")
        given = with_effect(given, "perplexity", "global", percent=Estimate(99_999.0))
        given = with_effect(given, "coherence", "global", percent=Estimate(-99_999.0))
        given = with_effect(given, "repetition", "local", percent=None)
    figure = _drawn(make(given))
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in _texts(figure)]
    over = [
        (one, other)
        for (one, a), (other, b) in combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    assert over == []
    width, height = figure.bbox.width, figure.bbox.height
    outside = [t for t, b in boxes if b.x0 < -1 or b.x1 > width + 1 or b.y0 < -1 or b.y1 > height + 1]
    assert outside == []


def test_names_are_no_formulas_and_nulls_are_no_numbers() -> None:
    nothing: dict[str, Any] = {"difference": Estimate(), "percent": None, "d_z": math.nan, "tests": {}, "primary": None}
    given = renamed(example(sigmas=STRENGTHS), "ttr", "cost_$a$_<b>")
    given = with_effects(given, lambda e: nothing if e.metric == "perplexity" else {})
    for name, drawing in figures(given).items():
        text = svg(drawing.figure, name)
        ET.fromstring(text)
        assert "cost_$a$" in text
        assert "nan" not in text.lower().split()


def test_the_same_experiment_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        example_behaviour(sigmas=STRENGTHS, without=tuple(METRICS)[:6]).save(tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one" / "figures").iterdir())
    assert names == [f"{n}.{e}" for n in ("changes", "dose-response", "doses") for e in ("png", "svg")]
    for name in names:
        assert (tmp_path / "one" / "figures" / name).read_bytes() == (tmp_path / "two" / "figures" / name).read_bytes()
    width, height = struct.unpack(">II", (tmp_path / "one" / "figures" / "changes.png").read_bytes()[16:24])
    assert width == 1480
    assert height > 400
