"""Mergeable streaming state, keyed by (corpus, document, sequence), and its life on disk.

A state is what a signal keeps of the sequences it has seen: tables of rows that belong to sequences, totals that
add, and the names behind stable codes. States of disjoint sequences merge by union, in canonical key order, so
that batches, devices, machines and resumed runs are all the same operation.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from mspgt.core.errors import DuplicateSequence, MachineError, UserError
from mspgt.core.key import Key

SPILL_BYTES = 2 << 30
"""merged columns larger than this are kept in memory-mapped files"""


def stable_code(text: str) -> int:
    """A 63-bit code of a text, the same on every machine and in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Table:
    """Rows that belong to sequences."""

    sequence: Tensor
    """(row,) int64: position of the row's sequence in the state's keys; ascending"""
    columns: Mapping[str, Tensor]
    """column -> (row, ...)"""


@dataclass(frozen=True)
class State:
    """What a signal keeps of a set of sequences. The empty state is the identity of `merge`."""

    keys: tuple[Key, ...] = ()
    """every sequence observed, those without rows too"""
    tables: Mapping[str, Table] = field(default_factory=dict)
    totals: Mapping[str, Tensor] = field(default_factory=dict)
    """sums over all sequences; merging adds them"""
    names: Mapping[int, str] = field(default_factory=dict)
    """stable code -> name, for codes stored in columns"""

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            raise DuplicateSequence("a sequence stands twice in one state: each is observed once.")

    @property
    def nbytes(self) -> int:
        """Bytes held by the tensors."""
        columns = [c for t in self.tables.values() for c in (t.sequence, *t.columns.values())]
        return sum(c.nbytes for c in (*columns, *self.totals.values()))

    def cpu(self) -> State:
        """The same state in main memory."""
        tables = {
            name: Table(t.sequence.cpu(), {column: values.cpu() for column, values in t.columns.items()})
            for name, t in self.tables.items()
        }
        return State(self.keys, tables, {name: total.cpu() for name, total in self.totals.items()}, self.names)


def merge(states: Iterable[State], spill: Path | None = None) -> State:
    """Union of states over disjoint sequences, in canonical key order.

    Parameters
    ----------
    states: gone through twice, so that states read from disk one by one need not be held together.
    spill: folder for columns larger than `SPILL_BYTES`; in memory where None.

    Raises
    ------
    DuplicateSequence: a key stands in two states.
    """
    parts = list(states) if isinstance(states, Iterator) else states
    outlines = [_outline(state) for state in parts]
    keys = [k for o in outlines for k in o.keys]
    position = {k: i for i, k in enumerate(sorted(keys))}
    if len(position) != len(keys):
        twice = next(k for k, count in Counter(keys).items() if count > 1)
        raise DuplicateSequence(
            f"sequence {twice.sequence} of document {twice.document!r} ({twice.corpus}) was observed twice; "
            "merge only states of disjoint documents."
        )
    names: dict[int, str] = {}
    totals: dict[str, Tensor] = {}
    for outline in outlines:
        names.update(outline.names)
        for name, value in outline.totals.items():
            totals[name] = totals[name] + value if name in totals else value
    tables = {
        name: _empty_table(name, outlines, position, spill)
        for name in dict.fromkeys(n for o in outlines for n in o.tables)
    }
    for part in parts:
        for name, table in part.tables.items():
            tables[name].fill(table)
    return State(tuple(sorted(keys)), {name: t.table for name, t in tables.items()}, totals, names)


def _outline(state: State) -> State:
    """What the first pass of a merge keeps of a state: all but the rows of its columns."""
    tables = {
        name: Table(
            table.sequence, {column: rows.new_empty(0, *rows.shape[1:]) for column, rows in table.columns.items()}
        )
        for name, table in state.tables.items()
    }
    return replace(state, tables=tables)


def _layout(table: Table) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Column -> type and shape of one row."""
    return {column: (rows.dtype, tuple(rows.shape[1:])) for column, rows in table.columns.items()}


@dataclass
class _Filling:
    """A merged table that is filled part by part; `place` tells where each coming row belongs."""

    table: Table
    place: Tensor
    filled: int = 0

    def fill(self, part: Table) -> None:
        where = self.place[self.filled : self.filled + len(part.sequence)]
        for column, values in part.columns.items():
            self.table.columns[column][where] = values
        self.filled += len(part.sequence)


def _empty_table(name: str, outlines: Sequence[State], position: Mapping[Key, int], spill: Path | None) -> _Filling:
    """Room for the rows of all parts in canonical order; rows of one sequence keep their order."""
    mine = [(outline.keys, outline.tables[name]) for outline in outlines if name in outline.tables]
    owner = torch.cat([torch.tensor([position[k] for k in keys], dtype=torch.int64)[t.sequence] for keys, t in mine])
    order = torch.argsort(owner, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    layout, *others = (_layout(table) for _, table in mine)
    for other in others:
        if other != layout:
            raise UserError(f"the states of table {name!r} differ ({layout} and {other}): they cannot be merged.")
    columns = {c: _allocate((len(order), *shape), dtype, spill) for c, (dtype, shape) in layout.items()}
    return _Filling(Table(owner[order], columns), place)


def _allocate(shape: tuple[int, ...], dtype: torch.dtype, spill: Path | None) -> Tensor:
    size = int(torch.Size(shape).numel())
    if spill is None or size * dtype.itemsize <= SPILL_BYTES:
        return torch.empty(shape, dtype=dtype)
    handle, name = tempfile.mkstemp(suffix=".rows", dir=spill)
    try:
        if hasattr(os, "posix_fallocate"):  # a disk that fills up under a mapping would kill the process
            os.posix_fallocate(handle, 0, size * dtype.itemsize)
        mapped = torch.from_file(name, shared=True, size=size, dtype=dtype)
    except (OSError, RuntimeError) as error:
        raise MachineError(
            f"no room in {spill} for {size * dtype.itemsize / 2**30:.1f} GiB of rows ({error}): free some space, then "
            "run the same command with resume=true; what was saved before is intact."
        ) from error
    finally:
        os.close(handle)
        with contextlib.suppress(PermissionError):  # Windows keeps files that are mapped
            os.unlink(name)  # the mapping keeps the file alive and its end frees it
    return mapped.view(shape)


# ------------------------------------------------------------------------------------------- resampling units


@dataclass(frozen=True)
class Units:
    """The resampling units of one corpus: its documents, or 512 groups of documents once it has more."""

    of_document: Mapping[str, int]
    count: int

    LIMIT = 512

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Units:
        """Form units from the documents of a corpus."""
        documents = sorted({k.document for k in keys})
        if len(documents) <= cls.LIMIT:
            return cls({d: i for i, d in enumerate(documents)}, len(documents))
        return cls({d: stable_code(d) % cls.LIMIT for d in documents}, cls.LIMIT)

    def index(self, keys: Sequence[Key]) -> Tensor:
        """The unit of each sequence: (sequence,) int64."""
        return torch.tensor([self.of_document[k.document] for k in keys], dtype=torch.int64)
