"""The probe signal: what it records, how it splits, scores, resamples and debiases, and what it leaves out."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mspgt.contracts.batch import Batch, Labels, Layer
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table, Units, merge, stable_code
from mspgt.plugins.signals.probe import tasks as probe_tasks
from mspgt.plugins.signals.probe.f1 import label_counts, macro_f1, micro_f1
from mspgt.plugins.signals.probe.jumps import EPSILON, jumps
from mspgt.plugins.signals.probe.probe import Probe

EWT = Path(__file__).resolve().parents[2] / "shared" / "data" / "ewt" / "en_ewt-dev.conllup"
NAMES = ("ADJ", "NOUN", "VERB", "X")


def labels(rows, names=NAMES) -> Labels:
    """Labels from (sequence, slots, class, sentence, word) tuples."""
    sequence, slots, target, sentence, word = zip(*rows, strict=True)
    return Labels(
        torch.tensor(sequence),
        torch.tensor(slots).view(len(rows), -1, 2),
        torch.tensor([stable_code(names[t]) for t in target]),
        torch.tensor(sentence),
        torch.tensor([stable_code(f"word {w}") for w in word]),
        {stable_code(n): n for n in names},
    )


def batch_of(keys, content, tasks) -> Batch:
    content = torch.as_tensor(content, dtype=torch.bool)
    ids = torch.zeros(content.shape, dtype=torch.int64)
    return Batch(tuple(keys), ids, torch.ones_like(content), content, torch.where(content, 0, -1), tasks)


def record(signal: Probe, batch: Batch, layers) -> State:
    recorder = signal.recorder("observe", batch, None)
    for index, hidden in enumerate(layers):
        recorder.layer(Layer(index, hidden))
    return recorder.rows()


def corpus(signal: Probe, layer, *, documents=20, words=60, dim=8, task="pos", shuffle=False, seed=0) -> list[State]:
    """One state for each document; layer(index, classes, generator) gives the hidden states (word, dim)."""
    states = []
    for number in range(documents):
        generator = torch.Generator().manual_seed(seed * 1000 + number)
        target = torch.randint(len(NAMES), (words,), generator=generator)
        shown = target[torch.randperm(words, generator=generator)] if shuffle else target
        hidden = [torch.zeros(words, dim), *layer(target, generator)]
        rows = [(0, [(i, i + 1)], int(t), i // 10, int(t) * 50 + i % 7) for i, t in enumerate(shown)]
        key = Key("planted", f"document {number:03d}", 0)
        states.append(
            record(signal, batch_of([key], torch.ones(1, words), {task: labels(rows)}), [h[None] for h in hidden])
        )
    return states


def means(dim: int = 8, distance: float = 1.0) -> torch.Tensor:
    return torch.eye(len(NAMES), dim) * distance


def rotated(layers: int, noise: float = 0.35):
    """Every layer is a rotation of the same vectors: P is flat."""
    turns = [
        torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(90 + k)))[0] for k in range(layers)
    ]

    def layer(target, generator):
        x = means()[target] + noise * torch.randn(len(target), 8, generator=generator)
        return [x @ turn for turn in turns]

    return layer


def jump_at(transition: int, layers: int):
    """Nearly nothing can be read up to the transition, nearly everything from there on."""

    def layer(target, generator):
        noise = torch.randn(len(target), 8, generator=generator)
        return [means()[target] + (1.0 if k < transition else 0.2) * noise for k in range(layers)]

    return layer


def measured(signal: Probe, states):
    state = merge(states)
    fitted, units = signal.fit("observe", state), Units.of(state.keys)
    return state, fitted, units, signal.prepare(state, fitted, units)


def ones(units: Units) -> torch.Tensor:
    return torch.ones(1, units.count, dtype=torch.float64)


# ---------------------------------------------------------------------------------------------- recording


def two_sequences(signal: Probe, padding: int = 0, junk: float = 0.0):
    """Two sequences of five tokens whose first is not counted, with left padding; returns state and hidden."""
    hidden = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(5))
    filler = torch.full((2, padding, 3), junk)
    content = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 0, 1, 1]])
    content = torch.nn.functional.pad(content, (padding, 0))
    p = padding
    tasks = {
        "pos": labels([(1, [(p + 3, p + 4)], 0, 0, 1), (0, [(p + 1, p + 2)], 1, 0, 2), (1, [(p + 2, p + 3)], 2, 0, 3)]),
        "dep": labels([(0, [(p + 1, p + 2), (-1, -1)], 0, 0, 2), (1, [(p + 3, p + 4), (p + 2, p + 5)], 1, 0, 1)]),
    }
    keys = [Key("c", "a", 0), Key("c", "b", 0)]
    batch = batch_of(keys, content, tasks)
    return record(signal, batch, [torch.cat([filler, h], dim=1) for h in (hidden, hidden, 2 * hidden)]), hidden


def test_a_range_is_stored_once_as_the_mean_of_its_counted_tokens():
    state, hidden = two_sequences(Probe(rows="fp32"))
    vectors = state.tables["vectors"]
    assert vectors.sequence.tolist() == [0, 1, 1]
    expected = torch.stack([hidden[0, 1], hidden[1, 3:5].mean(0), hidden[1, 3]])  # token 2 is not counted
    torch.testing.assert_close(vectors.columns["hidden"], torch.stack([expected, 2 * expected], dim=1))


def test_slots_point_at_the_rows_of_their_own_sequence():
    state, _ = two_sequences(Probe())
    dep = state.tables["dep"]
    assert dep.sequence.tolist() == [0, 1]
    assert dep.columns["slots"].tolist() == [[0, -1], [1, 0]]
    assert [state.names[c] for c in dep.columns["target"].tolist()] == ["ADJ", "NOUN"]


def test_an_instance_without_counted_tokens_is_dropped_and_counted():
    state, _ = two_sequences(Probe())
    assert state.tables["pos"].sequence.tolist() == [0, 1]
    assert {name: int(total) for name, total in state.totals.items()} == {"pos.dropped": 1, "dep.dropped": 0}


def test_padding_does_not_change_what_is_stored():
    plain, _ = two_sequences(Probe())
    padded, _ = two_sequences(Probe(), padding=3, junk=1e4)
    for name, table in plain.tables.items():
        for column, values in table.columns.items():
            assert torch.equal(values, padded.tables[name].columns[column]), (name, column)


def test_a_batch_without_labels_gives_a_state_that_merges():
    signal = Probe()
    some, _ = two_sequences(signal)
    none = record(signal, batch_of([Key("c", "d", 0)], torch.ones(1, 5), {}), [torch.zeros(1, 5, 3)] * 3)
    assert len(merge([none, some]).tables["vectors"].sequence) == 3


@pytest.mark.parametrize(("rows", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_half_precision_models_do_not_overflow(rows, dtype):
    batch = batch_of([Key("c", "a", 0)], torch.ones(1, 4), {"pos": labels([(0, [(0, 4)], 0, 0, 1)])})
    large = torch.full((1, 4, 3), 6e4, dtype=torch.float16)
    stored = record(Probe(rows=rows), batch, [large, large]).tables["vectors"].columns["hidden"]
    assert stored.dtype == dtype
    torch.testing.assert_close(stored.float(), torch.full((1, 1, 3), 6e4), rtol=0.01, atol=0)


# ---------------------------------------------------------------------------------------------- split and controls


def empty_documents(count: int) -> State:
    keys = tuple(Key("c", f"d{i:04d}", 0) for i in range(count))
    return State(keys, {"vectors": Table(torch.arange(count), {"hidden": torch.zeros(count, 2, 1)})})


@pytest.mark.parametrize(("documents", "parts"), [(3, [1, 1, 1]), (20, [12, 3, 5]), (100, [60, 15, 25])])
def test_documents_are_split_60_15_25_whatever_the_seed(documents, parts):
    state = empty_documents(documents)
    splits = [probe_tasks.split(state, seed) for seed in range(3)]
    assert [torch.bincount(s).tolist() for s in splits] == [parts] * 3
    assert documents < 20 or not torch.equal(splits[0], splits[1])


def test_two_documents_are_too_few():
    with pytest.raises(UserError, match="at least 3 documents"):
        probe_tasks.split(empty_documents(2), 0)


def test_control_labels_belong_to_word_types_and_have_the_frequencies_of_the_task():
    generator = torch.Generator().manual_seed(0)
    n = 30_000
    target = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), n, True, generator=generator)
    word = torch.randint(3000, (n,), generator=generator)
    nothing = torch.zeros(n, dtype=torch.int64)
    task = probe_tasks.Task(NAMES[:3], nothing[:3], nothing[:, None], target, word, nothing, nothing, nothing)
    drawn = probe_tasks.control_target(task, 0)
    assert all(len(set(drawn[word == w].tolist())) == 1 for w in range(50))
    share = torch.bincount(drawn, minlength=3) / n
    torch.testing.assert_close(share, torch.tensor([0.6, 0.3, 0.1]), rtol=0, atol=0.04)  # 3,000 types: 4 errors
    assert not torch.equal(drawn, probe_tasks.control_target(task, 1))


def test_attaching_punctuation_is_not_scored():
    names = ("nsubj", "obj", "punct")
    rows = [(0, [(i, i + 1), (-1, -1)], i % 3, 0, i) for i in range(9)]
    states = [
        record(
            Probe(),
            batch_of([Key("c", d, 0)], torch.ones(1, 9), {"dep": labels(rows, names)}),
            [torch.zeros(1, 9, 2)] * 2,
        )
        for d in "abc"
    ]
    state = merge(states)
    task = probe_tasks.read_task(state, "dep", probe_tasks.split(state, 0))
    assert task is not None
    assert task.names == ("nsubj", "obj")
    assert len(task.target) == 18


# ---------------------------------------------------------------------------------------------- scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_weighted_f1_is_that_of_the_resampled_corpus(seed, classes, documents):
    rng = np.random.default_rng(seed)
    gold, predicted = rng.integers(0, classes, (2, 40))
    unit, times = rng.integers(0, documents, 40), rng.integers(0, 4, documents)
    counts = label_counts(*map(torch.from_numpy, (gold, predicted[None])), classes, torch.from_numpy(unit), documents)
    weighted = torch.einsum("u,ucx->cx", torch.from_numpy(times).double(), counts[0])
    often = np.repeat(np.arange(40), times[unit])
    if not len(often):
        assert float(micro_f1(weighted)) == float(macro_f1(weighted)) == 0
        return
    for average, ours in (("micro", micro_f1), ("macro", macro_f1)):
        expected = f1_score(gold[often], predicted[often], average=average, zero_division=0)
        assert float(ours(weighted)) == pytest.approx(expected, abs=1e-12)


def random_counts(tasks=2, layers=3, seeds=4, units=120, seed=0) -> torch.Tensor:
    """Correct among 30 instances of each document; documents differ, and seeds differ a little."""
    rng = np.random.default_rng(seed)
    ease = rng.beta(8, 3, (1, 1, 1, units))
    skill = 0.8 + 0.03 * rng.standard_normal((tasks, layers, seeds, 1))
    right = rng.binomial(30, np.clip(ease * skill, 0, 1)).astype(float)
    n = np.full_like(right, 30.0)
    return torch.from_numpy(np.stack([right, n, n], axis=-1))


def test_the_score_is_the_mean_over_tasks_then_seeds():
    counts = random_counts()
    found = jumps(counts, torch.ones(1, 120, dtype=torch.float64))
    accuracy = counts[..., 0].sum(-1) / counts[..., 1].sum(-1)
    torch.testing.assert_close(found.score[0], accuracy.mean((0, 2)))
    expected = (found.score[0, 1:] - found.score[0, :-1]).abs() / found.score[0, :-1]
    torch.testing.assert_close(found.raw[0], expected)
    debiased = (found.jump**2 - found.variance).clamp_min(0).sqrt() / found.score[:, :-1]
    torch.testing.assert_close(found.debiased, debiased)


def test_the_variance_of_a_jump_is_that_of_the_document_bootstrap_plus_that_of_the_seeds():
    counts, rng = random_counts(), np.random.default_rng(1)
    weights = torch.from_numpy(rng.multinomial(120, [1 / 120] * 120, size=4000)).double()
    bootstrap = jumps(counts, weights).jump.var(dim=0)
    accuracy = counts[..., 0].sum(-1) / counts[..., 1].sum(-1)
    seeds = accuracy.mean(0).diff(dim=0).var(dim=1) / 4
    found = jumps(counts, torch.ones(1, 120, dtype=torch.float64)).variance[0]
    torch.testing.assert_close(found, bootstrap + seeds, rtol=0.06, atol=0)  # the bootstrap itself is good to 2 %


def test_pairing_makes_the_variance_smaller():
    counts = random_counts(seeds=1)
    found = jumps(counts, torch.ones(1, 120, dtype=torch.float64)).variance[0]
    rng = np.random.default_rng(1)
    weights = torch.from_numpy(rng.multinomial(120, [1 / 120] * 120, size=1000)).double()
    apart = jumps(counts, weights).score.var(dim=0)
    assert (found < 0.7 * (apart[1:] + apart[:-1])).all()


def test_a_replicate_is_independent_of_the_others():
    counts = random_counts()
    weights = torch.from_numpy(np.random.default_rng(2).integers(0, 4, (3, 120))).double()
    drawn = torch.tensor([[4, 0, 0, 0], [1, 1, 1, 1], [0, 2, 2, 0]]).double()
    together = jumps(counts, weights, drawn).debiased
    for i in range(3):
        torch.testing.assert_close(jumps(counts, weights[i : i + 1], drawn[i : i + 1]).debiased[0], together[i])
    score = jumps(counts, weights, drawn).score
    torch.testing.assert_close(score[:1], jumps(counts[:, :, :1], weights[:1]).score)
    torch.testing.assert_close(score[2:], jumps(counts[:, :, 1:3], weights[2:]).score)


def test_a_score_near_zero_gives_no_jump():
    counts = random_counts()
    counts[:, 1, :, :, 0] = 0
    found = jumps(counts, torch.ones(1, 120, dtype=torch.float64))
    assert float(found.score[0, 1]) < EPSILON
    assert found.raw[0, 1] == 0
    assert found.raw[0, 0] == 1
    assert torch.isfinite(jumps(counts, torch.zeros(1, 120, dtype=torch.float64)).debiased).all()


# ---------------------------------------------------------------------------------------------- the whole signal


def test_a_planted_jump_is_found():
    signal = Probe(seeds=3)
    _, _, units, prepared = measured(signal, corpus(signal, jump_at(3, 6)))
    curve = signal.curve(prepared, ones(units), None)[0]
    assert curve.argmax() == 2  # between block 3 and block 4
    assert curve[2] > 0.3
    assert curve[[0, 1, 3, 4]].max() < 0.25 * curve[2]
    assert signal.report(prepared).noise_share < 0.25


def test_layers_that_are_rotations_of_each_other_show_no_jump():
    signal = Probe(seeds=5)
    _, _, units, prepared = measured(signal, corpus(signal, rotated(6), documents=40))
    report = signal.report(prepared)
    assert 0.7 < min(report.series["score"]) <= max(report.series["score"]) < 0.97
    debiased = signal.curve(prepared, ones(units), None)[0]
    assert debiased.max() < 0.02
    assert debiased.mean() < 0.5 * report.series["s2_raw"].mean()
    assert report.noise_share > 0.1


def test_scores_are_those_of_the_bayes_classifier():
    signal = Probe(seeds=3)
    states = corpus(signal, rotated(2, noise=0.5), documents=40, words=150)
    _, _, _, prepared = measured(signal, states)
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(4, (200_000,), generator=generator)
    x = means()[target] + 0.5 * torch.randn(200_000, 8, generator=generator)
    logits = (x @ means().T - means().square().sum(1) / 2) / 0.25
    bayes = float((logits.argmax(1) == target).double().mean())
    information = float(np.log(4) - torch.nn.functional.cross_entropy(logits, target))
    report = signal.report(prepared)
    f1, v_information = (report.series[name]["pos"].tolist() for name in ("f1", "v_information"))
    assert f1 == pytest.approx([bayes] * 2, abs=0.03)  # 1,500 test words: one error is 0.012
    assert v_information == pytest.approx([information] * 2, abs=0.06)
    assert report.details["tasks"]["pos"]["converged"]


def test_permuted_labels_are_at_chance():
    signal = Probe(seeds=2)
    _, _, _, prepared = measured(signal, corpus(signal, rotated(2), documents=40, shuffle=True))
    series = signal.report(prepared).series
    assert series["f1"]["pos"].tolist() == pytest.approx([0.25] * 2, abs=0.07)
    assert max(series["v_information"]["pos"]) < 0.02


def test_memory_for_words_is_told_from_structure():
    """Vectors that are the word's own: control and task are learned alike; vectors of classes: the task only."""

    def words(target, generator):
        place = torch.arange(len(target)) % 7
        table = torch.randn(4, 7, 8, generator=torch.Generator().manual_seed(7))
        by_class = means(distance=4.0)[target] + 0.5 * torch.randn(len(target), 8, generator=generator)
        return [2 * table[target, place], by_class]

    signal = Probe(seeds=2, epochs=20, learning_rate=1e-2)
    _, _, _, prepared = measured(signal, corpus(signal, words))
    of_words, of_classes = signal.report(prepared).series["selectivity"]["pos"]
    assert abs(of_words) < 0.1
    assert of_classes > 0.25


