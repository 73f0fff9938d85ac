"""The CKA signal on planted layers of known CKA, and the rows that it draws."""

import json

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import Units, merge
from mspgt.plugins.signals.cka.centred import CentredRows
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.plugins.signals.cka.from_rows import estimate
from mspgt.plugins.signals.cka.selection import draw_tokens, whole_sentences
from mspgt.testing import Planted, measure, observe, planted_cka_layers, planted_corpus, planted_steps


def batches_of(hidden, documents, per_batch=10):
    """Rows (layer, row, dim) as documents of one-token sentences, `per_batch` documents at a time."""
    layers, rows, dim = hidden.shape
    tokens = rows // documents
    by_document = hidden[:, : documents * tokens].reshape(layers, documents, tokens, dim)
    made = []
    for first in range(0, documents, per_batch):
        part = by_document[:, first : first + per_batch]
        shape = part.shape[1:3]
        everything = torch.ones(shape, dtype=torch.bool)
        batch = Batch(
            keys=tuple(Key("planted", f"{first + i:04d}", 0) for i in range(shape[0])),
            input_ids=torch.zeros(shape, dtype=torch.int64),
            attention_mask=everything,
            content=everything,
            sentence=torch.arange(tokens).expand(shape),
        )
        made.append(Planted(batch, [Layer(k, part[k].clone()) for k in range(layers)]))
    return made


def values_of(signal, batches):
    return 1 / measure(signal, batches).curve()


def replicates(measured, count, seed=0):
    prepared, units = measured.prepared()
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(units.count, [1 / units.count] * units.count, size=count)
    return measured.signal.curve(prepared, torch.from_numpy(weights).double(), rng)


def report_of(measured):
    prepared, _ = measured.prepared()
    return measured.signal.report(prepared)


# --------------------------------------------------------------------------------------------- known answers


@pytest.fixture(scope="module")
def sixteen():
    """16 blocks, planted boundaries 5 and 11; the first step leads from the embeddings into block 1."""
    hidden, exact = planted_cka_layers(planted_steps(16, (5, 11)), rows=1500, dim=128)
    signal = CKA()
    prepared, _ = measure(signal, batches_of(hidden, 60, per_batch=60)).prepared()
    resampled = np.random.default_rng(0).multinomial(60, [1 / 60] * 60, size=200)
    curves = signal.curve(prepared, torch.from_numpy(np.vstack([np.ones(60), resampled])), None)
    return curves, signal.report(prepared).series["matrix"].tolist(), exact[1:]


def test_planted_cka_is_found(sixteen):
    curves, _, exact = sixteen
    torch.testing.assert_close(1 / curves[0], exact, rtol=0, atol=0.005)


def test_planted_boundaries_are_found_in_the_estimate_and_in_every_replicate(sixteen):
    for curve in sixteen[0]:
        peaks, _ = find_peaks((curve / curve.max()).numpy(), prominence=0.125)
        assert (peaks + 1).tolist() == [5, 11]  # position 0 is transition 1


def test_cka_over_several_steps_is_the_product(sixteen):
    curves, matrix, exact = sixteen
    assert matrix[3][6] == pytest.approx(float(exact[3:6].prod()), abs=0.01)
    assert matrix[3][4] == pytest.approx(1 / float(curves[0, 3]), abs=1e-5)
    assert matrix[4][3] == pytest.approx(matrix[3][4], rel=1e-9)


@pytest.mark.parametrize("estimator", ["debiased", "full", "minibatch"])
def test_the_debiased_estimators_find_planted_cka(estimator):
    hidden, exact = planted_cka_layers([0.1, 0.3, 0.6, 0.9], rows=1500, dim=128)
    found = values_of(CKA(estimator=estimator), batches_of(hidden, 60))
    torch.testing.assert_close(found, exact[1:], rtol=0, atol=0.01)


def test_independent_layers_debiased_is_near_zero_and_biased_is_not():
    g = torch.Generator().manual_seed(0)
    n, d = 600, 300
    batches = batches_of(torch.randn(3, n, d, generator=g), 30)
    biased = measure(CKA(estimator="biased"), batches)
    debiased = measure(CKA(), batches)
    assert float(1 / biased.curve()) == pytest.approx(d / (n + d), abs=0.01)
    report = report_of(debiased)
    assert report.series["cka"][0].item() == pytest.approx(0, abs=0.01)
    assert "cka_floor_hit" in report.flags
    assert float(debiased.curve()) == 20.0


