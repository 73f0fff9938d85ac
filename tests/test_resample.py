"""Units, weights, chunks and intervals of the document bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mspgt.contracts.signal import Signal
from mspgt.core.errors import PluginError
from mspgt.core.key import Key
from mspgt.core.state import Units
from mspgt.stats import bootstrap as resample


def units_of(documents: int) -> Units:
    return Units.of([Key("c", f"document {i}", 0) for i in range(documents)])


class Mean(Signal):
    """The weighted mean of prepared values, as a curve of as many transitions as values have columns."""

    def curve(self, prepared, weights, rng):
        self.largest = max(getattr(self, "largest", 0), len(weights))
        return weights @ prepared / weights.sum(1, keepdim=True)


@settings(max_examples=25, deadline=None)
@given(documents=st.integers(1, 40), replicates=st.integers(0, 30), seed=st.integers(0, 2**31))
def test_each_replicate_draws_as_many_documents_as_there_are(documents, replicates, seed):
    weights = resample.multinomial_weights(units_of(documents), replicates, seed, "c")
    assert weights.shape == (replicates, documents)
    assert weights.dtype == torch.float64
    assert (weights.sum(1) == documents).all()
    assert (weights == weights.round()).all()
    assert (weights >= 0).all()


def test_weights_depend_on_seed_and_corpus_and_nothing_else():
    units = units_of(20)
    first = resample.multinomial_weights(units, 50, 3, "text")
    assert torch.equal(first, resample.multinomial_weights(units_of(20), 50, 3, "text"))
    assert not torch.equal(first, resample.multinomial_weights(units, 50, 4, "text"))
    assert not torch.equal(first, resample.multinomial_weights(units, 50, 3, "labels"))


def test_weights_have_the_moments_of_a_multinomial():
    documents = 30
    weights = resample.multinomial_weights(units_of(documents), 20_000, 0, "c")
    assert weights.mean(0).numpy() == pytest.approx(np.ones(documents), abs=0.04)
    assert weights.var(0).mean().item() == pytest.approx(1 - 1 / documents, abs=0.01)
    covariance = np.cov(weights.numpy().T)
    off = covariance[~np.eye(documents, dtype=bool)]
    assert off.mean() == pytest.approx(-1 / documents, abs=0.002)


def test_groups_without_documents_are_never_drawn():
    units = units_of(600)
    assert units.count == 512
    occupied = sorted(set(units.of_document.values()))
    assert len(occupied) < 512
    weights = resample.multinomial_weights(units, 20, 0, "c")
    empty = torch.ones(512, dtype=torch.bool)
    empty[occupied] = False
    assert weights[:, empty].sum() == 0
    assert (weights.sum(1) == len(occupied)).all()


def test_chunks_bound_the_replicates_and_do_not_change_the_curves():
    values = torch.randn(12, 4, dtype=torch.float64)
    weights = resample.multinomial_weights(units_of(12), 2 * resample.CHUNK + 7, 0, "c")
    signal = Mean()
    curves = resample.evaluate_curves(signal, values, weights, None, 4)
    assert signal.largest == resample.CHUNK
    expected = weights @ values / weights.sum(1, keepdim=True)
    np.testing.assert_allclose(curves, expected.numpy(), rtol=1e-12)


def test_a_curve_of_the_wrong_shape_is_the_plugins_fault():
    with pytest.raises(PluginError, match=r"Mean.curve must return .*\(1, 7\).*returned \(1, 4\)"):
        resample.evaluate_curves(Mean(), torch.ones(3, 4).double(), torch.ones(1, 3).double(), None, 7)


def test_percentile_interval_of_known_values():
    replicates = np.arange(1001, dtype=float)[:, None] * np.array([1.0, -2.0])
    low, high = resample.percentile_interval(replicates, 0.95)
    np.testing.assert_allclose(low, [25, -1950])
    np.testing.assert_allclose(high, [975, -50])


def test_an_undefined_replicate_leaves_no_interval():
    replicates = np.random.default_rng(0).standard_normal((100, 2))
    replicates[3, 1] = np.nan
    low, high = resample.percentile_interval(replicates, 0.9)
    assert np.isfinite([low[0], high[0]]).all()
    assert np.isnan([low[1], high[1]]).all()


def test_intervals_over_documents_cover_the_truth_about_as_often_as_they_say():
    # 40 documents of 10 correlated rows: the document bootstrap of the mean is close to its nominal 90 %.
    rng = np.random.default_rng(0)
    units, covered, runs = units_of(40), 0, 300
    weights = resample.multinomial_weights(units, 400, 0, "c")
    for _ in range(runs):
        means = 0.6 * rng.standard_normal(40) + rng.standard_normal((40, 10)).mean(1)
        curves = resample.evaluate_curves(Mean(), torch.from_numpy(means)[:, None], weights, None, 1)
        low, high = resample.percentile_interval(curves, 0.90)
        covered += bool(low[0] <= 0 <= high[0])
    assert 0.84 <= covered / runs <= 0.94
