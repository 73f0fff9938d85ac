"""Tokens, words and sentences; variance of lengths, type-token ratio and repetition against brute force."""

import re
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.util import ngrams

from mspgt.contracts.metric import Generated
from mspgt.core.errors import UserError
from mspgt.plugins.metrics.length_variance import LengthVariance
from mspgt.plugins.metrics.repetition import Repetition
from mspgt.plugins.metrics.texts import is_cut, sentences, tokens, without_fragment, words
from mspgt.plugins.metrics.ttr import TypeTokenRatio, mattr

QUIET = settings(max_examples=100, deadline=None, derandomize=True)


def generated(*texts):
    return [Generated(i, "", text) for i, text in enumerate(texts)]


def value(metric, text):
    return metric.measure(generated(text))[0]


def of_words(count):
    """A sentence of so many words."""
    return " ".join(["Word", *["word"] * (count - 1)]) + "."


# ---------------------------------------------------------------------------------------------------- texts


def test_tokens_are_words_and_single_marks():
    assert tokens('Don\'t stop — it’s a well-known "fact"...') == (
        ["Don't", "stop", "—", "it’s", "a", "well-known", '"', "fact", '"', ".", ".", "."]
    )
    assert tokens("rock'n'roll 1990–95 x_1 -y'") == ["rock'n'roll", "1990", "–", "95", "x_1", "-", "y", "'"]


@QUIET
@given(st.text(st.sampled_from("aÉß1_ '’-–.,!\n東") | st.characters(), max_size=60))
def test_words_are_the_tokens_that_begin_with_a_word_character(text):
    assert words(text) == [token.lower() for token in tokens(text) if re.match(r"\w", token)]
    assert "".join(tokens(text)) == re.sub(r"\s", "", text)


@QUIET
@given(st.text(st.characters() | st.sampled_from(". !?\n\ud800\x00A\xa0\u3000"), max_size=80))
@example("A\xa0. 東B\u3000.")  # the splitter panics at it
def test_sentences_hold_all_words_of_any_text(text):
    found = sentences(text)
    assert all(words(sentence) for sentence in found)
    assert [w for sentence in found for w in words(sentence)] == words(text)


def test_sentences_end_at_closing_punctuation_and_line_breaks():
    assert sentences("Dr. Smith left.  He came\tback! \n...\nA title\nThe end") == (
        ["Dr. Smith left.", "He came back!", "A title", "The end"]
    )


@QUIET
@given(st.text(st.sampled_from("aA .!?\n'-") | st.characters(), max_size=60), st.data())
def test_sentences_of_a_text_are_those_of_the_whole_that_hold_its_words(whole, data):
    at = data.draw(st.integers(0, len(whole)))
    prompt, text = whole[:at], whole[at:]
    found, every = sentences(text, prompt), sentences(whole)
    assert found == every[len(every) - len(found) :]
    if words(text):
        # Those left out hold words of the prompt alone, and the first that is left in has the text's first word.
        left_out = every[: len(every) - len(found)]
        assert sum(map(len, map(words, left_out))) <= len(words(prompt))
        assert sum(len(words(sentence)) for sentence in found) >= len(words(text)) - 1
        assert sum(len(words(sentence)) for sentence in found[1:]) < len(words(text)) + 1
    else:
        assert found == []


def test_the_first_sentence_of_a_text_has_its_part_of_the_prompt():
    assert sentences("er rose. It fell.", "Rain came. The riv") == ["The river rose.", "It fell."]
    assert sentences(" It fell.", "Rain came. The river rose.") == ["It fell."]
    assert sentences(". It fell", "The river rose") == ["It fell"]
    assert sentences("\nIt fell.", "The river") == ["It fell."]
    assert sentences("...", "The river") == []


@pytest.mark.parametrize(
    "text",
    [
        "The end.",
        "Is it?",
        'He said: "No!"',
        "Gone (at last.) ",
        "So…",
        "終わり。",
        'He went today. It slept. "',
        "It slept. “",
        "It slept. (",
        "It slept. — ",
        "It slept! -- [",
    ],
)
def test_a_closed_sentence_is_not_cut(text):
    assert not is_cut(sentences(text)[-1])


