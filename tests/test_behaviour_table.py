"""The terminal table of an experiment: complete, within its width, readable without colours or Unicode."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from mspgt.results.intervention import Behaviour
from mspgt.show.intervention.table import render
from mspgt.testing.interventions_example import METRICS, example_interventions


def _shown(data: dict[str, Any], width: int = 80) -> str:
    file = io.StringIO()
    render(Behaviour(data), Console(file=file, width=width))
    return file.getvalue()


def _row(text: str, metric: str) -> str:
    """The line of a metric in the main table."""
    return next(line for line in text.splitlines() if line.startswith(metric))


@settings(max_examples=12, deadline=None)
@given(
    width=st.integers(80, 140),
    accepted=st.booleans(),
    controls=st.booleans(),
    strengths=st.sampled_from([(0.1,), (0.1, 0.025, 1.0)]),
    seed=st.integers(0, 99),
)
def test_every_metric_is_shown_within_the_width(
    width: int, accepted: bool, controls: bool, strengths: tuple[float, ...], seed: int
) -> None:
    text = _shown(example_interventions(accepted=accepted, controls=controls, strengths=strengths, seed=seed), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    assert all(_row(text, metric) for metric in METRICS)


def test_a_cell_is_the_change_its_stars_and_whether_that_is_better() -> None:
    data = example_interventions()
    for effect in data["effects"]:
        if (effect["metric"], effect["condition"]) == ("ttr", "global"):
            effect["percent"] = {"value": -30.868, "low": -33.04, "high": -28.77}
            effect["difference"]["value"] = -0.2
            effect["tests"]["t"]["p_holm"] = 0.004
    text = _shown(data, 100)
    assert _row(text, "ttr").endswith("↓30.9%** less diverse")
    below = text.splitlines()[text.splitlines().index(_row(text, "ttr")) + 1]
    assert below.startswith("higher is more")
    assert below.endswith("[-33.0, -28.8]")


def test_a_verdict_that_a_matched_dose_changes_says_so() -> None:
    data = example_interventions()
    data["verdicts"]["prediction_2_1"]["numbers"]["matched"] = {"verdict": "undecided"}
    data["verdicts"]["global_diversity"]["numbers"]["matched"] = {"verdict": "contradicted"}
    text = " ".join(_shown(data).split())
    assert text.count("At a matched dose it is") == 1
    assert "length_variance most (p = 0.0004). At a matched dose it is undecided." in text


def test_an_undefined_percentage_is_an_absolute_difference() -> None:
    data = example_interventions()
    entry = next(e for e in data["effects"] if (e["metric"], e["condition"]) == ("divergence", "global"))
    row = _row(_shown(data), "divergence")
    assert row.endswith(f"↑{entry['difference']['value']:.3g}†")
    assert "%" not in row
    text = " ".join(_shown(data).split())
    assert "a number without % is an absolute difference" in text
    assert "† not tested: divergence (0 in every text of the baseline)" in text


def test_what_was_not_measured_has_a_row_and_a_reason() -> None:
    text = _shown(example_interventions(without=("grammaticality",)))
    assert _row(text, "grammaticality").split()[1:] == ["–", *(["not", "measured"] * 3)]
    assert "Not measured: grammaticality: the server that grammaticality needs" in " ".join(text.split())


def test_stars_directions_and_intervals_are_explained() -> None:
    text = " ".join(_shown(example_interventions(), 120).split())
    for said in ("*p<.05, **p<.01, ***p<.001 after Holm's", "↑ up or ↓ down", "95% interval", "what a change means"):
        assert said in text


def test_boundaries_that_were_not_accepted_are_said_and_marked_where_there_is_room() -> None:
    data = example_interventions(accepted=False)
    for width, marks in ((120, 3), (78, 0)):
        text = _shown(data, width)
        head = next(line for line in text.splitlines() if line.startswith("metric"))
        assert head.count("(?)") == marks
        assert "boundaries not accepted" in " ".join(text.split())
        assert "95% interval" in " ".join(text.split())
    assert "(?)" not in _shown(example_interventions(), 120)


def test_doses_and_strengths_stand_below_each_other() -> None:
    text = _shown(example_interventions(strengths=(0.1, 0.05)))
    block = text[text.index("Other strengths and doses") :]
    rows = block[block.index("perplexity") : block.index("divergence")].splitlines()
    labels = [re.split(r"\s{2,}", row.removeprefix("perplexity").strip())[0] for row in rows if row.strip()]
    assert labels == ["sigma 0.05", "matched", "less control"]
    assert "matched: in each scale a random window" in " ".join(block.split())
    assert "Other" not in _shown(example_interventions(controls=False))


def test_a_scale_less_its_control_is_a_row_with_stars_of_its_own() -> None:
    data = example_interventions()
    entry = next(e for e in data["effects"] if (e["metric"], e["condition"]) == ("coherence", "global"))
    points = 100 * entry["versus_control"]["value"] / data["metrics"]["coherence"]["values"]["baseline"]["mean"]
    text = _shown(data)
    rows = [line for line in text[text.index("Other doses") :].splitlines() if "less control" in line]
    assert len(rows) == len(METRICS) + 1  # and the line that says what it is
    assert rows[list(METRICS).index("coherence")].endswith(f"↓{-points:.1f} pp***")
    assert not rows[list(METRICS).index("self_bleu")].endswith("*")


def test_pairs_are_counted_where_some_texts_have_no_value() -> None:
    text = _shown(example_interventions(controls=False))
    assert text.count("n = 162") == 3
    assert "n: pairs of texts that both have a value" in " ".join(text.split())
    data = example_interventions(controls=False, without=("length_variance",))
    assert "n = " not in _shown(data)
    assert "n: pairs" not in _shown(data)


def test_verdicts_notes_and_headline_are_shown() -> None:
    data = example_interventions()
    text = " ".join(_shown(data).split())
    assert Behaviour(data).headline in text
    assert "prediction 2.1 supported: The intermediate scale changes length_variance most" in text
    assert "global diversity contradicted: Self-BLEU rises, less diverse. prediction 3.1" in text
    assert "The type-token ratio rises" not in text
    assert data["metrics"]["self_bleu"]["note"] not in text
    assert "not corrected for the number of statements" in text
    assert "all reasons: report.html" in text
    assert f"Note: {data['notes'][0]}" in text
    assert "lighthouse" not in text


def test_a_narrow_terminal_loses_words_before_intervals_before_metrics() -> None:
    data = example_interventions(controls=False)
    narrow, narrower = _shown(data, 78), _shown(data, 60)
    assert "[" in _row(narrow, "lower is better")
    assert "worse" not in _row(narrow, "perplexity")
    assert "↑" in _row(narrower, "perplexity")
    assert "95% interval" not in narrower


def test_ascii_terminals_get_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    render(Behaviour(example_interventions(strengths=(0.1, 0.05))), Console(file=file, width=80))
    file.flush()
    text = raw.getvalue().decode("ascii")
    assert "?" not in text
    assert re.search(r"^perplexity .*\+\d+\.\d%", text, flags=re.MULTILINE)
    assert re.search(r"^coherence .*-\d+\.\d%", text, flags=re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "a_metric_of_a_third_party_with_an_endless_name_" * 2, "度量"])
def test_names_of_third_parties_are_shown_as_they_are(name: str) -> None:
    data = example_interventions(controls=False)
    data["metrics"][name] = data["metrics"].pop("ttr")
    for effect in data["effects"]:
        effect["metric"] = name if effect["metric"] == "ttr" else effect["metric"]
    data["not_measured"] = {"[red]y": "[/red] [link=x]"}
    text = _shown(data)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    first = "".join(line.split()[0] for line in text.splitlines() if line.strip())
    assert name in first or name in text
    assert "Not measured: [red]y: [/red] [link=x]" in text


def test_missing_numbers_are_dashes() -> None:
    data = example_interventions(controls=False)
    data["effects"] = [e for e in data["effects"] if e["metric"] != "ttr"]
    data["metrics"]["ttr"]["values"] = {}
    assert _row(_shown(data), "ttr").split() == ["ttr", "–", "–", "–", "–"]
    assert "nan" not in _shown(data)