@pytest.fixture(scope="module")
def small():
    signal = Probe(seeds=2, hidden=16, epochs=3, learning_rate=1e-2)
    states = corpus(signal, jump_at(2, 3), documents=12)
    return signal, states, *measured(signal, states)


def test_merging_shards_in_any_order_gives_bitwise_the_same_probes(small):
    signal, states, _, fitted, _, _ = small
    shards = [merge(states[i::3]) for i in range(3)]
    for order in itertools.islice(itertools.permutations(shards), 0, 6, 2):
        again = signal.fit("observe", merge(order))
        assert again.keys() == fitted.keys()
        assert all(torch.equal(again[name], fitted[name]) for name in fitted)


def test_layers_trained_in_turn_give_the_same_probes(small, monkeypatch):
    signal, _, state, fitted, _, _ = small
    monkeypatch.setattr("mspgt.plugins.signals.probe.vectors.WORKING_BYTES", 1)
    again = signal.fit("observe", state)
    for name, value in fitted.items():
        assert again[name].shape == value.shape
    same = (again["pos.predictions"] == fitted["pos.predictions"]).double().mean()
    assert same > 0.995  # other shapes, other rounding
    torch.testing.assert_close(again["pos.validation"], fitted["pos.validation"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("debias", [True, False])
def test_a_test_document_of_weight_zero_is_as_if_absent(small, debias):
    _, _, state, fitted, units, _ = small
    signal = Probe(seeds=2, hidden=16, epochs=3, learning_rate=1e-2, debias=debias)
    tested = set(fitted["pos.document"].tolist())
    gone = next(d for d in units.of_document if stable_code(d) in tested)
    weights = ones(units)
    weights[0, units.of_document[gone]] = 0
    without = signal.curve(signal.prepare(state, fitted, units), weights, None)
    fewer = Units.of(k for k in state.keys if k.document != gone)
    expected = signal.curve(signal.prepare(state, fitted, fewer), ones(fewer), None)
    torch.testing.assert_close(without, expected, rtol=1e-12, atol=0)
    assert not torch.allclose(without, signal.curve(signal.prepare(state, fitted, units), ones(units), None), rtol=1e-6)


def test_the_weight_of_a_training_document_does_nothing(small):
    signal, _, _, fitted, units, prepared = small
    tested = set(fitted["pos.document"].tolist())
    weights = ones(units)
    for document, unit in units.of_document.items():
        if stable_code(document) not in tested:
            weights[0, unit] = 5
    assert torch.equal(signal.curve(prepared, weights, None), signal.curve(prepared, ones(units), None))


def test_replicates_draw_the_seeds_too(small):
    _, _, state, fitted, units, _ = small
    signal = Probe(seeds=2, hidden=16, epochs=3, learning_rate=1e-2, debias=False)
    prepared = signal.prepare(state, fitted, units)
    same_weights = ones(units).expand(200, -1)
    drawn = signal.curve(prepared, same_weights, np.random.default_rng(0))
    fixed = signal.curve(prepared, same_weights, None)
    assert torch.equal(drawn, signal.curve(prepared, same_weights, np.random.default_rng(0)))
    assert len(torch.unique(drawn, dim=0)) == 3  # two seeds: either twice, or each once
    assert len(torch.unique(fixed, dim=0)) == 1


def test_debias_chooses_between_the_two_curves(small):
    _, _, state, fitted, units, _ = small
    for debias, name in ((True, "s2_debiased"), (False, "s2_raw")):
        signal = Probe(seeds=2, hidden=16, epochs=3, learning_rate=1e-2, debias=debias)
        prepared = signal.prepare(state, fitted, units)
        assert torch.equal(signal.curve(prepared, ones(units), None)[0], signal.report(prepared).series[name])


def test_tasks_without_labels_are_left_out_with_a_sentence(small):
    signal, _, _, _, _, prepared = small
    report = signal.report(prepared)
    assert set(report.details["left_out"]) == {"dep", "ner", "srl"}
    assert report.details["left_out"]["ner"] == "ner: the corpus has no labels for it."
    assert "tasks_left_out" in report.flags
    json.dumps(report.details, allow_nan=False)


def test_no_task_at_all_is_the_user_s_mistake():
    signal = Probe(tasks=("srl",))
    states = corpus(Probe(), rotated(2), documents=4)
    with pytest.raises(UserError, match=r"no task to train.*srl: the corpus has no labels"):
        signal.fit("observe", merge(states))
    few = Probe()
    with pytest.raises(UserError, match="pos: too few labels"):
        few.fit("observe", merge(corpus(few, rotated(2), documents=4, words=2)))


def test_a_task_of_one_class_is_left_out():
    signal = Probe(seeds=1, epochs=1)

    def one_class(task: str, names) -> list[State]:
        return [
            record(
                signal,
                batch_of(
                    [Key("c", f"d{d}", 0)],
                    torch.ones(1, 20),
                    {
                        "pos": labels([(0, [(i, i + 1)], i % 2, 0, i) for i in range(20)]),
                        task: labels([(0, [(i, i + 1)], 0, 0, i) for i in range(20)], names),
                    },
                ),
                [torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(d))] * 3,
            )
            for d in range(5)
        ]

    _, _, _, prepared = measured(signal, one_class("ner", ("O",)))
    report = signal.report(prepared)
    assert "one class only" in report.details["left_out"]["ner"]
    assert "seed_noise_unknown" in report.flags


def test_entities_are_scored_by_span():
    names = ("B-PER", "I-PER", "O")

    def states(signal: Probe) -> list[State]:
        pattern = [0, 1, 2, 2, 0, 2, 0, 1, 1, 2]
        made = []
        for d in range(12):
            hidden = torch.eye(3)[torch.tensor(pattern * 3)][None]
            rows = [(0, [(i, i + 1)], pattern[i % 10], i // 10, i) for i in range(30)]
            batch = batch_of([Key("c", f"d{d}", 0)], torch.ones(1, 30), {"ner": labels(rows, names)})
            made.append(record(signal, batch, [hidden] * 3))
        return made

    for mode in ("conll", "strict"):
        signal = Probe(seeds=1, spans=mode, epochs=10, learning_rate=3e-2, control=False)
        _, _, units, prepared = measured(signal, states(signal))
        assert prepared.counts[0, 0, 0].sum(0).tolist() == [27, 27, 27]  # 3 documents, 3 sentences, 3 names
        assert signal.curve(prepared, ones(units), None).abs().max() == 0
        report = signal.report(prepared)
        assert report.noise_share == 1.0
        assert not {"selectivity", "control_f1", "f1_seed_sd"} & set(report.series)


def test_fitting_again_changes_nothing_and_another_seed_does(small):
    signal, _, state, fitted, _, _ = small
    assert torch.equal(signal.fit("observe", state)["pos.validation"], fitted["pos.validation"])
    other = Probe(seed=1, seeds=2, hidden=16, epochs=3, learning_rate=1e-2).fit("observe", state)
    assert not torch.equal(other["pos.validation"], fitted["pos.validation"])


def test_a_short_budget_is_flagged():
    signal = Probe(seeds=1, epochs=2, learning_rate=1e-3)
    _, _, _, prepared = measured(signal, corpus(signal, rotated(2), documents=8))
    report = signal.report(prepared)
    assert "not_converged" in report.flags
    assert len(report.series["validation_loss"]["pos"]) == 2


def test_one_epoch_is_no_evidence_of_convergence():
    signal = Probe(tasks=("pos",), seeds=1, epochs=1, control=False)
    *_, prepared = measured(signal, corpus(signal, rotated(3), words=20))
    assert "not_converged" in signal.report(prepared).flags


@pytest.mark.shared_data
def test_parts_of_speech_of_real_words_are_read_off_word_vectors():
    if not EWT.exists():
        pytest.skip(f"{EWT} is absent")
    signal = Probe(tasks=("pos",), seeds=2, control=False)
    state = merge(real_states(signal, documents=60))
    fitted, units = signal.fit("observe", state), Units.of(state.keys)
    series = signal.report(signal.prepare(state, fitted, units)).series
    majority = fitted["pos.gold"][0].bincount().max() / fitted["pos.gold"].shape[1]
    with_words, with_noise = series["f1"]["pos"].tolist()
    assert with_words > 0.6 > with_noise
    assert with_noise == pytest.approx(float(majority), abs=0.08)


def real_states(signal: Probe, documents: int) -> list[State]:
    """Block 1 says the word (a random vector for each type), block 2 nothing."""
    sentences: list[tuple[str, list[list[str]]]] = []
    document = ""
    for line in EWT.read_text(encoding="utf-8").splitlines():
        if line.startswith("# newdoc id"):
            document = line
        elif line.startswith("# text"):
            sentences.append((document, []))
        elif line and line.split("\t")[0].isdigit():
            sentences[-1][1].append(line.split("\t"))
    chosen = list(dict.fromkeys(d for d, _ in sentences))[:documents]
    names = tuple(sorted({w[3] for _, words in sentences for w in words}))
    states = []
    for number, (name, words) in enumerate(sentences):
        if name not in chosen:
            continue
        generators = [torch.Generator().manual_seed(stable_code(w[1].lower())) for w in words]
        vectors = torch.stack([torch.randn(64, generator=g) for g in generators])
        nothing = torch.randn(len(words), 64, generator=torch.Generator().manual_seed(number))
        rows = [(0, [(i, i + 1)], names.index(w[3]), number, stable_code(w[1])) for i, w in enumerate(words)]
        batch = batch_of([Key("ewt", name, number)], torch.ones(1, len(words)), {"pos": labels(rows, names)})
        states.append(record(signal, batch, [vectors[None], vectors[None], nothing[None]]))
    return states
