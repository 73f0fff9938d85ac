"""The context manager that owns the hooks by which chosen blocks are disturbed for chosen rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.errors import PluginError, unknown
from mspgt.generate.conditions import Condition
from mspgt.intervention import Block, Intervention, LayerStatistics
from mspgt.models import LoadedModel

APPLY = ("all", "generated")
Added = dict[tuple[str, int], tuple[float, int]]
"""(condition, block) -> (sum of squares of what was added to its output, number of values)"""


class Disturbance:
    """Disturbs the outputs of blocks for those rows of a batch whose condition says so.

    Parameters
    ----------
    make: strength -> intervention of that strength.
    statistics: block, from 1 -> what its output is like.
    seed: of the windows that conditions draw.
    apply: "all" tokens that are processed, or the "generated" ones alone: those after the prompt.

    Raises
    ------
    UserError: another value of apply.
    """

    def __init__(
        self,
        model: LoadedModel,
        make: Callable[[float], Intervention],
        statistics: Mapping[int, LayerStatistics],
        *,
        seed: int,
        apply: str = "all",
    ) -> None:
        if apply not in APPLY:
            raise unknown("value for apply:", apply, APPLY)
        self.model, self.statistics, self.seed, self.apply = model, statistics, seed, apply
        self._make = make
        self._made: dict[float, Intervention] = {}
        self._batch: _Batch | None = None
        self._added: Added = {}

    @contextmanager
    def rows(self, conditions: Sequence[Condition], samples: Tensor, prompt_lengths: Tensor) -> Iterator[None]:
        """Disturb a batch: hooks are in place inside, and gone on leaving, after an error too.

        Only blocks that some row disturbs get a hook. What was added counts in `added` once the context is left
        without an error.

        Parameters
        ----------
        conditions: one per row.
        samples: (row,) number of the prompt.
        prompt_lengths: (row,) tokens of the prompt.
        """
        if self._batch is not None:
            raise RuntimeError("Disturbance.rows cannot be entered twice")
        blocks = [
            c.blocks(s, self.seed) if c.strength else () for c, s in zip(conditions, samples.tolist(), strict=True)
        ]
        batch = _Batch(list(conditions), blocks, samples.cpu(), prompt_lengths.cpu(), self.model.device)
        batch.arrange()
        try:
            with ExitStack() as stack:
                for block in sorted({block for row in blocks for block in row}):
                    module = self.model.blocks[block - 1]
                    hook = partial(self._disturb, batch, block)
                    stack.enter_context(module.register_forward_hook(hook, with_kwargs=True))
                self._batch = batch
                yield
            batch.count()
        finally:
            self._batch = None
        for key, (squares, values) in batch.added.items():
            before = self._added.get(key, (0.0, 0))
            self._added[key] = (before[0] + squares, before[1] + values)

    def step(self, positions: Tensor) -> None:
        """Announce a forward pass.

        Parameters
        ----------
        positions: (row, token) absolute positions from 0, -1 for padding; best on the CPU.
        """
        self._inside().announce(positions.cpu(), self.apply == "generated")

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows of the batch: (row,) their numbers in it, rising."""
        self._inside().select(rows.tolist())

    def added(self) -> Added:
        """What was added in all batches so far, over tokens that were disturbed."""
        return dict(self._added)

    def _inside(self) -> _Batch:
        if self._batch is None:
            raise RuntimeError("a Disturbance works inside `with disturbance.rows(...):` only")
        return self._batch

    def _disturb(
        self, batch: _Batch, block: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> Any:
        before: Tensor = output[0] if isinstance(output, (tuple, list)) else output
        incoming: Tensor = args[0] if args else kwargs["hidden_states"]
        hidden = before
        for group in batch.groups[block]:
            hidden = self._apply(group, block, incoming, hidden)
        if hidden is before:
            return None
        return type(output)((hidden, *output[1:])) if isinstance(output, (tuple, list)) else hidden

    def _apply(self, group: _Group, block: int, incoming: Tensor, hidden: Tensor) -> Tensor:
        """Disturb the group's rows of (row, token, dim); the other rows are those of `hidden`."""
        rows = group.rows.on(hidden.device)
        if rows.idle:
            return hidden
        given = hidden if rows.whole else hidden.index_select(0, rows.index)
        entered = incoming if rows.whole else incoming.index_select(0, rows.index)
        if group.strength not in self._made:
            self._made[group.strength] = self._make(group.strength)
        intervention = self._made[group.strength]
        done = intervention.apply(given, Block(block, entered), rows.positions, rows.samples, self.statistics[block])
        if done.shape != given.shape:
            raise PluginError(
                f"the intervention {type(intervention).__name__} gave {tuple(done.shape)} for hidden states "
                f"{tuple(given.shape)}, expected the same (row, token, dim)."
            )
        done = done.to(given.dtype)
        if rows.content is not None:
            done = torch.where(rows.content, done, given)
        group.add((done.double() - given).square().sum((1, 2)), given.shape[-1])
        return done if rows.whole else hidden.index_copy(0, rows.index, done)


@dataclass
class _Rows:
    """Rows of a batch that are disturbed together, and their part of the forward pass at hand."""

    numbers: tuple[int, ...]
    """in the batch"""
    whole: bool
    """whether they are the whole batch"""
    index: Tensor
    """the numbers again"""
    samples: Tensor
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

    def on(self, device: torch.device) -> _Rows:
        """The same on the device of a block, which differs from the model's first one where a model is sharded."""
        if device == self.index.device:
            return self
        content = None if self.content is None else self.content.to(device)
        moved = {name: getattr(self, name).to(device) for name in ("index", "samples", "positions")}
        return replace(self, content=content, **moved)


@dataclass
class _Group:
    """Rows that a block disturbs with one strength."""

    strength: float
    rows: _Rows
    squares: Tensor | None = None
    """(row,) sum of the squares of what was added"""
    dim: int = 0

    def add(self, squares: Tensor, dim: int) -> None:
        self.squares, self.dim = squares if self.squares is None else self.squares + squares, dim


@dataclass
class _Batch:
    """Which rows each block disturbs, and what was added so far."""

    conditions: list[Condition]
    blocks: list[tuple[int, ...]]
    """of each row"""
    samples: Tensor
    prompt_lengths: Tensor
    device: torch.device
    groups: dict[int, list[_Group]] = field(default_factory=dict)
    shared: list[_Rows] = field(default_factory=list)
    """all rows that stand in `groups`, each once"""
    added: Added = field(default_factory=dict)

    def arrange(self) -> None:
        """Put rows that a block disturbs alike into one group."""
        shared: dict[tuple[int, ...], _Rows] = {}
        for block in {block for row in self.blocks for block in row} | set(self.groups):
            alike: dict[float, list[int]] = {}
            for row, (condition, disturbed) in enumerate(zip(self.conditions, self.blocks, strict=True)):
                if block in disturbed:
                    alike.setdefault(condition.strength, []).append(row)
            self.groups[block] = [_Group(s, self._rows(tuple(rows), shared)) for s, rows in alike.items()]
        self.shared = list(shared.values())

    def announce(self, positions: Tensor, generated: bool) -> None:
        first = self.prompt_lengths if generated else torch.zeros_like(self.prompt_lengths)
        for rows in self.shared:
            rows.announce(positions, first)

    def select(self, rows: list[int]) -> None:
        self.count()
        self.conditions, self.blocks = [self.conditions[i] for i in rows], [self.blocks[i] for i in rows]
        self.samples, self.prompt_lengths = self.samples[rows], self.prompt_lengths[rows]
        self.arrange()

    def count(self) -> None:
        """Take over from the groups what they added."""
        for block, groups in self.groups.items():
            for group in groups:
                if group.squares is None:
                    continue
                per_row = zip(group.rows.numbers, group.squares.tolist(), group.rows.tokens.tolist(), strict=True)
                for row, squares, tokens in per_row:
                    key = (self.conditions[row].name, block)
                    before = self.added.get(key, (0.0, 0))
                    self.added[key] = (before[0] + squares, before[1] + tokens * group.dim)

    def _rows(self, numbers: tuple[int, ...], shared: dict[tuple[int, ...], _Rows]) -> _Rows:
        if numbers not in shared:
            index = torch.tensor(numbers, device=self.device)
            tokens = torch.zeros(len(numbers), dtype=torch.int64)
            samples = self.samples[list(numbers)].to(self.device)
            shared[numbers] = _Rows(numbers, len(numbers) == len(self.samples), index, samples, tokens, index[:, None])
        return shared[numbers]
