"""Normalisation, fusion, peaks, bootstrap support, and the clauses of both rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter
from scipy.stats import median_abs_deviation

from mspgt.stats.boundaries import MSPGT, PAPER, SEVERITY, STATUS, Curves, decide
from mspgt.stats.boundaries.acceptance import default_prominence
from mspgt.stats.boundaries.fusion import (
    NORMALISATIONS,
    by_maximum,
    by_spread,
    contribution,
    excess,
    fill,
    fuse,
    peaks_at_an_end,
)
from mspgt.stats.boundaries.peaks import prominent_peaks, two_of_each
from mspgt.stats.boundaries.support import locate, summarise
from mspgt.stats.boundaries.verdict import meaning, verdict_of

NAMES = ("cka", "probe", "attn")
WEIGHTS = np.array([1.0, 0.8, 0.6])


def planted(n_layers=16, at=(5, 11), height=8.0, noise=0.02, replicates=200, seed=0, names=NAMES):
    """Signals of unit spread with bumps, and replicates close to them."""
    rng = np.random.default_rng(seed)
    point = 10 + rng.standard_normal((len(names), n_layers - 1))
    for layer in at:
        point[:, layer - 1] += height
    shape = (len(names), replicates, n_layers - 1)
    weights = np.array([1.0, 0.8, 0.6, 0.5][: len(names)])
    return Curves(tuple(names), weights, point, point[:, None] + noise * rng.standard_normal(shape))


# ---------------------------------------------------------------------------------------------------- fusion


def test_the_papers_fusion_by_hand():
    curves = np.array([[1.0, 2.0, 4.0], [5.0, 10.0, 0.0], [3.0, 3.0, 3.0]])
    expected = [0.25 + 0.8 * 0.5 + 0.6, 0.5 + 0.8 + 0.6, 1.0 + 0 + 0.6]
    np.testing.assert_allclose(fuse(curves, WEIGHTS, "max"), expected)


def test_dividing_by_the_maximum_is_no_map_onto_the_unit_interval():
    narrow = 1 / np.array([0.97, 0.99, 0.98, 0.999])
    assert by_maximum(narrow).min() > 0.97
    assert contribution(narrow, 1.0) == pytest.approx(1 - 0.97 / 0.999)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_each_replicate_is_normalised_by_itself(name):
    curves = np.random.default_rng(0).random((3, 7, 20))
    together = fuse(curves, WEIGHTS, name)
    apart = np.stack([fuse(curves[:, r], WEIGHTS, name) for r in range(7)])
    np.testing.assert_allclose(together, apart, rtol=1e-12)


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("curve", [np.zeros(12), np.full(12, 3.7), np.full(12, -2.0), np.zeros(1)])
def test_a_constant_curve_is_no_evidence_and_no_error(name, curve):
    normalised = NORMALISATIONS[name](curve)
    assert np.isfinite(normalised).all()
    assert np.ptp(normalised) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5), transitions=st.integers(9, 40))
def test_the_robust_normalisation_ignores_unit_and_offset(seed, scale, shift, transitions):
    curve = np.random.default_rng(seed).standard_normal(transitions)
    np.testing.assert_allclose(excess(curve), excess(scale * (curve + shift)), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), transitions=st.integers(1, 40))
def test_excess_is_scipys_running_median_over_scipys_mad(seed, transitions):
    curve = np.random.default_rng(seed).standard_normal(transitions)
    above = curve - median_filter(curve, size=9, mode="nearest")
    spread = max(median_abs_deviation(above, scale=1 / 1.4826), 0.01 * np.ptp(curve), 1e-6 * np.abs(curve).max())
    expected = np.maximum(above, 0) / spread
    np.testing.assert_allclose(excess(curve), expected, rtol=1e-9)
    np.testing.assert_allclose(by_spread(curve), expected / (expected + 6), rtol=1e-9)


def test_a_ripple_on_a_steep_trend_does_not_stand_out():
    curve = np.linspace(2, 1, 31)
    curve[15] += 0.002
    assert excess(curve).max() <= 0.2 + 1e-9


def test_a_trend_over_depth_is_not_evidence():
    curve = np.exp(-np.arange(31) / 5)
    curve[15] += 0.3
    assert by_spread(curve).argmax() == 15
    assert by_maximum(curve).argmax() == 0


def test_rounding_is_not_structure():
    jitter = 1.0 + 1e-9 * np.random.default_rng(0).standard_normal(31)
    assert by_spread(jitter).max() < 0.001


def test_an_undefined_value_neither_makes_nor_hides_a_peak():
    curves = np.array([[[1.0, np.nan, 3.0, np.inf, 2.0]], [[np.nan] * 5]])
    np.testing.assert_allclose(fill(curves), [[[1, 2, 3, 2, 2]], [[0] * 5]])
    whole = np.ones((2, 3))
    assert fill(whole) is whole


def test_largest_at_an_end():
    assert peaks_at_an_end(np.array([3.0, 1, 2]))
    assert peaks_at_an_end(np.array([1.0, 2, 3]))
    assert not peaks_at_an_end(np.array([1.0, 3, 2]))
    assert not peaks_at_an_end(np.ones(3))


# ----------------------------------------------------------------------------------------------------- peaks


def prominence_by_definition(curve, i):
    """Height over the higher of the two lowest points on the way to higher ground (or the end), on either side."""
    bases = []
    for side in (curve[:i][::-1], curve[i + 1 :]):
        higher = np.flatnonzero(side > curve[i])
        bases.append(side[: higher[0]].min() if len(higher) else side.min())
    return curve[i] - max(bases)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), transitions=st.integers(3, 40), threshold=st.floats(0, 1.5))
def test_peaks_are_those_of_the_definition(seed, transitions, threshold):
    curve = np.random.default_rng(seed).standard_normal(transitions)
    local = [i for i in range(1, transitions - 1) if curve[i] > max(curve[i - 1], curve[i + 1])]
    expected = {i + 1: p for i in local if (p := prominence_by_definition(curve, i)) >= threshold}
    found = prominent_peaks(curve, threshold)
    assert {p.layer for p in found} == set(expected)
    assert [p.prominence for p in found] == sorted((p.prominence for p in found), reverse=True)
    for peak in found:
        assert peak.prominence == pytest.approx(expected[peak.layer])
        assert peak.height == curve[peak.layer - 1]


def test_ties_go_to_the_higher_then_the_earlier_peak():
    layers = [p.layer for p in prominent_peaks(np.array([0.0, 1, 0, 1, 0, 1, 0]), 0.5)]
    assert layers == [2, 4, 6]
    raised = np.array([0.0, 1, 0, 1, 0.5, 1.5, 0.5, 1.0, 0])
    assert [p.layer for p in prominent_peaks(raised, 0.5)] == [6, 2, 4, 8]


def test_ends_are_no_peaks_and_plateaus_are_placed_at_their_middle():
    assert prominent_peaks(np.array([5.0, 1, 1, 1, 5]), 0.1) == []
    assert [p.layer for p in prominent_peaks(np.array([0.0, 1, 1, 1, 1, 0]), 0.1)] == [3]
    assert prominent_peaks(np.empty(0), 0.1) == []


def test_two_of_each_marks_missing_peaks_with_zero():
    curves = np.array([[0.0, 2, 0, 1, 0, 3, 0], [0, 1, 2, 3, 2, 1, 0], [0, 0, 0, 0, 0, 0, 0]])
    assert two_of_each(curves, 0.5).tolist() == [[2, 6], [0, 4], [0, 0]]


# --------------------------------------------------------------------------------------------------- support


def test_hpd_is_the_smallest_set_that_holds_the_mass():
    layers = np.array([5] * 90 + [12] * 6 + [6] * 3 + [30])
    place = locate(layers, 0.95)
    assert place.hpd == (5, 12)
    assert (place.low, place.high) == (5, 12)
    assert place.width == 7
    assert (place.mode, place.mode_share) == (5, 0.9)
    assert place.away == pytest.approx(0.07)


@settings(max_examples=40, deadline=None)
@given(layers=st.lists(st.integers(1, 31), min_size=1, max_size=200), confidence=st.sampled_from([0.5, 0.8, 0.95]))
def test_hpd_and_interval_hold_what_they_promise(layers, confidence):
    drawn = np.array(layers)
    place = locate(drawn, confidence)
    assert np.isin(drawn, place.hpd).mean() >= confidence - 1e-9
    rarest = min(place.hpd, key=lambda v: (drawn == v).sum())
    assert np.isin(drawn, [v for v in place.hpd if v != rarest]).mean() < confidence
    assert ((place.low <= drawn) & (drawn <= place.high)).mean() >= confidence - 1e-9
    assert (drawn == place.mode).mean() == pytest.approx(place.mode_share)


def test_support_counts_replicates_by_number_of_peaks():
    pairs = np.array([[5, 11]] * 6 + [[5, 12]] * 2 + [[0, 5]] + [[0, 0]])
    support = summarise(pairs, 15, 0.95)
    assert (support.p_two, support.p_one) == (0.8, 0.1)
    assert support.joint == ((5, 11, 0.6), (5, 12, 0.2))
    assert support.inclusion[[4, 10, 11]] == pytest.approx([0.9, 0.6, 0.2])
    assert support.inclusion.sum() == pytest.approx(2 * 0.8 + 0.1)
    assert (support.lower.hpd, support.upper.hpd) == ((5,), (11, 12))


def test_no_replicate_with_two_peaks_leaves_no_interval():
    support = summarise(np.array([[0, 4], [0, 0]]), 15, 0.95)
    assert support.lower is None
    assert support.upper is None
    assert support.joint == ()


# --------------------------------------------------------------------------------------------------- clauses


def test_the_default_prominence_is_the_papers_for_its_three_signals():
    assert default_prominence(WEIGHTS) == pytest.approx(0.3)
    assert default_prominence(np.array([1.0, 0.5])) == pytest.approx(0.1875)


@pytest.mark.parametrize(("n_layers", "at"), [(12, (4, 8)), (16, (5, 11)), (32, (13, 16)), (28, (6, 20))])
@pytest.mark.parametrize("rule", [PAPER, MSPGT], ids=lambda r: r.name)
def test_strong_boundaries_are_found_where_they_were_planted(rule, n_layers, at):
    decision = decide(planted(n_layers, at), rule)
    assert decision.case.boundaries == at
    assert decision.accepted
    assert decision.status == "ok"


def test_the_paper_rule_on_a_curve_made_by_hand():
    bump = np.zeros(15)
    bump[[3, 9]] = [1.0, 0.5]
    curves = Curves(NAMES, WEIGHTS, np.stack([bump, bump, bump]) + 0.001, None)
    decision = decide(curves, PAPER)
    evidence = 2.4 * (bump + 0.001) / 1.001
    np.testing.assert_allclose(decision.case.evidence, evidence)
    assert [p.layer for p in decision.case.peaks] == [4, 10]
    assert decision.case.peaks[1].prominence == pytest.approx(2.4 * 0.5 / 1.001)
    assert decide(curves, PAPER, prominence=1.3).status == "one_peak"


def test_the_paper_rule_takes_intervals_over_the_replicates_with_two_peaks_alone():
    curves = planted(replicates=100)
    flat = np.broadcast_to(np.linspace(0, 1, 15), (3, 95, 15))
    rare = replace(curves, replicates=np.concatenate([curves.replicates[:, :5], flat], axis=1))
    paper, ours = decide(rare, PAPER), decide(rare, MSPGT)
    assert paper.case.support.p_two == 0.05
    assert paper.accepted
    assert not ours.accepted
    assert any("5% of the replicates" in f.sentence for f in ours.findings)


def status_cases():
    base = planted()
    rng = np.random.default_rng(1)
    ramp = np.linspace(1, 2, 15) ** 2
    single = np.exp(-(((np.arange(15) - 7) / 1.5) ** 2)) + 0.1 * ramp
    wandering = base.replicates.copy()
    for r in range(0, 200, 2):
        wandering[:, r] = np.roll(wandering[:, r], 6, axis=-1)
    apart = np.full((3, 23), 10.0) + rng.random((3, 23))
    for signal, layers in enumerate([(5, 12), (8, 16), (10, 19)]):
        apart[signal, [layer - 1 for layer in layers]] += 9
    ending = 1 + 0.05 * rng.random((3, 15))
    ending[:, 4] += 2
    ending[:, 10] += 2
    ending[:, -1] += 4
    tiny = planted(8, (3, 6))

    def still(point):
        return Curves(NAMES, WEIGHTS, point, np.repeat(point[:, None], 50, axis=1))

    return {
        "ok": (MSPGT, base),
        "probe_noise": (MSPGT, replace(base, noise_share={"probe": 0.2})),
        "endpoint_dominated": (PAPER, still(ending)),
        "unstable": (MSPGT, replace(base, replicates=wandering)),
        "not_above_null": (MSPGT, still(apart)),
        "one_peak": (PAPER, still(np.stack([single] * 3))),
        "no_peak": (PAPER, still(np.stack([ramp] * 3))),
        "too_shallow": (MSPGT, tiny),
    }


@pytest.mark.parametrize("status", SEVERITY)
def test_every_status_is_reached_and_said_in_words(status):
    rule, curves = status_cases()[status]
    decision = decide(curves, rule)
    assert decision.status == status
    assert [f.status for f in decision.findings] == sorted(
        (f.status for f in decision.findings), key=SEVERITY.index, reverse=True
    )
    if status == "ok":
        assert "Blocks 1-5 local, 6-11 intermediate, 12-16 global" in meaning(decision)
    else:
        assert decision.findings
        if not decision.accepted:
            assert meaning(decision) == STATUS[status].meaning


def test_the_most_severe_status_is_shown_and_all_reasons_are_listed():
    curves = replace(planted(8, (3, 6)), noise_share={"probe": 0.5}, refused=("there is no text.",), replicates=None)
    decision = decide(curves, MSPGT)
    sentences = [f.sentence for f in decision.findings]
    assert decision.status == "too_shallow"
    assert "there is no text." in sentences
    assert any("50%" in s for s in sentences)


def test_ours_accepts_exactly_where_the_status_is_ok():
    for rule, curves in status_cases().values():
        decision = decide(curves, rule)
        if rule is MSPGT:
            assert decision.accepted == (decision.status == "ok")


def test_an_end_is_remarked_by_the_papers_rule_and_does_not_stop_it():
    rule, curves = status_cases()["endpoint_dominated"]
    paper, ours = decide(curves, rule), decide(curves, MSPGT)
    assert paper.accepted
    assert (paper.status, ours.status) == ("endpoint_dominated", "ok")
    for decision in (paper, ours):
        assert any(f.sentence.startswith("cka is largest at transition 15, an end") for f in decision.findings)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), transitions=st.integers(3, 40))
def test_the_robust_normalisation_gives_an_end_no_evidence(seed, transitions):
    curve = np.random.default_rng(seed).standard_normal(transitions).cumsum()
    assert by_spread(curve)[[0, -1]].tolist() == [0, 0]


@pytest.mark.parametrize("names", [("cka", "attn"), ("cka", "probe", "mine")])
def test_the_papers_rule_on_other_signals_than_the_papers_says_so(names):
    decision = decide(planted(32, (9, 20), names=names), PAPER)
    assert decision.accepted
    assert decision.status == "ok"
    assert "the paper states its rule for" in decision.findings[-1].sentence


def test_the_papers_rule_on_its_own_signals_and_weights_has_nothing_to_say():
    curves = planted(32, (9, 20))
    assert decide(curves, PAPER).findings == ()
    assert len(decide(replace(curves, weights=np.ones(3)), PAPER).findings) == 1


@pytest.mark.parametrize("rule", [PAPER, MSPGT], ids=lambda r: r.name)
def test_one_signal_alone_is_never_accepted(rule):
    decision = decide(planted(names=("cka",)), rule)
    assert decision.case.boundaries == (5, 11)
    assert not decision.accepted
    assert any("one signal (cka)" in f.sentence for f in decision.findings)


def test_two_signals_are_accepted_where_there_are_blocks_enough():
    assert decide(planted(32, (11, 21), names=("cka", "attn")), MSPGT).accepted
    shallow = decide(planted(16, (5, 11), names=("cka", "attn")), MSPGT)
    assert shallow.status == "not_above_null"
    assert any("no p below 0.091 is possible" in f.sentence for f in shallow.findings)


def test_each_boundary_needs_two_signals_that_stand_out():
    curves = planted(24, (8, 16), names=("cka", "probe", "attn"))
    lonely = curves.point.copy()
    lonely[1:, 15] = 10
    decision = decide(replace(curves, point=lonely, replicates=np.repeat(lonely[:, None], 50, axis=1)), MSPGT)
    assert not decision.accepted


@pytest.mark.parametrize("rule", [PAPER, MSPGT], ids=lambda r: r.name)
def test_without_replicates_nothing_is_accepted(rule):
    decision = decide(replace(planted(), replicates=None), rule)
    assert decision.status == "unstable"
    assert not decision.accepted
    assert decision.low is None


def test_competing_peaks_are_named():
    curves = planted(at=(5, 11))
    shifted = curves.replicates.copy()
    shifted[:, :30, 10] = 10
    shifted[:, :30, 7] += 8
    shifted = replace(curves, replicates=shifted)
    ours, paper = decide(shifted, MSPGT), decide(shifted, PAPER)
    assert ours.case.support.upper.width == 3
    assert ours.status == "unstable"
    said = "the intermediate-global boundary has competing peaks: 15% of the replicates put it far from 11, at 8 (15%)."
    for decision in (ours, paper):
        assert said in [f.sentence for f in decision.findings]
    assert paper.accepted


def test_a_verdict_says_where_the_boundaries_are_and_how_sure_it_is():
    verdict = verdict_of(decide(planted(), MSPGT), dict(zip(NAMES, WEIGHTS, strict=True)))
    lower = verdict.local_intermediate
    assert (lower.layer, lower.relative, lower.ci, lower.ci_width, lower.hpd) == (5, 5 / 16, (5, 5), 0, (5,))
    assert lower.support == 1.0
    assert verdict.layers == (5, 11)
    assert list(verdict.places) == ["local-intermediate", "intermediate-global"]
    assert verdict.evidence.transition.tolist() == list(range(1, 16))
    assert len(verdict.evidence.low) == len(verdict.resampled.inclusion) == 15


@pytest.mark.parametrize("status", ["one_peak", "no_peak", "too_shallow"])
def test_two_boundaries_are_never_forced(status):
    rule, curves = status_cases()[status]
    verdict = verdict_of(decide(curves, rule), {})
    assert verdict.local_intermediate is None
    assert verdict.intermediate_global is None
    assert verdict.layers is None
    assert not verdict.accepted
    assert len(verdict.peaks) == {"one_peak": 1, "no_peak": 0}.get(status, len(verdict.peaks))


@pytest.mark.parametrize(("names", "said"), [(("cka", "attn"), "No test can tell"), (("cka",), "One signal alone")])
def test_the_meaning_says_when_no_evidence_could_have_sufficed(names, said):
    rng = np.random.default_rng(0)
    point = 1 + 0.01 * rng.standard_normal((len(names), 23))
    point[:, [7, 15]] += 1
    replicates = point[:, None] + 0.001 * rng.standard_normal((len(names), 100, 23))
    decision = decide(Curves(names, np.ones(len(names)), point, replicates), MSPGT)
    assert decision.status == "not_above_null"
    assert meaning(decision).startswith(said)