def test_dependence_within_documents_biases_song_and_not_the_cluster_estimate():
    g = torch.Generator().manual_seed(1)
    documents, tokens, d = 40, 20, 64
    topic = torch.randn(2, documents, 1, d, generator=g)  # a layer's own topic directions, unrelated
    rows = 0.7 * topic + torch.randn(2, documents, tokens, d, generator=g)
    hidden = torch.cat([rows[:1], rows]).reshape(3, -1, d)
    series = report_of(measure(CKA(), batches_of(hidden, documents))).series
    assert float(series["cka"][0]) == pytest.approx(0, abs=0.02)
    assert series["row_debiased"][0] > series["cka"][0] + 0.05


@pytest.mark.parametrize("estimator", ["debiased", "biased", "full", "minibatch"])
def test_a_constant_offset_of_one_dimension_changes_nothing(estimator):
    hidden, _ = planted_cka_layers([0.1, 0.1, 0.4], rows=800, dim=32)
    moved = hidden.clone()
    moved[:, :, 3] += 3000
    signal = CKA(estimator=estimator)
    found, expected = values_of(signal, batches_of(moved, 20)), values_of(signal, batches_of(hidden, 20))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)  # float32 activations at 3000 keep 2e-4


@pytest.mark.parametrize("estimator", ["debiased", "full"])
def test_zscore_undoes_a_rogue_dimension(estimator):
    hidden, exact = planted_cka_layers([0.2, 0.6, 0.6], rows=1500, dim=64)
    hidden[:, :, 0] = 40 * torch.randn(hidden.shape[1], generator=torch.Generator().manual_seed(3))
    batches = batches_of(hidden, 30)
    assert float(values_of(CKA(estimator=estimator), batches)[0]) > 0.99
    zscored = values_of(CKA(estimator=estimator, scale="zscore"), batches)
    torch.testing.assert_close(zscored, exact[1:], rtol=0, atol=0.03)


def test_a_constant_layer_has_no_value_and_a_flag():
    hidden, _ = planted_cka_layers([0.3, 0.3, 0.3, 0.3], rows=200, dim=8)
    hidden[2] = 1.0
    measured = measure(CKA(), batches_of(hidden, 10))
    assert measured.curve().isnan().tolist() == [True, True, False]
    report = report_of(measured)
    assert "hsic_not_positive" in report.flags
    assert report.series["cka"].isnan().tolist() == [True, True, False]


# --------------------------------------------------------------------------------------------- full and minibatch


@pytest.fixture(scope="module")
def corpus():
    return planted_corpus(documents=30, sequences=2, blocks=4, dim=12, labels=False, seed=5)


def test_full_equals_the_gram_pass_over_every_token_with_sequences_as_clusters(corpus):
    batches = corpus.batches(7)
    everything = merge(observe(CKA(rows_per_sentence=1000), [batch]) for batch in batches)
    table = everything.tables["rows"]
    rows = CentredRows.of(table.columns["hidden"], table.sequence, len(everything.keys), torch.device("cpu"), False)
    expected = estimate(rows, distinct=True).series
    report = report_of(measure(CKA(estimator="full"), batches))
    assert report.details["rows"] == len(table.sequence)
    assert set(report.series) == {"cka", *expected}
    for name, values in {**expected, "cka": expected["debiased"]}.items():
        torch.testing.assert_close(report.series[name], values, rtol=1e-5, atol=0)


def test_full_merged_from_two_shards_equals_one_pass(corpus):
    signal, batches = CKA(estimator="full"), corpus.batches(6)
    whole = measure(signal, batches)
    moments = [observe(signal, part, "moments") for part in (batches[:4], batches[4:])]
    fitted = signal.fit("moments", merge(moments))
    last = merge(observe(signal, part, "influence", fitted) for part in (batches[:4], batches[4:]))
    units = Units.of(last.keys)
    curve = signal.curve(signal.prepare(last, None, units), torch.ones(1, units.count), None)[0]
    torch.testing.assert_close(curve, whole.curve(), rtol=1e-12, atol=0)


def test_influences_spread_like_the_exact_document_bootstrap():
    g = torch.Generator().manual_seed(0)
    documents, tokens, d = 150, 10, 24
    topic = torch.randn(documents, 1, d, generator=g)
    x = 0.6 * topic + torch.randn(documents, tokens, d, generator=g)
    hidden = torch.stack([x, x, 0.8 * x + 0.6 * torch.randn(x.shape, generator=g)]).reshape(3, -1, d)
    batches = batches_of(hidden, documents)
    exact = 1 / replicates(measure(CKA(), batches), 600)[:, 0]
    influence = 1 / replicates(measure(CKA(estimator="full"), batches), 600)[:, 0]
    assert float(influence.std() / exact.std()) == pytest.approx(1, abs=0.12)
    assert np.corrcoef(exact, influence)[0, 1] > 0.95


