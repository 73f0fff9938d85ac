"""The test by circular shifts: exact p-values, and acceptance of noise and of planted boundaries."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mspgt.stats.boundaries import MSPGT, PAPER
from mspgt.stats.boundaries import null as null_test
from mspgt.stats.boundaries.null import GUARD, best_pair, coincidence

WEIGHTS = np.array([1.0, 0.8, 0.6])


def load_benchmark():
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "null_rates.py"
    spec = importlib.util.spec_from_file_location("null_rates", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["null_rates"] = module
    spec.loader.exec_module(module)
    return module


null_rates = load_benchmark()


def brute_force(normalised, weights, boundaries):
    """Every arrangement by np.roll, every pair of transitions by hand."""
    inner = normalised[:, GUARD : normalised.shape[1] - GUARD]
    length = inner.shape[1]
    observed = min(sum(w * s[b - 1 - GUARD] for w, s in zip(weights, inner, strict=True)) for b in boundaries)
    at_least = total = 0
    for shifts in itertools.product(range(length), repeat=len(inner) - 1):
        moved = [inner[0], *(np.roll(s, k) for s, k in zip(inner[1:], shifts, strict=True))]
        evidence = sum(w * s for w, s in zip(weights, moved, strict=True))
        pairs = [min(evidence[a], evidence[b]) for a in range(length) for b in range(a + 2, length)]
        at_least += max(pairs) >= observed - 1e-12
        total += 1
    return at_least / total


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), transitions=st.integers(8, 12), signals=st.integers(2, 3))
def test_p_is_the_exact_share_of_all_arrangements(seed, transitions, signals):
    rng = np.random.default_rng(seed)
    normalised = rng.random((signals, transitions))
    lower = int(rng.integers(GUARD + 1, transitions - GUARD - 1))
    upper = int(rng.integers(lower + 2, transitions - GUARD + 1)) if lower + 2 <= transitions - GUARD else lower
    found = coincidence(normalised, WEIGHTS[:signals], (lower, upper))
    assert found.p == pytest.approx(brute_force(normalised, WEIGHTS[:signals], (lower, upper)))
    assert found.arrangements == (transitions - 2 * GUARD) ** (signals - 1)


def test_the_best_pair_is_two_apart():
    assert best_pair(np.array([5.0, 4.0, 1.0, 3.0])) == 3.0
    assert best_pair(np.array([[1.0, 9.0, 9.0, 2.0, 0.0]])) == pytest.approx([2.0])


def test_coinciding_bumps_give_the_smallest_p():
    normalised = np.zeros((3, 15))
    normalised[:, [4, 10]] = 1.0
    found = coincidence(normalised, WEIGHTS, (5, 11))
    assert found.p == found.smallest == 1 / 11**2


def test_one_coincidence_does_not_carry_two_boundaries():
    normalised = np.zeros((3, 23))
    normalised[:, 7] = 1.0
    normalised[0, 15] = normalised[1, 18] = normalised[2, 12] = 1.0
    assert coincidence(normalised, WEIGHTS, (8, 16)).p > 0.05


def test_boundaries_in_the_guard_are_not_supported():
    normalised = np.random.default_rng(0).random((3, 23))
    for boundaries in ((2, 10), (10, 22), (1, 23)):
        assert coincidence(normalised, WEIGHTS, boundaries).p == 1
    assert coincidence(normalised, WEIGHTS, (3, 21)).p <= 1


def test_flat_signals_coincide_everywhere_and_so_prove_nothing():
    assert coincidence(np.zeros((3, 23)), WEIGHTS, (8, 16)).p == 1


def test_one_signal_cannot_be_tested():
    assert coincidence(np.ones((1, 23)), WEIGHTS[:1], (8, 16)) is None


def test_too_many_arrangements_are_drawn_and_the_p_value_agrees(monkeypatch):
    rng = np.random.default_rng(5)
    normalised = rng.random((3, 31))
    normalised[:, [9, 20]] += 0.35
    exact = coincidence(normalised, WEIGHTS, (10, 21))
    monkeypatch.setattr(null_test, "EXHAUSTIVE", 400)
    drawn = coincidence(normalised, WEIGHTS, (10, 21), seed=1)
    assert drawn.arrangements == 400
    assert drawn.p == coincidence(normalised, WEIGHTS, (10, 21), seed=1).p
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p * (1 - exact.p) / 400) + 1 / 401)


def test_p_values_of_unrelated_signals_are_not_too_small():
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(400):
        z = rng.exponential(size=(3, 23))
        evidence = (WEIGHTS @ z)[GUARD:-GUARD]
        lower = int(evidence[:-2].argmax())
        upper = lower + 2 + int(evidence[lower + 2 :].argmax())
        ps.append(coincidence(z, WEIGHTS, (lower + 1 + GUARD, upper + 1 + GUARD)).p)
    for level in (0.05, 0.1, 0.2):
        assert np.mean(np.array(ps) <= level) <= level + 2 * np.sqrt(level * (1 - level) / 400)


@pytest.mark.parametrize("n_layers", [12, 24, 32])
@pytest.mark.parametrize("resampled", [False, True], ids=["noise of the layers", "noise of the documents"])
def test_at_most_five_percent_of_noise_is_accepted(n_layers, resampled):
    kinds = [kind for kind in null_rates.NOISE if kind is not null_rates.one_boundary]
    rng = np.random.default_rng([7, n_layers])
    sets = (null_rates.curve_set(kinds[i % len(kinds)], n_layers, resampled, rng, 20) for i in range(200))
    share = null_rates.accepted(sets, (MSPGT,))["mspgt"]
    assert share <= 0.05


def test_one_real_boundary_is_not_turned_into_two():
    rng = np.random.default_rng(3)
    sets = (null_rates.curve_set(null_rates.one_boundary, 24, False, rng, 20) for _ in range(60))
    assert null_rates.accepted(sets, (MSPGT,))["mspgt"] <= 0.05


def test_the_papers_rule_accepts_most_stable_noise():
    rng = np.random.default_rng(3)
    sets = (null_rates.curve_set(null_rates.white, 24, False, rng, 20) for _ in range(40))
    assert null_rates.accepted(sets, (PAPER,))["paper"] > 0.5


@pytest.mark.parametrize("n_layers", [12, 24, 32])
def test_strong_boundaries_are_accepted_and_found(n_layers):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        decision = null_rates.decide(null_rates.curve_set(null_rates.planted(6), n_layers, False, rng, 20), MSPGT)
        found.append(decision.accepted and decision.case.boundaries == null_rates.planted_layers(n_layers))
    assert np.mean(found) >= 0.9
