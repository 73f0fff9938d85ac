"""The page: self-contained, well-formed, complete, escaped, readable by everybody."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from example_run import example_run, with_signal
from page_reader import Page

from mspgt.results.run import Run
from mspgt.show import drawing
from mspgt.show.html import page

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def run() -> Run:
    return example_run(16)


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    return page(run)


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
    for colour in (drawing.INK, drawing.BACKGROUND, *drawing.SIGNAL_COLOURS[:3], *drawing.BOUNDARY_COLOURS.values()):
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
    assert "the evidence stands out after blocks 5 and 11" in text
    assert "p = 0.00826" in text


def test_the_page_holds_every_transition_settings_provenance_and_notes(run: Run, read: Page) -> None:
    cka = run.signals["cka"]
    for expected in (
        f"{cka.value[14]:.{cka.decimals}f}",
        run.provenance.command,
        run.provenance.data_sha256["data"],
        "cka.estimator",
        run.notes[0],
        "wiki.valid.tokens: 60 documents",
    ):
        assert str(expected) in read.text
    marked = [attributes for attributes in read.named("tr") if "local-intermediate" in str(attributes.get("class"))]
    assert len(marked) == 3  # twice in the table of boundaries, once among the transitions


def test_the_f1_table_is_open_and_has_every_task(html: str) -> None:
    table = html[html.index("<details open>") :]
    table = table[: table.index("</details>")]
    assert "f1 by block" in table
    assert all(f">{task}</th>" in table for task in ("pos", "dep", "ner"))
    assert table.count("<tr>") == 17


def test_what_was_not_accepted_is_marked_wherever_it_is_shown() -> None:
    read = Page(page(example_run(16, accepted=False)))
    assert "No boundaries are accepted: positions change with the documents drawn." in read.text
    assert "not accepted: unstable" in read.text
    assert "the interval is 8 layers wide." in read.text
    assert read.text.count("◀ L-I?") == 1
    assert len([a for _, a in read.tags if "refused" in str(a.get("class"))]) == 2  # on the card of our rule
    rows = [a for a in read.named("tr") if "local-intermediate" in str(a.get("class"))]
    assert len(rows) == 1  # in the table of boundaries, by the paper's rule


def test_missing_intervals_and_left_out_parts_are_said() -> None:
    read = Page(page(example_run(6, intervals=False)))
    assert "Left out" in read.text
    assert "corpus data has 6 documents" in read.text
    assert "Neither rule places boundaries in this model." in read.text
    assert "nan" not in read.text.lower().split()


def evil(where: str) -> Run:
    run = example_run(4)
    made = replace(run.provenance, command=EVIL, mspgt=EVIL, started=EVIL)
    signals = {EVIL if name == "attn" else name: curve for name, curve in run.signals.items()}
    verdict = replace(run.verdict(), reasons=(EVIL,), meaning=EVIL)
    details = {EVIL: EVIL, "tasks": {EVIL: {EVIL: EVIL}}, "list": [EVIL]}
    series = {EVIL: replace(run.signals["probe"].series["f1"], summary=EVIL, unit=EVIL, columns=EVIL)}
    return {
        "model": replace(run, model=replace(run.model, name=EVIL, family=EVIL, dtype=EVIL)),
        "data": replace(run, data=replace(run.data, name=EVIL, labels={EVIL: 1})),
        "note": replace(run, notes=(EVIL,), left_out=(EVIL,), settings={EVIL: EVIL}),
        "signal": replace(run, signals=signals),
        "command": replace(run, provenance=made),
        "reason": replace(run, verdicts={**run.verdicts, "mspgt": verdict}),
        "detail": with_signal(run, "attn", details=details, unit=EVIL, flags=(EVIL,)),
        "series": with_signal(run, "attn", series=series),
        "figure": with_signal(
            run, "probe", figures=(replace(run.signals["probe"].figures[0], title=EVIL, caption=EVIL),)
        ),
    }[where]


@pytest.mark.parametrize(
    "where", ["model", "data", "note", "signal", "command", "reason", "detail", "series", "figure"]
)
def test_texts_from_elsewhere_are_escaped(where: str) -> None:
    text = page(evil(where))
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert Page(text).open == []
