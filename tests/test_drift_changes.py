"""What changed between two evaluations: paired differences, and which moves of boundaries are called real."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mspgt.core.codec import dumps, plain, structure
from mspgt.stats.boundaries import MSPGT, PAPER
from mspgt.stats.boundaries.acceptance import pair
from mspgt.stats.boundaries.fusion import fuse
from mspgt.stats.boundaries.peaks import prominent_peaks, two_of_each
from mspgt.stats.boundaries.support import locate
from mspgt.stats.changes import Change, Move, Moves, Snapshot, change, integer_interval, shift

WEIGHTS = {"cka": 1.0, "probe": 0.8, "attn": 0.6}
PROMINENCE = 0.3
L = 24
RULES = {"mspgt": MSPGT, "paper": PAPER}
SIDES = ("local_intermediate", "intermediate_global")


def snapshot(step=0, *, curves=None, replicates=None, boundaries=(4, 9), pairs=None, rule="mspgt"):
    curves = {"cka": np.linspace(1, 2, 11)} if curves is None else curves
    drawn = {} if pairs is None else {rule: np.array(pairs, dtype=np.int64)}
    return Snapshot(step, curves, replicates or {}, {rule: boundaries}, drawn)


def moved(first, last, confidence=0.95):
    return shift(first, last, confidence).boundaries.intermediate_global


def pairs(upper, lower=4):
    upper = np.asarray(upper)
    return np.stack([np.where(upper > 0, lower, 0), upper], axis=1)


# -------------------------------------------------------------------------------------------- planted documents


def planted(rng, *evaluations, noise=1.0, documents=40, replicates=120, shared=0.7, rule="mspgt"):
    """Evaluations on the same documents, each with its own peaks {layer: height}.

    Every document has its own deviation at each transition; `shared` of its variance is the same in all evaluations.
    """
    procedure = RULES[rule]
    drawn = rng.multinomial(documents, np.full(documents, 1 / documents), size=replicates) / documents
    transition = np.arange(1, L)
    common = rng.standard_normal((len(WEIGHTS), documents, L - 1))
    found = []
    for step, peaks in enumerate(evaluations):
        own = rng.standard_normal(common.shape)
        shape = 0.3 + sum(height * np.exp(-0.5 * ((transition - at) / 0.8) ** 2) for at, height in peaks.items())
        of_document = shape + noise * (math.sqrt(shared) * common + math.sqrt(1 - shared) * own)
        point, resampled = of_document.mean(axis=1), np.einsum("rd,sdt->srt", drawn, of_document)
        weights = np.array(list(WEIGHTS.values()))
        evidence = fuse(point, weights, procedure.normalisation)
        layers = two_of_each(fuse(resampled, weights, procedure.normalisation), PROMINENCE)
        found.append(
            Snapshot(
                step,
                dict(zip(WEIGHTS, point, strict=True)),
                dict(zip(WEIGHTS, resampled, strict=True)),
                {rule: pair(tuple(prominent_peaks(evidence, PROMINENCE)))},
                {rule: layers * (layers[:, :1] > 0)},
            )
        )
    return found


def share_real(first, last, *, runs=150, seed=0, rule="mspgt", **options):
    """Boundary -> share of the runs in which its move is called real, and in which the point estimate moved at all."""
    rng = np.random.default_rng(seed)
    found = [shift(*planted(rng, first, last, rule=rule, **options), 0.95).by(rule) for _ in range(runs)]
    moves = {side: [getattr(f, side) for f in found] for side in SIDES}
    real = {side: np.mean([bool(move and move.real) for move in moves[side]]) for side in SIDES}
    any_move = {side: np.mean([bool(move and move.moved) for move in moves[side]]) for side in SIDES}
    return real, any_move


SLACK = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)

STILL = {
    "between two transitions": ({6.5: 1, 16.5: 1}, {6.5: 1, 16.5: 1}),
    "two peaks tie": ({6: 1.2, 12: 0.8, 16: 0.8}, {6: 1.2, 12: 0.8, 16: 0.8}),
    "a leading peak is caught up": ({6: 1.2, 12: 0.4, 16: 0.8}, {6: 1.2, 12: 0.8, 16: 0.8}),
    "three equal peaks change their labels": ({6: 0.8, 11: 0.8, 16: 0.8}, {6: 0.8, 11: 0.8, 16: 0.8}),
}


@pytest.mark.parametrize("what", STILL)
def test_a_move_that_did_not_happen_is_rarely_called_real(what):
    real, moving = share_real(*STILL[what])
    assert max(moving.values()) > 0.15  # the point estimates do jump
    assert max(real.values()) < SLACK


def test_a_move_that_did_not_happen_is_rarely_called_real_by_the_papers_rule():
    real, moving = share_real(*STILL["a leading peak is caught up"], rule="paper")
    assert max(moving.values()) > 0.15
    assert max(real.values()) < SLACK


def test_a_dozen_documents_do_not_make_false_moves():
    real, moving = share_real(*STILL["a leading peak is caught up"], documents=12, noise=0.5)
    assert max(moving.values()) > 0.15
    assert max(real.values()) < SLACK


@pytest.mark.parametrize("rule", RULES)
def test_a_move_of_three_layers_is_found(rule):
    real, _ = share_real({6: 1, 16: 1}, {6: 1, 13: 1}, noise=0.5, runs=60, rule=rule)
    assert real["intermediate_global"] > 0.95
    assert real["local_intermediate"] < SLACK


def test_peaks_that_come_and_go_with_the_documents_are_not_called_moved():
    rng = np.random.default_rng(0)
    found = [moved(*planted(rng, {6: 0.4, 16: 0.4}, {6: 0.4, 13: 0.4}, noise=2.5)) for _ in range(30)]
    lacking = [move for move in found if move and move.share < 0.95]
    assert len(lacking) > 5
    assert not any(move.real for move in lacking)


def test_pairing_narrows_the_intervals():
    rng = np.random.default_rng(1)
    tie = {6: 1.2, 12: 0.8, 16: 0.8}  # which of the two leads depends on the documents, and on little else
    first, last = planted(rng, tie, tie, shared=0.999, replicates=400)
    shuffle = rng.permutation(400)
    unpaired = replace(
        last,
        replicates={name: values[shuffle] for name, values in last.replicates.items()},
        pairs={rule: values[shuffle] for rule, values in last.pairs.items()},
    )
    paired, loose = (change(first, after, 0.95) for after in (last, unpaired))
    for name in WEIGHTS:
        tight, wide = (f.signals[name].high - f.signals[name].low for f in (paired, loose))
        assert np.all(tight < 0.1 * wide)
    tight, wide = (found.boundaries.intermediate_global for found in (paired, loose))
    assert (tight.low, tight.high) == (0, 0)
    assert (wide.low, wide.high) == (-4, 4)


def test_intervals_of_signals_cover_the_planted_change():
    rng = np.random.default_rng(2)
    truth = 0.2 * np.exp(-0.5 * ((np.arange(1, L) - 16) / 0.8) ** 2)
    covered = []
    for _ in range(60):
        first, last = planted(rng, {6: 1, 16: 1}, {6: 1, 16: 1.2}, documents=60, replicates=300)
        found = change(first, last, 0.95).signals["cka"]
        covered.append((found.low <= truth) & (truth <= found.high))
    assert 0.91 < np.mean(covered) < 0.98


# ------------------------------------------------------------------------------------------------------ signals


def test_signals_are_compared_replicate_by_replicate():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 200, 5))
    first = snapshot(10, curves={"cka": a[0]}, replicates={"cka": a})
    last = snapshot(30, curves={"cka": b[0]}, replicates={"cka": b})
    found = change(first, last, 0.9)
    assert (found.start, found.stop) == (10, 30)
    difference = found.signals["cka"]
    assert difference.transition.tolist() == [1, 2, 3, 4, 5]
    assert difference.value.tolist() == (b[0] - a[0]).tolist()
    for t in range(5):
        ordered = sorted(b[r, t] - a[r, t] for r in range(200))
        for end, at in (("low", 0.05 * 199), ("high", 0.95 * 199)):
            below = ordered[int(at)]
            expected = below + (at - int(at)) * (ordered[int(at) + 1] - below)
            assert getattr(difference, end)[t] == pytest.approx(expected, abs=1e-12)


def test_what_only_one_evaluation_has_is_left_out():
    curve = np.ones(11)
    first = snapshot(curves={"cka": curve, "probe": curve})
    last = snapshot(curves={"attn": curve, "cka": curve})
    assert list(change(first, last, 0.95).signals) == ["cka"]


def test_signals_without_replicates_have_a_difference_and_no_interval():
    first, last = snapshot(curves={"cka": np.zeros(3)}), snapshot(curves={"cka": np.ones(3)})
    expected = {"transition": [1, 2, 3], "difference": [1.0] * 3, "low": [None] * 3, "high": [None] * 3}
    assert plain(change(first, last, 0.95).signals["cka"]) == expected
    half = snapshot(curves={"cka": np.ones(3)}, replicates={"cka": np.ones((50, 3))})
    assert plain(change(first, half, 0.95).signals["cka"]) == expected


@pytest.mark.filterwarnings("error")
def test_undefined_values_are_null():
    curve = np.array([1.0, math.nan, math.inf, 2.0])
    drawn = np.tile(curve, (50, 1))
    holed = drawn.copy()
    holed[7, 3] = math.nan
    first = snapshot(curves={"cka": curve}, replicates={"cka": drawn})
    last = snapshot(curves={"cka": curve}, replicates={"cka": holed})
    found = change(first, last, 0.95).signals["cka"]
    assert plain(found.value) == [0.0, None, None, 0.0]
    assert plain(found.low) == plain(found.high) == [0.0, None, None, None]


@given(arrays.arrays(np.float64, (41, 6), elements=st.floats(-1e300, 1e300)), st.integers(0, 40))
@settings(deadline=None)
def test_the_same_evaluation_twice_changed_by_exactly_nothing(drawn, row):
    one = snapshot(0, curves={"cka": drawn[row]}, replicates={"cka": drawn}, pairs=pairs(np.full(41, 9)))
    two = snapshot(1, curves={"cka": drawn[row].copy()}, replicates={"cka": drawn.copy()}, pairs=pairs(np.full(41, 9)))
    found = change(one, two, 0.95)
    difference = found.signals["cka"]
    assert difference.value.tolist() == difference.low.tolist() == difference.high.tolist() == [0.0] * 6
    still = Move(0, 0, 0, real=False, share=1.0)
    assert found.boundaries == Moves(still, still)


# ----------------------------------------------------------------------------------------------------- intervals


def brute_force(values, confidence):
    """The k-th smallest and the k-th largest, k the least number that is at least the tail's share of all."""
    k = next(k for k in range(1, len(values) + 1) if k >= (1 - confidence) / 2 * len(values))
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]