@pytest.mark.parametrize(
    "text", ["The", "It was. But then", 'He said: "No', "One,", "(It ended.) And", "It ended. And —", "It ended. (And"]
)
def test_an_open_sentence_is_cut(text):
    assert is_cut(sentences(text)[-1])


def test_a_fragment_is_left_out_while_it_is_short():
    assert without_fragment(["It rained.", "And then the"], 3) == ["It rained."]
    assert without_fragment(["It rained.", "And then the"], 2) == ["It rained.", "And then the"]
    assert without_fragment(["It rained.", "And then."], 3) == ["It rained.", "And then."]
    assert without_fragment([], 3) == []


# ---------------------------------------------------------------------------------------------------- length_variance


@QUIET
@given(st.lists(st.integers(1, 30), min_size=2, max_size=8))
def test_variance_is_that_of_the_sentence_lengths(lengths):
    text = " ".join(map(of_words, lengths))
    assert value(LengthVariance(), text) == pytest.approx(statistics.variance(lengths))


def test_a_cut_sentence_is_left_out_unless_kept():
    text = f"{of_words(3)} {of_words(7)} And then the"
    assert value(LengthVariance(), text) == statistics.variance([3, 7])
    assert value(LengthVariance(cut="keep"), text) == pytest.approx(statistics.variance([3, 7, 3]))
    assert np.isnan(value(LengthVariance(), "It rained. And then the"))
    assert value(LengthVariance(cut="keep"), "It rained. And then the") == 0.5


def test_a_sentence_that_never_ends_counts_with_the_length_it_got():
    run_on = of_words(61)[:-1]
    assert value(LengthVariance(), f"{of_words(3)} {run_on}") == statistics.variance([3, 61])
    assert np.isnan(value(LengthVariance(run_on=61), f"{of_words(3)} {run_on}"))
    assert value(LengthVariance(run_on=5), f"{of_words(3)} And so it went on and") == statistics.variance([3, 6])


def test_a_finished_sentence_before_a_lone_quote_counts():
    assert value(LengthVariance(), 'He went home today. It slept. "') == statistics.variance([4, 2])


@pytest.mark.parametrize("cut", range(len("The river rose in the")))
def test_where_the_prompt_ends_in_a_sentence_does_not_matter(cut):
    prompt, text = "The river rose in the", " night. Nobody in the village slept. Dogs barked and"
    whole = prompt + text
    given = [Generated(0, "Long ago. " + whole[:cut], whole[cut:])]
    assert LengthVariance().measure(given)[0] == statistics.variance([6, 5])
    assert LengthVariance().companions(given)["corpus_variance"] == statistics.variance([6, 5])


def test_no_two_sentences_no_variance():
    assert np.isnan(LengthVariance().measure(generated("", "One.", "One two three", "...! ?"))).all()


def test_companions_of_length_variance():
    texts = generated(
        f"{of_words(4)} {of_words(6)}",
        f"{of_words(2)} {of_words(10)} {of_words(12)}",
        of_words(5),
        of_words(61)[:-1],  # a run-on that the limit cut
        f"{of_words(60)} {of_words(60)}",
        "",
    )
    found = LengthVariance().companions(texts)
    variances = [2, statistics.variance([2, 10, 12]), 0]
    assert found["median"] == 2 == statistics.median(variances)
    assert found["corpus_variance"] == pytest.approx(statistics.variance([4, 6, 2, 10, 12, 5, 61, 60, 60]))
    assert found["run_on_share"] == 1 / 5
    assert found["single_sentence_share"] == 2 / 5
    assert LengthVariance(run_on=59).companions(texts)["run_on_share"] == 2 / 5
    assert LengthVariance().companions(generated("", "")) == {}
    assert LengthVariance().companions(generated("One two")) == {"run_on_share": 0, "single_sentence_share": 1}


# ---------------------------------------------------------------------------------------------------- ttr


