"""Counter-based noise: the hash against plain integers, the distributions, and that only the keys decide."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mspgt.core import random as noise

WORD = 2**64


def splitmix(state):
    """SplitMix64 after Steele, Lea & Flood 2014: the state's next output, in plain integers."""
    z = (state + 0x9E3779B97F4A7C15) % WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WORD
    return z ^ z >> 31


def key(shared, sample, counter):
    """The state that belongs to (sample, counter)."""
    state = 0
    for number in shared:
        state = splitmix(state ^ number % WORD)
    return splitmix(((sample * 2**32 + counter) ^ state) - 0x9E3779B97F4A7C15)


def words(state, count):
    return [splitmix(state + i * 0x9E3779B97F4A7C15) for i in range(count)]


def normal_by_hand(seed, sample, layer, position, dim):
    drawn = words(key((1, seed, layer), sample, position), (dim + 1) // 2)
    radius = [math.sqrt(-2 * math.log((w % 2**32 + 0.5) / 2**32)) for w in drawn]
    angle = [(w // 2**32 - (2**32 if w >= 2**63 else 0)) / 2**31 * math.pi for w in drawn]
    pairs = list(zip(radius, angle, strict=True))
    return ([r * math.cos(a) for r, a in pairs] + [r * math.sin(a) for r, a in pairs])[:dim]


def gumbel_by_hand(seed, sample, step, vocabulary):
    drawn = words(key((2, seed), sample, step), (vocabulary + 1) // 2)
    uniform = [(b + 0.5) / 2**32 for b in [w % 2**32 for w in drawn] + [w // 2**32 for w in drawn]]
    return [-math.log(-math.log1p(-u)) for u in uniform][:vocabulary]


def rows(*numbers):
    return torch.tensor(numbers)


def places(n_rows, n_tokens, start=0):
    return torch.arange(start, start + n_tokens).expand(n_rows, -1)


# ---------------------------------------------------------------------------------------------------- definition


def test_the_hash_starts_with_the_published_outputs_of_splitmix64():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]  # of 1234567
    assert words(1234567, 4) == published
    (_, drawn), *_ = noise._words(torch.tensor([1234567]), 4)
    assert [w % WORD for w in drawn[0].tolist()] == published


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(-(2**70), 2**70),
    sample=st.integers(0, 2**31 - 1),
    layer=st.integers(0, 200),
    position=st.integers(0, 2**31 - 1),
    n=st.integers(1, 2**31 - 1),
)
def test_values_are_those_of_plain_integers(seed, sample, layer, position, n):
    state = noise._keys(noise._fold(1, seed, layer), rows(sample)[:, None], rows(position)[None])
    assert state.item() % WORD == key((1, seed, layer), sample, position)
    assert noise.integers(seed, rows(sample), rows(position)[None], n).item() == (
        (key((3, seed), sample, position) >> 33) * n >> 31
    )
    drawn = noise.gaussian(seed, rows(sample), layer, rows(position)[None], 5)
    np.testing.assert_allclose(drawn[0, 0], normal_by_hand(seed, sample, layer, position, 5), atol=2e-5)
    drawn = noise.gumbel(seed, rows(sample), position, 5)
    np.testing.assert_allclose(drawn[0], gumbel_by_hand(seed, sample, position, 5), rtol=1e-4, atol=1e-5)


def test_extreme_words_give_finite_values(monkeypatch):
    edges = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, WORD - 2**32, WORD - 1]
    signed = torch.tensor([[w - WORD if w >= 2**63 else w for w in edges]])
    monkeypatch.setattr(noise, "_words", lambda keys, count: [(slice(0, 1), signed.clone())])
    normal = noise.gaussian(0, rows(0), 1, rows(0)[None], 16)
    assert torch.isfinite(normal).all()
    assert normal.abs().max() == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)
    extreme = noise.gumbel(0, rows(0), 0, 16)
    assert extreme.max() == pytest.approx(33 * math.log(2), rel=1e-6)
    assert extreme.min() == pytest.approx(-math.log(24 * math.log(2)), rel=1e-6)


# ------------------------------------------------------------------------------------------------- distribution


def test_gaussian_noise_is_standard_normal():
    drawn = noise.gaussian(3, torch.arange(50), 4, places(50, 40), 101).double().flatten().numpy()
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    error = 1 / math.sqrt(len(drawn))
    assert abs(drawn.mean()) < 4 * error
    assert abs(drawn.var() - 1) < 4 * math.sqrt(2) * error
    assert abs(stats.skew(drawn)) < 4 * math.sqrt(6) * error
    assert abs(stats.kurtosis(drawn)) < 4 * math.sqrt(24) * error
    assert abs((np.abs(drawn) > 4).mean() / (2 * stats.norm.sf(4)) - 1) < 4 / math.sqrt(
        len(drawn) * 2 * stats.norm.sf(4)
    )


def test_each_dimension_is_standard_normal():
    drawn = noise.gaussian(4, torch.arange(100), 1, places(100, 100), 5).double().flatten(0, 1).numpy()
    assert all(stats.kstest(drawn[:, d], "norm").pvalue > 1e-3 for d in range(5))


def test_gumbel_noise_is_standard_gumbel():
    drawn = noise.gumbel(5, torch.arange(40), 7, 5001).double().flatten().numpy()
    assert stats.kstest(drawn, "gumbel_r").pvalue > 1e-3
    assert drawn.mean() == pytest.approx(np.euler_gamma, abs=4 * math.pi / math.sqrt(6 * len(drawn)))
    assert drawn.var() == pytest.approx(math.pi**2 / 6, rel=4 * math.sqrt(4.4 / len(drawn)))


def test_gumbel_noise_draws_from_the_softmax():
    probabilities = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    drawn = (torch.from_numpy(probabilities).log() + noise.gumbel(6, torch.arange(40000), 0, 5)).argmax(1)
    assert stats.chisquare(drawn.bincount(minlength=5).numpy(), probabilities * 40000).pvalue > 1e-3


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_integers_are_uniform(n):
    drawn = noise.integers(7, torch.arange(200), places(200, 300), n).flatten()
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < n
    assert n == 1 or stats.chisquare(drawn.bincount(minlength=n).numpy()).pvalue > 1e-3


# ------------------------------------------------------------------------------------------------- independence


def correlation(one, other):
    """Of two noises of the same shape, in standard errors."""
    one, other = one.double().flatten(), other.double().flatten()
    return abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) * math.sqrt(len(one))


def distinct(one, other):
    """No correlation of values, of squares, or of value and square."""
    tried = ((one, other), (one**2, other**2), (one**2, other), (one, other**2))
    assert all(correlation(a, b) < 4.5 for a, b in tried)
    assert (one == other).double().mean() < 1e-4


def test_neighbouring_keys_give_unrelated_noise():
    def drawn(seed=0, sample=0, layer=0, position=0):
        return noise.gaussian(seed, sample + torch.arange(40), layer, places(40, 30, position), 64)

    base = drawn()
    for shift in (1, 2, 40, 64):
        for name in ("seed", "sample", "layer", "position"):
            distinct(base, drawn(**{name: shift}))
    for shift in (1, 2, 31, 32, 33):
        distinct(base[..., shift:], base[..., :-shift])


def test_keys_are_not_exchangeable():
    same = torch.arange(50)
    drawn = noise.gaussian(0, same, 1, same.expand(50, -1), 1)[..., 0]
    above = torch.ones(50, 50).triu(1).bool()
    distinct(drawn[above], drawn.T[above])
    distinct(noise.gaussian(1, same, 2, places(50, 50), 8), noise.gaussian(2, same, 1, places(50, 50), 8))


def test_neighbouring_gumbels_are_unrelated():
    def drawn(seed=0, sample=0, step=0):
        return noise.gumbel(seed, sample + torch.arange(60), step, 1000)

    base = drawn()
    for name in ("seed", "sample", "step"):
        distinct(base, drawn(**{name: 1}))
    for shift in (1, 499, 500, 501):
        distinct(base[:, shift:], base[:, :-shift])


def test_streams_are_unrelated():
    samples = torch.arange(2000)
    normal = torch.special.ndtr(noise.gaussian(0, samples, 0, places(2000, 1), 64)[:, 0])
    other = (-(-noise.gumbel(0, samples, 0, 64)).exp()).exp()
    distinct(normal, other)
    index = noise.integers(0, samples, places(2000, 1), 10**6)
    distinct(index.expand(-1, 64) / 1e6, normal)


def test_many_keys_never_meet():
    one = noise._keys(noise._fold(1, 0, 1), torch.arange(300)[:, None], places(300, 300))
    two = noise._keys(noise._fold(1, 0, 2), torch.arange(300)[:, None], places(300, 300))
    assert len(torch.cat([one, two]).unique()) == 2 * 300 * 300


# ------------------------------------------------------------------------------------------------------- layout


@settings(max_examples=40, deadline=None)
@given(data=st.data(), dim=st.integers(1, 40), chunk=st.integers(1, 200))
def test_the_layout_does_not_matter(data, dim, chunk):
    samples = torch.tensor(data.draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    positions = torch.randint(-1, 500, (len(samples), data.draw(st.integers(1, 9))), generator=generator)
    whole = noise.gaussian(9, samples, 2, positions, dim)
    counts = noise.integers(9, samples, positions, 77)
    logits = noise.gumbel(9, samples, 3, dim)
    order = torch.tensor(data.draw(st.permutations(range(len(samples)))))
    cut = data.draw(st.integers(0, positions.shape[1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noise, "_CACHED_WORDS", chunk)
        parts = [
            noise.gaussian(9, samples[order], 2, part, dim)
            for part in positions[order].split([cut, positions.shape[1] - cut], 1)
        ]
        assert torch.equal(torch.cat(parts, 1), whole[order])
        assert torch.equal(noise.gumbel(9, samples[order], 3, dim), logits[order])
    for i, sample in enumerate(samples):
        for t, position in enumerate(positions[i]):
            assert torch.equal(noise.gaussian(9, sample[None], 2, position[None, None], dim)[0, 0], whole[i, t])
            assert noise.integers(9, sample[None], position[None, None], 77) == counts[i, t]
        assert torch.equal(noise.gumbel(9, sample[None], 3, dim)[0], logits[i])


def test_steps_can_differ_between_rows():
    samples, steps = torch.arange(6), torch.tensor([0, 5, 2, 2, 9, 0])
    together = noise.gumbel(1, samples, steps, 33)
    assert all(torch.equal(together[i], noise.gumbel(1, samples[i : i + 1], int(steps[i]), 33)[0]) for i in range(6))


def test_wide_rows_are_made_in_chunks(monkeypatch):
    whole = noise.gumbel(1, torch.arange(3), 0, 1001)
    monkeypatch.setattr(noise, "_CACHED_WORDS", 10)
    assert torch.equal(noise.gumbel(1, torch.arange(3), 0, 1001), whole)


def test_torch_randomness_and_the_arguments_are_left_alone():
    samples, positions = torch.arange(3), places(3, 4).clone()
    before = torch.get_rng_state(), samples.clone(), positions.clone()
    noise.gaussian(0, samples, 1, positions, 6)
    noise.gumbel(0, samples, samples, 6)
    noise.integers(0, samples, positions, 6)
    assert all(torch.equal(a, b) for a, b in zip(before, (torch.get_rng_state(), samples, positions), strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_does_not_matter():
    samples, positions = torch.arange(20), places(20, 30)
    there = positions.cuda()
    assert torch.equal(noise.integers(1, samples, there, 999).cpu(), noise.integers(1, samples, positions, 999))
    state = noise._keys(noise._fold(1, 1, 1), samples[:, None], there)
    assert torch.equal(state.cpu(), noise._keys(noise._fold(1, 1, 1), samples[:, None], positions))
    near = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(
        noise.gaussian(1, samples, 1, there, 97).cpu(), noise.gaussian(1, samples, 1, positions, 97), **near
    )
    torch.testing.assert_close(noise.gumbel(1, samples.cuda(), 2, 97).cpu(), noise.gumbel(1, samples, 2, 97), **near)
