"""Perplexity and divergence: what is made of the scores that come with a text."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torchmetrics.text import Perplexity as Independent

from mspgt.contracts.metric import Generated
from mspgt.plugins.metrics.divergence import Divergence
from mspgt.plugins.metrics.perplexity import Perplexity
from mspgt.testing.metrics import MetricConformance


def scored(*scores):
    return [Generated(i, "prompt", "text", s) for i, s in enumerate(scores)]


class TestPerplexityLaws(MetricConformance):
    metric = Perplexity


class TestDivergenceLaws(MetricConformance):
    metric = Divergence


@pytest.mark.parametrize("seed", range(3))
def test_perplexity_is_that_of_torchmetrics_on_the_same_logits(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 12, 40, generator=generator, dtype=torch.float64) * 3
    tokens = torch.randint(0, 40, (5, 12), generator=generator)
    nll = -logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0].mean(1)
    texts = scored(*({"nll": float(x)} for x in nll))
    metric = Perplexity()
    one_by_one = [Independent()(logits[i : i + 1], tokens[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(metric.measure(texts), np.log(one_by_one), rtol=1e-6)
    np.testing.assert_allclose(metric.companions(texts)["perplexity"], Independent()(logits, tokens), rtol=1e-6)


def test_a_uniform_model_is_as_perplexed_as_its_vocabulary_is_large():
    texts = scored({"nll": np.log(50257)})
    assert Perplexity().measure(texts) == pytest.approx([np.log(50257)])
    assert Perplexity().companions(texts) == {"perplexity": pytest.approx(50257)}


def test_one_text_does_not_rule_the_mean():
    calm, wild = scored(*[{"nll": 3.0}] * 100), scored(*[{"nll": 3.0}] * 99, {"nll": 16.0})
    metric = Perplexity()
    assert metric.measure(wild).mean() / metric.measure(calm).mean() < 1.05
    assert metric.companions(wild)["perplexity"] == pytest.approx(np.exp(3.13))


def test_without_a_likelihood_there_is_no_value_and_the_mean_is_that_of_the_others():
    texts = scored({"nll": 1.0}, {}, {"nll": 3.0}, {"kl": 2.0}, {"nll": np.nan}, {"nll": np.inf})
    values = Perplexity().measure(texts)
    np.testing.assert_array_equal(np.isnan(values), [False, True, False, True, True, True])
    assert Perplexity().companions(texts) == {"perplexity": pytest.approx(np.exp(2.0))}
    assert Perplexity().companions(texts[1:2]) == {}


def test_a_perplexity_beyond_a_float_is_left_out():
    texts = scored({"nll": 800.0})
    np.testing.assert_array_equal(Perplexity().measure(texts), [800.0])
    assert Perplexity().companions(texts) == {}


def test_divergence_is_the_score_in_nats():
    p, q = np.random.default_rng(0).dirichlet(np.ones(20), 2)
    texts = scored({"kl": float(entropy(p, q))}, {"nll": 1.0}, {"kl": 0.0}, {"kl": np.inf})
    expected = [np.sum(p * np.log(p / q)), np.nan, 0.0, np.nan]
    np.testing.assert_allclose(Divergence().measure(texts), expected, rtol=1e-12)
    assert Divergence().companions(texts) == {}
