"""The context manager that owns the hooks by which chosen blocks are disturbed for chosen rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics
from mspgt.core.errors import PluginError, unknown
from mspgt.generate.assignment import Added, Assignment, Dosed
from mspgt.generate.conditions import drawn
from mspgt.models import LoadedModel
from mspgt.stats.paired.conditions import Condition

APPLY = ("all", "generated")


class Disturbance:
    """Disturbs the outputs of blocks for those rows of a batch whose condition says so.

    Parameters
    ----------
    make: strength -> intervention of that strength.
    statistics: block, from 1 -> what its output is like; on any device.
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
        self._placed: dict[tuple[int, torch.device], LayerStatistics] = {}
        self._batch: Assignment | None = None
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
        blocks = [drawn(c, s, self.seed) if c.sigma else () for c, s in zip(conditions, samples.tolist(), strict=True)]
        batch = Assignment(list(conditions), blocks, samples.cpu(), prompt_lengths.cpu(), self.model.device)
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

    def _inside(self) -> Assignment:
        if self._batch is None:
            raise RuntimeError("a Disturbance works inside `with disturbance.rows(...):` only")
        return self._batch

    def _disturb(
        self,
        batch: Assignment,
        block: int,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Any,
    ) -> Any:
        before: Tensor = output[0] if isinstance(output, (tuple, list)) else output
        incoming: Tensor = args[0] if args else kwargs["hidden_states"]
        hidden = before
        for dosed in batch.dosed[block]:
            hidden = self._apply(dosed, block, incoming, hidden)
        if hidden is before:
            return None
        return type(output)((hidden, *output[1:])) if isinstance(output, (tuple, list)) else hidden

    def _apply(self, dosed: Dosed, block: int, incoming: Tensor, hidden: Tensor) -> Tensor:
        """Disturb some rows of (row, token, dim); the other rows are those of `hidden`."""
        rows = dosed.rows.on(hidden.device)
        if rows.idle:
            return hidden
        given = hidden if rows.whole else hidden.index_select(0, rows.index)
        incoming = incoming.to(hidden.device)  # a spread model moves it inside the block
        entered = incoming if rows.whole else incoming.index_select(0, rows.index)
        if dosed.strength not in self._made:
            self._made[dosed.strength] = self._make(dosed.strength)
        intervention = self._made[dosed.strength]
        statistics = self._statistics_on(hidden.device, block)
        done = intervention.apply(given, Block(block, entered), rows.positions, rows.samples, statistics)
        if done.shape != given.shape:
            raise PluginError(
                f"the intervention {type(intervention).__name__} gave {tuple(done.shape)} for hidden states "
                f"{tuple(given.shape)}, expected the same (row, token, dim)."
            )
        done = done.to(given.dtype)
        if rows.content is not None:
            done = torch.where(rows.content, done, given)
        dosed.add((done.double() - given).square().sum((1, 2)), given.shape[-1])
        return done if rows.whole else hidden.index_copy(0, rows.index, done)

    def _statistics_on(self, device: torch.device, block: int) -> LayerStatistics:
        """Those of a block where its output is, which for an offloaded or a spread model its first pass tells."""
        if (block, device) not in self._placed:
            known = self.statistics[block]
            moved = {name: getattr(known, name).to(device) for name in ("mean", "std_dim", "bank")}
            self._placed[block, device] = replace(known, **moved)
        return self._placed[block, device]
