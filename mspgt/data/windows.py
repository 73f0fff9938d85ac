"""Documents into sequences: windows of consecutive whole sentences, tokenised exactly as the model will see them.

The tokens of a window are those that the tokenizer gives for the window's text, never a composition of its sentences'
tokens, which differ where a tokenizer treats the start of a text in its own way (byte-level BPE and its leading space).
Lengths of single sentences only plan the windows; a window that turns out too long is halved.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.contracts.document import Document, Sentence
from mspgt.data.align import Ints, Offsets

CALL = 1024
"""sentences that are tokenised in one call"""


@dataclass(frozen=True)
class Window:
    """Consecutive sentences of one document."""

    document: int
    """number of the document in its chunk"""
    first: int
    """number of the first sentence in the document"""
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        """The sentences, joined by single spaces."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def starts(self) -> Ints:
        """(sentence,) offset of each sentence in the text."""
        lengths = [len(sentence.text) + 1 for sentence in self.sentences]
        return np.cumsum([0, *lengths[:-1]], dtype=np.int64)

    def halves(self) -> tuple[Window, Window]:
        """The window in two; it must hold two sentences at least."""
        middle = len(self.sentences) // 2
        return (
            Window(self.document, self.first, self.sentences[:middle]),
            Window(self.document, self.first + middle, self.sentences[middle:]),
        )


@dataclass(frozen=True)
class Tokenised:
    """A window and its tokens; (token,) each."""

    window: Window
    ids: Ints
    added: NDArray[np.bool_]
    """tokens that the tokenizer put around the text"""
    offsets: Offsets


def chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Gather whole documents until they hold `CALL` sentences or more."""
    chunk: list[Document] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document.sentences)
        if size >= CALL:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class Windows:
    """Cuts documents into tokenised windows of at most `max_length` tokens, those that the tokenizer adds included.

    A sentence that is too long alone is handed to `too_long` and left out; no window reaches across it.
    """

    def __init__(self, tokenizer: Any, max_length: int, *, whole_documents: bool) -> None:
        self._tokenizer, self._max_length, self._whole = tokenizer, max_length, whole_documents
        self._room = max_length - int(tokenizer.num_special_tokens_to_add(pair=False))
        self.too_long: list[tuple[Document, Sentence, int]] = []
        """(document, sentence, tokens) left out since it was last emptied"""

    def of(self, chunk: Sequence[Document]) -> Iterator[Tokenised]:
        """Yield the windows of some documents, in their order."""
        planned = self._plan(chunk) if self._whole else self._one_each(chunk)
        for tokenised in self._encode(planned):
            if len(tokenised.ids) <= self._max_length:
                yield tokenised
            else:
                window = tokenised.window
                self.too_long.append((chunk[window.document], window.sentences[0], len(tokenised.ids)))

    def _one_each(self, chunk: Sequence[Document]) -> list[Window]:
        return [Window(d, i, (s,)) for d, document in enumerate(chunk) for i, s in enumerate(document.sentences)]

    def _plan(self, chunk: Sequence[Document]) -> list[Window]:
        """Fill windows greedily by the lengths of single sentences."""
        # Inside a window a sentence follows a space, so that is how it is measured.
        texts = [s.text if i == 0 else " " + s.text for document in chunk for i, s in enumerate(document.sentences)]
        ids = self._call(texts, add_special_tokens=False)["input_ids"] if texts else []
        lengths = iter(map(len, ids))
        windows = []
        for number, document in enumerate(chunk):
            first, filled = 0, 0
            for i, length in enumerate(itertools.islice(lengths, len(document.sentences))):
                if i > first and filled + length > self._room:
                    windows.append(Window(number, first, document.sentences[first:i]))
                    first, filled = i, 0
                filled += length
            if document.sentences:
                windows.append(Window(number, first, document.sentences[first:]))
        return windows

    def _encode(self, windows: Sequence[Window]) -> Iterator[Tokenised]:
        """Tokenise in order; what is longer than allowed is a single sentence."""
        for at in range(0, len(windows), CALL):
            some = windows[at : at + CALL]
            coded = self._call([w.text for w in some], return_offsets_mapping=True, return_special_tokens_mask=True)
            fields = (coded["input_ids"], coded["special_tokens_mask"], coded["offset_mapping"])
            for window, ids, mask, offsets in zip(some, *fields, strict=True):
                if len(ids) > self._max_length and len(window.sentences) > 1:
                    yield from self._encode(window.halves())
                else:
                    added = np.asarray(mask, dtype=bool)
                    yield Tokenised(window, np.asarray(ids, dtype=np.int64), added, Offsets(offsets, added))

    def _call(self, texts: list[str], **options: bool) -> Any:
        return self._tokenizer(
            texts, truncation=False, padding=False, return_attention_mask=False, verbose=False, **options
        )
