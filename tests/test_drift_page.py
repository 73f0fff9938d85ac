"""The page of a drift: self-contained, well-formed, complete, escaped, honest about what is not accepted or real."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from example_drift import example_drift, read

from mspgt.show import wording
from mspgt.show.drawing import BACKGROUND, BOUNDARY_COLOURS, INK, MUTED
from mspgt.show.drift import prose
from mspgt.show.html import page

VOID = {"meta", "br", "link", "img", "hr"}
EVIL = "<script>alert('x' & \"y\")</script>"
PREDICTION: dict[str, Any] = {
    "verdict": "supported",
    "reasons": ["supported: these lie 41.7 % apart.", "The replicates are paired."],
    "note": "",
    "matched": None,
    "numbers": {
        "record": "Apart",
        "rule": "mspgt",
        "threshold": 0.3,
        "difference": 5 / 12,
        "low": 4 / 12,
        "high": 0.5,
        "confidence": 0.95,
        "paired": True,
        "share": 0.985,
        "runs": [
            {"name": "runs/a", "step": 2850, "layer": 8, "relative": 8 / 12, "ci": [7, 8], "accepted": True},
            {"name": "runs/b", "step": 2850, "layer": 3, "relative": 3 / 12, "ci": None, "accepted": False},
        ],
        "chance": {"uniform": 0.37, "two_peaks": 0.166},
    },
}


class Page(HTMLParser):
    """Reads a page and keeps its tags with their attributes, its text, rows of its tables, and what was not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, *heads: str) -> list[str]:
        """The first row that begins with these cells."""
        return next(row for row in self.rows if tuple(row[: len(heads)]) == heads)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    found = example_drift().as_dict()
    found["prediction_3_2"] = PREDICTION
    found["points"][4]["left_out"] = ["probe: it ran out of memory."]
    return found


@pytest.fixture(scope="module")
def html(data: dict[str, Any]) -> str:
    return page(read(data))


@pytest.fixture(scope="module")
def shown(html: str) -> Page:
    return Page(html)


def test_the_page_is_well_formed(html: str, shown: Page) -> None:
    assert shown.open == []
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r'href="#([^"]+)"', html))
    used |= {str(a["aria-labelledby"]) for _, a in shown.tags if "aria-labelledby" in a}
    assert used <= set(ids)
    assert all(a.get("scope") in ("row", "col") for tag, a in shown.tags if tag == "th")


