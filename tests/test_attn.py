"""Attention drift: the divergence itself against scipy and closed forms, then the signal on planted attention and
on the attention weights of a real architecture."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from mspgt import Layer, UserError
from mspgt.core.state import merge
from mspgt.models.blocks import find_blocks
from mspgt.models.capture import Capture
from mspgt.plugins.signals.attention.attention import AttentionDrift, _evenly_spaced
from mspgt.plugins.signals.attention.divergence import LEAST_MASS, AttentionRows, jensen_shannon
from mspgt.testing import (
    Planted,
    PlantedAttention,
    PlantedCorpus,
    PlantedMeasurement,
    measure,
    planted_corpus,
    random_attention,
)

FIRST = torch.zeros(1, dtype=torch.int64)


def rows(*probabilities):
    """One sequence of query rows."""
    return AttentionRows.of(torch.tensor([probabilities], dtype=torch.float32), FIRST)


def bits(p, q):
    """scipy's distance is the square root of the divergence."""
    return jensenshannon(np.asarray(p, float), np.asarray(q, float), base=2, axis=-1) ** 2


def without_sink(p):
    rest = np.asarray(p, float).copy()
    rest[..., 0] = 0
    return rest / rest.sum(-1, keepdims=True)


def with_attention(corpus, change):
    """The corpus with every sequence's attention (block, head, query, key) changed."""
    return PlantedCorpus(tuple(dataclasses.replace(s, attention=change(s.attention)) for s in corpus.sequences))


def curve(corpus, size=4, **options):
    return measure(AttentionDrift(**options), corpus.batches(size)).curve()


@pytest.fixture(scope="module")
def corpus():
    return planted_corpus(documents=4, blocks=4, heads=3)


# ------------------------------------------------------------------------------- the divergence


def test_a_point_mass_and_a_uniform_row_differ_by_the_analytic_value():
    point, uniform = [0, 1] + [0] * 6, [1 / 8] * 8
    expected = 0.5 * np.log2(2 / (9 / 8)) + 0.5 * (1 / 8 * np.log2(2 / 9) + 7 / 8)
    assert expected == pytest.approx(0.716917, abs=1e-6)
    assert float(jensen_shannon(rows(point), rows(uniform)).keep) == pytest.approx(expected, abs=1e-6)


def test_disjoint_rows_differ_by_one_bit():
    drift = jensen_shannon(rows([0, 0.5, 0.5, 0, 0]), rows([0, 0, 0, 0.3, 0.7]))
    assert float(drift.keep) == pytest.approx(1, abs=1e-6)
    assert float(drift.drop) == pytest.approx(1, abs=1e-6)


def test_equal_rows_do_not_differ():
    p = rows([0.9, 0.05, 0.05, 0], [0.1, 0.2, 0.3, 0.4])
    drift = jensen_shannon(p, p)
    assert float(drift.keep.max()) < 1e-6
    assert float(drift.drop.max()) < 1e-6


@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")  # scipy's, of a divergence that rounds below 0
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), keys=st.integers(2, 40), sharpness=st.floats(0.1, 12), closeness=st.floats(0, 1))
def test_rows_agree_with_scipy(seed, keys, sharpness, closeness):
    rng = np.random.default_rng(seed)
    p, other = random_attention(rng, 2, 3, keys, keys, sharpness=sharpness)
    q = closeness * p + (1 - closeness) * other
    drift = jensen_shannon(AttentionRows.of(p, torch.zeros(3).long()), AttentionRows.of(q, torch.zeros(3).long()))
    np.testing.assert_allclose(drift.keep, np.nan_to_num(bits(p, q)), atol=3e-6)
    left = (p[..., 1:].sum(-1) >= LEAST_MASS) & (q[..., 1:].sum(-1) >= LEAST_MASS)
    assert torch.equal(drift.valid, left)
    np.testing.assert_allclose(
        drift.drop[left], np.nan_to_num(bits(without_sink(p[left]), without_sink(q[left]))), atol=3e-6
    )
    assert float(drift.drop[~left].sum()) == 0


@pytest.mark.parametrize("sink", [0.5, 0.97, 0.998])
def test_a_shared_sink_scales_the_drift_down_and_dropping_it_undoes_that(sink):
    rng = np.random.default_rng(0)
    p, q = (torch.softmax(torch.from_numpy(rng.standard_normal((1, 5, 9))) * 3, -1).float() for _ in range(2))
    plain = torch.from_numpy(bits(p, q))

    def behind_a_sink(x):
        return AttentionRows.of(torch.cat([torch.full((1, 5, 1), sink), (1 - sink) * x], -1), FIRST)

    drift = jensen_shannon(behind_a_sink(p), behind_a_sink(q))
    np.testing.assert_allclose(drift.keep, (1 - sink) * plain, atol=1e-6)
    np.testing.assert_allclose(drift.drop, plain, rtol=2e-4)


