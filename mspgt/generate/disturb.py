"""The context manager that owns the hooks by which chosen blocks are disturbed for chosen rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor

from mspgt.generate.conditions import Condition
from mspgt.intervention import Intervention, LayerStatistics
from mspgt.models import LoadedModel


class Disturbance:
    """Disturbs the outputs of blocks for the rows of a batch whose condition says so."""

    def __init__(
        self,
        model: LoadedModel,
        make: Callable[[float], Intervention],
        statistics: Mapping[int, LayerStatistics],
        *,
        seed: int,
        apply: str = "all",
    ) -> None:
        raise NotImplementedError

    @contextmanager
    def rows(self, conditions: Sequence[Condition], samples: Tensor, prompt_lengths: Tensor) -> Iterator[None]:
        """Hooks in place for a batch; (row,) each."""
        raise NotImplementedError
        yield

    def step(self, positions: Tensor) -> None:
        """Announce a forward pass: (row, token) absolute positions from 0, -1 for padding."""
        raise NotImplementedError

    def added(self) -> dict[tuple[str, int], tuple[float, int]]:
        """(condition, block) -> (sum of squares of what was added, number of values)."""
        raise NotImplementedError
