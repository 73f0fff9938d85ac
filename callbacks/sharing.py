"""Sharing a corpus among the ranks of a training: every exchange happens on all ranks, whatever happened on one."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch.distributed as dist

from mspgt.passes import Alone, Ranks


def ranks_of(trainer: L.Trainer) -> Ranks:
    """The processes of a training; called by all of them at the same time."""
    if trainer.world_size == 1 or not (dist.is_available() and dist.is_initialized()):
        return Alone()
    return Together()


class Together:
    """The processes of the default group, talking over a group of their own on the CPU.

    The training's own collectives stay as they are, in number and in order.
    """

    def __init__(self) -> None:
        self._group: Any = dist.new_group(backend="gloo")
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def gather(self, value: Any) -> list[Any] | None:
        """Every process's value in the first one, None in the others."""
        found: list[Any] | None = [None] * self.world if self.rank == 0 else None
        dist.gather_object(value, found, dst=0, group=self._group)
        return found

    def exchange(self, value: Any) -> list[Any]:
        """Every process's value in each of them."""
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value, group=self._group)
        return found

    def broadcast(self, value: Any) -> Any:
        """The first process's value in each of them."""
        holder = [value]
        dist.broadcast_object_list(holder, src=0, group=self._group)
        return holder[0]
