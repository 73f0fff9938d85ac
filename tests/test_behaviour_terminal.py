"""An experiment in a terminal: complete, within its width, readable without colours or Unicode."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import cache

import pytest
from example_behaviour import METRICS, example_behaviour, renamed, with_effect
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mspgt.results.intervention import Behaviour
from mspgt.show.intervention import prose
from mspgt.stats.paired.records import Estimate, Test

example = cache(example_behaviour)


def _shown(behaviour: Behaviour, width: int = 80) -> str:
    file = io.StringIO()
    behaviour.show(Console(file=file, width=width))
    return file.getvalue()


def _row(text: str, metric: str, below: int = 0) -> str:
    """The line of a metric in the main table, or one below it."""
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith(metric)) + below].rstrip()


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(80, 140),
    accepted=st.booleans(),
    controls=st.booleans(),
    sigmas=st.sampled_from([(0.1,), (0.1, 0.025, 1.0)]),
)
def test_every_metric_is_shown_within_the_width(
    width: int, accepted: bool, controls: bool, sigmas: tuple[float, ...]
) -> None:
    text = _shown(example(accepted=accepted, controls=controls, sigmas=sigmas), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert all(_row(text, metric) for metric in METRICS)


def test_a_cell_is_the_change_its_stars_its_interval_and_whether_that_is_better() -> None:
    effect = example().effect("ttr", "global")
    tests = {**effect.tests, "t": Test(3.0, 0.002, 0.004)}
    percent = Estimate(-30.868, -33.04, -28.77)
    given_ = with_effect(example(), "ttr", "global", percent=percent, difference=Estimate(-0.2, n=120), tests=tests)
    text = _shown(given_, 100)
    assert _row(text, "ttr").endswith("↓30.9%**")
    assert _row(text, "ttr", 1).startswith("higher is more")
    assert _row(text, "ttr", 1).endswith("[-33.0, -28.8]")
    assert _row(text, "ttr", 2).endswith("less diverse")


def test_a_verdict_that_a_matched_dose_changes_says_so() -> None:
    verdicts = dict(example().verdicts)
    for name, matched in (("prediction_2_1", "undecided"), ("global_diversity", "contradicted")):
        one = verdicts[name]
        verdicts[name] = replace(one, matched=replace(one, verdict=matched))
    assert (verdicts["prediction_2_1"].verdict, verdicts["global_diversity"].verdict) == ("supported", "contradicted")
    text = " ".join(_shown(replace(example(), verdicts=verdicts)).split())
    assert text.count("At a matched dose it is undecided.") == 1
    assert text.index("raises length_variance most") < text.index("At a matched") < text.index("global coherence")


def test_an_undefined_percentage_is_an_absolute_difference() -> None:
    row = _row(_shown(example()), "divergence")
    assert row.endswith(f"↑{example().effect('divergence', 'global').difference.value:.3g}†")
    assert "%" not in row
    text = " ".join(_shown(example()).split())
    assert "a number without % is an absolute difference" in text
    assert "† not tested: divergence (0 in every text of the baseline)" in text


def test_what_was_not_measured_has_a_row_and_a_reason() -> None:
    text = _shown(example(without=("grammaticality",)))
    assert _row(text, "grammaticality").split()[1:] == ["–", *(["not", "measured"] * 3)]
    assert "Not measured: grammaticality: the server that grammaticality needs" in " ".join(text.split())


def test_stars_directions_and_intervals_are_explained() -> None:
    text = " ".join(_shown(example(), 120).split())
    for said in ("*p<.05, **p<.01, ***p<.001 after Holm's", "↑ up or ↓ down", "95% interval", "what a change means"):
        assert said in text


def test_boundaries_that_were_not_accepted_are_said_and_marked() -> None:
    for width in (120, 80):
        text = _shown(example(accepted=False), width)
        head = next(line for line in text.splitlines() if line.startswith("metric"))
        assert head.count("(?)") == 3
        assert "boundaries not accepted" in " ".join(text.split())
        assert "(?) the boundaries between the scales were not accepted" in " ".join(text.split())
    assert "(?)" not in _shown(example(), 120)


def test_doses_and_strengths_stand_below_each_other() -> None:
    text = _shown(example(sigmas=(0.1, 0.05)))
    block = text[text.index("Other strengths and doses") :]
    rows = block[block.index("perplexity") : block.index("divergence")].splitlines()
    labels = [re.split(r"\s{2,}", row.removeprefix("perplexity").strip())[0] for row in rows if row.strip()]
    assert labels == ["sigma 0.05", "matched", "matched-control", "less control"]
    assert "matched: in each scale a random window" in " ".join(block.split())
    assert "3 further combinations are on the page and in the CSV file" in " ".join(block.split())
    assert "Other" not in _shown(example(controls=False))


def test_a_scale_less_its_control_is_a_row_with_stars_of_its_own() -> None:
    effect = example().effect("coherence", "global")
    assert effect.versus_control is not None
    baseline = example().metrics["coherence"].values["baseline"].mean
    points = 100 * effect.versus_control.value / baseline
    text = _shown(example())
    rows = [line.rstrip() for line in text[text.index("Other doses") :].splitlines() if "less control  " in line]
    assert len(rows) == len(METRICS)
    assert rows[list(METRICS).index("coherence")].endswith(f"↓{-points:.1f} pp***")
    assert not rows[list(METRICS).index("self_bleu")].endswith("*")


def test_pairs_are_counted_where_some_texts_have_no_value() -> None:
    text = _shown(example(controls=False))
    assert _row(text, "length_variance", 2).split() == ["n", "=", "82"] * 3
    assert "n: pairs of texts that both have a value" in " ".join(text.split())
    without = _shown(example(controls=False, without=("length_variance",)))
    assert "n: pairs" not in without


def test_verdicts_notes_and_headline_are_shown() -> None:
    text = " ".join(_shown(example()).split())
    assert prose.headline(example()) in text
    assert "prediction 2.1 supported: The intermediate scale raises length_variance most" in text
    assert "global diversity contradicted: Section 4.2.2 says diversity increases; Self-BLEU rises" in text
    assert "The type-token ratio" not in text
    assert (example().metrics["self_bleu"].note or "") not in text
    assert "not corrected for the number of statements" in text
    assert "all reasons: report.html" in text
    assert f"Note: {example().notes[0]}" in text
    assert "lighthouse" not in text


def test_a_narrow_terminal_loses_intervals_before_metrics() -> None:
    wide, narrow, narrower = (_shown(example(controls=False), width) for width in (110, 78, 60))
    assert "[" in _row(wide, "perplexity", 1)
    assert "±" in _row(narrow, "perplexity", 1)
    assert "its ends are in interventions.csv" in " ".join(narrow.split())
    assert "↑" in _row(narrower, "perplexity")
    assert "±" not in _row(narrower, "perplexity", 1)
    assert "intervals did not fit" in " ".join(narrower.split())


def test_ascii_terminals_get_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    example(sigmas=(0.1, 0.05)).show(Console(file=file, width=80))
    file.flush()
    text = raw.getvalue().decode("ascii")
    assert "?" not in text
    assert re.search(r"^perplexity .*\+\d+\.\d%", text, flags=re.MULTILINE)
    assert re.search(r"^coherence .*-\d+\.\d%", text, flags=re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "a_metric_of_a_third_party_with_an_endless_name_" * 2, "度量"])
def test_names_of_third_parties_are_shown_as_they_are(name: str) -> None:
    given_ = renamed(example(controls=False), "ttr", name)
    text = _shown(replace(given_, not_measured={"[red]y": "[/red] [link=x]"}))
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    first = "".join(line.split()[0] for line in text.splitlines() if line.strip())
    assert name in first or name in text
    assert "Not measured: [red]y: [/red] [link=x]" in text


def test_missing_numbers_are_dashes() -> None:
    bare = renamed(example(controls=False), "ttr", "ttr", values={})
    text = _shown(replace(bare, effects=tuple(e for e in bare.effects if e.metric != "ttr")))
    assert _row(text, "ttr").split() == ["ttr", "–", "–", "–", "–"]
    assert "nan" not in text