integers = st.lists(st.integers(-20, 20), min_size=1, max_size=200)
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(integers, levels)
@settings(deadline=None)
def test_the_interval_is_the_brute_force_one_and_its_mirror_image_with_signs_turned(values, confidence):
    low, high = integer_interval(np.array(values), confidence)
    assert (low, high) == brute_force(values, confidence)
    assert integer_interval(-np.array(values), confidence) == (-high, -low)
    assert sum(v < low for v in values) <= (1 - confidence) / 2 * len(values)


@given(integers, levels)
@settings(deadline=None)
def test_counted_values_give_the_interval_of_the_values(values, confidence):
    distinct, counts = np.unique(values, return_counts=True)
    expected = integer_interval(np.array(values), confidence)
    assert integer_interval(distinct, confidence, counts) == expected


@pytest.mark.parametrize("size", [200, 400, 999, 1000])
def test_the_interval_is_that_of_a_boundary_in_a_verdict(size):
    layers = np.random.default_rng(size).integers(1, 30, size)
    place = locate(layers, 0.95)
    assert integer_interval(layers, 0.95) == (place.low, place.high)


# --------------------------------------------------------------------------------------------------------- moves


def test_moves_are_paired_replicate_by_replicate():
    rng = np.random.default_rng(4)
    before, after = rng.integers(8, 12, 300), rng.integers(10, 16, 300)
    before[:5] = 0
    after[3:9] = 0
    move = moved(snapshot(boundaries=(4, 9), pairs=pairs(before)), snapshot(1, boundaries=(4, 12), pairs=pairs(after)))
    differences = [b - a for a, b in zip(before.tolist(), after.tolist(), strict=True) if a > 0 and b > 0]
    low, high = brute_force(differences, 0.95)
    assert move == Move(3, low, high, low > 0, 291 / 300)


