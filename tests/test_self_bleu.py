"""Self-BLEU is nltk's, bit for bit; changing sides is measuring anew; what can never count is left out."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, closest_ref_length, sentence_bleu

from mspgt.contracts.metric import Generated
from mspgt.plugins.metrics import ngrams
from mspgt.plugins.metrics.bleu import closest_lengths, score, scores
from mspgt.plugins.metrics.self_bleu import SelfBLEU, Swaps, self_bleu
from mspgt.plugins.metrics.texts import tokens

METHOD1 = SmoothingFunction().method1
QUIET = settings(max_examples=150, deadline=None, derandomize=True)

few = st.sampled_from(["a", "b"])
some = st.sampled_from(["the", "a", "river", ".", "Łucja", "東京", "don't", "The", "\ud800"])
text = st.lists(few, max_size=12) | st.lists(some, max_size=25) | st.just([]) | st.just(["a"] * 20)
corpus = st.lists(text, min_size=2, max_size=7)


def by_nltk(texts, order):
    """Each text against all others."""
    weights = (1 / order,) * order
    rest = [texts[:i] + texts[i + 1 :] for i in range(len(texts))]
    return [float(sentence_bleu(r, t, weights, METHOD1)) for r, t in zip(rest, texts, strict=True)]


def generated(texts):
    return [Generated(i, "", text) for i, text in enumerate(texts)]


def random_corpus(rng, samples, length, vocabulary=2000):
    weights = 1 / np.arange(1, vocabulary + 1)
    ids = rng.choice(vocabulary, (samples, length), p=weights / weights.sum())
    return [[f"w{i}" for i in row[: rng.integers(length // 2, length + 1)]] for row in ids]


@QUIET
@given(corpus, st.integers(1, 5))
@example([["a", "b", "c", "d", "e"]] * 3, 4)
@example([[], []], 4)
@example([["a"], ["a"]], 4)
@example([["a"], ["b"], []], 2)
@example([["a", "a", "a"], ["a"], ["a", "a"]], 3)
def test_every_score_is_that_of_nltk_to_the_last_bit(texts, order):
    assert self_bleu(texts, order).tolist() == by_nltk(texts, order)


@pytest.mark.parametrize("vocabulary", [5, 60, 2000])
def test_long_texts_too(vocabulary):
    texts = random_corpus(np.random.default_rng(vocabulary), 24, 80, vocabulary)
    assert self_bleu(texts).tolist() == by_nltk(texts, 4)


def test_values_worked_out_by_hand():
    # Unigrams 3/4 (c is clipped from 2 to 1), bigrams 2/3 (b c, a b), trigrams 1/2; as long as its reference.
    first = ["a", "b", "c", "c"]
    value = self_bleu([first, ["a", "b", "c", "d"]], 3)[0]
    assert value == pytest.approx((3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    # Shorter than its reference of 4, and than the order: 2/2, 1/1, 0.1/1 for both longer orders.
    short = self_bleu([["a", "b"], ["a", "b", "c", "d"]])[0]
    assert short == pytest.approx(math.exp(1 - 4 / 2) * 0.01 ** (1 / 4))


def test_the_metric_reads_tokens_with_case_and_punctuation():
    texts = ["The river rose.", "the river rose!", "A don't-care text, in Łódź."]
    values = SelfBLEU().measure(generated(texts))
    assert values.tolist() == by_nltk([tokens(t) for t in texts], 4)
    assert SelfBLEU(order=2).measure(generated(texts)).tolist() == by_nltk([tokens(t) for t in texts], 2)


def test_one_text_has_no_score():
    assert np.isnan(SelfBLEU().measure(generated(["alone"]))).all()
    assert SelfBLEU().measure([]).shape == (0,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(SelfBLEU().swapped(generated(["a b"]), generated(["a b"]))(np.array([True]))).all()
        assert np.isnan(SelfBLEU().swapped([], [])(np.array([], dtype=bool))).all()
    assert SelfBLEU().companions(generated(["alone"])) == {}


def test_texts_that_share_nothing_score_zero_and_copies_one():
    assert self_bleu([["a"] * 5, ["b"] * 5, []]).tolist() == [0, 0, 0]
    assert self_bleu([["a", "b", "c", "d", "e"]] * 4).tolist() == [1, 1, 1, 1]


def test_diversity_is_the_mean_of_one_minus_the_score():
    texts = generated(["a b c d", "a b c e", "x"])
    expected = np.mean([1 - v for v in by_nltk([t.text.split() for t in texts], 4)])
    assert SelfBLEU().companions(texts)["diversity"] == pytest.approx(expected)


@QUIET
@given(st.lists(st.integers(0, 12), min_size=2, max_size=8))
@example([5, 3, 7])
@example([0, 0])
@example([0, 9])
def test_the_closest_other_length_is_that_of_nltk(lengths):
    others = [[[""] * n for n in lengths[:i] + lengths[i + 1 :]] for i in range(len(lengths))]
    expected = [closest_ref_length(rest, own) for rest, own in zip(others, lengths, strict=True)]
    assert closest_lengths(np.array(lengths)).tolist() == expected


@QUIET
@given(corpus, st.integers(1, 5), st.data())
def test_changing_sides_is_measuring_anew(texts, order, data):
    other = data.draw(st.lists(text, min_size=len(texts), max_size=len(texts)))
    swaps = Swaps(texts, other, order)
    for _ in range(3):
        swap = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))))
        first = [b if s else a for a, b, s in zip(texts, other, swap, strict=True)]
        second = [a if s else b for a, b, s in zip(texts, other, swap, strict=True)]
        expected = [np.mean(by_nltk(side, order)) for side in (first, second)]
        np.testing.assert_allclose(swaps(swap), expected, rtol=1e-12, atol=1e-15)


def test_changing_sides_is_measuring_anew_in_a_larger_corpus():
    rng = np.random.default_rng(0)
    one, other = random_corpus(rng, 150, 60, 300), random_corpus(rng, 150, 60, 30)
    swaps = Swaps(one, other)
    for swap in rng.random((5, 150)) < 0.5:
        sides = [[(a, b)[s] for a, b, s in zip(one, other, side, strict=True)] for side in (1 * swap, 1 - swap)]
        np.testing.assert_allclose(swaps(swap), [self_bleu(side).mean() for side in sides], rtol=1e-12)


def test_the_formula_for_arrays_is_the_one_for_a_text():
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 30, 200)
    matches = rng.integers(0, np.maximum(1, lengths[:, None] - np.arange(4) + 1))
    closest = closest_lengths(lengths).tolist()
    expected = list(map(score, matches.tolist(), lengths.tolist(), closest))
    np.testing.assert_allclose(scores(matches, lengths), expected, rtol=1e-13)


def test_items_under_one_prompt_alone_are_left_out():
    pairs = [["only", "here"], ["only", "here"], ["common"], ["else"], [], ["common"]]
    (items,) = ngrams.common_items(ngrams.Tokens.of(pairs), 1, group=2)
    assert items.text.tolist() == [2, 5]
    (items,) = ngrams.common_items(ngrams.Tokens.of(pairs), 1)
    assert sorted(items.text.tolist()) == [0, 0, 1, 1, 2, 5]


def test_the_order_of_keys_is_stable_however_large_they_are():
    key = np.random.default_rng(0).integers(0, 50, 1000)
    expected = sorted(range(1000), key=lambda i: key[i])
    assert ngrams._order(key, 1000).tolist() == expected
    assert ngrams._order(key, 2**21).tolist() == expected