def test_influences_of_equal_weights_leave_the_estimate():
    hidden, _ = planted_cka_layers([0.3, 0.5, 0.7], rows=300, dim=16)
    measured = measure(CKA(estimator="full"), batches_of(hidden, 10))
    prepared, units = measured.prepared()
    doubled = measured.signal.curve(prepared, torch.full((1, units.count), 2.0), None)[0]
    torch.testing.assert_close(doubled, measured.curve(), rtol=1e-9, atol=0)


def test_minibatch_has_no_document_intervals_and_says_so():
    hidden, _ = planted_cka_layers([0.3, 0.5, 0.7], rows=300, dim=16)
    signal = CKA(estimator="minibatch")
    measured = measure(signal, batches_of(hidden, 10))
    assert not signal.document_intervals
    assert "no_document_intervals" in report_of(measured).flags
    assert (replicates(measured, 5) == measured.curve()).all()
    assert CKA().document_intervals
    assert CKA(estimator="full").document_intervals


def test_minibatch_leaves_out_batches_of_fewer_than_four_rows():
    hidden, _ = planted_cka_layers([0.3, 0.5, 0.7], rows=303, dim=16)
    large, small = batches_of(hidden[:, :300], 10), batches_of(hidden[:, 300:], 1)
    small[0] = Planted(Batch(**{**vars(small[0].batch), "keys": (Key("planted", "small", 0),)}), small[0].layers)
    with_small = report_of(measure(CKA(estimator="minibatch"), large + small))
    assert [with_small.details[name] for name in ("batches", "batches_left_out", "rows")] == [1, 1, 300]
    without = report_of(measure(CKA(estimator="minibatch"), large))
    assert with_small.series["cka"].tolist() == without.series["cka"].tolist()
    with pytest.raises(UserError, match="4 rows"):
        measure(CKA(estimator="minibatch"), small).prepared()


# --------------------------------------------------------------------------------------------- rows


def test_one_token_of_each_sentence_is_drawn_and_it_counts(corpus):
    for batch, _ in corpus.batches(5):
        drawn = draw_tokens(batch, seed=0, per_sentence=1)
        assert batch.content[drawn.sequence, drawn.token].all()
        pairs = list(zip(drawn.sequence.tolist(), batch.sentence[drawn.sequence, drawn.token].tolist(), strict=True))
        where = batch.content.nonzero()
        present = {(i, int(batch.sentence[i, j])) for i, j in where.tolist()}
        assert sorted(present) == sorted(pairs)


def test_no_token_is_drawn_twice_and_short_sentences_give_what_they_have(corpus):
    (batch, _), *_ = corpus.batches(1000)
    drawn = draw_tokens(batch, seed=0, per_sentence=1000)
    assert torch.stack([drawn.sequence, drawn.token], 1).equal(batch.content.nonzero())
    two = draw_tokens(batch, seed=0, per_sentence=2)
    one = draw_tokens(batch, seed=0, per_sentence=1)
    as_set = [set(zip(s.sequence.tolist(), s.token.tolist(), strict=True)) for s in (one, two)]
    assert as_set[0] < as_set[1]


def test_every_position_of_a_sentence_is_drawn_equally_often():
    hidden = torch.zeros(1, 4000, 1)
    batch = batches_of(hidden, 400, per_batch=400)[0].batch
    batch = Batch(**{**vars(batch), "sentence": torch.zeros_like(batch.sentence)})
    counts = torch.bincount(draw_tokens(batch, seed=0, per_sentence=1).token, minlength=10)
    assert counts.sum() == 400
    assert float(((counts - 40) ** 2 / 40).sum()) < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001
    other = draw_tokens(batch, seed=1, per_sentence=1).token
    assert (other != draw_tokens(batch, seed=0, per_sentence=1).token).float().mean() > 0.8


def test_the_draw_does_not_depend_on_batch_padding_or_the_window(corpus):
    def drawn(batches):
        return {
            (batch.keys[i].document, int(batch.sentence[i, j]), float(layers[2].hidden[i, j, 0]))
            for batch, layers in batches
            for i, j in zip(*_tokens(draw_tokens(batch, seed=3, per_sentence=1)), strict=True)
        }

    expected = drawn(corpus.batches(4))
    assert drawn(corpus.batches(1)) == expected
    assert drawn(corpus.batches(9, side="left", extra=5)) == expected


def _tokens(selection):
    return selection.sequence.tolist(), selection.token.tolist()


def test_a_sentence_alone_gives_the_row_that_it_gives_in_a_window():
    sentence = torch.tensor([[-1, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]])
    window = _batch(sentence)
    drawn = draw_tokens(window, seed=0, per_sentence=1).token.tolist()
    for number, start in ((0, 1), (1, 4), (2, 8)):
        alone = _batch(sentence[sentence == number][None])
        assert draw_tokens(alone, seed=0, per_sentence=1).token.tolist() == [drawn[number] - start]


