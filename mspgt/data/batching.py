"""Reading: a corpus as batches for a tokenizer, with counts of what was read and notes on what was left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mspgt.contracts.batch import Batch
from mspgt.core.errors import UserError, unknown
from mspgt.core.key import Key
from mspgt.data.align import Ints
from mspgt.data.corpus import Corpus
from mspgt.data.labels import Instances, collate
from mspgt.data.windows import Tokenised, Windows, chunks

LOOK_AHEAD = 2048
"""sequences among which those of like length are put together"""
CONTEXTS = ("document", "sentence")
PADDING_SIDES = ("left", "right")


@dataclass(frozen=True)
class TokenSequence:
    """One sequence before padding; (token,) each."""

    key: Key
    ids: Ints
    content: NDArray[np.bool_]
    """neither special nor position 0"""
    sentence: Ints
    """number of the sentence in its document, -1 for special tokens"""
    labels: Mapping[str, Instances]


@dataclass
class Counts:
    """What a pass over a corpus has read so far."""

    documents: int = 0
    sentences: int = 0
    """those in sequences"""
    sequences: int = 0
    tokens: int = 0
    """everything but padding"""
    labels: dict[str, int] = field(default_factory=dict)
    """task -> instances"""
    too_long: int = 0
    """sentences left out because they are longer than a sequence may be"""
    first_too_long: str = ""
    """where the first of them is, and how it begins"""
    wordless: int = 0
    """annotated words left out because the tokenizer makes no token of them"""
    blank: int = 0
    """sequences left out because the tokenizer makes no token of them"""


class Reading:
    """A corpus as one tokenizer reads it.

    Every pass gives the same batches; `counts` are those of the latest one.

    Parameters
    ----------
    tokenizer: a fast Hugging Face tokenizer (character offsets tell which tokens a word has).
    max_length: tokens of a sequence at most, those that the tokenizer adds included.
    batch_tokens: tokens of a batch at most, padding included; a longer sequence is a batch alone.
    context: ``"document"`` for windows of consecutive whole sentences, ``"sentence"`` for each sentence alone.
    padding_side: ``"right"`` or ``"left"``.

    Raises
    ------
    UserError: a value that is not allowed, or a tokenizer without offsets.
    """

    @classmethod
    def of(cls, corpus: Corpus, model: Any, options: Any) -> Reading:
        """A corpus as a model reads it with the settings of a run.

        Parameters
        ----------
        model: has a `tokenizer` and a `context_length` (`mspgt.models.LoadedModel`).
        options: have `max_length`, `batch_tokens` and `context` (`mspgt.config.run.RunOptions`).
        """
        longest = min(options.max_length, model.context_length or options.max_length)
        return cls(
            corpus,
            model.tokenizer,
            max_length=longest,
            batch_tokens=options.batch_tokens,
            context=options.context,
        )

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Any,
        *,
        max_length: int,
        batch_tokens: int,
        context: str = "document",
        padding_side: str = "right",
    ) -> None:
        for key, value, allowed in (("context", context, CONTEXTS), ("padding_side", padding_side, PADDING_SIDES)):
            if value not in allowed:
                raise unknown(key, value, allowed)
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"tokenizer {type(tokenizer).__name__}: words are aligned to tokens by character offsets, which only "
                "fast tokenizers give; load it with AutoTokenizer, or convert it with the tokenizers library."
            )
        added = int(tokenizer.num_special_tokens_to_add(pair=False))
        if max_length <= added:
            raise UserError(f"max_length={max_length}: the tokenizer adds {added} tokens of its own; allowed is more.")
        if batch_tokens < 1:
            raise UserError(f"batch_tokens={batch_tokens}: allowed is 1 or more.")
        self.corpus = corpus
        self.counts = Counts()
        self._tokenizer, self.max_length, self._batch_tokens = tokenizer, max_length, batch_tokens
        self._context, self._side = context, padding_side
        # A text that spells out "[SEP]" gets the control token; an unknown word is a word all the same.
        self._control = np.array(sorted({*tokenizer.all_special_ids} - {tokenizer.unk_token_id}), dtype=np.int64)

    @property
    def notes(self) -> list[str]:
        """Say what the latest pass left out, one sentence each."""
        c, notes = self.counts, []
        if c.too_long:
            notes.append(
                f"{self.corpus.name}: left out {c.too_long:,} sentence{'s' * (c.too_long > 1)} longer than "
                f"max_length={self.max_length} tokens; the first is {c.first_too_long}."
            )
        if c.wordless:
            notes.append(
                f"{self.corpus.name}: labels of {c.wordless:,} words lost, of which the tokenizer makes no token."
            )
        if c.blank:
            notes.append(f"{self.corpus.name}: left out {c.blank:,} sequences of which the tokenizer makes no token.")
        return notes

    def sequences(self, tasks: Iterable[str] = ()) -> Iterator[TokenSequence]:
        """Read the corpus from the start, lazily, with the labels of some tasks.

        Raises
        ------
        UserError: a task that the corpus has no labels for.
        """
        chosen = tuple(tasks)
        for task in chosen:
            if task not in self.corpus.tasks:
                raise unknown(f"labels in {self.corpus.name}:", task, self.corpus.tasks)
        self.counts = counts = Counts(labels=dict.fromkeys(chosen, 0))
        windows = Windows(self._tokenizer, self.max_length, whole_documents=self._context == "document")
        return self._read(windows, chosen, counts)

    def batches(self, tasks: Iterable[str] = ()) -> Iterator[Batch]:
        """Read the corpus from the start as batches, like lengths together.

        Memory does not grow with the corpus: `LOOK_AHEAD` sequences are held. Of these the longest come first, so that
        a batch too big for the device shows at once.
        """
        chosen = tuple(tasks)
        return self._gather(self.sequences(chosen), chosen)

    def _read(self, windows: Windows, tasks: tuple[str, ...], counts: Counts) -> Iterator[TokenSequence]:
        for chunk in chunks(self.corpus.documents()):
            counts.documents += len(chunk)
            by_document = itertools.groupby(windows.of(chunk), key=lambda tokenised: tokenised.window.document)
            for at, tokenised in by_document:
                present = (one for one in tokenised if _has_text(one, counts))
                for number, one in enumerate(present):
                    yield self._sequence(Key(self.corpus.corpus, chunk[at].id, number), one, tasks, counts)
            self._count_too_long(windows, counts)

    def _count_too_long(self, windows: Windows, counts: Counts) -> None:
        for document, sentence, length in windows.too_long:
            counts.too_long += 1
            beginning = " ".join(sentence.text.split()[:8])[:80]
            counts.first_too_long = (
                counts.first_too_long or f"{beginning!r}... ({length} tokens) in document {document.id!r}"
            )
        windows.too_long.clear()

    def _sequence(self, key: Key, one: Tokenised, tasks: tuple[str, ...], counts: Counts) -> TokenSequence:
        special = one.added | np.isin(one.ids, self._control)
        content = ~special
        content[0] = False
        sentence = one.offsets.sentences(one.window.starts) + one.window.first
        labels = _labels(one, tasks, counts)
        counts.sequences += 1
        counts.sentences += len(one.window.sentences)
        counts.tokens += len(one.ids)
        return TokenSequence(key, one.ids, content, np.where(special, -1, sentence), labels)

    def _gather(self, sequences: Iterator[TokenSequence], tasks: tuple[str, ...]) -> Iterator[Batch]:
        while pool := list(itertools.islice(sequences, LOOK_AHEAD)):
            pool.sort(key=lambda sequence: -len(sequence.ids))
            while pool:
                size = max(1, self._batch_tokens // len(pool[0].ids))
                yield self._batch(pool[:size], tasks)
                pool = pool[size:]

    def _batch(self, rows: Sequence[TokenSequence], tasks: tuple[str, ...]) -> Batch:
        """Pad sequences to the longest."""
        width = max(len(row.ids) for row in rows)
        shifts = [width - len(row.ids) if self._side == "left" else 0 for row in rows]
        pad = self._tokenizer.pad_token_id
        ids = np.full((len(rows), width), 0 if pad is None else pad, dtype=np.int64)
        sentence = np.full((len(rows), width), -1, dtype=np.int64)
        real, content = np.zeros((2, len(rows), width), dtype=bool)
        for i, (row, shift) in enumerate(zip(rows, shifts, strict=True)):
            here = slice(shift, shift + len(row.ids))
            ids[i, here], content[i, here], sentence[i, here], real[i, here] = row.ids, row.content, row.sentence, True
        return Batch(
            keys=tuple(row.key for row in rows),
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(real),
            content=torch.from_numpy(content),
            sentence=torch.from_numpy(sentence),
            labels={task: collate(task, [row.labels[task] for row in rows], shifts) for task in tasks},
        )


def _has_text(one: Tokenised, counts: Counts) -> bool:
    counts.blank += bool(one.added.all())
    return not one.added.all()


def _labels(one: Tokenised, tasks: tuple[str, ...], counts: Counts) -> dict[str, Instances]:
    """Find the instances of a window."""
    by_task = {task: Instances(task) for task in tasks}
    if not tasks:
        return by_task
    window = one.window
    for number, (sentence, at) in enumerate(zip(window.sentences, window.starts, strict=True), window.first):
        starts = np.asarray(sentence.starts, dtype=np.int64) + at
        lengths = np.fromiter(map(len, sentence.words), dtype=np.int64, count=len(sentence.words))
        ranges = one.offsets.ranges(starts, starts + lengths)
        counts.wordless += int((ranges[:, 0] < 0).sum())
        for task in tasks:
            by_task[task].add(sentence, number, ranges)
    for task in tasks:
        counts.labels[task] += len(by_task[task])
    return by_task
