"""Lines of a file with their numbers, and the marks between documents: what the readers of formats are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mspgt.contracts.document import Document, Sentence
from mspgt.core.errors import MachineError, UserError

CUT_EVERY = 20
"""sentences in each document that a corpus without document marks is cut into"""
CUT_FLAG = f"no document marks: cut into documents of {CUT_EVERY} sentences"


@dataclass(frozen=True)
class Mark:
    """A document begins here."""

    id: str | None
    """the identifier that the corpus gives, if it gives one"""
    line: int


def claim(identifier: str, where: str, claimed: dict[str, str]) -> str:
    """Take a document's identifier; `claimed` tells where each was seen first.

    A repeated identifier is an error, never a suffix: the commonest cause is one file given twice (a copy inside a
    glob), and a suffix would count it twice in silence and make the documents look independent when they are not.
    """
    if identifier in claimed:
        raise UserError(
            f"{where}: found document {identifier!r}, which {claimed[identifier]} already has; expected each "
            "document once under its own identifier. Leave out the copy, or rename it."
        )
    claimed[identifier] = where
    return identifier


def place(name: str, line: int) -> str:
    """Name a line of a file for a message."""
    return f"{name}, line {line}"


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without line end), lazily; raises UserError where bytes are not UTF-8."""
    at = 0
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield number, _decode(raw, path, number, at).removesuffix("\n").removesuffix("\r")
                at += len(raw)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except PermissionError:
        raise UserError(f"{path}: no permission to read this file.") from None
    except OSError as error:
        raise MachineError(f"{path}: reading failed ({error.strerror}).") from None


def _decode(raw: bytes, path: Path, number: int, at: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place(str(path), number)}: found byte 0x{error.object[error.start]:02x} at byte {at + error.start} of "
            "the file, expected UTF-8 text. Convert the file to UTF-8, for example with iconv."
        ) from None


def group(stream: Iterable[Mark | Sentence], name: str, prefix: str, claimed: dict[str, str]) -> Iterator[Document]:
    """Gather sentences into documents; those before any mark are cut into documents of `CUT_EVERY`.

    Documents without an identifier of their own are called ``prefix#1``, ``prefix#2``. Documents without sentences
    are passed over.

    Parameters
    ----------
    name: the file, for messages.
    claimed: where each identifier of the corpus was seen; filled.
    """
    mark: Mark | None = None
    sentences: list[Sentence] = []
    number = 0

    def finish() -> Document:
        nonlocal number, sentences
        number += 1
        where = place(name, mark.line) if mark else name
        given = mark.id if mark and mark.id else f"{prefix}#{number}"
        document = Document(claim(given, where, claimed), tuple(sentences))
        sentences = []
        return document

    for item in stream:
        if isinstance(item, Sentence):
            sentences.append(item)
        if sentences and (isinstance(item, Mark) or (mark is None and len(sentences) == CUT_EVERY)):
            yield finish()
        if isinstance(item, Mark):
            mark = item
    if sentences:
        yield finish()