def _batch(sentence):
    keys = tuple(Key("c", "d", i) for i in range(len(sentence)))
    return Batch(keys, torch.zeros_like(sentence), sentence >= 0, sentence >= 0, sentence)


def test_sentence_means_are_means_of_counted_tokens(corpus):
    (batch, layers), *_ = corpus.batches(3)
    rows = whole_sentences(batch)
    taken = rows.take(layers[2].hidden)
    for row, (sequence, sentence) in enumerate(zip(rows.row_sequence, rows.row_sentence, strict=True)):
        chosen = batch.content[sequence] & (batch.sentence[sequence] == sentence)
        torch.testing.assert_close(taken[row], layers[2].hidden[sequence][chosen].mean(0))


def test_a_batch_without_counted_tokens_gives_no_rows(corpus):
    (batch, layers), *_ = corpus.batches(3)
    empty = batch.without(torch.ones_like(batch.content))
    for options in ({}, {"unit": "sentence_mean"}):
        state = observe(CKA(**options), [Planted(empty, layers)])
        assert len(state.tables["rows"].sequence) == 0
        with pytest.raises(UserError, match="no sentence has a counted token"):
            CKA(**options).prepare(state, None, Units.of(state.keys))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rows_are_stored_in_the_precision_of_the_model(corpus, dtype):
    state = observe(CKA(), corpus.batches(4, dtype=dtype))
    assert state.tables["rows"].columns["hidden"].dtype == dtype


def test_fp16_rows_of_large_magnitude_do_not_overflow(corpus):
    def scaled(dtype, factor):
        return [
            Planted(batch, [Layer(layer.index, (layer.hidden * factor).to(dtype)) for layer in layers])
            for batch, layers in corpus.batches(4)
        ]

    for options in ({}, {"unit": "sentence_mean"}, {"estimator": "full"}):
        found = measure(CKA(**options), scaled(torch.float16, 40.0)).curve()  # squares pass 65,504
        expected = measure(CKA(**options), scaled(torch.float32, 1.0)).curve()
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)


# --------------------------------------------------------------------------------------------- refusals and report


def test_the_default_needs_four_documents_and_biased_does_not():
    hidden, _ = planted_cka_layers([0.3, 0.5, 0.7], rows=60, dim=8)
    with pytest.raises(UserError, match="4 different documents"):
        measure(CKA(), batches_of(hidden, 3)).prepared()
    assert measure(CKA(estimator="biased"), batches_of(hidden, 3)).curve().isfinite().all()
    with pytest.raises(UserError, match="4 different sequences"):
        measure(CKA(estimator="full"), batches_of(hidden, 3)).prepared()


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "full", "unit": "sentence_mean"},
        {"estimator": "full", "rows_per_sentence": 2},
        {"unit": "sentence_mean", "rows_per_sentence": 2},
        {"estimator": "minibatch", "scale": "zscore"},
        {"estimator": "unbiased"},
        {"rows_per_sentence": 0},
    ],
)
def test_options_that_do_not_go_together_are_refused(options):
    with pytest.raises(UserError, match=r"cka\.|estimator|rows_per_sentence"):
        CKA(**options)


@pytest.mark.parametrize("estimator", ["debiased", "biased", "full", "minibatch"])
def test_the_report_is_plain_json_without_nan(corpus, estimator):
    measured = measure(CKA(estimator=estimator), corpus.batches(8))
    report, curve = report_of(measured), measured.curve()
    json.dumps(report.details, allow_nan=False)
    assert report.details["dynamic_range"] == pytest.approx(float((curve.max() - curve.min()) / curve.max()))
    torch.testing.assert_close(report.series["cka"], 1 / curve)


def test_the_report_sets_zscored_cka_beside_the_unscaled(corpus):
    report = report_of(measure(CKA(), corpus.batches(8)))
    zscored = 1 / measure(CKA(scale="zscore"), corpus.batches(8)).curve()
    both = report.series["zscore_sensitivity"]
    torch.testing.assert_close(both["none"], report.series["cka"], rtol=1e-4, atol=0)
    torch.testing.assert_close(both["zscore"], zscored, rtol=1e-4, atol=0)
    assert report.details["rows"] == 120
    assert report.details["units_with_rows"] == 30


def test_matrix_precision_is_restored():
    torch.set_float32_matmul_precision("high")
    try:
        hidden, _ = planted_cka_layers([0.3, 0.5], rows=60, dim=8)
        measure(CKA(), batches_of(hidden, 6)).prepared()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
