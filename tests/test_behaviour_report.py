"""The page of an experiment: self-contained, well-formed, complete, escaped, honest about what was not accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from mspgt.show.pieces import facts, value_text
from mspgt.testing.interventions_example import METRICS, TEXTS, example_interventions

from mspgt.results.intervention import Behaviour
from mspgt.show.intervention.page import page, write
from mspgt.show.run.figures import INK, MUTED, PAPER, SIGNAL_COLOURS

VOID = {"meta", "br", "link", "img", "hr"}
EVIL = "<script>alert('x' & \"y\")</script>"


class Page(HTMLParser):
    """Reads a page and keeps its tags with their attributes, its text, and what was not closed."""

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
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return example_interventions(strengths=(0.1, 0.05), without=("grammaticality",))


@pytest.fixture(scope="module")
def html(data: dict[str, Any]) -> str:
    return page(Behaviour(data))


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


def _small(accepted: bool = True) -> dict[str, Any]:
    """One metric and no controls: quick to draw."""
    return example_interventions(accepted=accepted, controls=False, without=tuple(METRICS)[1:])


def test_the_page_is_well_formed(read: Page) -> None:
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in read.tags if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("scope") in ("row", "col") for tag, a in read.tags if tag == "th")


def test_nothing_is_loaded_and_nothing_runs(html: str, read: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "img"} & {tag for tag, _ in read.tags}
    addresses = [v for _, attributes in read.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert all(address is not None and address.startswith("#") for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not any(key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_figures_take_the_colours_of_the_page(html: str, read: Page) -> None:
    drawn = html[html.index("<svg") : html.rindex("</svg>")]
    assert not [colour for colour in (INK, MUTED, PAPER, *SIGNAL_COLOURS[:3]) if colour in drawn]
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= set(re.findall(r"(--[\w-]+):", html))
    shown = [a for tag, a in read.tags if tag == "svg" and a.get("role") == "img"]
    assert len(shown) == 3
    assert all("Disturbing blocks 1–5 (local) changes" in str(a["aria-label"]) for a in shown)


def test_the_page_answers_first(data: dict[str, Any], read: Page) -> None:
    text = read.text.replace("\u2060", "")
    assert text.count("not corrected for the number of statements") == 1
    parts = ["Disturbing blocks 1–5 (local)", "Changes", "Figures", "Verdicts", "Prediction 2.1", "Tests"]
    parts += ["Beside the means", "What the model wrote", "How this was made", "Notes"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "Global diversitycontradicted" in text
    assert "all numbers" in text
    assert "-31 [-74.2, 12.1]" in text


def test_the_table_holds_changes_stars_and_reasons(data: dict[str, Any], read: Page) -> None:
    entry = next(e for e in data["effects"] if (e["metric"], e["condition"]) == ("coherence", "global"))
    assert f"↓{-entry['percent']['value']:.1f}%*** worse" in read.text
    assert f"[{entry['percent']['low']:.1f}, {entry['percent']['high']:.1f}]" in read.text
    assert "No percentage: the baseline is within 4 standard errors of zero." in read.text
    assert "† not tested: divergence (0 in every text of the baseline)." in read.text
    assert data["metrics"]["self_bleu"]["note"] in read.text
    assert "grammaticality: the server that grammaticality needs could not be started." in read.text
    assert read.text.count("not measured") == 3


def test_every_test_of_every_effect_is_there(html: str, data: dict[str, Any]) -> None:
    tests = html[html.index('id="tests"') : html.index('id="companions"')]
    tested = [e for e in data["effects"] if e["tests"]]
    beside = [e for e in data["effects"] if not e["tests"] and "versus_control" in e]
    assert tests.count('<th scope="row">') == len(tested) + len(beside)
    assert len(beside) == 3  # divergence is 0 in the baseline, but not in its controls
    for name in ("t", "wilcoxon", "tost", "swap"):
        assert tests.count(f'<th scope="col">{name}</th>') == 4  # both strengths, matched, control
    assert tests.count("<strong>") == len(tested)
    assert tests.count('<th scope="col">less control</th>') == 1
    versus = next(e for e in data["effects"] if (e["metric"], e["condition"]) == ("ttr", "global"))["versus_control"]
    assert f"{versus['value']:.3g}<small>[{versus['low']:.3g}, {versus['high']:.3g}]</small><small>p = " in tests
    assert "exchangeable" in tests


def test_pairs_are_counted_where_some_texts_have_no_value(read: Page) -> None:
    assert read.text.count("n = 162") == 12  # three scales: both strengths, matched, control
    assert "with fewer than 10 nothing is tested" in read.text


def test_what_the_paper_says_stands_unfolded_beside_the_verdict() -> None:
    data = example_interventions()
    for name in data["verdicts"]:
        data["verdicts"][name]["note"] = f"The paper says otherwise of {name}."
    unfolded = re.sub(r"<details>.*?</details>", "", page(Behaviour(data)), flags=re.DOTALL)
    assert all(f"The paper says otherwise of {name}." in unfolded for name in data["verdicts"])


def test_noise_companions_settings_and_provenance_are_there(data: dict[str, Any], read: Page) -> None:
    for layer in data["noise"]:
        assert all(f"{layer[key]:.4f}" in read.text for key in ("std", "std_all", "added"))
    for said in ("mattr 50", "run on", "top p", "new tokens", data["provenance"]["command"], data["notes"][0]):
        assert said in read.text
    assert "float32" in read.text


def test_texts_stand_side_by_side_under_their_prompt(html: str, data: dict[str, Any]) -> None:
    example = html[html.index('<article class="card example">') :]
    example = example[: example.index("</article>")]
    assert example.index(data["examples"][0]["prompt"]) < example.index("<h4>baseline</h4>")
    order = [example.index(f"<h4>{name}</h4>") for name in data["conditions"]]
    assert order == sorted(order)
    assert all(text in example for text in TEXTS.values())
    assert "9 more conditions" in example


@pytest.mark.parametrize("accepted", [True, False])
def test_boundaries_that_were_not_accepted_are_marked_wherever_they_are_shown(accepted: bool) -> None:
    text = Page(page(Behaviour(_small(accepted)))).text
    said = [
        "these boundaries were not accepted",
        "boundaries not accepted (given by hand",
        "local (boundaries not accepted)",
        "example-12 · boundaries not accepted",
        "The boundaries between the scales were not accepted.",
    ]
    assert [part in text for part in said] == [not accepted] * len(said)


def _rename(data: dict[str, Any]) -> None:
    data["metrics"] = {EVIL: data["metrics"]["self_bleu"] | {"unit": EVIL, "note": EVIL, "direction": EVIL}}
    data["metrics"][EVIL]["companions"] = {"baseline": {EVIL: EVIL}}
    for effect in data["effects"]:
        effect["metric"] = EVIL
        effect["tests"][EVIL] = {"p": 0.5, "p_holm": 0.5}


EVILS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "model": lambda d: d["model"].update(name=EVIL, family=EVIL),
    "run": lambda d: d["run"].update(path=EVIL, source=EVIL),
    "settings": lambda d: d["settings"].update({EVIL: {EVIL: EVIL}, "intervention": EVIL, "dtype": EVIL}),
    "metric": _rename,
    "condition": lambda d: d["conditions"].append(EVIL),
    "verdict": lambda d: d["verdicts"].update({EVIL: {"verdict": EVIL, "reasons": [EVIL], "numbers": {EVIL: EVIL}}}),
    "left out": lambda d: d.update(not_measured={EVIL: EVIL}, notes=[EVIL]),
    "text": lambda d: d.update(examples=[{"prompt": EVIL, "texts": {"baseline": EVIL, "local": EVIL}}]),
    "noise": lambda d: d.update(noise=[{"layer": EVIL, EVIL: EVIL}]),
    "provenance": lambda d: d["provenance"].update({EVIL: EVIL, "started": EVIL, "mspgt": EVIL}),
}


@pytest.mark.parametrize("where", EVILS)
def test_texts_from_elsewhere_are_escaped(where: str) -> None:
    data = _small()
    EVILS[where](data)
    text = page(Behaviour(data))
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_missing_parts_leave_no_empty_sections() -> None:
    smallest: dict[str, Any] = {"schema": 1, "model": {}, "run": {}, "metrics": {}, "conditions": [], "effects": []}
    read = Page(page(Behaviour(smallest)))
    assert read.open == []
    heads = [a["id"] for tag, a in read.tags if tag == "h2"]
    assert heads == ["changes", "how"]
    assert "None" not in read.text


def test_nulls_are_dashes() -> None:
    data = _small()
    for effect in data["effects"]:
        effect.update(percent=None, d_z=None, tests={"swap": {"statistic": None, "p": None, "p_holm": None}})
        effect["difference"] = {"value": None, "low": None, "high": None}
    data["metrics"]["self_bleu"].update(values={"baseline": None}, companions=None, note=None, unit=None)
    data["noise"] = [{"layer": 1, "std": None}, None]
    data["examples"] = [{"prompt": None, "texts": {"baseline": ""}}, None]
    read = Page(page(Behaviour(data)))
    assert read.open == []
    assert not {"nan", "none", "null"} & set(re.findall(r"\w+", read.text.lower()))
    assert "nothing" in read.text


def test_half_a_surrogate_pair_does_not_stop_the_page(tmp_path: Path) -> None:
    data = _small()
    data["examples"][0]["texts"]["local"] = "broken \ud83d emoji"
    path = tmp_path / "report.html"
    path.write_text("old")
    write(Behaviour(data), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "broken ? emoji" in text


def test_values_are_written_for_readers() -> None:
    assert value_text({"value": -31.04, "low": -74.21, "high": None, "se": 2}) == "-31"
    assert value_text({"value": 1.0, "low": 0.5, "high": 2.0}) == "1 [0.5, 2]"
    assert value_text([{"sigma": 0.1, "percent": None}, {"sigma": 0.2}]) == "sigma 0.1, percent –; sigma 0.2"
    assert [value_text(v) for v in (True, None, [], [1, 2.5], 57_934_848)] == [
        "yes",
        "–",
        "none",
        "1, 2.5",
        "57,934,848",
    ]
    assert facts({"a_b": {"c": 1}}) == "<dl><dt>a b.c</dt><dd>1</dd></dl>"
