"""HSIC estimators against enumeration, published formulas and known answers; and against known public bugs."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mspgt.plugins.signals.cka.centred import CentredRows
from mspgt.plugins.signals.cka.from_rows import estimate, layer_matrix
from mspgt.plugins.signals.cka.hsic import cka, hsic_debiased, linear_gram
from mspgt.plugins.signals.cka.hsic_units import distinct_tuples
from mspgt.plugins.signals.cka.products import products_by_features, products_by_samples
from mspgt.plugins.signals.cka.triples import AffinityTriples, FeatureTriples, StoredTriples, choose

CPU = torch.device("cpu")


def two_layers(n=9, d=3, seed=0, mix=0.6):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    y = mix * x + torch.randn(n, d, generator=g)
    return torch.stack([x, y], dim=1)  # (row, layer, dim)


def hsic_biased(k, other):
    """The V-statistic tr(K H L H) / n^2 (Kornblith et al. 2019): (row, row) twice -> ()."""
    k, other = (gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean() for gram in (k, other))
    return (k * other).sum() / len(k) ** 2


def sums_of(hidden, unit, distinct=True):
    unit = torch.as_tensor(unit)
    return estimate(CentredRows.of(hidden, unit, int(unit.max()) + 1, CPU, False), distinct).sums


def enumerated(k, other, unit, weight):
    """The weighted U-statistic over rows of distinct units, term by term: (1,2)(1,2) + (1,2)(3,4) - 2 (1,2)(1,3)."""
    n = len(unit)
    sums, masses = np.zeros(3), np.zeros(3)
    for rows in ((i, j, q, r) for i in range(n) for j in range(n) for q in range(n) for r in range(n)):
        w = np.cumprod([weight[unit[t]] for t in rows])
        units = [unit[t] for t in rows]
        i, j, q, r = rows
        if q == r == 0 and len(set(units[:2])) == 2:
            sums[0] += w[1] * k[i, j] * other[i, j]
            masses[0] += w[1]
        if r == 0 and len(set(units[:3])) == 3:
            sums[1] += w[2] * k[i, j] * other[i, q]
            masses[1] += w[2]
        if len(set(units)) == 4:
            sums[2] += w[3] * k[i, j] * other[q, r]
            masses[2] += w[3]
    pair, triple, quadruple = sums / masses
    return pair + quadruple - 2 * triple


UNITS = [0, 0, 1, 1, 1, 2, 3, 3, 4]


def test_song_equals_enumeration_of_distinct_rows():
    hidden = two_layers(n=7)
    k, other = linear_gram(hidden[:, 0]), linear_gram(hidden[:, 1])
    expected = enumerated(k.numpy(), other.numpy(), range(7), np.ones(7))
    assert float(hsic_debiased(k, other)) == pytest.approx(expected, rel=1e-12)


def test_song_needs_four_rows():
    k = linear_gram(torch.randn(3, 2))
    assert hsic_debiased(k, k).isnan()


def test_biased_equals_the_trace_formula_and_the_feature_space_formula():
    hidden = two_layers(n=11).double()
    x, y = hidden[:, 0], hidden[:, 1]
    h = torch.eye(11, dtype=torch.float64) - 1 / 11
    trace = torch.trace(x @ x.T @ h @ y @ y.T @ h) / 11**2
    features = ((x - x.mean(0)).T @ (y - y.mean(0))).square().sum() / 11**2
    found = hsic_biased(linear_gram(x), linear_gram(y))
    torch.testing.assert_close(found, trace, rtol=1e-12, atol=0)
    torch.testing.assert_close(found, features, rtol=1e-12, atol=0)


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda w: sum(v > 0 for v in w) >= 4))
def test_cluster_debiased_equals_enumeration_of_distinct_documents_for_any_weights(weight):
    hidden = two_layers()
    found = sums_of(hidden, UNITS).hsic(torch.tensor([weight], dtype=torch.float64))[0]
    k, other = (linear_gram(hidden[:, layer]).numpy() for layer in (0, 1))
    expected = [enumerated(a, b, UNITS, weight) for a, b in ((k, k), (other, other), (k, other))]
    assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_cluster_debiased_of_single_row_documents_is_song():
    hidden = two_layers(n=40, d=5)
    found = sums_of(hidden, torch.arange(40)).hsic(torch.ones(1, 40))[0, 2]
    expected = hsic_debiased(linear_gram(hidden[:, 0]), linear_gram(hidden[:, 1]))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_the_point_values_of_one_pass_equal_the_definitions():
    hidden, unit = two_layers(n=60, d=4), torch.arange(60) // 6
    found = estimate(CentredRows.of(hidden, unit, 10, CPU, False), distinct=True)
    k, other = linear_gram(hidden[:, 0]), linear_gram(hidden[:, 1])
    for hsic, name in ((hsic_debiased, "row_debiased"), (hsic_biased, "biased")):
        expected = cka(hsic(k, other), hsic(k, k), hsic(other, other))
        assert float(found.series[name]) == pytest.approx(float(expected), rel=1e-5)
    weighted = found.sums.cka(torch.ones(1, 10))[0]
    torch.testing.assert_close(found.series["debiased"], weighted, rtol=1e-5, atol=1e-6)
    matrix = layer_matrix(CentredRows.of(hidden, unit, 10, CPU, False))
    torch.testing.assert_close(matrix.diagonal(1), weighted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(matrix, matrix.mT)
    torch.testing.assert_close(matrix.diagonal(), torch.ones(2, dtype=torch.float64))


def test_tiles_do_not_matter_and_both_spaces_give_the_same_products(monkeypatch):
    hidden, unit = two_layers(n=100, d=4), torch.arange(100) * 7 // 100
    rows = CentredRows.of(hidden, unit, 7, CPU, False)
    whole = products_by_samples(rows)
    x, y = (hidden[:, k].double() - hidden[:, k].double().mean(0) for k in (0, 1))
    member = torch.nn.functional.one_hot(unit).double()
    torch.testing.assert_close(whole[2], member.T @ ((x @ x.T) * (y @ y.T)) @ member, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(products_by_features(rows), whole, rtol=1e-5, atol=1e-4)
    monkeypatch.setattr("mspgt.plugins.signals.cka.centred.TILE", 13)
    torch.testing.assert_close(products_by_samples(rows), whole, rtol=1e-5, atol=1e-4)


def test_rows_need_not_arrive_sorted_by_document():
    hidden, unit = two_layers(n=50), torch.arange(50) // 10
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([[1.0, 2, 1, 0, 3]])
    torch.testing.assert_close(
        sums_of(hidden[order], unit[order]).hsic(weights), sums_of(hidden, unit).hsic(weights), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("distinct", [True, False])
def test_weight_zero_equals_absence(distinct):
    hidden, unit = two_layers(n=30), torch.arange(30) // 5
    without = sums_of(hidden[unit < 5], unit[unit < 5], distinct).cka(torch.ones(1, 5))
    weighted = sums_of(hidden, unit, distinct).cka(torch.tensor([[1.0, 1, 1, 1, 1, 0]]))
    torch.testing.assert_close(weighted, without, rtol=1e-5, atol=1e-6)


def test_weight_two_is_not_the_document_written_twice():
    hidden, unit = two_layers(n=24, d=20, mix=0.3), torch.arange(24) // 4
    weighted = sums_of(hidden, unit).cka(torch.tensor([[2.0, 1, 1, 1, 1, 1]]))
    again = unit == 0
    twice = sums_of(torch.cat([hidden, hidden[again]]), torch.cat([unit, torch.full((4,), 6)])).cka(torch.ones(1, 7))
    assert abs(float(weighted - twice)) > 0.02  # the copy meets its original: similarity of a row with itself


def test_biased_weights_equal_the_resampled_corpus_written_out():
    hidden, unit = two_layers(n=30), torch.arange(30) // 5
    weights = torch.tensor([[2, 0, 1, 3, 0, 1]])
    rows = torch.arange(30).repeat_interleave(weights[0][unit])
    k, other = linear_gram(hidden[rows, 0]), linear_gram(hidden[rows, 1])
    expected = [hsic_biased(a, b) for a, b in ((k, k), (other, other), (k, other))]
    found = sums_of(hidden, unit, distinct=False).hsic(weights)[0]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-6)


def rows_of(units: int, dim: int, each: int = 8) -> CentredRows:
    hidden = torch.randn(units * each, 3, dim, generator=torch.Generator().manual_seed(0))
    return CentredRows.of(hidden, torch.arange(units * each) // each, units, torch.device("cpu"), zscore=False)


@pytest.mark.parametrize("distinct", [True, False])
def test_every_way_to_sum_triples_agrees_with_the_definition(distinct):
    rows = rows_of(units=5, dim=6)
    hidden = torch.stack([rows.layer(k, slice(0, 40)) for k in range(3)]).double()  # (layer, row, dim)
    sums = torch.stack([hidden[:, rows.unit == u].sum(1) for u in range(5)], dim=1)
    affinity = hidden @ sums.mT
    if distinct:
        affinity[:, torch.arange(40), rows.unit] = 0
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    reach = affinity @ weights.T  # (layer, row, replicate)
    of_row = weights.T[rows.unit]
    both = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2))
    expected = torch.stack([(of_row * reach[a] * reach[b]).sum(0) for a, b in both], dim=1)
    for way in (StoredTriples(rows.unit, 3, 5), AffinityTriples(rows, 3), FeatureTriples(rows, sums, distinct)):
        for tile in (slice(0, 13), slice(13, 40)):
            way.add(tile, affinity[:, tile])
        torch.testing.assert_close(way(weights), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("units", "dim", "each", "way"),
    [(4, 3, 8, StoredTriples), (10, 16, 2, AffinityTriples), (10, 4, 2, FeatureTriples)],
)
def test_the_way_follows_from_the_shape(units, dim, each, way):
    rows = rows_of(units, dim, each)
    assert type(choose(rows, torch.zeros(3, units, dim), True)) is way


def test_replicates_are_evaluated_in_parts(monkeypatch):
    sums = sums_of(two_layers(n=30), torch.arange(30) // 5)
    weights = torch.randint(0, 4, (7, 6), generator=torch.Generator().manual_seed(0)) + 1.0
    whole = sums.cka(weights)
    monkeypatch.setattr("mspgt.plugins.signals.cka.hsic_units.REPLICATES", 2)
    torch.testing.assert_close(sums.cka(weights), whole)
    assert sums.cka(weights[:0]).shape == (0, 1)


def test_distinct_tuples_equal_their_enumeration():
    mass = [1.0, 2.0, 0.0, 3.0, 5.0]
    expected = [sum(np.prod(p) for p in permutations(mass, k)) for k in (2, 3, 4)]
    found = distinct_tuples(torch.tensor([mass], dtype=torch.float64))
    assert [float(v) for v in found] == pytest.approx(expected)


def test_fewer_than_four_weighted_documents_have_no_value():
    sums = sums_of(two_layers(n=30), torch.arange(30) // 5)
    found = sums.cka(torch.tensor([[1.0, 1, 1, 0, 0, 0], [1.0, 1, 1, 1, 0, 0]]))
    assert found.isnan().flatten().tolist() == [True, False]


def test_independent_rows_biased_is_d_over_n_plus_d_and_debiased_is_zero():
    g = torch.Generator().manual_seed(0)
    n, d = 400, 600
    k, other = (linear_gram(torch.randn(n, d, generator=g)) for _ in range(2))
    biased = cka(hsic_biased(k, other), hsic_biased(k, k), hsic_biased(other, other))
    debiased = cka(hsic_debiased(k, other), hsic_debiased(k, k), hsic_debiased(other, other))
    assert float(biased) == pytest.approx(d / (n + d), abs=0.01)
    assert float(debiased) == pytest.approx(0, abs=0.01)


def test_song_on_resampled_rows_brings_the_bias_back_and_weights_do_not():
    g = torch.Generator().manual_seed(0)
    n, d = 200, 1000
    hidden = torch.randn(n, 2, d, generator=g)
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.multinomial(n, [1 / n] * n, size=40)).double()
    ours = sums_of(hidden, torch.arange(n)).cka(weights)
    song = []
    for weight in weights[:5]:
        rows = torch.arange(n).repeat_interleave(weight.long())
        k, other = linear_gram(hidden[rows, 0]), linear_gram(hidden[rows, 1])
        song.append(cka(hsic_debiased(k, other), hsic_debiased(k, k), hsic_debiased(other, other)))
    assert float(ours.mean()) == pytest.approx(0, abs=0.02)
    assert float(torch.stack(song).mean()) == pytest.approx(d / (n + d), abs=0.02)


def test_cka_does_not_change_with_rotation_scale_or_shift():
    g = torch.Generator().manual_seed(0)
    hidden, unit = two_layers(n=60, d=8), torch.arange(60) // 6
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=g))[0]
    moved = hidden.clone()
    moved[:, 1] = 7 * hidden[:, 1] @ rotation + 5
    weights = torch.randint(0, 3, (5, 10), generator=g).double()
    torch.testing.assert_close(
        sums_of(moved, unit).cka(weights), sums_of(hidden, unit).cka(weights), rtol=1e-4, atol=1e-5
    )


def test_a_self_similarity_that_is_not_positive_has_no_cka():
    values = cka(torch.tensor([1.0, 1.0, 1.0]), torch.tensor([0.0, -1.0, 4.0]), torch.tensor([1.0, -1.0, 1.0]))
    assert values.isnan().tolist() == [True, True, False]
    assert float(values[2]) == 0.5


# ------------------------------------------------------------------------ public bugs that ours must not have


@pytest.fixture
def grams():
    hidden = two_layers(n=12, d=30, mix=0.3)
    return linear_gram(hidden[:, 0]), linear_gram(hidden[:, 1])


def song_as_written(k, other):
    """The formula without removal of the diagonals."""
    n = len(k)
    total = (k * other).sum() + k.sum() * other.sum() / ((n - 1) * (n - 2)) - 2 * (k @ other).sum() / (n - 2)
    return float(total / (n * (n - 3)))


def test_the_diagonal_is_zeroed_and_not_subtracted_as_a_row(grams):
    k, other = grams
    wrong = song_as_written(k - torch.diag(k), other - torch.diag(other))  # broadcasts over rows
    right = song_as_written(k - torch.diag(torch.diag(k)), other - torch.diag(torch.diag(other)))
    ours = float(hsic_debiased(k, other))
    assert ours == pytest.approx(right, rel=1e-12)
    assert abs(ours - wrong) > 0.1 * abs(ours)


def test_the_gram_matrix_without_diagonal_is_not_centred_before_the_unbiased_formula(grams):
    k, other = grams
    h = torch.eye(12, dtype=torch.float64) - 1 / 12
    wrong = song_as_written(h @ (k - torch.diag(torch.diag(k))) @ h, h @ (other - torch.diag(torch.diag(other))) @ h)
    ours = float(hsic_debiased(k, other))
    assert abs(ours - wrong) > 0.02 * abs(ours)
    assert float(hsic_debiased(h @ k @ h, h @ other @ h)) == pytest.approx(ours, rel=1e-9)  # a shift of rows


def test_the_denominator_has_its_square_root(grams):
    k, other = grams
    xy, xx, yy = hsic_debiased(k, other), hsic_debiased(k, k), hsic_debiased(other, other)
    assert float(cka(xx, xx, xx)) == pytest.approx(1.0)
    assert float(cka(xy, xx, yy)) != pytest.approx(float(xy / (xx * yy)), rel=0.1)