def test_rows_that_look_at_nothing_but_the_sink_are_skipped_without_it():
    drift = jensen_shannon(rows([0.9995, 0.0005, 0]), rows([0.2, 0.3, 0.5]))
    assert not bool(drift.valid)
    assert float(drift.drop) == 0
    assert float(drift.keep) > 0


def test_small_drift_over_many_keys_is_not_lost_in_fp32():
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.standard_normal((1, 200, 512)))
    p, q = scores.softmax(-1), (scores + 0.01 * torch.from_numpy(rng.standard_normal(scores.shape))).softmax(-1)
    drift = jensen_shannon(AttentionRows.of(p.float(), FIRST), AttentionRows.of(q.float(), FIRST))
    expected = bits(p, q).mean()
    assert 1e-5 < expected < 1e-4
    assert float(drift.keep.mean()) == pytest.approx(expected, rel=0.02)


def test_the_rows_given_are_left_alone():
    attention = random_attention(np.random.default_rng(2), 1, 6, 6)
    before = attention.clone()
    jensen_shannon(AttentionRows.of(attention, FIRST), AttentionRows.of(attention, FIRST))
    assert torch.equal(attention, before)


# ------------------------------------------------------------------------------- the signal


def expected_curve(corpus, heads, sink):
    """Row by row with scipy, in float64: the sum of divergences over the number of rows."""
    total, count = 0.0, 0.0
    for s in corpus.sequences:
        attention = s.attention.double().numpy()
        attention = attention.mean(1, keepdims=True) if heads == "mean" else attention
        attention = attention if sink == "keep" else without_sink(attention + 1e-300)
        js = bits(attention[:-1], attention[1:])[:, :, s.content.numpy()]  # (transition, head, row)
        total, count = total + js.mean(1).sum(-1), count + js.shape[-1]
    return total / count


@pytest.mark.parametrize("heads", ["mean", "index"])
@pytest.mark.parametrize("sink", ["keep", "drop"])
def test_the_curve_is_the_mean_over_counted_rows(corpus, heads, sink):
    np.testing.assert_allclose(curve(corpus, heads=heads, sink=sink), expected_curve(corpus, heads, sink), rtol=1e-4)


def test_the_other_reading_is_reported(corpus):
    for sink, other in (("keep", "drop"), ("drop", "keep")):
        measured = measure(AttentionDrift(sink=sink), corpus.batches())
        report = measured.report()
        np.testing.assert_allclose(report.series[f"value_sink_{other}"], curve(corpus, sink=other), rtol=1e-9)
        assert report.details["rows"] == sum(int(s.content.sum()) for s in corpus.sequences)


def test_drift_by_position_adds_up_to_the_curve():
    corpus = planted_corpus(documents=2, sequences=1, tokens=(70, 80), blocks=3, heads=2)
    measured = measure(AttentionDrift(), corpus.batches())
    by_position = measured.report().series["value_by_position"]
    assert list(by_position) == ["1-16", "17-64", "65-256"]
    number = [sum(int(s.content[a:b].sum()) for s in corpus.sequences) for a, b in ((0, 16), (16, 64), (64, 256))]
    mean = sum(n * v.numpy() for n, v in zip(number, by_position.values(), strict=True)) / sum(number)
    np.testing.assert_allclose(mean, measured.curve(), rtol=1e-9)


def test_exchanging_the_heads_of_a_block_moves_only_the_indexed_drift():
    same = planted_corpus(documents=3, blocks=3, heads=4)
    same = with_attention(same, lambda a: a[:1].expand_as(a))  # three equal blocks
    exchanged = with_attention(same, lambda a: torch.stack([a[0], a[1][[2, 3, 1, 0]], a[2]]))
    assert float(curve(exchanged, heads="mean").max()) < 1e-6
    assert float(curve(exchanged, heads="index").min()) > 0.1
    assert float(curve(exchanged, heads="matched").max()) < 1e-6


def test_the_matching_is_the_permutation_that_was_planted(corpus):
    order = [2, 0, 1]
    blocks = with_attention(corpus, lambda a: torch.stack([a[0], a[0][order], a[0], a[0]]))
    signal = AttentionDrift(heads="matched")
    measured = measure(signal, blocks.batches())
    assert measured.before["matching"].tolist() == [[1, 2, 0], order, [0, 1, 2]]


