"""The bank of probes: each is what it would be alone, and it learns what there is to learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mspgt.plugins.signals.probe.bank import Bank, Budget, Examples

SEEDS = [[11, 12, 13], [21, 22, 23]]  # two layers, three members


def problem(instances: int = 400, dim: int = 12, classes: int = 4, distance: float = 2.0, seed: int = 0):
    """Gaussian classes of unit variance around means at the corners of a simplex: Bayes accuracy is known."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.zeros(classes, dim)
    means[:, :classes] = torch.eye(classes) * distance
    target = torch.randint(classes, (instances,), generator=generator)
    return means[target] + torch.randn(instances, dim, generator=generator), target, means


def two_layers(instances: int = 400, members: int = 3, **options):
    x, target, _ = problem(instances, **options)
    rotation = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], generator=torch.Generator().manual_seed(9)))[0]
    features = torch.stack([x, x @ rotation])
    return features, Examples(torch.arange(instances)[:, None], target.expand(members, -1))


def test_a_bank_equals_probes_trained_one_by_one():
    features, examples = two_layers(members=3)
    features = features.double()
    budget = Budget(epochs=2, learning_rate=3e-3, batch_size=16)  # 50 steps
    bank = Bank(SEEDS, 12, 8, 4, dtype=torch.float64)
    start = [w.clone() for w in bank.weights]
    bank.train(features, examples, examples, budget, orders=[1, 2, 3])
    for layer in range(2):
        for member in range(3):
            alone = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)).double()
            w1, b1, w2, b2 = (w[layer * 3 + member] for w in start)
            alone.load_state_dict({"0.weight": w1.T, "0.bias": b1[0], "2.weight": w2.T, "2.bias": b2[0]})
            adam = torch.optim.Adam(alone.parameters(), 3e-3)
            shuffle, step = torch.Generator().manual_seed(member + 1), 0
            for _ in range(2):
                for part in torch.randperm(400, generator=shuffle).split(16):
                    adam.param_groups[0]["lr"] = 3e-3 * (1 + math.cos(math.pi * step / 50)) / 2
                    adam.zero_grad()
                    F.cross_entropy(alone(features[layer, part]), examples.target[0, part]).backward()
                    adam.step()
                    step += 1
            assert step == 50
            trained = bank.weights[0][layer * 3 + member]
            torch.testing.assert_close(trained, alone[0].weight.T, rtol=0, atol=1e-11)
            assert (trained - w1).abs().max() > 0.01


def test_a_probe_does_not_depend_on_its_neighbours():
    features, examples = two_layers()
    budget = Budget(epochs=1, learning_rate=3e-3, batch_size=32)
    both, second = Bank(SEEDS, 12, 8, 4, dtype=torch.float64), Bank(SEEDS[1:], 12, 8, 4, dtype=torch.float64)
    both.train(features.double(), examples, examples, budget, [1, 2, 3])
    second.train(features[1:].double(), examples, examples, budget, [1, 2, 3])
    for one, other in zip(both.weights, second.weights, strict=True):
        torch.testing.assert_close(one[3:], other, rtol=0, atol=1e-11)


def test_members_learn_their_own_targets():
    features, examples = two_layers(1000, members=2, distance=6.0)
    other = Examples(examples.rows, torch.stack([examples.target[0], (examples.target[0] + 1) % 4]))
    bank = Bank([s[:2] for s in SEEDS], 12, 16, 4)
    bank.train(features, other, other, Budget(5, 1e-2, 32), [1, 2])
    hit = (bank.predict(features, other.rows) == other.target).double().mean(-1)
    assert hit.min() > 0.97


def test_two_slots_are_concatenated_in_order():
    x, target, _ = problem(800, distance=6.0)
    generator = torch.Generator().manual_seed(3)
    rows = torch.stack([torch.arange(800), torch.randint(800, (800,), generator=generator)], dim=1)
    label = (target[rows[:, 0]] - target[rows[:, 1]]) % 4
    examples = Examples(rows, label[None])
    bank = Bank([[5]], 24, 64, 4)
    assert Bank([[5]], 24, 64, 4).logits(torch.zeros(1, 1, 24)).shape == (1, 1, 4)
    bank.train(x[None], examples, examples, Budget(20, 1e-2, 32), [1])
    assert (bank.predict(x[None], rows) == label).double().mean() > 0.95


