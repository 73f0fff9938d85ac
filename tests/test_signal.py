"""SumSignal: sums over tokens become a curve, against a known answer."""

import numpy as np
import pytest
import torch

from mspgt import Layer, SumSignal, UserError
from mspgt.contracts.signal import Signal
from mspgt.core.errors import UserError as TheSameUserError
from mspgt.core.state import Units
from mspgt.testing import measure, observe, planted_corpus


class Cosine(SumSignal):
    """Mean cosine distance between neighbouring blocks."""

    def sums(self, lower, upper, content):
        distance = 1 - torch.cosine_similarity(lower, upper, dim=-1)
        return torch.stack([(distance * content).sum(1), content.sum(1)], dim=1)

    def value(self, sums):
        return sums[..., 0] / sums[..., 1]


@pytest.fixture(scope="module")
def corpus():
    return planted_corpus(documents=5, blocks=4)


def by_hand(sequences, transition):
    """Mean over counted tokens, in float64, block `transition` against the next (both counted from 1)."""
    distances = []
    for s in sequences:
        low, up = s.hidden[transition].double().numpy(), s.hidden[transition + 1].double().numpy()
        cosine = (low * up).sum(-1) / np.linalg.norm(low, axis=-1) / np.linalg.norm(up, axis=-1)
        distances += (1 - cosine)[s.content.numpy()].tolist()
    return np.mean(distances)


def test_the_curve_is_the_mean_over_all_counted_tokens(corpus):
    found = measure(Cosine(), corpus.batches()).curve()
    assert found.shape == (3,)  # 4 blocks; the embedding is no block
    np.testing.assert_allclose(found, [by_hand(corpus.sequences, t) for t in (1, 2, 3)], rtol=1e-5)


def test_weights_repeat_documents(corpus):
    measured = measure(Cosine(), corpus.batches())
    weights = torch.tensor([[2.0, 0, 1, 0, 3]], dtype=torch.float64)
    documents = sorted(corpus.documents())
    repeated = [s for d, w in zip(documents, [2, 0, 1, 0, 3], strict=True) for s in corpus.of([d]).sequences * w]
    assert measured.units.of_document == {d: i for i, d in enumerate(documents)}
    np.testing.assert_allclose(measured.replicates(weights)[0], [by_hand(repeated, t) for t in (1, 2, 3)], rtol=1e-5)


def test_values_of_bf16_layers_are_computed_in_fp32(corpus):
    seen = set()

    class Looks(Cosine):
        def sums(self, lower, upper, content):
            seen.update({lower.dtype, upper.dtype})
            return super().sums(lower, upper, content)

    observe(Looks(), corpus.batches(dtype=torch.bfloat16))
    assert seen == {torch.float32}


@pytest.mark.parametrize("wrong", [lambda s: s.sum(), lambda s: s[0], lambda s: s[:, :1][:-1], lambda s: s[..., None]])
def test_sums_of_another_shape_are_refused_with_the_shape_expected(corpus, wrong):
    class Wrong(Cosine):
        def sums(self, lower, upper, content):
            return wrong(super().sums(lower, upper, content))

    with pytest.raises(UserError, match=r"Wrong\.sums must return \(sequence, field\) = \(4, \.\.\.\); it returned"):
        observe(Wrong(), corpus.batches(4))


def test_a_layer_without_attention_says_what_to_declare():
    layer = Layer(3, torch.zeros(1, 2, 4))
    for chunks in (layer.attention, layer.attention_pair, layer.attention_mean):
        with pytest.raises(UserError, match=r"layer 3 has no attention.*needs = frozenset"):
            next(iter(chunks()))


def test_a_signal_with_an_unknown_option_is_not_built():
    with pytest.raises(UserError, match="unknown key 'width'"):
        Cosine(width=3)


def test_the_base_class_measures_nothing():
    batch = planted_corpus(documents=1).batches()[0].batch
    signal = Signal()
    assert signal.fit("observe", observe(Cosine(), [])) is None
    assert signal.report(None).flags == ()
    for call in (
        lambda: signal.recorder("observe", batch, None),
        lambda: signal.prepare(None, None, Units.of(())),
        lambda: signal.curve(None, torch.ones(1, 1), None),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_there_is_one_user_error():
    assert UserError is TheSameUserError
