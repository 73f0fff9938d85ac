"""A Hugging Face dataset as a corpus, streamed; needs the extra `datasets`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from mspgt.contracts.document import Document, Sentence
from mspgt.core.errors import UserError
from mspgt.data.lines import CUT_FLAG, Mark, group
from mspgt.data.segment import sentences
from mspgt.data.text import is_title, read_row, read_wikitext

SYNTAX = "owner/name, owner/name:config or owner/name:config:split"
INSTALL = "pip install 'mspgt[datasets]'"
_SPLITS = ("validation", "test", "train")


class Hub:
    """A dataset ``owner/name``, ``owner/name:config`` or ``owner/name:config:split``.

    Without a split, the first of validation, test and train that exists is taken. Each row is a document with a
    'text' and perhaps an 'id'; rows that are the lines of WikiText are read as WikiText.

    Raises
    ------
    UserError: the library is not installed, the dataset cannot be opened, a row has no 'text'.
    """

    tasks: tuple[str, ...] = ()
    sha256 = None

    def __init__(self, name: str) -> None:
        try:
            import datasets
        except ImportError:
            raise UserError(f"data {name!r}: no such file, and Hugging Face datasets need: {INSTALL}") from None
        self.name = name
        self._load = datasets.load_dataset

    def documents(self) -> Iterator[Document]:
        """Stream the documents."""
        return group(self._stream(), f"dataset {self.name}", self.name, {})

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Say whether the rows have no document marks."""
        return (CUT_FLAG,) if isinstance(next(self._stream(), None), Sentence) else ()

    def _stream(self) -> Iterator[Mark | Sentence]:
        rows = self._rows()
        # The first row with text tells lines of WikiText from documents.
        head = []
        for row in rows:
            head.append(row)
            if row[2].strip():
                break
        everything = itertools.chain(head, rows)
        if head and is_title(head[-1][2]):
            return read_wikitext(((number, text) for number, _, text in everything), self.name)
        return _documents(everything)

    def _rows(self) -> Iterator[tuple[int, str | None, str]]:
        """Yield (number from 1, identifier or None, text)."""
        try:
            for number, row in enumerate(self._split(), 1):
                yield number, *read_row(row, f"dataset {self.name}, row {number}")
        except UserError:
            raise
        except Exception as error:  # network, formats and permissions: the library has no common base for them
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise UserError(f"data {self.name!r}: the Hugging Face dataset could not be read ({reason}).") from error

    def _split(self) -> Any:
        path, config, split = (*self.name.split(":"), None, None)[:3]
        splits = self._load(path, config or None, streaming=True)
        wanted = (split,) if split else _SPLITS
        chosen = next((name for name in wanted if name in splits), None)
        if chosen is None:
            raise UserError(
                f"data {self.name!r}: found splits {', '.join(splits)}, expected {' or '.join(wanted)}; write {SYNTAX}."
            )
        return splits[chosen]


def _documents(rows: Iterator[tuple[int, str | None, str]]) -> Iterator[Mark | Sentence]:
    for number, identifier, text in rows:
        yield Mark(identifier, number)
        yield from sentences(text)