def test_going_back_turns_the_sign():
    rng = np.random.default_rng(5)
    first, last = planted(rng, {6: 1, 16: 1}, {6: 1, 13: 1})
    there, back = moved(first, last), moved(last, first)
    assert back == replace(there, moved=-there.moved, low=-there.high, high=-there.low)
    assert there.real


def test_replicates_with_two_peaks_must_be_nearly_all():
    first = snapshot(boundaries=(4, 9), pairs=pairs(np.full(100, 9)))

    def after(lacking):
        return snapshot(1, boundaries=(4, 12), pairs=pairs(np.r_[np.zeros(lacking), np.full(100 - lacking, 12)]))

    assert moved(first, after(5)) == Move(3, 3, 3, real=True, share=0.95)
    assert moved(first, after(6)) == Move(3, 3, 3, real=False, share=0.94)
    assert moved(first, after(100)) == Move(3, None, None, real=False, share=0.0)


@pytest.mark.parametrize(("replicates", "real"), [(39, False), (40, True)])
def test_an_interval_needs_replicates_beyond_its_ends(replicates, real):
    first = snapshot(boundaries=(4, 9), pairs=pairs(np.full(replicates, 9)))
    last = snapshot(1, boundaries=(4, 12), pairs=pairs(np.full(replicates, 12)))
    assert moved(first, last).real is real