def test_evaluation_is_the_forward_pass():
    features, examples = two_layers()
    bank = Bank(SEEDS, 12, 8, 4)
    logits = torch.cat([part for _, part in bank.evaluate(features, examples.rows)], dim=2)
    expected = bank.logits(features[:, None].expand(-1, 3, -1, -1).flatten(0, 1))
    torch.testing.assert_close(logits.flatten(0, 1), expected)
    loss = bank.cross_entropy(features, examples).flatten(0, 1)
    torch.testing.assert_close(loss[4], F.cross_entropy(expected[4], examples.target[1], reduction="none"))


def test_accuracy_and_information_are_those_of_the_bayes_classifier():
    features, examples = two_layers(6000, members=3)
    _, target, means = problem(6000)
    log_density = features[0] @ means.T - means.square().sum(1) / 2
    bayes = (log_density.argmax(1) == target)[4000:].double().mean()
    entropy = F.cross_entropy(log_density[4000:], target[4000:]).double()
    bank = Bank(SEEDS, 12, 64, 4)
    train, test = examples[torch.arange(4000)], examples[torch.arange(4000, 6000)]
    bank.train(features, train, test, Budget(6, 3e-3, 64), [1, 2, 3])
    accuracy = (bank.predict(features, test.rows) == test.target).double().mean(-1)
    assert 0.75 < bayes < 0.95
    assert (accuracy - bayes).abs().max() < 0.02
    assert (bank.cross_entropy(features, test).double().mean(-1) - entropy).abs().max() < 0.03


def test_permuted_labels_are_at_chance():
    features, examples = two_layers(2000)
    shuffled = torch.stack(
        [row[torch.randperm(2000, generator=torch.Generator().manual_seed(4))] for row in examples.target]
    )
    examples = Examples(examples.rows, shuffled)
    bank = Bank(SEEDS, 12, 16, 4)
    train, test = examples[torch.arange(1000)], examples[torch.arange(1000, 2000)]
    bank.train(features, train, test, Budget(5, 3e-3, 32), [1, 2, 3])
    accuracy = (bank.predict(features, test.rows) == test.target).double().mean(-1)
    assert (accuracy - 0.25).abs().max() < 0.06  # four standard errors


def test_online_codelength_of_an_untrained_probe_is_its_cross_entropy():
    features, examples = two_layers()
    bank = Bank(SEEDS, 12, 8, 4)
    expected = bank.cross_entropy(features, examples).double().sum(-1)
    training = bank.train(features, examples, examples, Budget(2, 0.0, 32), [1, 2, 3])
    torch.testing.assert_close(training.online, expected, rtol=1e-5, atol=1e-3)
    assert training.validation.shape == (2, 2, 3)


def test_learning_shortens_the_code():
    features, examples = two_layers(2000, distance=4.0)
    bank = Bank(SEEDS, 12, 32, 4)
    training = bank.train(features, examples, examples, Budget(1, 1e-2, 32), [1, 2, 3])
    assert (training.online < 0.6 * 2000 * math.log(4)).all()


@given(st.integers(1, 5000), st.integers(1, 600))
@settings(deadline=None)
def test_batches_cover_every_instance_once(instances, size):
    parts = Budget(1, 1e-3, size).batches(instances)
    sizes = [p.stop - p.start for p in parts]
    assert np.concatenate([np.arange(instances)[p] for p in parts]).tolist() == list(range(instances))
    assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    assert max(sizes) <= max(size, 1)


@pytest.mark.parametrize(("inputs", "rate"), [(384, 1e-3), (1024, 1e-3), (4096, 5e-4)])
def test_wide_inputs_take_smaller_steps(inputs, rate):
    assert Budget(1, 1e-3, 32).rate(inputs) == pytest.approx(rate)
