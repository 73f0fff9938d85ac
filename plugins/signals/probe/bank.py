"""A bank of multilayer perceptrons, one for each layer and member, trained together by batched matrix products.

Every probe is d_in -> hidden -> classes with a ReLU. The members of a layer are its seeds (and its control probes,
which learn other targets from the same inputs). Probes share no norm, no clipping and no stopping: each takes the
step that it would take alone, so the loss is the *sum* over probes of each probe's mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

WIDE = 1024
"""inputs beyond which the learning rate falls, as one over the root of their number"""
EVALUATED_AT_ONCE = 2048
"""instances in one forward pass of an evaluation"""


@dataclass(frozen=True)
class Budget:
    """The same for every probe: fixed passes over the training rows, a learning rate that falls to 0 as a cosine."""

    epochs: int
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.0

    def rate(self, inputs: int) -> float:
        """The first learning rate: the more inputs move together, the further a step of Adam carries."""
        return self.learning_rate * min(1.0, math.sqrt(WIDE / inputs))

    def batches(self, instances: int) -> list[slice]:
        """Batches of near-equal size; a small task has smaller ones, so that it takes no fewer than 32 steps."""
        steps = max(math.ceil(instances / self.batch_size), min(32, math.ceil(instances / 16)))
        edges = [instances * i // steps for i in range(steps + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Examples:
    """Instances of one task, for all members of a layer."""

    rows: Tensor
    """(instance, slot) int64: rows of the features, whose vectors are concatenated"""
    target: Tensor
    """(member, instance) int64: class"""

    def __getitem__(self, chosen: Tensor) -> Examples:
        return Examples(self.rows[chosen], self.target[:, chosen])

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Training:
    """What training tells, beside the trained bank."""

    validation: Tensor
    """(epoch, layer, member): mean cross-entropy of the validation instances after each epoch, in nats"""
    online: Tensor
    """(layer, member): nats to send the training labels, each batch coded by the probe trained on those before it"""


class Bank:
    """The weights of the probes of one task.

    Parameters
    ----------
    seeds: seeds[layer][member] starts the weights of that probe, and nothing else does.
    """

    def __init__(
        self,
        seeds: Sequence[Sequence[int]],
        inputs: int,
        hidden: int,
        classes: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.layers, self.members = len(seeds), len(seeds[0])
        probes = [_initial(seed, inputs, hidden, classes) for of_layer in seeds for seed in of_layer]
        self.weights = [torch.stack(w).to(device, dtype) for w in zip(*probes, strict=True)]
        """w1 (probe, input, hidden), b1 (probe, 1, hidden), w2 (probe, hidden, class), b2 (probe, 1, class)"""

    def logits(self, inputs: Tensor) -> Tensor:
        """(probe, instance, input) -> (probe, instance, class); probe = layer * members + member."""
        w1, b1, w2, b2 = self.weights
        return torch.baddbmm(b2, torch.baddbmm(b1, inputs, w1).relu(), w2)

    def train(
        self, features: Tensor, train: Examples, validation: Examples, budget: Budget, orders: Sequence[int]
    ) -> Training:
        """Train every probe in place.

        Parameters
        ----------
        features: (layer, row, dim), standardised; shared by all members of a layer.
        orders: orders[member] is the seed of that member's order of batches, the same in every layer.
        """
        batches = budget.batches(len(train))
        shuffles = [torch.Generator().manual_seed(seed) for seed in orders]
        for weight in self.weights:
            weight.requires_grad_()
        rate = budget.rate(self.weights[0].shape[1])
        adam = torch.optim.Adam(self.weights, rate, weight_decay=budget.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, budget.epochs * len(batches))
        online = torch.zeros(self.layers, self.members, dtype=torch.float64, device=features.device)
        curve = []
        for epoch in range(budget.epochs):
            order = torch.stack([torch.randperm(len(train), generator=g) for g in shuffles]).to(features.device)
            for batch in batches:
                mean = self._step_loss(features, train, order[:, batch])  # (layer, member)
                adam.zero_grad()
                torch.autograd.backward(mean.sum())
                adam.step()
                schedule.step()
                if epoch == 0:
                    online += mean.detach().double() * (batch.stop - batch.start)
            curve.append(self.cross_entropy(features, validation).mean(-1))
        for weight in self.weights:
            weight.requires_grad_(False)
        return Training(torch.stack(curve).cpu(), online.cpu())

    def _step_loss(self, features: Tensor, train: Examples, chosen: Tensor) -> Tensor:
        """Mean cross-entropy of each probe on its own instances; chosen: (member, instance)."""
        members, size = chosen.shape
        rows = train.rows[chosen.flatten()].flatten()  # (member * instance * slot)
        inputs = features.index_select(1, rows).view(self.layers * members, size, -1)
        logits = self.logits(inputs)
        target = train.target.gather(1, chosen).expand(self.layers, -1, -1)
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        return loss.view(self.layers, members, size).mean(-1)

    def evaluate(self, features: Tensor, rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Yield (instances, logits (layer, member, instance, class)); rows: (instance, slot).

        The members of a layer read the same inputs, so their first layers are one product.
        """
        w1, b1, w2, b2 = (w.detach().view(self.layers, self.members, *w.shape[1:]) for w in self.weights)
        wide = w1.permute(0, 2, 1, 3).flatten(2)  # (layer, input, member * hidden)
        bias = b1.permute(0, 2, 1, 3).flatten(2)
        for start in range(0, len(rows), EVALUATED_AT_ONCE):
            part = slice(start, min(start + EVALUATED_AT_ONCE, len(rows)))
            inputs = features.index_select(1, rows[part].flatten()).view(self.layers, part.stop - start, -1)
            hidden = torch.baddbmm(bias, inputs, wide).relu_().view(*inputs.shape[:2], self.members, -1)
            yield part, hidden.transpose(1, 2) @ w2 + b2

    def cross_entropy(self, features: Tensor, examples: Examples) -> Tensor:
        """Nats of each instance: (layer, member, instance)."""
        losses = []
        for part, logits in self.evaluate(features, examples.rows):
            target = examples.target[:, part].expand(self.layers, -1, -1)
            loss = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none")
            losses.append(loss.view_as(target))
        return torch.cat(losses, dim=-1)

    def predict(self, features: Tensor, rows: Tensor) -> Tensor:
        """The most probable class of each instance: (layer, member, instance) int64."""
        return torch.cat([logits.argmax(-1) for _, logits in self.evaluate(features, rows)], dim=-1)


def _initial(seed: int, inputs: int, hidden: int, classes: int) -> tuple[Tensor, ...]:
    """Uniform weights of Glorot and Bengio (2010), zero biases; drawn in fp32 whatever they are cast to."""
    source = torch.Generator().manual_seed(seed)

    def uniform(rows: int, columns: int) -> Tensor:
        limit = math.sqrt(6 / (rows + columns))
        return torch.empty(rows, columns).uniform_(-limit, limit, generator=source)

    return uniform(inputs, hidden), torch.zeros(1, hidden), uniform(hidden, classes), torch.zeros(1, classes)