@pytest.mark.parametrize(("at", "real"), [(8, False), (9, False), (10, True), (12, True)])
def test_the_point_estimate_must_have_moved_to_the_side_of_the_interval(at, real):
    first = snapshot(boundaries=(4, 9), pairs=pairs(np.full(100, 9)))
    last = snapshot(1, boundaries=(4, at), pairs=pairs(np.full(100, 12)))
    move = moved(first, last)
    assert (move.moved, move.low, move.real) == (at - 9, 3, real)
    assert moved(last, first).real is real


def test_another_set_of_signals_makes_no_real_move():
    curve = np.ones(11)
    first = snapshot(curves={"cka": curve, "attn": curve}, boundaries=(4, 9), pairs=pairs(np.full(100, 9)))
    last = snapshot(curves={"cka": curve}, boundaries=(4, 12), pairs=pairs(np.full(100, 12)))
    move = moved(first, last)
    assert (move.low, move.high, move.real) == (3, 3, False)


def test_without_replicates_a_move_has_no_interval():
    move = moved(snapshot(boundaries=(4, 9)), snapshot(1, boundaries=(5, 12)))
    assert move == Move(3, None, None, real=False, share=None)


def test_without_two_peaks_there_is_no_move():
    first, last = snapshot(boundaries=None, pairs=pairs(np.zeros(50))), snapshot(1, pairs=pairs(np.full(50, 9)))
    assert plain(shift(first, last, 0.95)) == {
        **{"from": 0, "to": 1},
        **{key: dict.fromkeys(SIDES) for key in ("boundaries", "paper")},
    }


def test_each_rule_has_moves_of_its_own():
    first, last = ({"mspgt": (4, 9), "paper": (3, 9)}, {"mspgt": (4, 9), "paper": (3, 12)})
    found = shift(
        *(replace(snapshot(step), boundaries=given) for step, given in enumerate((first, last))), confidence=0.95
    )
    assert [found.by(rule).intermediate_global.moved for rule in RULES] == [0, 3]


def test_changes_are_json_that_reads_back():
    first, last = planted(np.random.default_rng(6), {6: 1, 16: 1}, {6: 1, 13: 1})
    found = change(first, last, 0.95)
    block = json.loads(dumps(plain(found)))
    assert block.keys() == {"from", "to", "signals", "boundaries", "paper"}
    assert block["signals"]["cka"].keys() == {"transition", "difference", "low", "high"}
    assert block["boundaries"]["local_intermediate"].keys() == {"moved", "low", "high", "real", "share"}
    again = structure(block, Change, "changes")
    assert plain(again) == block
    assert again.boundaries.known["intermediate-global"].moved == -3
    assert again.boundaries.intermediate_global.real
    assert list(again.signals) == list(WEIGHTS)
