"""The page of an experiment: self-contained, well-formed, complete, escaped, honest about what was not accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from example_behaviour import METRICS, TEXTS, example_behaviour, renamed
from page_reader import Page

from mspgt.core.phrases import amount
from mspgt.models.facts import ModelFacts
from mspgt.results.intervention import Behaviour, Example
from mspgt.show.drawing import BACKGROUND, INK, MUTED, SIGNAL_COLOURS
from mspgt.show.html import page
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.kappa import Brittleness
from mspgt.stats.paired.numbers import Coefficients
from mspgt.stats.paired.records import Estimate, MetricValue, Test

EVIL = "<script>alert('x' & \"y\")</script>"
BARE = Brittleness((), (), None, EVIL, None)
example = cache(example_behaviour)


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return example(sigmas=(0.1, 0.05), without=("grammaticality",))


@pytest.fixture(scope="module")
def html(behaviour: Behaviour) -> str:
    return page(behaviour)


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


def _small(accepted: bool = True) -> Behaviour:
    """One metric and no controls: quick to draw."""
    return example(accepted=accepted, controls=False, without=tuple(METRICS)[1:])


def _section(html: str, name: str) -> str:
    start = html.index(f'<h2 id="{name}">')
    return html[start : html.find("<h2", start + 1)]


def test_the_page_is_well_formed(read: Page) -> None:
    assert read.open == []
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in read.tags if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("scope") in ("row", "col") for a in read.named("th"))


def test_nothing_is_loaded_and_nothing_runs(html: str, read: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "img"} & {tag for tag, _ in read.tags}
    addresses = [v for _, attributes in read.tags for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
    assert all(address is not None and address.startswith("#") for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not any(key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_figures_take_the_colours_of_the_page(html: str, read: Page) -> None:
    drawn = html[html.index("<svg") : html.rindex("</svg>")]
    assert not [colour for colour in (INK, MUTED, BACKGROUND, *SIGNAL_COLOURS[:3]) if colour in drawn]
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= set(re.findall(r"(--[\w-]+):", html))
    shown = [a for a in read.named("svg") if a.get("role") == "img"]
    assert len(shown) == 3
    assert all("Disturbing blocks 1–5 (local) changes" in str(a["aria-label"]) for a in shown)


def test_the_page_answers_first(read: Page) -> None:
    text = read.text.replace("\u2060", "")
    assert text.count("not corrected for the number of statements") == 1
    text = text[text.index("What breaks when a scale") :]
    parts = ["Disturbing blocks 1–5 (local)", "Changes", "Figures", "Verdicts", "Prediction 2.1", "Tests"]
    parts += ["Beside the means", "What the model wrote", "How this was made", "Notes"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "Global diversitycontradicted" in text
    assert "all numbers" in text


def test_the_table_holds_changes_stars_and_reasons(behaviour: Behaviour, read: Page) -> None:
    percent = behaviour.effect("coherence", "global").percent
    assert percent is not None
    cell = f"↓{-percent.value:.1f}%***[{percent.low:.1f}, {percent.high:.1f}]worse"
    assert cell in read.text
    assert "No percentage: the baseline is within 4 standard errors of zero." in read.text
    assert "† not tested: divergence (0 in every text of the baseline)" in read.text
    assert f"self_bleu: {behaviour.metrics['self_bleu'].note}" in read.text
    assert "grammaticality: the server that grammaticality needs could not be started." in read.text
    assert read.text.count("not measured") == 3
    assert "length_variance²" in read.text
    assert "words² · n = 120" in read.text


def test_every_test_of_every_effect_is_there(html: str, behaviour: Behaviour) -> None:
    tests = _section(html, "tests")
    tested = [e for e in behaviour.effects if e.tests]
    beside = [e for e in behaviour.effects if not e.tests and e.versus_control]
    assert tests.count('<th scope="row">') == 2 * (len(tested) + len(beside))
    assert {e.metric for e in beside} == {"divergence"}  # 0 in the baseline, but not in its controls
    for name in ("t", "wilcoxon", "tost", "swap"):
        assert tests.count(f'<th scope="col">{name}</th>') == len(behaviour.variants)
    assert tests.count('<span class="strong">') == len(tested) + len(tested) + len(beside)  # p, and names of metrics
    assert tests.count('<th scope="col">less control</th>') == 4  # both doses at both strengths
    versus = behaviour.effect("ttr", "global").versus_control
    assert versus is not None
    interval = re.escape(f"[{amount(versus.low)}, {amount(versus.high)}]")
    assert re.search(rf"{amount(versus.value)}<small[^>]*>{interval}</small><small[^>]*>.{{0,30}}p = ", tests)
    assert "exchangeable" in tests


def test_pairs_are_counted_where_some_texts_have_no_value(html: str, behaviour: Behaviour) -> None:
    shown = 3 * len(behaviour.variants)
    assert sum(_section(html, name).count("n = 82") for name in ("changes", "others")) == shown
    assert "with fewer than 10 nothing is tested" in html


def test_what_the_paper_says_stands_unfolded_beside_the_verdict() -> None:
    verdicts = {name: replace(one, note=f"Otherwise of {name}.") for name, one in example().verdicts.items()}
    text = page(replace(example(), verdicts=verdicts))
    unfolded = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert all(f"Otherwise of {name}." in unfolded for name in verdicts)


def test_noise_companions_settings_and_provenance_are_there(behaviour: Behaviour, read: Page) -> None:
    for spread in behaviour.noise:
        assert all(f"{value:.4f}" in read.text for value in (spread.std, spread.std_all, spread.added))
    for said in ("mattr 50", "run on", "top p", "new tokens", behaviour.provenance.command, behaviour.notes[0]):
        assert said in read.text
    assert "float32" in read.text


def test_texts_stand_side_by_side_under_their_prompt(behaviour: Behaviour) -> None:
    first = behaviour.examples[0]
    texts = {c.name: TEXTS[c.group or "baseline"] for c in behaviour.conditions}
    html = page(replace(behaviour, examples=(replace(first, texts=texts),)))
    shown = html[html.index('<article class="card example">') :]
    shown = shown[: shown.index("</article>")]
    assert shown.index(first.prompt) < shown.index("<h4>baseline</h4>")
    order = [shown.index(f"<h4>{name}</h4>") for name in texts]
    assert order == sorted(order)
    assert all(text in shown for text in TEXTS.values())
    assert f"{len(texts) - 4} more conditions" in shown
    assert "more conditions" not in page(behaviour)


@pytest.mark.parametrize("accepted", [True, False])
def test_boundaries_that_were_not_accepted_are_marked_wherever_they_are_shown(accepted: bool) -> None:
    text = Page(page(_small(accepted))).text
    said = [
        "; the boundaries between the scales were not accepted",
        "boundaries not accepted (given by hand",
        "local (?)",
        "(?) the boundaries between the scales were not accepted",
        "example-12 · boundaries not accepted",
        "The boundaries between the scales were not accepted.",
    ]
    assert [part in text for part in said] == [not accepted] * len(said)


def _evil_metric(b: Behaviour) -> Behaviour:
    companions = {"baseline": {EVIL: 1.0}}
    b = renamed(b, "self_bleu", EVIL, unit=EVIL, note=EVIL, means=(EVIL, EVIL), companions=companions)
    return replace(b, effects=tuple(replace(e, tests={EVIL: Test(1.0, 0.5, 0.5)}, primary=EVIL) for e in b.effects))


def _evil_condition(b: Behaviour) -> Behaviour:
    one = replace(b.conditions[1], name=EVIL, group=EVIL)
    effects = tuple(replace(e, condition=EVIL) if e.condition == "local" else e for e in b.effects)
    run = replace(b.run, groups=(replace(b.run.groups[0], name=EVIL), *b.run.groups[1:]))
    return replace(b, run=run, conditions=(b.conditions[0], one, *b.conditions[2:]), effects=effects)


EVILS: dict[str, Callable[[Behaviour], Behaviour]] = {
    "model": lambda b: replace(b, model=ModelFacts(EVIL, EVIL, 12, 1, 1, 1, EVIL)),
    "run": lambda b: replace(b, run=replace(b.run, path=EVIL, source=EVIL)),
    "settings": lambda b: replace(b, settings=replace(b.settings, dtype=EVIL, further={EVIL: {EVIL: EVIL}})),
    "metric": _evil_metric,
    "condition": _evil_condition,
    "verdict": lambda b: replace(b, verdicts={EVIL: Prediction(EVIL, (EVIL,), Coefficients({EVIL: BARE}), EVIL)}),
    "left out": lambda b: replace(b, not_measured={EVIL: EVIL}, notes=(EVIL,)),
    "text": lambda b: replace(b, examples=(Example(0, EVIL, {"baseline": EVIL, "local": EVIL, EVIL: EVIL}),)),
    "provenance": lambda b: replace(b, provenance=replace(b.provenance, command=EVIL, started=EVIL, mspgt=EVIL)),
}


@pytest.mark.parametrize("where", EVILS)
def test_texts_from_elsewhere_are_escaped(where: str) -> None:
    text = page(EVILS[where](_small()))
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_missing_parts_leave_no_empty_sections() -> None:
    nothing = replace(_small(), metrics={}, effects=(), verdicts={}, not_measured={}, notes=(), examples=(), noise=())
    read = Page(page(nothing))
    assert read.open == []
    assert [a["id"] for a in read.named("h2")] == ["changes", "how"]


def test_nulls_are_dashes() -> None:
    bare = _small()
    nothing = Estimate()
    effects = tuple(replace(e, difference=nothing, percent=None, tests={"swap": Test()}) for e in bare.effects)
    values = {"baseline": MetricValue(nothing.value, nothing.low, nothing.high, 0)}
    bare = renamed(replace(bare, effects=effects), "self_bleu", "self_bleu", values=values, companions={}, note=None)
    noise = (replace(bare.noise[0], std=nothing.value),)
    read = Page(page(replace(bare, noise=noise, examples=(Example(0, "", {"baseline": ""}),), verdicts={})))
    assert read.open == []
    assert not {"nan", "null"} & set(re.findall(r"\w+", read.text.lower()))
    assert "nothing" in read.text


def test_half_a_surrogate_pair_does_not_stop_the_page(tmp_path: Path) -> None:
    broken = replace(_small(), examples=(Example(0, "p", {"baseline": "", "local": "broken \ud83d emoji"}),))
    (tmp_path / "report.html").write_text("old")
    broken.save(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "broken ? emoji" in text
