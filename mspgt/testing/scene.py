"""A planted batch of prompts: what interventions are tried on, whole, in parts, and padded otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics


@dataclass(frozen=True)
class Scene:
    """What an intervention is given: the prompts of one batch, padded on the right."""

    hidden: Tensor
    """(row, token, dim) fp32"""
    incoming: Tensor
    """(row, token, dim) fp32"""
    positions: Tensor
    """(row, token) int64, -1 for padding"""
    samples: Tensor
    """(row,) int64"""
    statistics: LayerStatistics

    def apply(self, intervention: Intervention, layer: int = 3) -> Tensor:
        """(row, token, dim) as the intervention makes it."""
        return intervention.apply(
            self.hidden, Block(layer, self.incoming), self.positions, self.samples, self.statistics
        )

    def rows(self, index: Tensor | slice) -> Scene:
        """Some rows, in the order given."""
        return dataclasses.replace(self._cut(index), samples=self.samples[index])

    def tokens(self, index: slice) -> Scene:
        """Some tokens, as a step with a cache has them."""
        return self._cut((slice(None), index))

    def _cut(self, index: Tensor | slice | tuple[slice, slice]) -> Scene:
        hidden, incoming, positions = (t[index] for t in (self.hidden, self.incoming, self.positions))
        return dataclasses.replace(self, hidden=hidden, incoming=incoming, positions=positions)

    def to(self, dtype: torch.dtype) -> Scene:
        """The same in a model's precision; statistics stay float32."""
        return dataclasses.replace(self, hidden=self.hidden.to(dtype), incoming=self.incoming.to(dtype))

    def tensors(self) -> list[Tensor]:
        """Everything that an intervention could spoil."""
        held = self.statistics
        return [self.hidden, self.incoming, self.positions, self.samples, held.mean, held.std_dim, held.bank]


def planted_scene(dim: int = 7, lengths: tuple[int, ...] = (6, 9, 1, 4)) -> Scene:
    """Random blocks of which dimensions differ in mean and spread; numbers of samples have gaps."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths), dim)
    mean, spread = torch.linspace(-2, 3, dim), torch.linspace(0.5, 2, dim)
    hidden = mean + spread * torch.randn(shape, generator=generator)
    incoming = hidden - 0.3 * torch.randn(shape, generator=generator)
    places = torch.arange(max(lengths)).expand(len(lengths), -1)
    positions = torch.where(places < torch.tensor(lengths)[:, None], places, -1)
    bank = mean + spread * torch.randn(50, dim, generator=generator)
    std = float(spread.square().mean().sqrt())
    statistics = LayerStatistics(mean, spread, std, float((spread.square() + mean.square()).mean().sqrt()), bank)
    return Scene(hidden, incoming, positions, 5 * torch.arange(len(lengths)) + 2, statistics)


def padded_scene(scene: Scene, side: str, content: float) -> Scene:
    """The same tokens between two more tokens of padding than before, all padding on one side."""
    rows, tokens, dim = scene.hidden.shape
    hidden, incoming = (torch.full((rows, tokens + 2, dim), content) for _ in range(2))
    positions = torch.full((rows, tokens + 2), -1)
    for row, place in enumerate(scene.positions):
        length = int((place >= 0).sum())
        here = slice(0, length) if side == "right" else slice(tokens + 2 - length, tokens + 2)
        hidden[row, here], incoming[row, here] = scene.hidden[row, :length], scene.incoming[row, :length]
        positions[row, here] = place[:length]
    return dataclasses.replace(scene, hidden=hidden, incoming=incoming, positions=positions)
