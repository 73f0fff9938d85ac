"""Texts without a value, and what is said beside the numbers: planted shares, unequal between scales or not."""

from __future__ import annotations

import numpy as np
import pytest
from example_behaviour import planned
from scipy import stats

from mspgt.stats.paired import effects, notes
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.most import changes_most
from mspgt.stats.paired.notes import unit_note
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.selection import selection, selection_notes, undefined
from mspgt.stats.paired.verdicts import STATEMENTS

MAIN = {s: s for s in SCALES}


def judged_by(name, metric, resampling, scales):
    return changes_most(STATEMENTS[name], metric, resampling, scales)


def missing(*shares, samples=400, seed=0, shift=(0.0, 0.0, 1.0, 0.0), name="length_variance"):
    """A metric whose values are missing at random with these shares under the baseline and the scales."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(10, 2, samples)
    values = {}
    for condition, share, by in zip(("baseline", *SCALES), shares, shift, strict=True):
        gone = rng.random(samples) < share
        values[condition] = np.where(gone, np.nan, shared + by + rng.normal(0, 1, samples))
    return Samples(name, "sample", "none", values)


def test_scales_that_leave_different_texts_undefined_decide_nothing():
    resampling = Resampling(400)
    found = judged_by("prediction_2_1", missing(0.3, 0.3, 0.3, 0.6), resampling, MAIN)
    assert found.verdict == "undecided"
    assert found.reasons[0].startswith("undecided: selection: length_variance is undefined for ")
    assert set(found.numbers.selection) == {"local, global", "intermediate, global"}
    assert found.numbers.signed.verdict == "supported"
    assert judged_by("local_lexical", missing(0, 0, 0, 0.3, name="ttr"), resampling, MAIN).verdict == "undecided"
    equal = judged_by("prediction_2_1", missing(0.3, 0.3, 0.3, 0.3), resampling, MAIN)
    assert equal.verdict == "supported"
    assert f"n = {equal.numbers.n} of 400" in equal.reasons[0]
    assert equal.numbers.n < 140


def test_equal_shares_are_called_different_at_most_at_the_level():
    resampling = Resampling(100)
    found = [bool(selection(missing(0.3, 0.3, 0.3, 0.3, samples=100, seed=s), resampling, MAIN)) for s in range(300)]
    assert np.mean(found) < 0.06


def test_the_selection_test_is_that_of_mcnemar():
    metric = missing(0, 0.2, 0.2, 0.35)
    gone = {s: np.isnan(metric.values[s]) for s in SCALES}
    one, other = (gone["local"] & ~gone["global"]).sum(), (gone["global"] & ~gone["local"]).sum()
    p = stats.binomtest(int(one), int(one + other)).pvalue
    found = selection(metric, Resampling(400), MAIN)
    assert p <= found["local, global"] <= 3 * p
    assert undefined(metric, "global") == gone["global"].mean()


def test_below_ten_complete_samples_there_is_no_verdict():
    for kept, verdict in ((9, "undecided"), (10, "supported")):
        metric = missing(0, 0, 0, 0, shift=(0, 0, 5, 0))
        for c in metric.values:
            metric.values[c][kept:] = np.nan
        found = judged_by("prediction_2_1", metric, Resampling(400), MAIN)
        assert found.verdict == verdict
    assert "only 9 pairs" in judged_by("prediction_2_1", missing(0, 0, 0, 0, samples=9), Resampling(9), MAIN).reasons[0]


def test_a_note_names_the_shares_that_differ_from_the_baseline():
    values = {"baseline": 32, "local": 36, "intermediate": 38, "global": 61}
    metric = Samples("length_variance", "sample", "none",
                        {c: np.r_[np.full(n, np.nan), np.ones(100 - n)] for c, n in values.items()})  # fmt: skip
    assert selection_notes([metric]) == [
        "length_variance is undefined for 38-61 % of the texts under disturbance (32 % in the baseline): comparisons "
        "are of the rest."
    ]
    few = Samples("ttr", "sample", "none", {"baseline": np.ones(100), "local": np.r_[np.nan, np.ones(99)]})
    assert selection_notes([few]) == []


@pytest.mark.parametrize(("swaps", "said"), [(99, True), (999, False)])
def test_a_note_says_when_swaps_are_too_few_for_the_family(swaps, said):
    metrics = [missing(0, 0, 0, 0, name=f"m{i}", samples=60) for i in range(2)]
    labels = {c: np.random.default_rng(1).normal(size=60) for c in ("baseline", *SCALES)}
    metrics.append(Samples("self_bleu", "corpus", "lower", labels, lambda condition: lambda swap: (0.0, 1.0)))
    resampling = Resampling(60)
    found = notes(metrics, effects(metrics, resampling, planned(), swaps=swaps), resampling, planned(), swaps=swaps)
    assert any("swaps=180 or more" in note for note in found) == said
    without = effects(metrics[:2], resampling, planned())
    assert len(notes(metrics[:2], without, resampling, planned(), swaps=19)) == 1


def test_the_note_on_the_unit_is_true_of_every_test():
    documents = Resampling(60, clusters=np.arange(60) // 4)
    assert "but for t (the paper's) and wilcoxon" in unit_note(documents)
    assert "15 documents" in unit_note(documents)
    assert unit_note(Resampling(60)).startswith("Intervals and tests take prompts as independent: ")
