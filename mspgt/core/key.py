"""The identity of a sequence."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """The identity of a sequence: everything measured is keyed by it, and keys sort canonically."""

    corpus: str
    document: str
    sequence: int
