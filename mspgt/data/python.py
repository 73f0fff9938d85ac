"""Any Python iterable of documents as a corpus: texts, ``{"id", "text"}`` rows, or `Document` objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from mspgt.contracts.document import TASKS, Document, Sentence
from mspgt.core.errors import UserError
from mspgt.data.lines import claim
from mspgt.data.segment import check_text, sentences
from mspgt.data.text import read_row

_FIELDS = {"pos": "pos", "dep": "heads", "ner": "entities", "srl": "frames"}


class Iterated:
    """Documents from an iterable.

    What can be iterated over once only (a generator) is read once and its documents are kept, since a run passes
    over its corpus several times: up to `limit` sentences of it are read and held in memory.
    """

    flags: tuple[str, ...] = ()
    sha256 = None

    def __init__(self, source: Iterable[Any], limit: int | None) -> None:
        self.name = f"{type(source).__name__} of documents"
        self._source = source
        if iter(source) is source:
            self._source = list(_upto(self.documents(), limit))

    def documents(self) -> Iterator[Document]:
        """Convert lazily."""
        claimed: dict[str, str] = {}
        for number, item in enumerate(self._source, 1):
            where = f"item {number} of the {self.name}"
            document = _document(item, number, where)
            if document.sentences:
                claim(document.id, where, claimed)
                yield document

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Probe tasks that at least one sentence has labels for."""
        tasks = {
            task
            for item in self._source
            if isinstance(item, Document)
            for sentence in item.sentences
            for task, name in _FIELDS.items()
            if getattr(sentence, name) is not None
        }
        return tuple(task for task in TASKS if task in tasks)


def _upto(documents: Iterator[Document], limit: int | None) -> Iterator[Document]:
    read = 0
    for document in documents:
        yield document
        read += len(document.sentences)
        if limit is not None and read >= limit:
            return


def _document(item: Any, number: int, where: str) -> Document:
    if isinstance(item, Document):
        for sentence in item.sentences:
            _check(sentence, f"{where} (document {item.id!r})")
        return item
    if isinstance(item, str):
        item = {"text": item}
    if not isinstance(item, Mapping):
        raise UserError(
            f"{where}: found {type(item).__name__}, expected a text, a mapping with 'text' and, if you like, 'id', or "
            "a Document."
        )
    identifier, text = read_row(dict(item), where)
    return Document(identifier or f"document {number}", tuple(sentences(text)))


def _check(sentence: Sentence, where: str) -> None:
    """Refuse a sentence whose words and annotations do not fit together."""
    check_text(sentence.text, where)
    n = len(sentence.words)
    lengths = {name: getattr(sentence, name) for name in ("starts", "pos", "heads", "relations", "entities")}
    for name, value in lengths.items():
        if value is not None and len(value) != n:
            raise UserError(
                f"{where}: found {len(value)} {name} for {n} words in {sentence.text[:60]!r}, expected one each."
            )
    for word, start in zip(sentence.words, sentence.starts, strict=True):
        if sentence.text[start : start + len(word)] != word:
            raise UserError(f"{where}: word {word!r} is not at offset {start} of {sentence.text[:60]!r}.")
    if (sentence.heads is None) != (sentence.relations is None):
        raise UserError(f"{where}: found only one of heads and relations in {sentence.text[:60]!r}, expected both.")
    numbers = [*(sentence.heads or ())]
    for frame in sentence.frames or ():
        numbers += [frame.predicate, *(i for _, first, last in frame.arguments for i in (first, last))]
        if frame.predicate < 0 or any(not 0 <= first <= last for _, first, last in frame.arguments):
            raise UserError(f"{where}: found {frame}, expected word numbers from 0, first before last.")
    if any(not -1 <= i < n for i in numbers):
        raise UserError(f"{where}: a head or frame points outside of the {n} words of {sentence.text[:60]!r}.")
