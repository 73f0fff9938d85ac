"""Ranks of a training as threads of one process, for tests of what they say to each other."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mspgt.core.errors import UserError

PATIENCE = 30.0
"""seconds after which a rank that waits is lost"""


@dataclass
class Room:
    """Where ranks meet. One of them works at a time, so that what is global in a process is as in one of its own."""

    world: int
    barrier: threading.Barrier = field(init=False)
    turn: threading.Lock = field(default_factory=threading.Lock)
    brought: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.world, timeout=PATIENCE)


@dataclass(frozen=True)
class Thread:
    """One rank of several, in a thread; what it is given is a copy, as between processes."""

    room: Room
    rank: int

    @property
    def world(self) -> int:
        return self.room.world

    def _meet(self, kind: str, value: Any) -> list[Any]:
        room = self.room
        room.brought[self.rank] = kind, pickle.dumps(value)
        room.turn.release()
        try:
            room.barrier.wait()
            brought = [room.brought[rank] for rank in range(self.world)]
            room.barrier.wait()
        finally:
            room.turn.acquire()
        assert {other for other, _ in brought} == {kind}, "ranks make the same calls in the same order"
        return [pickle.loads(value) for _, value in brought]

    def gather(self, value: Any) -> list[Any] | None:
        found = self._meet("gather", value)
        return found if self.rank == 0 else None

    def exchange(self, value: Any) -> list[Any]:
        return self._meet("exchange", value)

    def broadcast(self, value: Any) -> Any:
        return self._meet("broadcast", value)[0]


def shared(world: int, work: Callable[[Any], Any]) -> list[Any]:
    """What each rank answers or raises; no rank is left waiting for another."""
    room = Room(world)
    answers: list[Any] = [None] * world

    def one(rank: int) -> None:
        with room.turn:
            try:
                answers[rank] = work(Thread(room, rank))
            except Exception as error:
                answers[rank] = error
                if not isinstance(error, UserError):
                    room.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a rank hangs"
    return answers
