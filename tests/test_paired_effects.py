"""Intervals and effects: planted truth, brute force, Fieller beside the bootstrap, the schema."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from example_behaviour import planned
from scipy import stats

from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.stats.paired.conditions import Condition, Conditions
from mspgt.stats.paired.effects import difference, effects, percentage
from mspgt.stats.paired.hypothesis_tests import holm
from mspgt.stats.paired.intervals import fieller, metric_values
from mspgt.stats.paired.records import Estimate, Test
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

CONDITIONS = ("baseline", "local", "intermediate", "global", "random_window")
PAIR = ("baseline", "local")
DESIGN = Conditions(
    [*(Condition(s, s, 0.1) for s in CONDITIONS[1:4]), Condition("random_window", "local", 0.1, "", "matched")]
)
"""the last one stands beside what was asked for"""


def planted(seed=0, samples=200, shift=(0.0, 0.0, 0.5, -0.4, 0.0), name="ttr", mean=5.0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(mean, 1, samples)
    values = {c: shared + by + rng.normal(0, 0.7, samples) for c, by in zip(CONDITIONS, shift, strict=True)}
    return Samples(name, "sample", "higher", values)


def by_condition(entries):
    return {e.condition: e for e in entries}


def compared(metrics, resampling, **options):
    return effects(metrics, resampling, DESIGN, **options)


def test_the_bootstrap_is_that_of_resampled_rows():
    metric, resampling = planted(samples=30), Resampling(30, replicates=200)
    rows = [np.repeat(np.arange(30), w.astype(int)) for w in resampling.weights]
    for c, found in metric_values(metric, resampling).items():
        means = [metric.values[c][r].mean() for r in rows]
        assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]))
        assert (found.mean, found.n) == (pytest.approx(metric.values[c].mean()), 30)


def test_the_document_bootstrap_is_that_of_resampled_documents():
    clusters = np.random.default_rng(0).integers(12, size=60) * 7
    metric, resampling = planted(samples=60), Resampling(60, clusters=clusters, replicates=150)
    documents = np.unique(clusters)
    x = metric.values["local"] - metric.values["baseline"]
    rows = [np.concatenate([np.flatnonzero(clusters == d).repeat(int(n)) for d, n in zip(documents, w, strict=True)])
            for w in resampling.weights]  # fmt: skip
    found = resampling.of(metric).estimate(PAIR, difference)
    assert [found.low, found.high] == pytest.approx(np.quantile([x[r].mean() for r in rows], [0.025, 0.975]))


def test_weights_are_multinomial_and_come_from_the_seed():
    weights = Resampling(40, replicates=3000, seed=3).weights
    assert (weights.sum(1) == 40).all()
    assert weights.var(0).mean() == pytest.approx(1 - 1 / 40, abs=0.03)
    assert np.array_equal(weights, Resampling(40, replicates=3000, seed=3).weights)
    assert not np.array_equal(weights, Resampling(40, replicates=3000, seed=4).weights)


def test_the_unit_is_the_document_where_there_are_ten_and_the_prompt_otherwise():
    assert Resampling(40, clusters=np.arange(40) // 4).unit == "document"
    few = Resampling(40, clusters=np.arange(40) // 5)
    assert (few.unit, few.count) == ("prompt", 40)
    assert "8 documents" in few.reason
    uneven = np.r_[np.zeros(89, dtype=int), np.arange(1, 12)]
    assert (Resampling(100, clusters=uneven).unit, len(np.unique(uneven))) == ("prompt", 12)
    assert "12 documents, effectively 1.26, and fewer than 10 are too few" in Resampling(100, clusters=uneven).reason
    assert Resampling(100, clusters=np.arange(100) // 10).unit == "document"
    assert Resampling(40, clusters=np.arange(40)).unit == "prompt"
    assert Resampling(40).unit == "prompt"


def test_intervals_cover_the_planted_change_when_prompts_of_a_document_are_alike():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(50), 4)
    covers = {"document": 0, "prompt": 0}
    for run in range(200):
        values = {"baseline": np.zeros(200), "local": 0.3 + np.repeat(rng.normal(size=50), 4) + rng.normal(size=200)}
        for unit, of in (("document", clusters), ("prompt", None)):
            resampling = Resampling(200, clusters=of, replicates=200, seed=run)
            found = resampling.of(Samples("m", "sample", "none", values)).estimate(PAIR, difference)
            covers[unit] += found.low <= 0.3 <= found.high
    assert covers["document"] >= 180
    assert covers["prompt"] < 170


def test_a_pair_counts_only_where_both_sides_are_defined():
    metric = planted(samples=50)
    metric.values["baseline"][:5] = np.nan
    metric.values["local"][3:9] = np.nan
    effect = by_condition(compared([metric], Resampling(50)))["local"]
    kept = slice(9, None)
    d = metric.values["local"][kept] - metric.values["baseline"][kept]
    assert effect.difference.n == 41
    assert effect.difference.value == pytest.approx(d.mean())
    assert effect.percent.value == pytest.approx(100 * d.mean() / metric.values["baseline"][kept].mean())
    assert effect.d_z == pytest.approx(d.mean() / d.std(ddof=1))
    assert metric_values(metric, Resampling(50))["baseline"].n == 45


def test_percent_agrees_with_fieller():
    for seed in range(5):
        metric = planted(seed, samples=400, mean=3)
        found = by_condition(compared([metric], Resampling(400, replicates=4000)))["global"].percent
        base = metric.values["baseline"]
        d = metric.values["global"] - base
        covariance = np.cov(d, base) / 400
        expected = fieller(d.mean(), base.mean(), covariance[0, 0] ** 0.5, covariance[1, 1] ** 0.5,
                           covariance=covariance[0, 1])  # fmt: skip
        width = 100 * (expected.high - expected.low)
        assert found.value == pytest.approx(100 * expected.value)
        assert [found.low, found.high] == pytest.approx([100 * expected.low, 100 * expected.high], abs=0.1 * width)


def test_fieller_covers_and_is_unbounded_where_the_denominator_may_be_zero():
    rng = np.random.default_rng(2)
    ratios = [fieller(rng.normal(3, 1), rng.normal(5, 1), 1, 1) for _ in range(3000)]
    assert all(r.bounded for r in ratios if r.low == r.low)
    assert np.mean([r.low <= 0.6 <= r.high for r in ratios if r.bounded]) == pytest.approx(0.95, abs=0.015)
    unbounded = fieller(3, 1.9, 1, 1)
    assert plain(unbounded) == {"value": pytest.approx(3 / 1.9), "low": None, "high": None, "bounded": False}
    assert fieller(3, 2.0, 1, 1).bounded
    assert plain(fieller(1, 0, 1, 0))["value"] is None


def test_the_ends_of_fieller_are_where_the_difference_stops_being_zero():
    found = fieller(3, 5, 0.5, 0.8, covariance=0.1, confidence=0.9)
    for r in (found.low, found.high):
        variance = 0.5**2 - 2 * r * 0.1 + r**2 * 0.8**2
        assert abs(3 - 5 * r) / variance**0.5 == pytest.approx(stats.norm.ppf(0.95))


def test_a_percentage_of_nearly_nothing_is_undefined():
    effect = by_condition(compared([planted(mean=0.05)], Resampling(200)))["intermediate"]
    assert effect.percent is None
    assert effect.undefined == "the baseline is within 4 standard errors of zero"
    assert by_condition(compared([planted(mean=5)], Resampling(200)))["intermediate"].undefined is None
    zero = Samples("m", "sample", "none", {"baseline": np.zeros(30), "local": np.ones(30)})
    assert compared([zero], Resampling(30))[0].percent is None


def test_the_planted_percentage_is_covered():
    covers = [
        by_condition(compared([planted(s, 100)], Resampling(100, replicates=200, seed=s)))["intermediate"].percent
        for s in range(60)
    ]
    assert np.mean([c.low <= 10 <= c.high for c in covers]) > 0.85


def test_holm_is_over_metrics_and_scales_and_apart_for_controls():
    rng = np.random.default_rng(3)
    labels = {c: rng.normal(size=200) for c in CONDITIONS}
    corpus = Samples("self_bleu", "corpus", "lower", labels, lambda condition: lambda swap: (0.0, float(swap.any())))
    entries = compared([planted(0), planted(1, name="other"), corpus], Resampling(200), swaps=19)
    scales = [e for e in entries if e.condition != "random_window"]
    primary = [e.tests.get("t") or e.tests["swap"] for e in scales]
    assert len(primary) == 9
    assert [t.p_holm for t in primary] == pytest.approx(holm([t.p for t in primary]))
    controls = [e.tests.get("t") or e.tests["swap"] for e in entries if e.condition == "random_window"]
    assert [t.p_holm for t in controls] == pytest.approx(holm([t.p for t in controls]))
    for name in ("wilcoxon", "tost"):
        own = [e.tests[name] for e in scales if name in e.tests]
        assert [t.p_holm for t in own] == pytest.approx(holm([t.p for t in own]))


def test_document_tests_decide_where_documents_are_the_unit():
    prompts = compared([planted()], Resampling(200))[0]
    assert (prompts.primary, set(prompts.tests)) == ("t", {"t", "wilcoxon", "tost"})
    entry = compared([planted()], Resampling(200, clusters=np.arange(200) // 5))[0]
    assert set(entry.tests) == {"t", "t_document", "wilcoxon", "wilcoxon_document", "tost"}
    assert entry.primary == "t_document"


def test_the_primary_family_has_the_document_tests_and_the_papers_t_is_beside_it():
    rng = np.random.default_rng(8)
    clusters = np.arange(200) // 5
    corpus = Samples("self_bleu", "corpus", "lower", {c: rng.normal(size=200) for c in CONDITIONS},
                      lambda condition: lambda swap: (0.0, float(swap.any())))  # fmt: skip
    entries = compared([planted(0), planted(1, name="other"), corpus], Resampling(200, clusters=clusters), swaps=19)
    scales = [e for e in entries if e.condition != "random_window"]
    assert {e.primary for e in scales} == {"t_document", "swap"}
    primary = [e.tests[e.primary] for e in scales]
    assert len(primary) == 9
    assert [t.p_holm for t in primary] == pytest.approx(holm([t.p for t in primary]))
    paper = [e.tests["t"] for e in scales if "t" in e.tests]
    assert [t.p_holm for t in paper] == pytest.approx(holm([t.p for t in paper]))


def test_below_ten_complete_pairs_there_is_a_difference_only():
    for pairs in (9, 10):
        metric = planted(samples=200)
        metric.values["local"][pairs:] = np.nan
        entry = by_condition(compared([metric], Resampling(200)))["local"]
        assert (entry.difference.n, entry.samples) == (pairs, 200)
        assert entry.difference
        enough = pairs == 10
        assert bool(entry.tests) == (entry.primary is not None) == enough
        assert (entry.percent is None) == (not entry.difference.has_interval) == np.isnan(entry.d_z) != enough
        assert entry.undefined == (None if enough else "only 9 pairs")
        assert entry.untested == (None if enough else "fewer than 10 pairs")
    clusters = np.arange(200) // 20
    metric = planted(samples=200)
    metric.values["local"][100:] = np.nan
    entry = by_condition(compared([metric], Resampling(200, clusters=clusters)))["local"]
    assert (entry.undefined, entry.tests) == ("only 100 pairs, of 5 documents", {})
    assert entry.untested == "fewer than 10 documents"


def test_a_metric_that_is_zero_in_the_baseline_is_not_tested_against_it():
    rng = np.random.default_rng(9)
    divergence = Samples("divergence", "sample", "none", {
        c: np.zeros(200) if c == "baseline" else rng.exponential(size=200) for c in CONDITIONS
    })  # fmt: skip
    entries = compared([planted(), divergence], Resampling(200))
    of = [e for e in entries if e.metric == "divergence"]
    assert all(e.tests == {} and e.primary is None and np.isnan(e.d_z) and e.percent is None for e in of)
    assert all(e.difference.low < e.difference.value < e.difference.high for e in of)
    alone = compared([planted()], Resampling(200))
    assert [e.tests for e in entries if e.metric == "ttr"] == [e.tests for e in alone]


def test_a_scale_is_compared_with_its_control():
    rng = np.random.default_rng(10)
    values = {c: rng.normal(5, 1, 200) for c in ("baseline", "local", "global", "local-control", "local-control@0.2")}
    values["local@0.2"] = values["local-control@0.2"] + rng.normal(0.3, 1, 200)
    labels = {c: rng.normal(5, 1, 200) for c in values}

    def without(left_out):
        return {c: v[~left_out].mean() for c, v in labels.items()}

    corpus = Samples("m", "corpus", "none", labels, lambda condition: lambda swap: (0.0, 1.0), without)
    design = planned((0.1, 0.2), controls=True)
    entries = effects([Samples("ttr", "sample", "none", values), corpus], Resampling(200), design, swaps=19)
    found = by_condition([e for e in entries if e.metric == "ttr"])
    assert {c for c, e in found.items() if e.versus_control is not None} == {"local", "local@0.2"}
    for condition, control in (("local", "local-control"), ("local@0.2", "local-control@0.2")):
        versus = found[condition].versus_control
        expected = stats.ttest_rel(values[condition], values[control])
        assert versus.p == versus.p_holm == pytest.approx(expected.pvalue)
        assert versus.value == pytest.approx((values[condition] - values[control]).mean())
        assert [versus.low, versus.high] == pytest.approx(expected.confidence_interval(), abs=0.03)
        assert versus.n == 200
    versus = by_condition([e for e in entries if e.metric == "m"])["local"].versus_control
    assert versus.low < (labels["local"] - labels["local-control"]).mean() < versus.high
    assert np.isnan(versus.p)


def test_undefined_effects_are_records_and_plain_json():
    undefined = Samples("never", "sample", "none", {c: np.full(200, np.nan) for c in CONDITIONS})
    unchanged = Samples("same", "sample", "none", {c: np.arange(200.0) for c in CONDITIONS})
    one = Samples("once", "sample", "none", {c: np.r_[1.0, np.full(199, np.nan)] for c in CONDITIONS})
    resampling = Resampling(200, clusters=np.arange(200) // 5)
    found = compared([planted(), undefined, unchanged, one], resampling)
    values = [metric_values(m, resampling) for m in (undefined, unchanged, one)]
    json.dumps(plain([found, values]), allow_nan=False)
    by_metric = {e.metric: e for e in found}
    assert by_metric["never"].undefined == "no pair of texts has a value"
    assert by_metric["same"].percent == Estimate(0, 0, 0, 0, 200)
    assert plain(by_metric["same"].tests["wilcoxon"]) == plain(Test())
    assert (by_metric["once"].difference.value, by_metric["once"].difference.has_interval) == (0, False)


def test_d_z_has_the_interval_of_the_difference_in_its_own_unit():
    effect = compared([planted()], Resampling(200))[1]
    unit = effect.d_z / effect.difference.value
    assert effect.standardised.value == effect.d_z
    assert effect.standardised.low == pytest.approx(unit * effect.difference.low)
    falling = by_condition(compared([planted()], Resampling(200)))["global"]
    assert falling.standardised.low < falling.standardised.value < falling.standardised.high < 0


def test_a_thousand_replicates_of_a_thousand_samples_take_well_under_a_second():
    metric = Samples(
        "m", "sample", "none", {f"c{i}": np.arange(1000.0) for i in range(7)} | {"baseline": np.ones(1000)}
    )
    started = time.process_time()
    metric_values(metric, Resampling(1000))
    assert time.process_time() - started < 1


def test_wrong_shapes_are_refused_with_a_sentence():
    with pytest.raises(UserError, match="no values of the condition 'baseline'"):
        Samples("m", "sample", "none", {"local": np.ones(3)})
    with pytest.raises(UserError, match="one value per sample"):
        Samples("m", "sample", "none", {"baseline": np.ones(3), "local": np.ones(2)})
    with pytest.raises(UserError, match="4 samples; this comparison is of 5"):
        metric_values(Samples("m", "sample", "none", {"baseline": np.ones(4)}), Resampling(5))
    with pytest.raises(UserError, match="document of each of 5 prompts"):
        Resampling(5, clusters=np.arange(4))


def test_percentage_and_difference_of_means():
    means = np.array([[2.0, 3.0], [4.0, 3.0]])
    assert difference(means) == pytest.approx([1, -1])
    assert percentage(means) == pytest.approx([50, -25])
