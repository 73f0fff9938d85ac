"""Verdicts on planted changes: who changes what most, how brittle the local scale is."""

from __future__ import annotations

import json
from math import nan

import numpy as np
import pytest
from example_behaviour import planned as design

from mspgt.core.codec import plain
from mspgt.stats.paired import PAPER_NOTES, effects, verdicts
from mspgt.stats.paired.conditions import SCALES, Condition, Conditions
from mspgt.stats.paired.greatest import Changes, larger
from mspgt.stats.paired.most import changes_most
from mspgt.stats.paired.records import Effect, Estimate, Test
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.verdicts import STATEMENTS, global_diversity

MAIN = {s: s for s in SCALES}


def judged_by(name, metric, resampling, scales):
    return changes_most(STATEMENTS[name], metric, resampling, scales)


NAMES = {"prediction_2_1", "global_coherence", "global_diversity", "local_lexical", "prediction_3_1"}


def planted(local, intermediate, glob, *, name="length_variance", samples=300, seed=0, spread=1.0, base=10.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(base, 2, samples)
    shift = {"baseline": 0.0, "local": local, "intermediate": intermediate, "global": glob}
    return Samples(name, "sample", "none", {c: shared + by + rng.normal(0, spread, samples) for c, by in shift.items()})


def judge(*shift, **options):
    metric = planted(*shift, **options)
    return judged_by("prediction_2_1", metric, Resampling(metric.count), MAIN)


@pytest.mark.parametrize(
    ("shift", "signed", "absolute"),
    [
        ((0.1, 1.0, 0.2), "supported", "supported"),
        ((1.0, 0.1, 0.2), "contradicted", "contradicted"),
        ((0.2, 0.1, 1.0), "contradicted", "contradicted"),
        ((0.0, 0.0, 0.0), "undecided", "undecided"),
        ((0.1, 1.0, 1.0), "undecided", "undecided"),
        ((-2.0, 0.5, -0.2), "supported", "contradicted"),
    ],
)
def test_prediction_2_1_judges_the_planted_order(shift, signed, absolute):
    found = judge(*shift)
    assert found.verdict == found.numbers.signed.verdict == signed
    assert found.numbers.absolute.verdict == absolute
    assert found.reasons[0].startswith(signed)
    assert any("absolute" in r for r in found.reasons) == (signed != absolute)


@pytest.mark.parametrize("middle", [0.0, -0.5])
def test_falling_least_is_no_degradation(middle):
    found = judge(-2.0, middle, -2.0)
    assert found.verdict == found.numbers.signed.verdict == "undecided"
    assert max(found.numbers.signed.p_over.values()) < 0.001
    assert found.numbers.signed.p_moves["intermediate"] > 0.05
    assert "no scale degrades length_variance" in found.reasons[0]


def test_no_movement_is_rarely_called_a_degradation_because_the_others_fall():
    changes = [Changes(planted(-2.0, 0.0, -2.0, samples=60, seed=s), Resampling(60), MAIN) for s in range(300)]
    found = [one.signed("intermediate", 1).verdict for one in changes]
    assert 0.02 < found.count("supported") / 300 < 0.08
    assert found.count("contradicted") == 0


def test_a_contradiction_says_that_the_stronger_one_may_only_reduce_it_less():
    assert (
        "the local scale raises length_variance more than the intermediate scale" in (judge(1.0, -1.0, -1.2).reasons[0])
    )
    all_fall = judge(-0.1, -2.0, -2.2)
    assert all_fall.verdict == "undecided"
    assert "no scale degrades length_variance" in all_fall.reasons[0]


def test_a_few_run_on_texts_do_not_decide_unnoticed():
    metric = planted(0.0, 0.0, 0.0, samples=500)
    metric.values["intermediate"][:8] += np.random.default_rng(1).uniform(200, 300, 8)
    found = judged_by("prediction_2_1", metric, Resampling(500), MAIN)
    assert found.verdict == "supported"
    assert found.numbers.ranks.verdict == "undecided"
    assert any("ranks" in r for r in found.reasons)


def test_verdicts_are_rarely_wrong_when_nothing_is_larger():
    resampling = Resampling(60)
    at_edge = [Changes(planted(-3.0, 1.0, 1.0, samples=60, seed=s), resampling, MAIN) for s in range(1000, 1400)]
    signed = [changes.signed("intermediate", 1).verdict for changes in at_edge]
    assert 0.02 < signed.count("supported") / 400 < 0.08
    assert signed.count("contradicted") / 400 < 0.05
    absolute = [changes.absolute("global").verdict for changes in at_edge]
    assert absolute.count("supported") == 0


def test_equal_absolute_changes_are_called_different_at_most_at_the_level():
    rng = np.random.default_rng(2)
    units = np.arange(60)
    for one, other in ((1.0, -1.0), (1.0, 1.0), (0.0, 0.0)):
        p = [larger(rng.normal(one, 1, 60), rng.normal(other, 1, 60), units).p for _ in range(250)]
        assert np.mean([v < 0.05 for v in p]) < 0.08
    silent = [larger(rng.normal(0, 1, 60), np.zeros(60), units).p < 0.05 for _ in range(250)]
    assert np.mean(silent) < 0.08
    assert larger(rng.normal(-1, 1, 60), rng.normal(0.2, 1, 60), units).p < 0.01


def test_documents_of_like_prompts_widen_the_judgement():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(20), 10)
    wrong = {"document": 0, "prompt": 0}
    for _ in range(150):
        values = {c: np.repeat(rng.normal(size=20), 10) + rng.normal(0, 0.5, 200) for c in ("baseline", *SCALES)}
        metric = Samples("length_variance", "sample", "none", values)
        for unit, of in (("document", clusters), ("prompt", None)):
            wrong[unit] += Changes(metric, Resampling(200, clusters=of), MAIN).signed("intermediate", 1).p < 0.05
    assert wrong["document"] < 0.07 * 150
    assert wrong["prompt"] > 2 * wrong["document"] + 10


