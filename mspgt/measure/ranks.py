"""The processes that share a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mspgt.core.errors import UserError, sentence


class Ranks(Protocol):
    """The processes that share a corpus; each of them makes the same calls in the same order."""

    rank: int
    world: int

    def gather(self, value: Any) -> list[Any] | None:
        """Every process's value in the first one, None in the others."""

    def exchange(self, value: Any) -> list[Any]:
        """Every process's value in each of them."""

    def broadcast(self, value: Any) -> Any:
        """The first process's value in each of them."""


class Alone:
    """One process."""

    rank, world = 0, 1

    def gather(self, value: Any) -> list[Any]:
        """The value itself."""
        return [value]

    exchange = gather

    def broadcast(self, value: Any) -> Any:
        """The value itself."""
        return value


@contextmanager
def agreed(ranks: Ranks) -> Iterator[None]:
    """What raises in one process raises in all of them, once each has come to the end of the block.

    So no process waits for one that has given up. There are no exchanges inside the block.

    Raises
    ------
    UserError: the sentence of the first process that raised.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:  # the others wait for an answer, whatever happened here
        error = raised
    sentences = ranks.exchange(None if error is None else sentence(error))
    if why := next(filter(None, sentences), None):
        if isinstance(error, UserError) and str(error) == why:
            raise error
        raise UserError(why) from error
