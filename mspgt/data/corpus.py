"""A corpus: documents from any source, read lazily and as often as needed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from mspgt.contracts.document import TASKS, Document
from mspgt.core.errors import UserError
from mspgt.data import files
from mspgt.data.hub import Hub
from mspgt.data.python import Iterated

GRAMMAR_SENTENCES = 2_000
"""read from the built-in generator, which never ends, where no limit is given"""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[\w.-]*){0,2}")


class DocumentSource(Protocol):
    """Where documents come from."""

    @property
    def name(self) -> str:
        """As the user gave it."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Probe tasks with gold labels."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What the reader of a result must know about the corpus, one phrase each."""

    @property
    def sha256(self) -> str | None:
        """Of the bytes of files; None for a source that has only content."""

    def documents(self) -> Iterator[Document]:
        """Every document, from the start."""


@dataclass(frozen=True)
class Corpus:
    """Documents under one key.

    Attributes
    ----------
    source: where they come from.
    corpus: first part of the keys of its sequences.
    limit: sentences to read at most; the document in which the limit falls is cut there.
    """

    source: DocumentSource
    corpus: str = "data"
    limit: int | None = None

    @property
    def name(self) -> str:
        """The source as the user gave it."""
        return self.source.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """Probe tasks for which the corpus has gold labels, in the order of `TASKS`."""
        return self.source.tasks

    @property
    def flags(self) -> tuple[str, ...]:
        """What the reader of a result must know, such as documents that were cut for want of marks."""
        return self.source.flags

    def documents(self) -> Iterator[Document]:
        """Read the documents anew, lazily, up to the limit."""
        left = self.limit
        for document in self.source.documents():
            if left is not None and len(document.sentences) > left:
                document = Document(document.id, document.sentences[:left])
            yield document
            if left is not None:
                left -= len(document.sentences)
                if left == 0:
                    return

    def count(self) -> tuple[int, int]:
        """Count (documents, sentences) in one pass without a model; the answer is kept."""
        documents, sentences, _ = self._scan
        return documents, sentences

    @property
    def sha256(self) -> str:
        """SHA-256 of the files' bytes, or of the documents up to the limit where there are no files."""
        return self.source.sha256 or self._scan[2]

    def describe(self) -> str:
        """Say in one line what is read."""
        parts = [f"{self.name} (labels: {', '.join(self.tasks) or 'none'})"]
        if self.limit is not None:
            parts.append(f"up to {self.limit:,} sentences")
        return "; ".join([*parts, *self.flags])

    @cached_property
    def _scan(self) -> tuple[int, int, str]:
        documents = sentences = 0
        digest = hashlib.sha256()
        for document in self.documents():
            documents += 1
            sentences += len(document.sentences)
            if self.source.sha256 is None:
                digest.update(repr(document).encode())
        return documents, sentences, digest.hexdigest()


@dataclass(frozen=True)
class Grammar:
    """The built-in generator as a source; the same seed gives the same documents."""

    limit: int | None
    seed: int
    name: str = "grammar"
    tasks: tuple[str, ...] = TASKS
    flags: tuple[str, ...] = ()
    sha256: None = None

    def documents(self) -> Iterator[Document]:
        """Generate the documents."""
        from mspgt import grammar  # only a run that uses it pays for its tables

        return grammar.documents(self.limit, self.seed)


def load(
    source: str | os.PathLike[str] | Iterable[Any], *, limit: int | None = None, seed: int = 0, corpus: str = "data"
) -> Corpus:
    """Open a corpus.

    Parameters
    ----------
    source: ``"grammar"`` (the built-in generator); a file ``.conllu``, ``.conllup``, ``.tokens`` (WikiText), ``.txt``
        or ``.jsonl``; a folder or glob of these; a Hugging Face dataset ``owner/name[:config[:split]]``; or a Python
        iterable of texts, ``{"id", "text"}`` mappings or `Document` objects.
    limit: sentences to read at most; `GRAMMAR_SENTENCES` for the generator where none is given.
    seed: of the generator.
    corpus: first part of the keys, so that two corpora of one run do not meet.

    Raises
    ------
    UserError: nothing of that name, no reader for it, or no sentences in it. Faults further on in a corpus are raised
        when they are reached.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: allowed is 1 or more sentences, or none for all.")
    if limit is None and isinstance(source, str) and source == "grammar":
        limit = GRAMMAR_SENTENCES
    opened = Corpus(_source(source, limit, seed), corpus, limit)
    if next(opened.documents(), None) is None:
        raise UserError(f"data {opened.name!r}: found no sentences, expected text.")
    return opened


def _source(source: Any, limit: int | None, seed: int) -> DocumentSource:
    if isinstance(source, (str, os.PathLike)):
        return _named(os.fspath(source), limit, seed)
    if isinstance(source, (bytes, dict)) or not isinstance(source, Iterable):
        raise UserError(
            f"data: found {type(source).__name__}, expected the name of a corpus or an iterable of texts, mappings "
            "with 'text', or Documents."
        )
    return Iterated(source, limit)


def _named(source: str, limit: int | None, seed: int) -> DocumentSource:
    if source == "grammar":
        return Grammar(limit, seed)
    if not source.strip():
        raise UserError("data= is empty: give grammar, a path, a glob, or a Hugging Face dataset owner/name.")
    matched = files.find(source)
    if matched is not None:
        return matched
    if _HUB_NAME.fullmatch(source) and not source.lower().endswith(files.EXTENSIONS):
        return Hub(source)
    raise files.missing(source, "Allowed: grammar, a path, a glob, or a Hugging Face dataset owner/name.")