def test_the_p_that_is_told_is_that_of_the_verdict():
    for shift, part in (((0.1, 1.0, 0.2), "p"), ((1.0, 0.1, 0.2), "p_more")):
        found = judge(*shift)
        signed = found.numbers.signed
        deciding = signed.p if part == "p" else min(signed.p_more.values())
        assert f"p = {deciding:.3g})" in found.reasons[0]
        assert deciding < 0.05


def test_samples_count_where_all_scales_are_defined():
    metric = planted(0, 1, 0, samples=50)
    metric.values["local"][:4] = np.nan
    metric.values["baseline"][2:6] = np.nan
    assert judged_by("prediction_2_1", metric, Resampling(50), MAIN).numbers.n == 44


def test_coherence_must_fall_and_lexical_choice_may_move_either_way():
    resampling = Resampling(300)
    coherent = [((0, -0.2, -1), "supported"), ((0, -1, -0.2), "contradicted"), ((-1, 0, 1), "contradicted")]
    for shift, verdict in coherent:
        found = judged_by("global_coherence", planted(*shift, name="coherence"), resampling, MAIN)
        assert found.verdict == verdict
    lexical = judged_by("local_lexical", planted(-1, 0.1, 0.2, name="ttr"), resampling, MAIN)
    assert lexical.verdict == "supported"
    paper = judged_by("local_lexical", planted(-0.04, 2.2, 3.1, name="ttr"), resampling, MAIN)
    assert paper.verdict == "contradicted"
    assert "the intermediate and global scales change ttr more than the local scale" in paper.reasons[0]


def self_bleu_effect(change, p, half):
    ends = () if half is None else (change - half, change + half)
    difference = Estimate(change, *ends, n=50)
    return Effect("self_bleu", "global", 50, difference, primary="swap", tests={"swap": Test(change, p, p)})


@pytest.mark.parametrize(
    ("change", "p", "half", "verdict"),
    [
        (-0.1, 0.001, 0.05, "supported"),
        (0.1, 0.001, 0.05, "contradicted"),
        (-0.1, 0.05, 0.05, "undecided"),
        (-0.1, 0.001, 0.2, "undecided"),
        (-0.1, 0.001, None, "undecided"),
        (nan, nan, None, "undecided"),
    ],
)
def test_diversity_increases_where_self_bleu_falls_by_test_and_interval(change, p, half, verdict):
    found = global_diversity([self_bleu_effect(change, p, half)], MAIN)
    assert found.verdict == verdict
    assert found.reasons[0].startswith(verdict)


