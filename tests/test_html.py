"""Parts on a page: every kind of part is shown, well-formed, and escapes any text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from example_kind import SHOWN, Weights
from markupsafe import escape
from test_report import EVIL, Page

from mspgt.contracts.series import Lines, Series
from mspgt.models.facts import ModelFacts
from mspgt.show import html, plots
from mspgt.show.grid import Cell, Column, Grid, Number, Row, grid
from mspgt.show.parts import (
    BoundaryMark,
    Card,
    Cards,
    Continuations,
    Drawing,
    Facts,
    Folded,
    Line,
    PlotOf,
    Section,
    Sentences,
    VerdictCard,
)

RESULT = Weights(ModelFacts("toy", "llama", 4, 8, 2, 1234, "float32"), (10, 20, 30, 40), np.array([0.5, 0.25, 1, 2]))


def page(monkeypatch: pytest.MonkeyPatch, *parts: Any, **shown: Any) -> str:
    """The page of a result that shows these parts."""
    section = Section("here", "Here", parts)
    monkeypatch.setattr("example_kind.SHOWN", replace(SHOWN, sections=lambda *_: [section], **shown))
    return html.page(RESULT)


def drawing(text: str) -> Drawing:
    values = Series(text, "block", text, columns="task").of({text: [1, 2, 3, 4]}, 4)
    figure = plots.draw(PlotOf(Lines("mine", (text,), text, text), {text: values}))
    assert figure is not None
    return Drawing("mine", figure, text, text)


def every_part(text: str) -> dict[str, Any]:
    """One of each kind of part, with that text wherever it has one."""
    table = Grid(
        (Column("a", text), Column("b", ends=("low", "high"))),
        (Row((Cell(text, "bad"), Number(value=1.0, low=0.5, high=2.0, after=((text, "good"),), below=((text, ""),)))),),
        (text,),
        elsewhere=text,
        notes=(text,),
    )
    facts = Facts({text: text, "nested": {text: [text, None, {text: 1}]}})
    return {
        "Grid": table,
        "Line": Line.labelled(text, text),
        "Facts": facts,
        "Sentences": Sentences((text,), warn=True),
        "VerdictCard": VerdictCard(
            text, text, False, text, (BoundaryMark(text, text, (text,), False),), (text,), {text: text}, text, (facts,)
        ),
        "Card": Card(text, (facts,), subtitle=text),
        "Cards": Cards((Card(text, (table,)),)),
        "Folded": Folded(text, (facts,)),
        "Drawing": drawing(text),
        "Continuations": Continuations(text, {text: text, "empty": ""}, {text: text}),
    }


@pytest.mark.parametrize("kind", every_part(""))
def test_any_text_in_any_part_stays_a_text(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    for text in (EVIL, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }} {% raw %}", r"$\frac{1$ & \alpha"):
        made = page(monkeypatch, every_part(text)[kind])
        read = Page(made)
        assert read.open == []
        assert not {"script", "img"} & {tag for tag, _ in read.tags}
        assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
        assert text in read.text


def test_half_a_surrogate_pair_does_not_break_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    made = page(monkeypatch, *every_part("a\ud800b").values(), headline=lambda _: "\udc00!")
    assert "a?b" in made.encode("utf-8").decode("utf-8")
    assert Page(made).open == []


def test_the_shell_answers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = page(monkeypatch, Line.of("x"), headline=lambda _: "Blocks 3–6 matter.", subjects=lambda _: {"n_docs": "9"})
    assert "<h1>Blocks 3&#8288;–&#8288;6 matter.</h1>" in made
    assert "<strong>N docs</strong> 9" in made
    assert '<section aria-labelledby="here">\n<h2 id="here">Here</h2>' in made
    assert "Made by mspgt. The numbers are in weights.json and weights.csv." in made


def test_a_section_without_parts_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Here" not in page(monkeypatch)


def test_facts_are_words_and_numbers_in_three_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {
        "d_model": 4096,
        "share": 0.123456,
        "probe": {"seed": 1, "weight": None},
        "growth": {"value": 1.23456, "low": 0.9, "high": 1.5},
        "alone": {"value": 1.23456, "low": None, "high": None},
        "converged": True,
        "plugins": ["cka", "attn"],
        "nothing": [],
    }
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page(monkeypatch, Facts(facts)))
    assert found == [
        ("d model", "4,096"),
        ("share", "0.123"),
        ("probe.seed", "1"),
        ("probe.weight", "–"),
        ("growth", "1.23 [0.9, 1.5]"),
        ("alone", "1.23"),
        ("converged", "yes"),
        ("plugins", "cka, attn"),
        ("nothing", "none"),
    ]


def test_tables_scroll_by_keyboard_and_head_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row((Cell("first"), Number(value=1.5, low=1, high=2)), "intermediate-global"), ("second", None)]
    made = page(monkeypatch, grid(("name", "value"), rows, "what it shows", notes=("a note",)))
    assert '<p class="about">What it shows.</p>' in made
    assert '<div class="scroll" tabindex="0">' in made
    assert '<tr class="intermediate-global"><th scope="row">first</th>' in made
    assert '1.5<small class=""> [1, 2]</small>' in made or '1.5<small class="">[1, 2]</small>' in made
    assert '<span class="faint">–</span>' in made
    assert '<ol class="footnotes"><li>a note</li></ol>' in made


def test_a_figure_has_its_size_and_an_alternative_text(monkeypatch: pytest.MonkeyPatch) -> None:
    made = page(monkeypatch, replace(drawing("f1"), description="It rises."))
    assert 'style="--inches: 4.9" role="img" aria-label="It rises."' in made
    assert "<figcaption>f1</figcaption>" in made


def test_a_notebook_shows_the_answer_and_the_first_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    made = RESULT._repr_html_()
    assert str(escape(SHOWN.headline(RESULT))) in made
    assert "<svg" in made
    assert "<html" not in made
    assert set(re.findall(r"var\((--[\w-]+)\)", made)) <= set(re.findall(r"(--[\w-]+):", made))
    monkeypatch.setattr("example_kind.SHOWN", replace(SHOWN, figures={}))
    assert "<svg" not in RESULT._repr_html_()
