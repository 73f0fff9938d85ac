"""Corpus-level statistics on a metric whose truth is known: how often two texts carry the same label.

The score of a text is the share of the other texts that carry its label, so scores depend on each other as those of
Self-BLEU do, and the expected corpus value is the sum of the squared probabilities of the labels.
"""

from __future__ import annotations

import numpy as np
import pytest
from example_behaviour import planned

from mspgt.stats.paired.effects import difference, effects
from mspgt.stats.paired.hypothesis_tests import paired_t, swap_test
from mspgt.stats.paired.intervals import metric_values
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

LABELS = 4
EVEN = np.full(LABELS, 1 / LABELS)
SKEWED = np.array([0.5, 0.3, 0.15, 0.05])
TILTED = np.array([0.35, 0.3, 0.2, 0.15])
PAIR = ("baseline", "global")


def scores(labels):
    return (np.bincount(labels, minlength=LABELS)[labels] - 1) / (len(labels) - 1)


def value(labels):
    counts = np.bincount(labels, minlength=LABELS)
    return float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))


def draw(rng, p, q, samples):
    """Labels of two conditions that share their random number in half of the prompts."""
    u = rng.random(samples)
    v = np.where(rng.random(samples) < 0.5, u, rng.random(samples))
    return np.searchsorted(p.cumsum()[:-1], u), np.searchsorted(q.cumsum()[:-1], v)


def swapped_of(one, other):
    return lambda swap: (value(np.where(swap, other, one)), value(np.where(swap, one, other)))


def samples_of(one, other):
    def without(left_out):
        return {"baseline": value(one[~left_out]), "global": value(other[~left_out])}

    values = {"baseline": scores(one), "global": scores(other)}
    return Samples("sameness", "corpus", "lower", values, lambda condition: swapped_of(one, other), without)


def test_the_swap_test_keeps_its_level_where_the_t_test_does_not():
    rng = np.random.default_rng(0)
    swap, t = [], []
    for run in range(300):
        one, other = draw(rng, TILTED, TILTED, 60)
        swap.append(swap_test(swapped_of(one, other), np.arange(60), 79, seed=run).p <= 0.05)
        t.append(paired_t(scores(other) - scores(one)).p < 0.05)
    assert np.mean(swap) < 0.08
    assert np.mean(t) > 0.12


def test_the_swap_test_finds_a_planted_difference():
    rng = np.random.default_rng(1)
    found = [swap_test(swapped_of(*draw(rng, EVEN, SKEWED, 100)), np.arange(100), 79).p <= 0.05 for _ in range(50)]
    assert np.mean(found) > 0.9


@pytest.mark.parametrize(("p", "q"), [(TILTED, TILTED), (EVEN, SKEWED), (SKEWED, TILTED)])
def test_the_jackknife_interval_covers_the_planted_difference(p, q):
    rng = np.random.default_rng(2)
    truth = (q**2).sum() - (p**2).sum()
    covers, scores_cover = [], []
    for run in range(300):
        metric = samples_of(*draw(rng, p, q, 100))
        found = Resampling(100, seed=run).of(metric).estimate(PAIR, difference)
        covers.append(found.low <= truth <= found.high)
        d = metric.values["global"] - metric.values["baseline"]
        scores_cover.append(abs(d.mean() - truth) < 1.98 * d.std(ddof=1) / 10)
    assert np.mean(covers) >= 0.9
    assert np.mean(scores_cover) < np.mean(covers) - 0.04


def test_the_jackknife_of_a_mean_has_its_standard_error():
    rng = np.random.default_rng(3)
    x = rng.normal(size=20)

    def without(left_out):
        return {"baseline": float(x[~left_out].mean())}

    metric = Samples("mean", "corpus", "none", {"baseline": x}, None, without)
    found = Resampling(20).of(metric).estimate(("baseline",), lambda means: means[..., 0])
    assert found.se == pytest.approx(x.std(ddof=1) / np.sqrt(20))


def test_groups_of_the_jackknife_hold_whole_documents():
    clusters = np.repeat(np.arange(45), 3)[np.random.default_rng(4).permutation(135)]
    groups = Resampling(135, clusters=clusters).groups
    assert len(np.unique(groups)) == 20
    assert all(len(set(groups[clusters == c])) == 1 for c in range(45))


def test_a_corpus_level_metric_is_measured_anew_once():
    calls = []
    one, other = draw(np.random.default_rng(5), EVEN, SKEWED, 80)
    plain = samples_of(one, other)

    def without(left_out):
        calls.append(left_out)
        return plain.without(left_out)

    metric = Samples("sameness", "corpus", "lower", plain.values, plain.swapped, without)
    resampling = Resampling(80)
    metric_values(metric, resampling)
    effects([metric], resampling, planned(), swaps=9)
    assert len(calls) == 20
    assert np.array_equal(np.sum(calls, axis=0), np.ones(80))


def test_without_remeasuring_there_is_no_interval_and_no_test_rather_than_a_wrong_one():
    one, other = draw(np.random.default_rng(6), EVEN, SKEWED, 80)
    plain = samples_of(one, other)
    metric = Samples("sameness", "corpus", "lower", plain.values)
    (effect,) = effects([metric], Resampling(80), planned())
    assert effect.difference.value == pytest.approx(value(other) - value(one))
    assert not effect.difference.has_interval
    assert effect.tests == {}


def test_a_corpus_level_metric_has_no_t_test():
    (effect,) = effects(
        [samples_of(*draw(np.random.default_rng(7), EVEN, SKEWED, 80))], Resampling(80), planned(), swaps=19
    )
    assert set(effect.tests) == {"swap"}
    assert effect.percent.low < effect.percent.value < effect.percent.high
