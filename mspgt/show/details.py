"""A signal's details, sorted for display: single values, records, and curves over transitions or blocks.

Details are whatever JSON values a signal reports; nothing here knows a signal by name. A list as long as the model
has transitions runs over transitions, one as long as it has blocks (or one more, with the embeddings) over blocks;
a name such as ``loss_by_epoch`` says that it runs over something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHORT = 12
"""longest list shown as one value"""


@dataclass(frozen=True)
class Curves:
    """Columns of equal length over one axis.

    Attributes
    ----------
    title: what the columns hold, where they share one quantity (``f1`` of several tasks); else empty.
    place: what a row is, "transition" or "block".
    first: number of the first row.
    """

    title: str
    place: str
    first: int
    columns: Mapping[str, Sequence[Any]]


@dataclass
class Details:
    """What can be shown of a signal's details; matrices and other long lists are left to result.json."""

    values: dict[str, Any] = field(default_factory=dict)
    """name -> a single value or a short list"""
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """name, such as tasks -> record -> field -> single value"""
    curves: list[Curves] = field(default_factory=list)


def sort_details(details: Mapping[str, Any], n_layers: int) -> Details:
    """Sort the details of one signal of a model of `n_layers` blocks."""
    found = Details()
    loose: dict[int, dict[str, Sequence[Any]]] = {}
    for name, value in details.items():
        if _holds_records(value):
            _sort_records(name, value, n_layers, found)
            continue
        for label, leaf in _flat({name: value}):
            if (length := _axis(label, leaf, n_layers)) is not None:
                loose.setdefault(length, {})[label] = leaf
            elif _is_single(leaf):
                found.values[label] = leaf
    places = _places(n_layers)
    found.curves[:0] = [Curves("", *places[length], loose[length]) for length in sorted(loose)]
    return found


def _sort_records(name: str, records: Mapping[str, Any], n_layers: int, found: Details) -> None:
    """Single values become a table of the records; each list becomes a table with a column for each record."""
    singles: dict[str, dict[str, Any]] = {record: {} for record in records}
    quantities: dict[tuple[str, int], dict[str, Sequence[Any]]] = {}
    for record, fields in records.items():
        for label, leaf in _flat(fields):
            if (length := _axis(label, leaf, n_layers)) is not None:
                quantities.setdefault((label, length), {})[record] = leaf
            elif _is_single(leaf):
                singles[record][label] = leaf
    if any(singles.values()):
        found.records[name] = singles
    places = _places(n_layers)
    found.curves += [Curves(label, *places[n], columns) for (label, n), columns in quantities.items()]


def _places(n_layers: int) -> dict[int, tuple[str, int]]:
    return {n_layers - 1: ("transition", 1), n_layers: ("block", 1), n_layers + 1: ("block", 0)}


def _axis(name: str, value: Any, n_layers: int) -> int | None:
    """The length of a list that runs over transitions or blocks; None for anything else."""
    numbers = isinstance(value, list) and all(isinstance(v, (int, float, type(None))) for v in value)
    return len(value) if numbers and len(value) in _places(n_layers) and "_by_" not in name.split()[-1] else None


def _is_single(value: Any) -> bool:
    if not isinstance(value, list):
        return True
    return len(value) <= SHORT and not any(isinstance(item, (list, Mapping)) for item in value)


def _holds_records(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Mapping) for v in value.values())


def _flat(details: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in details.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}", value
