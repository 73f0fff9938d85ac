"""Statistics of block outputs: exact against numpy on all tokens at once, whatever the batches are."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, merge
from mspgt.generate import statistics
from mspgt.generate.statistics import BANK, ActivationStatistics, Moments, fold, spreads, statistics_of
from mspgt.measure.collector import Collector
from mspgt.measure.shards import read_shard, write_shard
from mspgt.models.capture import Capture
from mspgt.testing.planted import Planted, PlantedCorpus, planted_corpus


def observe(planted: list[Planted]) -> list[State]:
    states = []
    for batch, layers in planted:
        recorder = ActivationStatistics().recorder("observe", batch, None)
        for layer in layers:
            recorder.layer(layer)
        states.append(recorder.rows())
    return states


def one_batch(hidden: Tensor, content: Tensor | None = None, mask: Tensor | None = None) -> Planted:
    """A batch of one block: hidden (sequence, token, dim)."""
    shape = hidden.shape[:2]
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    content = mask if content is None else content
    keys = tuple(Key("data", f"d{i:03d}", 0) for i in range(shape[0]))
    batch = Batch(keys, torch.zeros(shape, dtype=torch.int64), mask, content, torch.where(content, 0, -1))
    return Planted(batch, [Layer(0, torch.full_like(hidden, 7.0)), Layer(1, hidden)])


@pytest.fixture(scope="module")
def corpus() -> PlantedCorpus:
    return planted_corpus(documents=20, sequences=2, tokens=(9, 16), dim=6, blocks=3, labels=False)


@pytest.fixture(scope="module")
def whole(corpus: PlantedCorpus) -> State:
    return merge(observe(corpus.batches(4)))


def counted(corpus: PlantedCorpus, layer: int) -> np.ndarray:
    return np.concatenate([s.hidden[layer][s.content].double().numpy() for s in corpus.sequences])


def test_mean_and_spread_are_numpys_over_all_counted_tokens(corpus: PlantedCorpus, whole: State) -> None:
    found = statistics_of(whole)
    assert sorted(found) == [1, 2, 3]
    for layer, statistic in found.items():
        tokens = counted(corpus, layer)
        np.testing.assert_allclose(statistic.mean, tokens.mean(0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(statistic.std_dim, tokens.std(0, ddof=1), rtol=1e-6)
        assert statistic.std == pytest.approx(np.sqrt(tokens.var(0, ddof=1).mean()), rel=1e-12)
        assert statistic.std_all == pytest.approx(float(torch.from_numpy(tokens).std()), rel=1e-12)
        assert statistic.mean.dtype == statistic.std_dim.dtype == statistic.bank.dtype == torch.float32


def test_the_spread_with_sinks_is_that_of_all_tokens_but_padding(corpus: PlantedCorpus, whole: State) -> None:
    for row in spreads(whole):
        tokens = torch.cat([s.hidden[row.layer] for s in corpus.sequences]).double()
        assert row.std_with_sinks == pytest.approx(float(tokens.std()), rel=1e-12)
        assert row.std == statistics_of(whole)[row.layer].std
        assert row.std_all == statistics_of(whole)[row.layer].std_all


def test_a_large_mean_does_not_drown_the_spread() -> None:
    hidden = torch.randn(40, 50, 8, generator=torch.Generator().manual_seed(0)) + 1e4  # a mean of 1e4, a std of 1
    state = merge(observe([one_batch(hidden)]))
    exact = hidden.double().reshape(-1, 8)
    assert statistics_of(state)[1].std == pytest.approx(float(exact.var(0).mean().sqrt()), rel=1e-12)
    assert float(hidden.square().mean() - hidden.mean().square()) != pytest.approx(1, abs=0.5), "too easy a case"


def test_dimensions_that_differ_in_mean_are_spread_apart_only_together() -> None:
    hidden = torch.randn(20, 100, 2, generator=torch.Generator().manual_seed(1)) + torch.tensor([-3.0, 3.0])
    (row,) = spreads(merge(observe([one_batch(hidden)])))
    assert row.std == pytest.approx(1, rel=0.03)
    assert row.std_all == pytest.approx(10**0.5, rel=0.03)


def test_sinks_blow_up_the_literal_spread_and_not_the_unit_of_noise() -> None:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(50, 25, 16, generator=generator)
    hidden[:, 0, 5] = 800.0  # one dimension of the first token of each sequence: 4% of tokens
    content = torch.ones(50, 25, dtype=torch.bool)
    content[:, 0] = False
    (row,) = spreads(merge(observe([one_batch(hidden, content, torch.ones_like(content))])))
    assert row.std == pytest.approx(1, rel=0.02)
    assert row.std_with_sinks == pytest.approx((1 + 0.04 / 16 * (1 - 0.04 / 16) * 800**2) ** 0.5, rel=0.02)


@pytest.mark.parametrize("layout", [{"size": 1}, {"size": 7, "side": "left"}, {"size": 40, "extra": 3, "garbage": 5}])
def test_the_layout_of_batches_does_not_matter(corpus: PlantedCorpus, whole: State, layout: dict[str, int]) -> None:
    order = np.random.default_rng(3).permutation(len(corpus.sequences)).tolist()
    assert_same(merge(observe(corpus.batches(order=order, **layout))), whole)  # type: ignore[arg-type]


def test_padding_that_is_not_finite_does_not_matter() -> None:
    hidden = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(4))
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    clean = merge(observe([one_batch(hidden, mask=mask)]))
    hidden = hidden.clone()
    hidden[1, 4:] = float("nan")
    assert_same(merge(observe([one_batch(hidden, mask=mask)])), clean)


def assert_same(one: State, other: State) -> None:
    """Equal but for rounding; the banks are equal bit by bit."""
    for layer, statistic in statistics_of(other).items():
        found = statistics_of(one)[layer]
        torch.testing.assert_close(found.mean, statistic.mean)
        torch.testing.assert_close(found.std_dim, statistic.std_dim)
        assert torch.equal(found.bank, statistic.bank)
    for row, expected in zip(spreads(one), spreads(other), strict=True):
        assert asdict(row) == pytest.approx(asdict(expected), rel=1e-12, nan_ok=True)


# ------------------------------------------------------------------------------------------- moments


values = st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=2), max_size=8)


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(values, min_size=1, max_size=5), offset=st.sampled_from([0.0, 1e4]))
def test_merged_moments_are_those_of_everything(parts: list[list[list[float]]], offset: float) -> None:
    tensors = [torch.tensor(part, dtype=torch.float64).reshape(-1, 2) + offset for part in parts]
    merged = Moments.of(tensors[0])
    for part in tensors[1:]:
        merged = merged + Moments.of(part)
    everything = torch.cat(tensors).numpy()
    assert merged.count == len(everything)
    if len(everything):
        np.testing.assert_allclose(merged.mean, everything.mean(0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(merged.m2, everything.var(0) * len(everything), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(
            merged.together().m2, everything.var() * everything.size, rtol=1e-9, atol=1e-6 * (1 + offset / 1e3)
        )


def test_chunks_of_a_layer_do_not_matter(corpus: PlantedCorpus, whole: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK_BYTES", 8 * 6 * 5)  # five tokens at a time
    assert_same(merge(observe(corpus.batches(4))), whole)


# ------------------------------------------------------------------------------------------- the bank


def test_the_bank_holds_the_same_counted_tokens_of_every_block(corpus: PlantedCorpus, whole: State) -> None:
    banks = {layer: statistic.bank for layer, statistic in statistics_of(whole).items()}
    sources = {layer: torch.from_numpy(counted(corpus, layer)).float() for layer in banks}
    places = {
        layer: [int((sources[layer] == row).all(1).nonzero()) for row in bank]  # each row is found, and once
        for layer, bank in banks.items()
    }
    assert len(counted(corpus, 1)) > BANK == len(places[1]) == len(set(places[1]))
    assert places[1] == places[2] == places[3]


def test_the_bank_is_a_fair_sample() -> None:
    position = torch.arange(60.0).expand(100, 60)[:, :, None]  # one dimension that tells the position
    sequence = torch.arange(100.0)[:, None, None].expand(100, 60, 1)
    state = merge(observe([one_batch(torch.cat([position, sequence], 2))]))
    rows = state.tables["bank"].columns["hidden"][:, 0]
    assert [state.keys[i].document for i in state.tables["bank"].sequence] == [f"d{int(row[1]):03d}" for row in rows]
    bank = statistics_of(state)[1].bank
    spread = [60 / 12**0.5, 100 / 12**0.5]
    error = (bank.mean(0) - torch.tensor([29.5, 49.5])) / (torch.tensor(spread) / BANK**0.5)
    assert bool((error.abs() < 4).all())
    np.testing.assert_allclose(bank.std(0), spread, rtol=0.15)


def test_a_small_corpus_is_its_own_bank() -> None:
    hidden = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(5))
    bank = statistics_of(merge(observe([one_batch(hidden)])))[1].bank
    assert sorted(bank.tolist()) == sorted(hidden.reshape(-1, 3).tolist())


# ------------------------------------------------------------------------------------------- states and devices


def test_folding_keeps_one_row_and_one_bank(
    corpus: PlantedCorpus, whole: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "HELD_BYTES", 4 * observe(corpus.batches(4)[:1])[0].nbytes)
    folded = fold(iter(observe(corpus.batches(4))))
    assert_same(folded, whole)
    assert folded.keys == whole.keys
    assert len(folded.tables["moments"].sequence) == 1
    assert len(folded.tables["bank"].sequence) == BANK


def test_folded_halves_merge_to_the_whole(corpus: PlantedCorpus, whole: State) -> None:
    documents = corpus.documents()
    halves = [corpus.of(documents[:7]), corpus.of(documents[7:])]
    assert_same(merge(fold(observe(half.batches(4))) for half in halves), whole)


def test_a_state_survives_the_disk(whole: State, tmp_path: Path) -> None:
    write_shard(tmp_path / "shard.safetensors", {"activations": whole})
    assert_same(read_shard(tmp_path / "shard.safetensors")["activations"], whole)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_tokens_are_one_sentence(count: int) -> None:
    content = torch.zeros(1, 4, dtype=torch.bool)
    content[0, :count] = True
    state = merge(observe([one_batch(torch.randn(1, 4, 3), content, torch.ones_like(content))]))
    for use in (statistics_of, spreads):
        with pytest.raises(UserError, match=f"{count} counted token"):
            use(state)
    with pytest.raises(UserError, match="0 counted tokens cannot tell"):
        statistics_of(fold([]))


# ------------------------------------------------------------------------------------------- a real forward pass


def test_the_collector_measures_a_model_without_its_massive_tokens(tiny_llama: Path) -> None:
    from mspgt.models import load

    loaded = load(tiny_llama)
    ids = torch.randint(3, 600, (3, 12), generator=torch.Generator().manual_seed(6))
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[1, 9:] = False
    content = mask.clone()
    content[:, 0] = False
    keys = tuple(Key("data", f"d{i}", 0) for i in range(3))
    batch = Batch(keys, ids, mask, content, torch.where(content, 0, -1))
    collector = Collector({"activations": ActivationStatistics()})
    loaded.model.get_input_embeddings().weight.data[ids[2, 5]] *= 1e4  # type: ignore[operator]
    with Capture(loaded.model, loaded.blocks, attention=False) as capture:
        state = collector.observe(capture, batch)["activations"]
    assert not collector.failures
    seen = content & (ids != ids[2, 5])
    with torch.no_grad():
        outputs = loaded.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    found, rows = statistics_of(state), spreads(state)
    for layer in range(1, 12):  # the last one that transformers gives is normalised
        assert found[layer].std == pytest.approx(float(outputs[layer][seen].double().var(0).mean().sqrt()), rel=1e-5)
        literal = float(outputs[layer][mask].double().std())
        assert rows[layer - 1].std_with_sinks == pytest.approx(literal, rel=1e-5)
        assert literal > 5 * found[layer].std_all


def test_half_precision_is_measured_in_float64(corpus: PlantedCorpus) -> None:
    planted = corpus.batches(4, dtype=torch.bfloat16)
    exact = [Planted(b, [replace(layer, hidden=layer.hidden.double()) for layer in layers]) for b, layers in planted]
    for row, expected in zip(spreads(merge(observe(planted))), spreads(merge(observe(exact))), strict=True):
        assert asdict(row) == pytest.approx(asdict(expected), rel=1e-12, nan_ok=True)
