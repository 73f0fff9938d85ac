"""A signal's details, sorted for display: single values, and columns by transition or by block.

Details are whatever JSON values a signal reports; nothing here knows a signal by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHORT = 12
"""longest list shown as one value"""


@dataclass(frozen=True)
class Details:
    """What can be shown of a signal's details.

    Attributes
    ----------
    values: name -> a single value or a short list.
    tables: (what a row is, number of the first row, name -> column); matrices and other long lists are left to
        result.json.
    """

    values: Mapping[str, Any]
    tables: tuple[tuple[str, int, Mapping[str, Sequence[Any]]], ...]

    @classmethod
    def of(cls, details: Mapping[str, Any], n_layers: int) -> Details:
        """Sort details: a list of n_layers - 1 runs over transitions, of n_layers or one more over blocks."""
        places = {n_layers - 1: ("transition", 1), n_layers: ("block", 1), n_layers + 1: ("block", 0)}
        values: dict[str, Any] = {}
        columns: dict[int, dict[str, Sequence[Any]]] = {}
        for name, value in _flat(details):
            if not isinstance(value, list):
                values[name] = value
            elif any(isinstance(item, (list, Mapping)) for item in value):
                continue
            elif len(value) in places and not any(isinstance(item, str) for item in value):
                columns.setdefault(len(value), {})[name] = value
            elif len(value) <= SHORT:
                values[name] = value
        return cls(values, tuple((*places[length], found) for length, found in sorted(columns.items())))


def _flat(details: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in details.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}", value