@QUIET
@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 15))
def test_mattr_is_the_mean_over_all_windows(text, window):
    windows = [text[i : i + window] for i in range(len(text) - window + 1)]
    found = mattr(text, window)
    if windows:
        assert found == pytest.approx(np.mean([len(set(w)) / window for w in windows]))
    else:
        assert np.isnan(found)


def test_ttr_counts_words_without_case_and_punctuation():
    assert value(TypeTokenRatio(), "The cat, the dog; THE end.") == 4 / 6
    assert np.isnan(TypeTokenRatio().measure(generated("", "...", " "))).all()


def test_mattr_of_a_text_shorter_than_its_window_is_undefined():
    text = "a b a c"
    metric = TypeTokenRatio(variant="mattr", window=3)
    assert value(metric, text) == pytest.approx((2 / 3 + 3 / 3) / 2)
    assert np.isnan(value(metric, "a b"))
    with pytest.raises(UserError, match="mattr"):
        TypeTokenRatio(variant="matr")


def test_ttr_falls_with_length_and_its_other_variants_do_not():
    rng = np.random.default_rng(0)
    draw = lambda n: " ".join(f"w{i}" for i in rng.zipf(1.3, n) % 3000)  # noqa: E731
    short, long = generated(*(draw(60) for _ in range(80))), generated(*(draw(400) for _ in range(80)))
    plain = TypeTokenRatio().measure
    assert plain(short).mean() - plain(long).mean() > 0.1
    one, other = (TypeTokenRatio().companions(texts) for texts in (short, long))
    for name in ("mattr", "ttr_first_n"):
        assert abs(one[name] - other[name]) < 0.03
    assert (one["words"], other["words"]) == (60, 400)


def test_companions_of_ttr():
    nine, ten, twelve = "a " * 9, "a b c d e f g h i i", "a a a a a a a a a b c d"
    found = TypeTokenRatio(window=10, first=10).companions(generated(nine, ten, twelve, ""))
    assert found["ttr_first_n"] == pytest.approx((9 / 10 + 2 / 10) / 2)
    assert found["share_first_n"] == 2 / 4
    assert found["words"] == (9 + 10 + 12) / 4
    assert found["mattr"] == pytest.approx((9 / 10 + np.mean([2, 3, 4]) / 10) / 2)
    assert found["plain"] == pytest.approx((1 / 9 + 9 / 10 + 4 / 12) / 3)
    assert TypeTokenRatio().companions(generated("", "...")) == {"words": 0, "share_first_n": 0}
    assert TypeTokenRatio().companions(generated("a b")) == {"words": 2, "plain": 1, "share_first_n": 0}
    assert TypeTokenRatio().companions([]) == {}


def test_the_first_words_are_as_many_in_every_condition():
    fifty, more = "a b " * 25, "a b " * 25 + "c " * 50
    assert TypeTokenRatio().companions(generated(fifty, "a"))["ttr_first_n"] == 2 / 50
    assert TypeTokenRatio().companions(generated(more, more))["ttr_first_n"] == 2 / 50


# ---------------------------------------------------------------------------------------------------- repetition


@QUIET
@given(st.lists(st.sampled_from("aB."), max_size=30), st.integers(1, 6))
def test_repetition_is_the_share_of_ngrams_seen_before(text, n):
    found = value(Repetition(n=n), " ".join(text))
    counts = Counter(ngrams(text, n)) if len(text) >= n else Counter()
    if counts:
        assert found == pytest.approx(sum(c - 1 for c in counts.values()) / sum(counts.values()))
    else:
        assert np.isnan(found)


def test_companion_of_repetition():
    texts = generated("and the " * 20, "all words of this one differ", "three words only", "x y x y x y")
    assert Repetition().measure(texts)[3] == 1 / 3
    assert Repetition().companions(texts) == {"repetitive_share": 1 / 3}
    assert Repetition().companions(generated("")) == {}


@pytest.mark.parametrize("metric", [LengthVariance(), TypeTokenRatio(), Repetition()])
def test_a_lone_surrogate_is_read_as_any_other_character(metric):
    assert metric.measure(generated("Bad \ud800 text. And \udfff more of it. ", "\ud800")).shape == (2,)
