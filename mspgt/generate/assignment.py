"""Which rows of a batch each block disturbs, and what it added to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mspgt.stats.paired.conditions import Condition

Added = dict[tuple[str, int], tuple[float, int]]
"""(condition, block) -> (sum of squares of what was added to its output, number of values)"""


@dataclass
class Rows:
    """Rows of a batch that are disturbed together, and their part of the forward pass at hand."""

    numbers: tuple[int, ...]
    """in the batch"""
    whole: bool
    """whether they are the whole batch"""
    index: Tensor
    """the numbers again"""
    samples: Tensor
    """(row,) number of the prompt"""
    tokens: Tensor
    """(row,) disturbed so far; on the CPU"""
    positions: Tensor
    """(row, token)"""
    content: Tensor | None = None
    """(row, token, 1) which are disturbed; None where all are"""
    idle: bool = True
    """whether none is"""

    def announce(self, positions: Tensor, first: Tensor) -> None:
        """Take over a forward pass: (row, token) of the batch, and the (row,) first positions to be disturbed."""
        device = self.index.device
        mine = positions if self.whole else positions[list(self.numbers)]
        content = mine >= first[list(self.numbers), None]
        self.tokens += content.sum(1)
        self.idle = not bool(content.any())
        self.positions = mine.to(device)
        self.content = None if bool(content.all()) else content[..., None].to(device)

    def on(self, device: torch.device) -> Rows:
        """The same on the device of a block, which differs from the model's first one where a model is sharded."""
        if device == self.index.device:
            return self
        content = None if self.content is None else self.content.to(device)
        moved = {name: getattr(self, name).to(device) for name in ("index", "samples", "positions")}
        return replace(self, content=content, **moved)


@dataclass
class Dosed:
    """Rows that a block disturbs with one strength."""

    strength: float
    rows: Rows
    squares: Tensor | None = None
    """(row,) sum of the squares of what was added"""
    dim: int = 0

    def add(self, squares: Tensor, dim: int) -> None:
        """Count (row,) sums over tokens of `dim` values."""
        self.squares, self.dim = squares if self.squares is None else self.squares + squares, dim


@dataclass
class Assignment:
    """Which rows each block disturbs, and what was added so far."""

    conditions: list[Condition]
    blocks: list[tuple[int, ...]]
    """of each row"""
    samples: Tensor
    """(row,) number of the prompt; on the CPU, as is `prompt_lengths`"""
    prompt_lengths: Tensor
    device: torch.device
    dosed: dict[int, list[Dosed]] = field(default_factory=dict)
    shared: list[Rows] = field(default_factory=list)
    """all rows that stand in `dosed`, each once"""
    added: Added = field(default_factory=dict)

    def arrange(self) -> None:
        """Put together the rows that a block disturbs alike."""
        shared: dict[tuple[int, ...], Rows] = {}
        for block in {block for row in self.blocks for block in row} | set(self.dosed):
            alike: dict[float, list[int]] = {}
            for row, (condition, disturbed) in enumerate(zip(self.conditions, self.blocks, strict=True)):
                if block in disturbed:
                    alike.setdefault(condition.sigma, []).append(row)
            self.dosed[block] = [Dosed(s, self._rows(tuple(rows), shared)) for s, rows in alike.items()]
        self.shared = list(shared.values())

    def announce(self, positions: Tensor, generated: bool) -> None:
        """Take over (row, token) positions of the forward pass at hand; disturb the generated tokens alone, or all."""
        first = self.prompt_lengths if generated else torch.zeros_like(self.prompt_lengths)
        for rows in self.shared:
            rows.announce(positions, first)

    def select(self, rows: list[int]) -> None:
        """Go on with some rows."""
        self.count()
        self.conditions, self.blocks = [self.conditions[i] for i in rows], [self.blocks[i] for i in rows]
        self.samples, self.prompt_lengths = self.samples[rows], self.prompt_lengths[rows]
        self.arrange()

    def count(self) -> None:
        """Take over what was added."""
        for block, alike in self.dosed.items():
            for dosed in alike:
                if dosed.squares is None:
                    continue
                per_row = zip(dosed.rows.numbers, dosed.squares.tolist(), dosed.rows.tokens.tolist(), strict=True)
                for row, squares, tokens in per_row:
                    key = (self.conditions[row].name, block)
                    before = self.added.get(key, (0.0, 0))
                    self.added[key] = (before[0] + squares, before[1] + tokens * dosed.dim)

    def _rows(self, numbers: tuple[int, ...], shared: dict[tuple[int, ...], Rows]) -> Rows:
        if numbers not in shared:
            index = torch.tensor(numbers, device=self.device)
            tokens = torch.zeros(len(numbers), dtype=torch.int64)
            samples = self.samples[list(numbers)].to(self.device)
            shared[numbers] = Rows(numbers, len(numbers) == len(self.samples), index, samples, tokens, index[:, None])
        return shared[numbers]
