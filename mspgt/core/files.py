"""Files: written so that an interruption leaves the old one or the new one, read with a sentence for every fault."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from mspgt.core.errors import MachineError, UserError


class writing:
    """Replace a file whole or not at all: gives a temporary path to write to, then flushes it and renames.

    Raises
    ------
    MachineError: the disk is full, or refuses the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Path:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._sentence(error) from error
        return self._temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                with open(self._temporary, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(self._temporary, self._path)
        except OSError as late:
            raise self._sentence(late) from late
        finally:
            self._temporary.unlink(missing_ok=True)
        if isinstance(error, (OSError, SafetensorError)):
            raise self._sentence(error) from error

    def _sentence(self, error: Exception) -> MachineError:
        return MachineError(
            f"could not write {self._path} ({error}): free some space, then run the same command with resume=true; "
            "what was saved before is intact."
        )


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold a file's lock; the system lets go of it when the process ends, however it ends.

    On a file system without locks nothing is held.

    Raises
    ------
    UserError: another process holds it; `busy` is the sentence.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(busy) from None
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file by a text or bytes in one step; half a surrogate pair in a text is written as its code.

    Raises
    ------
    MachineError: the disk is full, or refuses the file.
    """
    with writing(path) as temporary:
        text = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
        temporary.write_bytes(text)


def read_kept(path: str | os.PathLike[str], name: str, what: str, maker: str) -> tuple[Mapping[str, Any], Path]:
    """Read back the JSON file of a result, and say which it was.

    Parameters
    ----------
    path: the file, or a directory that holds `name`.
    what: what it holds, such as "result".
    maker: what makes it, such as "`mspgt run out=...`".

    Raises
    ------
    UserError: there is none, it cannot be read, or it is not a JSON mapping.
    """
    file = Path(path)
    file = file / name if file.is_dir() else file
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no {what} at {file}; give a directory that holds {name}, made by {maker}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is not JSON (line {error.lineno}: {error.msg}); make it again by {maker}.") from None
    if not isinstance(data, Mapping):
        raise UserError(f"{file} holds a {type(data).__name__}, not a {what}; give a {name} made by {maker}.")
    return data, file


def write_json(path: Path, value: Any) -> None:
    """Write JSON without NaN, whole or not at all."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False))
