"""States on disk: shards of finished batches, written whole or not at all, and read back merged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mspgt.core.errors import UserError
from mspgt.core.files import writing
from mspgt.core.key import Key
from mspgt.core.state import State, Table, merge


def write_shard(path: Path, states: Mapping[str, State]) -> None:
    """Write the states of several signals as one file, whole or not at all (fsync and rename).

    Raises
    ------
    MachineError: the disk is full or refuses the file.
    """
    tensors: dict[str, Tensor] = {}
    header = {}
    for signal, state in states.items():
        for table, rows in state.tables.items():
            for column, values in {"": rows.sequence, **rows.columns}.items():
                tensors[f"{signal}/{table}/{column}"] = values.detach().cpu().contiguous()
        for name, total in state.totals.items():
            tensors[f"{signal}//{name}"] = total.detach().cpu().contiguous()
        header[signal] = {"keys": state.keys, "names": {str(c): n for c, n in state.names.items()}}
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata={"mspgt": json.dumps(header)})


def read_header(path: Path) -> dict[str, dict[str, object]]:
    """The keys and names in a shard, per signal, without its tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, dict[str, object]] = json.loads(file.metadata()["mspgt"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or not a state file ({error}); delete it and run again with resume=true."
        ) from error
    for entry in header.values():
        entry["keys"] = tuple(Key(*k) for k in entry["keys"])  # type: ignore[attr-defined]
    return header


def read_shard(path: Path, only: str | None = None) -> dict[str, State]:
    """The states of all signals in a shard, or of one."""
    header = {signal: entry for signal, entry in read_header(path).items() if only in (None, signal)}
    tables: dict[str, dict[str, dict[str, Tensor]]] = {s: {} for s in header}
    totals: dict[str, dict[str, Tensor]] = {s: {} for s in header}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a dict
            signal, table, column = name.split("/", 2)
            if signal not in header:
                continue
            if table:
                tables[signal].setdefault(table, {})[column] = file.get_tensor(name)
            else:
                totals[signal][column] = file.get_tensor(name)
    return {
        signal: State(
            entry["keys"],  # type: ignore[arg-type]
            {t: Table(columns.pop(""), columns) for t, columns in tables[signal].items()},
            totals[signal],
            {int(c): n for c, n in entry["names"].items()},  # type: ignore[attr-defined]
        )
        for signal, entry in header.items()
    }


@dataclass(frozen=True)
class Shards:
    """The states of one signal in the shards of a pass, read one at a time, as often as they are asked for."""

    folder: Path
    signal: str

    def __iter__(self) -> Iterator[State]:
        for path in shards(self.folder):
            yield from read_shard(path, self.signal).values()


def shards(folder: Path) -> list[Path]:
    """The shards of one pass, in the order of their names."""
    return sorted(folder.glob("*.safetensors"))


def read_state(folder: Path, signal: str) -> State:
    """The merged state of a signal from the shards of a pass; large columns are memory-mapped beside them."""
    return merge(Shards(folder, signal), spill=folder)
