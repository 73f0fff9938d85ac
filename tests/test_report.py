"""The page: self-contained, well-formed, complete, escaped, readable by everybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mspgt.results.result import Result
from mspgt.show.details import sort_details
from mspgt.show.run import figures
from mspgt.show.run.page import page, write
from mspgt.testing.results import example_result

VOID = {"meta", "br", "link", "img", "hr"}
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Reads a page and keeps its tags, ids, text and unclosed elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return page(Result(example_result(16)))


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


def test_every_element_is_closed(read: Page) -> None:
    assert read.open == []


def test_nothing_is_loaded_and_nothing_runs(html: str, read: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in read.tags}
    addresses = [v for _, attributes in read.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert all(address is not None and address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not any(key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_ids_are_unique_and_references_hit(html: str, read: Page) -> None:
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r'href="#([^"]+)"', html))
    assert used
    assert used <= set(ids)


def test_figures_have_alternative_texts_that_say_what_they_show(read: Page) -> None:
    figures_shown = [attributes for attributes in read.named("svg") if attributes.get("role") == "img"]
    assert len(figures_shown) == 5
    assert "after block 5 of 16" in str(figures_shown[0]["aria-label"])
    assert read.named("html")[0]["lang"] == "en"


def test_tables_have_scoped_headers(read: Page) -> None:
    heads = read.named("th")
    assert heads
    assert all(attributes.get("scope") in ("row", "col") for attributes in heads)


def test_figures_take_the_colours_of_the_page(html: str) -> None:
    drawn = html[html.index("<svg") :]
    for colour in (figures.INK, figures.PAPER, *figures.SIGNAL_COLOURS[:3], *figures.BOUNDARY_COLOURS.values()):
        assert colour not in drawn
    used = set(re.findall(r"var\((--[\w-]+)\)", drawn))
    defined = set(re.findall(r"(--[\w-]+):", html))
    assert used <= defined
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_page_answers_first_and_shows_both_rules(read: Page) -> None:
    text = read.text.replace("\u2060", "")
    assert "Blocks 1–5 of 16 are local, 6–11 intermediate and 12–16 global." in text
    assert text.index("Blocks 1–5") < text.index("mspgt's rule") < text.index("the paper's rule")
    assert "Two places stand out in every signal" in text
    assert "p = 0.003" in text


def test_the_page_holds_every_transition_settings_provenance_and_notes(read: Page) -> None:
    data = example_result(16)
    for expected in (
        f"{data['signals']['cka']['value'][14]:.4f}",
        data["provenance"]["command"],
        data["provenance"]["data_sha256"],
        "cka.estimator",
        data["notes"][0],
        "wiki.valid.tokens: 60 documents",
    ):
        assert expected in read.text
    marked = [attributes for attributes in read.named("tr") if attributes.get("class") == "local-intermediate"]
    assert len(marked) == 3  # twice in the table of boundaries, once among the transitions


def test_the_f1_table_is_open_and_has_every_task(html: str) -> None:
    table = html[html.index("<details open>") :]
    table = table[: table.index("</details>")]
    assert "f1 by block" in table
    assert all(f">{task}</th>" in table for task in ("pos", "dep", "ner", "srl"))
    assert table.count("<tr>") == 17


def test_what_was_not_accepted_is_marked_wherever_it_is_shown() -> None:
    read = Page(page(Result(example_result(16, accepted=False))))
    assert "No boundaries are accepted: positions change with the documents drawn." in read.text
    assert "not accepted: unstable" in read.text
    assert "8 blocks wide; below 5 is required." in read.text
    refused = [a for _, a in read.tags if "refused" in str(a.get("class"))]
    assert len(refused) == 6  # two cards, two boundaries, two transitions
    assert not [a for a in read.named("tr") if a.get("class") == "local-intermediate" and "refused" in str(a)]


def test_missing_intervals_and_left_out_parts_are_said() -> None:
    read = Page(page(Result(example_result(6, intervals=False))))
    assert "Left out" in read.text
    assert "the corpus has 6 documents" in read.text
    assert "Neither rule places boundaries in this model." in read.text
    assert "nan" not in read.text.lower().split()


@pytest.mark.parametrize("where", ["model", "data", "note", "signal", "command", "reason", "detail"])
def test_texts_from_elsewhere_are_escaped(where: str) -> None:
    data = example_result(4)
    evil: dict[str, Callable[[], object]] = {
        "model": lambda: data["model"].update(name=EVIL, family=EVIL),
        "data": lambda: data["data"].update(name=EVIL, labels={EVIL: 1}),
        "note": lambda: data.update(notes=[EVIL], left_out=[EVIL], settings={EVIL: EVIL}),
        "signal": lambda: data["signals"].update({EVIL: data["signals"].pop("attn")}),
        "command": lambda: data["provenance"].update(command=EVIL, mspgt=EVIL, started=EVIL),
        "reason": lambda: data["verdicts"]["mspgt"].update(reasons=[EVIL], meaning=EVIL, status=EVIL),
        "detail": lambda: data["signals"]["attn"].update(
            details={EVIL: EVIL, "unit": EVIL, "tasks": {EVIL: {EVIL: EVIL, "f1": [1.0, 0.5, 0.5, 1.0]}}}, flags=[EVIL]
        ),
    }
    evil[where]()
    text = page(Result(data))
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_write_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write(Result(example_result(3)), path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_details_are_sorted_by_what_they_run_over() -> None:
    details = {
        "estimator": "debiased",
        "few": [1, 2],
        "many": list(range(100)),
        "matrix": [[1.0]],
        "biased": [0.1, 0.2, 0.3],
        "loss_by_epoch": [1.0, 0.5, 0.4, 0.3],
        "nested": {"one": 1, "curve": [1.0, 2.0, 3.0, 4.0]},
        "tasks": {"pos": {"classes": 17, "f1": [0.1] * 4}, "ner": {"classes": 9, "f1": [0.2] * 4, "dropped": 3}},
    }
    found = sort_details(details, n_layers=4)
    assert found.values == {
        "estimator": "debiased",
        "few": [1, 2],
        "loss_by_epoch": [1.0, 0.5, 0.4, 0.3],
        "nested one": 1,
    }
    assert found.records == {"tasks": {"pos": {"classes": 17}, "ner": {"classes": 9, "dropped": 3}}}
    places = [(c.title, c.place, c.first, list(c.columns)) for c in found.curves]
    assert places == [
        ("", "transition", 1, ["biased"]),
        ("", "block", 1, ["nested curve"]),
        ("f1", "block", 1, ["pos", "ner"]),
    ]
