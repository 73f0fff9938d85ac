"""Sharing a corpus among the ranks of a training, beside the training's own communication."""

from __future__ import annotations

import atexit
from contextlib import suppress
from datetime import timedelta
from typing import Any

import lightning as L
import torch.distributed as dist

from mspgt.core.errors import UserError
from mspgt.measure.ranks import Alone, Ranks

PATIENCE = timedelta(hours=12)
"""more than the first rank ever takes to fit and evaluate while the others wait"""


def ranks_of(trainer: L.Trainer) -> Ranks:
    """The processes of a training; called by all of them at the same time.

    Raises
    ------
    UserError: processes that cannot talk to each other on the CPU.
    """
    if trainer.world_size == 1:
        return Alone()
    if not (dist.is_available() and dist.is_initialized()):
        raise UserError(
            f"BoundaryDrift shares its corpus by torch.distributed, which {type(trainer.strategy).__name__} does not "
            "use: train with strategy=ddp or on one device, or run `mspgt drift` over the checkpoints afterwards."
        )
    return Together(_beside(dist.group.WORLD))


_GROUPS: dict[Any, Any] = {}
"""the training's group -> ours; at most one"""


def _beside(world: Any) -> Any:
    """A group of the same processes on the CPU; one for all trainings in these processes."""
    if world not in _GROUPS:
        _release()
        _GROUPS[world] = dist.new_group(backend="gloo", timeout=PATIENCE)
    return _GROUPS[world]


@atexit.register
def _release() -> None:
    """Let go of our group while its threads can still be stopped in order."""
    while _GROUPS:
        _, group = _GROUPS.popitem()
        with suppress(Exception):  # it went with the training's group
            dist.destroy_process_group(group)


class Together:
    """All processes, talking over a group on the CPU.

    The training's own collectives stay as they are, in number and in order.
    """

    def __init__(self, group: Any) -> None:
        self._group = group
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def gather(self, value: Any) -> list[Any] | None:
        """Every process's value in the first one, None in the others."""
        gathered: list[Any] | None = [None] * self.world if self.rank == 0 else None
        dist.gather_object(value, gathered, dst=0, group=self._group)
        return gathered

    def exchange(self, value: Any) -> list[Any]:
        """Every process's value in each of them."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=self._group)
        return values

    def broadcast(self, value: Any) -> Any:
        """The first process's value in each of them."""
        holder = [value]
        dist.broadcast_object_list(holder, src=0, group=self._group)
        return holder[0]