def test_every_statement_has_a_verdict_whatever_was_measured():
    resampling = Resampling(300)
    metrics = [planted(0, 1, 0), planted(0, 1, 2, name="ttr"), planted(0, 0, -1, name="coherence")]
    for given in (metrics, metrics[:1], []):
        found = verdicts(given, effects(given, resampling, design()), resampling, design(), noise=True)
        json.dumps(plain(found), allow_nan=False)
        assert set(found) == NAMES
        for v in found.values():
            assert v.verdict in {"supported", "contradicted", "undecided"}
            assert v.reasons
    assert "length_variance was not measured" in found["prediction_2_1"].reasons[0]
    only_local = Samples("length_variance", "sample", "none", {"baseline": np.ones(300), "local": np.ones(300)})
    assert "under intermediate and global" in judged_by("prediction_2_1", only_local, resampling, MAIN).reasons[0]
    empty = Samples("length_variance", "sample", "none", {c: np.full(300, np.nan) for c in ("baseline", *SCALES)})
    nothing = judged_by("prediction_2_1", empty, resampling, MAIN)
    json.dumps(plain(nothing), allow_nan=False)
    assert nothing.verdict == "undecided"
    assert "too few texts" in nothing.reasons[0]


def matched(full, at_matched):
    """A metric with scales and, beside them, scales at a matched dose."""
    one, other = planted(*full), planted(*at_matched)
    beside = {f"{s}-matched": other.values[s] - other.values["baseline"] + one.values["baseline"] for s in SCALES}
    return Samples(one.name, "sample", "none", {**one.values, **beside})


def judged(metric, sizes, dose="paper"):
    resampling, conditions = Resampling(metric.count), design(dose=dose, sizes=sizes)
    found = verdicts([metric], effects([metric], resampling, conditions), resampling, conditions, noise=True)
    return found["prediction_2_1"]


def test_verdicts_are_given_at_a_matched_dose_too():
    same = judged(matched((0, 1, 0), (0, 0.8, 0)), (13, 3, 16), "both")
    assert same.verdict == same.matched.verdict == "supported"
    assert same.matched.numbers.changes["intermediate"] == pytest.approx(0.8, abs=0.2)
    assert not any("dose" in r for r in same.reasons)
    other = judged(matched((0, 1, 0), (1, 0, 0)), (2, 18, 8), "both")
    assert (other.verdict, other.matched.verdict) == ("supported", "contradicted")
    assert "At a matched dose, as many blocks in every scale, it is contradicted: the local scale" in other.reasons[-1]


def test_scales_of_unequal_size_without_a_matched_dose_are_said_to_be_confounded_with_it():
    unequal = judged(planted(0, 1, 0), (13, 3, 16))
    assert "13 in the local scale, 3 in the intermediate scale, 16 in the global scale" in unequal.reasons[-1]
    assert "confounded" not in str(judged(planted(0, 1, 0), (4, 4, 4)).reasons)


def test_groups_that_the_paper_does_not_speak_of_are_judged_by_no_statement():
    conditions = Conditions([Condition("early", "early", 0.1), Condition("late", "late", 0.1)])
    values = planted(0, 1, 0).values
    metric = Samples("length_variance", "sample", "none", {"baseline": values["baseline"], "early": values["local"]})
    resampling = Resampling(metric.count)
    found = verdicts([metric], effects([metric], resampling, conditions), resampling, conditions, noise=True)
    assert {one.verdict for one in found.values()} == {"undecided"}
    assert "was not measured under local, intermediate and global" in found["prediction_2_1"].reasons[0]
    assert "self_bleu was not measured under global" in found["global_diversity"].reasons[0]


def test_notes_are_single_lines_about_what_the_results_name():
    assert {
        "length_variance",
        "self_bleu",
        "grammaticality",
        "prediction_2_1",
        "prediction_3_1",
        "coherence",
        "dose",
    } <= set(PAPER_NOTES)
    assert all("\n" not in note and note.endswith(".") for note in PAPER_NOTES.values())