def test_nothing_is_loaded_and_nothing_runs(html: str, shown: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "img"} & {tag for tag, _ in shown.tags}
    addresses = [v for _, attributes in shown.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert all(address is not None and address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not any(key.startswith("on") for _, attributes in shown.tags for key in attributes)


def test_figures_take_the_colours_of_the_page_and_say_what_they_show(html: str, shown: Page) -> None:
    drawn = html[html.index("<svg") : html.rindex("</svg>")]
    assert not [colour for colour in (INK, MUTED, BACKGROUND, *BOUNDARY_COLOURS.values()) if colour in drawn]
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= set(re.findall(r"(--[\w-]+):", html))
    figures = [a for tag, a in shown.tags if tag == "svg" and a.get("role") == "img"]
    assert len(figures) == 4
    assert all("Boundaries are accepted from step 1,600 on" in str(a["aria-label"]) for a in figures)


def test_the_page_answers_first(data: dict[str, Any], shown: Page) -> None:
    parts = [
        *(prose.headline(read(data)), "example-12 (llama): 12 blocks", "wiki.valid.tokens: 60 documents", "9 steps"),
        *("Evidence over training", "Verdict at step 2,850", "mspgt's rule", "the paper's rule", "Left out"),
        *("Every step", "From the first step to the last", "Prediction 3.2", "How to read this", "Further figures"),
        *("How this was made", "Notes", "Made by mspgt 0.1.0"),
    ]
    at = 0
    for part in parts:
        at = shown.text.index(part, at)


def test_every_step_has_a_row_with_places_status_and_moves(data: dict[str, Any], shown: Page) -> None:
    drift = read(data)
    heads = ["step", "loss", "L-I", "I-G", "verdict", "L-I moved", "I-G moved"]
    tables = [i for i, row in enumerate(shown.rows) if row == heads]
    assert len(tables) == 2  # by both rules
    for at, rule in zip(tables, ("mspgt", "paper"), strict=True):
        for i, point in enumerate(drift.points):
            row = shown.rows[at + 1 + i]
            verdict = point.verdicts[rule]
            places = [f"{b.layer}{wording.interval(b)}" for b in verdict.boundaries] or ["–", "–"]
            assert row[0] == f"{point.step:,}" + (" end" if point.end else "")
            assert row[1] == ("–" if point.step == 0 else f"{point.loss:.2f}")
            assert row[2:4] == places
            assert row[4] == ("accepted" if verdict.accepted else verdict.status.replace("_", " "))


def test_real_moves_are_told_from_others(data: dict[str, Any], shown: Page) -> None:
    moves = [move for change in read(data).changes for move in change.boundaries.known.values()]
    real = [move for move in moves if move.real]
    at = shown.rows.index(["step", "loss", "L-I", "I-G", "verdict", "L-I moved", "I-G moved"])
    cells = [cell for row in shown.rows[at + 1 : at + 10] for cell in row[5:]]
    assert [cell for cell in cells if "real" in cell] == [
        f"−{-m.moved} real{prose.interval(m).replace('-', '−')}" for m in real
    ]
    assert sum(cell != "–" for cell in cells) == len(moves) > len(real) > 0


def test_moves_from_first_to_last_are_read_for_the_reader() -> None:
    drift = example_drift(24, source="checkpoints")
    assert drift.overall is not None
    shown = Page(page(drift))
    move = drift.overall.paper.known["intermediate-global"]
    assert move.real
    row = shown.row("intermediate-global, the paper's rule")
    assert row[1:] == [f"−4 real{prose.interval(move).replace('-', '−')}", f"{move.share:.1%}", "real"]
    assert shown.row("intermediate-global, mspgt's rule")[-1] == "too few samples have both"
    assert shown.row("local-intermediate, mspgt's rule")[-1] == "did not move"
    assert "loss" not in [cell for row in shown.rows for cell in row]  # checkpoints know none
    assert "due every" not in shown.text


def test_where_no_boundary_is_at_both_ends_that_is_said(shown: Page) -> None:
    assert "From step 0 to step 2,850: neither rule places boundaries at both steps." in shown.text


def test_one_point_has_no_moves() -> None:
    text = Page(page(example_drift(12, 1))).text
    assert "From the first step" not in text
    assert "Verdict at step 0" in text


def test_prediction_has_its_numbers_and_chance(shown: Page) -> None:
    at = shown.text.index("The intermediate-global boundary differs between training runs")
    text = " ".join(shown.text[at : shown.text.index("How to read this")].split())
    assert "supported these lie 41.7 % apart." in text
    assert "41.7% [33.3%, 50.0%] of the depth" in text
    assert "more than 30.0%" in text
    assert "By chance, uniform37.0%By chance, two peaks16.6%" in text
    assert shown.row("runs/a") == ["runs/a", "2,850", "8[7, 8]", "66.7%", "accepted"]
    assert shown.row("runs/b")[2:] == ["3", "25.0%", "not accepted"]


def test_an_undecided_prediction_is_its_reasons() -> None:
    drift = example_drift(4, 2)
    answer = drift.against(example_drift(4, 2, seed=1))
    shown = Page(page(replace(drift, prediction_3_2=answer)))
    text = " ".join(shown.text.split())
    assert "undecided example-12 (1) has no I-G boundary by mspgt's rule" in text
    assert shown.row("example-12 (2)")[1:] == ["50", "–", "–", "not accepted"]
    assert "of the depth" not in text[text.index("Prediction 3.2") : text.index("How to read this")]


def test_the_words_of_the_page_are_explained(shown: Page) -> None:
    text = shown.text[shown.text.index("How to read this") : shown.text.index("Further figures")]
    for word in ("Interval", "Real", "Within noise", "Accepted", "No peak", "One peak", "Unstable"):
        assert word in text
    assert "Not above null" not in text  # it does not occur


def test_what_was_not_accepted_is_marked_wherever_it_is_shown() -> None:
    drift = example_drift(12, 4, accepted=False)
    shown = Page(page(drift))
    assert "No boundaries are accepted" in shown.text
    assert "not accepted: unstable" in shown.text
    assert "no boundaries accepted" in shown.text  # the title of the figure
    spans = [
        str(a.get("class")) for tag, a in shown.tags if tag == "span" and "local-intermediate" in str(a.get("class"))
    ]
    refused = sum(not v.accepted for p in drift.points for v in p.verdicts.values() if v.boundaries)
    accepted = sum(v.accepted for p in drift.points for v in p.verdicts.values())
    assert refused > 0
    assert spans.count("local-intermediate") == accepted


def test_notes_and_what_was_left_out_say_which_step(data: dict[str, Any], shown: Page) -> None:
    assert "Step 700: probe: it ran out of memory." in shown.text
    assert f"Step 200: {data['points'][2]['notes'][0]}" in shown.text
    assert data["notes"][0] in shown.text
    many = example_drift(12, 8).as_dict()
    for point in many["points"]:
        point["notes"] = ["the same."]
    assert "Steps 0 to 2,150, 8 in all: the same." in Page(page(read(many))).text


def test_settings_cost_and_provenance_are_there(data: dict[str, Any], shown: Page) -> None:
    for expected in (
        prose.describe_overhead(read(data).overhead),
        "due every100 steps",
        data["provenance"]["command"],
        data["provenance"]["data_sha256"]["data"],
        "pluginscka, probe, attn",
    ):
        assert expected in shown.text
    assert "nan" not in shown.text.lower().split()


def test_missing_intervals_are_said_and_leave_no_brackets() -> None:
    shown = Page(page(example_drift(12, 4, intervals=False)))
    assert "corpus data has 6 documents" in shown.text
    assert not any("[" in cell for row in shown.rows for cell in row)
    assert "nan" not in shown.text.lower().split()


@pytest.mark.parametrize("where", ["model", "data", "note", "settings", "signal", "command", "reason", "prediction"])
def test_texts_from_elsewhere_are_escaped(where: str) -> None:
    data = example_drift(12, 1).as_dict()
    point = data["points"][0]
    evil: dict[str, Callable[[], object]] = {
        "model": lambda: data["model"].update(name=EVIL, family=EVIL),
        "data": lambda: data["data"].update(name=EVIL, labels={EVIL: 1}),
        "note": lambda: (data.update(notes=[EVIL], left_out=[EVIL]), point.update(notes=[EVIL], left_out=[EVIL])),
        "settings": lambda: data.update(settings={EVIL: EVIL}),
        "signal": lambda: point["signals"].update({EVIL: point["signals"].pop("attn")}),
        "command": lambda: data["provenance"].update(command=EVIL, mspgt=EVIL, started=EVIL),
        "reason": lambda: point["verdicts"]["mspgt"].update(reasons=[EVIL], meaning=EVIL, weights={EVIL: 1.0}),
        "prediction": lambda: data.update(
            prediction_3_2={
                "verdict": "undecided",
                "reasons": [EVIL],
                "note": EVIL,
                "matched": None,
                "numbers": PREDICTION["numbers"]
                | {"runs": [PREDICTION["numbers"]["runs"][0] | {"name": EVIL}], "chance": {EVIL: 0.5}},
            }
        ),
    }
    evil[where]()
    text = page(read(data))
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_write_replaces_the_file_even_by_what_no_encoding_holds(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    data = example_drift(12, 1).as_dict()
    data["provenance"]["command"] = "mspgt drift checkpoints=caf\udce9"
    read(data).save(tmp_path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "checkpoints=caf?" in path.read_text(encoding="utf-8")