def test_head_averaging_never_adds_drift(corpus):
    assert bool((curve(corpus, heads="mean") <= curve(corpus, heads="index") + 1e-7).all())
    assert bool((curve(corpus, heads="matched") <= curve(corpus, heads="index") + 1e-7).all())


def test_blocks_with_other_numbers_of_heads_cannot_be_paired(corpus):
    batch, layers = corpus.batches()[0]
    view = PlantedAttention(layers[2].view.probabilities, layers[1].view.probabilities[:, :2])
    recorder = AttentionDrift(heads="index").recorder("observe", batch, None)
    with pytest.raises(UserError, match=r"block 1 has 2 heads and block 2 has 3.*attn.heads=mean"):
        recorder.layer(Layer(2, layers[2].hidden, view))


def test_garbage_in_rows_of_padding_is_not_counted(corpus):
    batch, layers = corpus.batches(len(corpus.sequences))[0]
    spoiled = []
    for layer in layers:
        if layer.view is not None:
            probabilities = layer.view.probabilities.clone()
            probabilities.transpose(1, 2)[~batch.attention_mask] = torch.nan
            layer = Layer(layer.index, layer.hidden, dataclasses.replace(layer.view, probabilities=probabilities))
        spoiled.append(layer)
    found = measure(AttentionDrift(), [Planted(batch, spoiled)]).curve()
    torch.testing.assert_close(found, curve(corpus), rtol=1e-5, atol=0)


def test_a_corpus_without_counted_rows_has_no_curve_and_says_so(corpus):
    empty = PlantedCorpus(tuple(dataclasses.replace(s, content=torch.zeros_like(s.content)) for s in corpus.sequences))
    measured = measure(AttentionDrift(), empty.batches())
    report = measured.report()
    assert bool(measured.curve().isnan().all())
    assert report.flags == ("no_rows",)
    json.dumps(dict(report.details), allow_nan=False)


def test_rows_for_the_matching_are_evenly_spaced_and_counted():
    content = torch.zeros(3, 50, dtype=torch.bool)
    content[0, 1:] = True
    content[1, 3:6] = True
    chosen = _evenly_spaced(content, 8)
    assert chosen.sum(1).tolist() == [8, 3, 0]
    assert bool(chosen[0, 49])
    assert not bool((chosen & ~content).any())
    assert int(chosen[0].nonzero().diff(dim=0).max()) <= 7


SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "initializer_range": 0.4,  # attention far from uniform
}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL, num_key_value_heads=2),
    "bert": lambda: transformers.BertConfig(**SMALL),
}


@pytest.fixture(scope="module", params=CONFIGS)
def models(request):
    """The same random weights with the fast kernel and with eager attention."""
    torch.manual_seed(0)
    fast = transformers.AutoModel.from_config(CONFIGS[request.param](), attn_implementation="sdpa").eval()
    eager = transformers.AutoModel.from_config(CONFIGS[request.param](), attn_implementation="eager").eval()
    eager.load_state_dict(fast.state_dict())
    return fast, eager


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("options", [{}, {"sink": "drop"}, {"heads": "index"}], ids=str)
def test_a_model_with_sdpa_drifts_as_its_own_eager_weights_do(models, options, side):
    fast, eager = models
    plain = planted_corpus(documents=3, blocks=4, labels=False)
    plain = PlantedCorpus(tuple(dataclasses.replace(s, input_ids=s.input_ids % 97) for s in plain.sequences))
    with torch.no_grad():
        weights = [
            torch.stack(eager(s.input_ids[None], output_attentions=True).attentions)[:, 0] for s in plain.sequences
        ]
    eager_corpus = PlantedCorpus(
        tuple(dataclasses.replace(s, attention=w) for s, w in zip(plain.sequences, weights, strict=True))
    )
    signal, states = AttentionDrift(**options), []
    with Capture(fast, find_blocks(fast), attention=True) as capture:
        for batch, _ in plain.batches(size=4, side=side):
            recorder = signal.recorder("observe", batch, None)
            capture.run(batch, recorder.layer)
            states.append(recorder.rows())
    found = PlantedMeasurement(signal, merge(states), None, None).curve()
    expected = expected_curve(eager_corpus, options.get("heads", "mean"), options.get("sink", "keep"))
    np.testing.assert_allclose(found, expected, rtol=2e-4)
