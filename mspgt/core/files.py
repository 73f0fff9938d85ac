"""Files: written so that an interruption leaves the old one or the new one; locks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from mspgt.core.errors import MachineError, UserError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Replace a file whole or not at all: gives a temporary path to write to, then flushes it and renames.

    Raises
    ------
    MachineError: the disk is full, or refuses the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise MachineError(
            f"could not write {path} ({error}): free some space, then run the same command with resume=true; "
            "what was saved before is intact."
        ) from error


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


def write_json(path: Path, value: Any) -> None:
    """Write JSON without NaN, whole or not at all."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False))
