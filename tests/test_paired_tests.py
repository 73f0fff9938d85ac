"""Paired tests against scipy, brute force and the false positives they are allowed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mspgt.core.codec import plain
from mspgt.stats.paired.hypothesis_tests import holm, paired_t, sign_test, swap_test, tost, wilcoxon
from mspgt.stats.paired.records import Test

P = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(p=P)
def test_holm_rejects_what_its_step_down_procedure_rejects(p):
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.2, 0.5):
        rejected, left = set(), sorted(range(len(p)), key=lambda i: p[i])
        while left and p[left[0]] <= alpha / len(left):
            rejected.add(left.pop(0))
        surely = {i for i in range(len(p)) if abs(adjusted[i] - alpha) > 1e-12}
        assert {i for i in surely if adjusted[i] <= alpha} == rejected & surely


def test_holm_of_a_worked_example_and_of_undefined_tests():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_gap = holm([0.01, float("nan"), 0.02])
    assert np.isnan(with_gap[1])
    assert [with_gap[0], with_gap[2]] == pytest.approx([0.02, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_paired_t_and_wilcoxon_are_those_of_scipy(alternative):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=70), rng.normal(0.2, 1.3, size=70)
    other[[3, 9]] = np.nan
    defined = np.isfinite(other)
    t = stats.ttest_rel(other[defined], one[defined], alternative=alternative)
    assert paired_t(other - one, alternative=alternative) == Test(
        pytest.approx(t.statistic, rel=1e-12), pytest.approx(t.pvalue, rel=1e-10)
    )
    w = stats.wilcoxon(other[defined], one[defined], alternative=alternative)
    assert wilcoxon(other - one, alternative=alternative) == Test(w.statistic, pytest.approx(w.pvalue))


def test_wilcoxon_is_exact_in_small_samples_and_drops_zeros():
    d = np.array([1.5, -0.3, 2.2, 0.9, 0.0, -1.1, 3.0])
    kept = d[d != 0]
    ranks = stats.rankdata(abs(kept))
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product([0, 1], repeat=len(kept))]
    observed = ranks[kept > 0].sum()
    tail = min(np.mean([s >= observed for s in sums]), np.mean([s <= observed for s in sums]))
    assert wilcoxon(d).p == pytest.approx(2 * tail)


def test_tests_are_undefined_without_any_difference():
    for nothing in (np.zeros(20), np.full(20, np.nan), np.empty(0)):
        assert all(np.isnan(f(nothing).p) for f in (paired_t, wilcoxon, tost))
    assert plain(Test()) == {"statistic": None, "p": None, "p_holm": None}
    assert np.isnan(paired_t(np.array([1.0])).p)


def test_equal_differences_have_no_spread_to_be_tested_against():
    for null in (0.0, 0.1):
        assert np.isnan(paired_t(np.full(9, 0.1), null=null).p)
    assert np.isnan(tost(np.full(9, 0.1)).p)


def test_wilcoxon_of_documents_is_that_of_their_sums():
    d = np.random.default_rng(7).normal(0.1, 1, (14, 5))
    d[3, 2] = np.nan
    found = wilcoxon(d.ravel(), np.repeat(np.arange(14), 5)[::-1])
    expected = stats.wilcoxon(np.nansum(d, axis=1))
    assert (found.statistic, found.p) == (expected.statistic, pytest.approx(expected.pvalue))


def test_only_wilcoxon_of_documents_keeps_its_level_when_prompts_of_a_document_are_alike():
    rng = np.random.default_rng(8)
    units = np.repeat(np.arange(20), 5)
    runs = [np.repeat(rng.normal(size=20), 5) + rng.normal(size=100) for _ in range(200)]
    assert np.mean([wilcoxon(d, units).p < 0.05 for d in runs]) < 0.09
    assert np.mean([wilcoxon(d).p < 0.05 for d in runs]) > 0.15


def test_the_sign_test_is_the_exact_test_of_mcnemar():
    one = np.r_[np.ones(9), np.zeros(41)]
    other = np.r_[np.zeros(7), np.ones(2), np.ones(1), np.zeros(40)]
    assert sign_test(one - other).p == pytest.approx(2 * stats.binom.cdf(1, 8, 0.5))
    assert sign_test(one - other, np.repeat(np.arange(5), 10)).p == 1
    assert np.isnan(sign_test(np.zeros(5)).p)


def test_cluster_robust_t_is_the_plain_one_for_documents_of_one_prompt():
    d = np.random.default_rng(1).normal(0.1, 1, 40)
    plain, robust = paired_t(d), paired_t(d, np.arange(40)[::-1])
    assert (robust.statistic, robust.p) == (pytest.approx(plain.statistic), pytest.approx(plain.p))


def test_cluster_robust_t_is_the_t_test_of_document_means_for_equal_documents():
    d = np.random.default_rng(2).normal(0.1, 1, (12, 5))
    expected = stats.ttest_1samp(d.mean(1), 0)
    found = paired_t(d.ravel(), np.repeat(np.arange(12), 5))
    assert (found.statistic, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


def test_only_the_cluster_robust_t_keeps_its_level_when_prompts_of_a_document_are_alike():
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(30), 5)
    runs = [np.repeat(rng.normal(size=30), 5) + rng.normal(size=150) for _ in range(500)]
    assert np.mean([paired_t(d, units).p < 0.05 for d in runs]) < 0.08
    assert np.mean([paired_t(d).p < 0.05 for d in runs]) > 0.15


def test_tost_is_two_t_tests_against_the_margins():
    d = np.random.default_rng(4).normal(0.03, 2, 300)
    margin = 0.2 * d.std(ddof=1)
    above = stats.ttest_1samp(d, -margin, alternative="greater")
    below = stats.ttest_1samp(d, margin, alternative="less")
    found = tost(d)
    assert found.p == pytest.approx(max(above.pvalue, below.pvalue))
    assert found.statistic == pytest.approx(min(above.statistic, -below.statistic))


def test_tost_keeps_its_level_on_the_margin_and_finds_equality():
    rng = np.random.default_rng(5)
    at_margin = [tost(rng.normal(0.2, 1, 400)).p < 0.05 for _ in range(800)]
    assert 0.025 < np.mean(at_margin) < 0.075
    assert np.mean([tost(rng.normal(0, 1, 600)).p < 0.05 for _ in range(100)]) > 0.9


def mean_swapped(one, other):
    """The mean as if it were a corpus-level metric."""

    def values(swap):
        return float(np.where(swap, other, one).mean()), float(np.where(swap, one, other).mean())

    return values


def test_swap_test_reaches_the_p_of_all_sign_flips():
    rng = np.random.default_rng(6)
    one, other = rng.normal(size=10), rng.normal(0.8, 1, size=10)
    d = other - one
    flips = np.array(list(product([-1, 1], repeat=10)))
    exact = np.mean(abs(flips @ d) >= abs(d.sum()) * (1 - 1e-9))
    found = swap_test(mean_swapped(one, other), np.arange(10), swaps=4000)
    assert found.p == pytest.approx(exact, abs=0.02)
    assert found.statistic == pytest.approx(d.mean())


def test_swap_test_swaps_whole_documents():
    seen = []

    def values(swap):
        seen.append(swap.copy())
        return 0.0, 1.0

    units = np.array([0, 0, 1, 2, 2, 2])
    swap_test(values, units, swaps=60)
    assert not seen[0].any()
    assert {tuple(s) for s in seen} == {tuple(np.array(v, dtype=bool)[units]) for v in product([0, 1], repeat=3)}


def test_swap_p_is_never_zero_and_one_without_any_difference():
    assert swap_test(lambda swap: (0.0, 1.0 if not swap.any() else 0.0), np.arange(40), swaps=99).p == 0.01
    assert swap_test(lambda swap: (0.5, 0.5), np.arange(40), swaps=99).p == 1
    assert np.isnan(swap_test(lambda swap: (float("nan"), 0.5), np.arange(4)).p)
    with_undefined = swap_test(lambda swap: (0.0, float("nan") if swap.any() else 1.0), np.arange(40), swaps=99)
    assert with_undefined.p == 1
    assert swap_test(mean_swapped(np.zeros(9), np.arange(9.0)), np.arange(9), 50, 1) == swap_test(
        mean_swapped(np.zeros(9), np.arange(9.0)), np.arange(9), 50, 1
    )
