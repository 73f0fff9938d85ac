"""Ready batches as a corpus: token ids that the user has made, with no text and no tokenizer."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mspgt.contracts.batch import Batch, Labels
from mspgt.core.errors import DuplicateSequence, UserError
from mspgt.core.key import Key
from mspgt.data.batching import Counts

EXPECTED = "a Batch, a tensor of ids (sequence, token), or a mapping with 'input_ids'"


def is_ready(data: Any) -> bool:
    """Tell ready batches from texts and documents.

    A DataLoader holds ready batches; of another collection the first item decides. What can be iterated over once only
    (a generator) is not touched and counts as texts: batches of a generator must be put in a list.
    """
    if isinstance(data, DataLoader):
        return True
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable) or iter(data) is data:
        return False
    first = _alone(next(iter(data), None))
    return isinstance(first, (Batch, Tensor)) or (isinstance(first, Mapping) and "input_ids" in first)


class Ready:
    """Batches of token ids, all kept in main memory.

    Each row of a batch is one sequence of one sentence. Rows that name the same document are resampled together;
    without names each row is a document of its own, and intervals are too narrow where rows stem from the same text.
    Counted are the tokens that are attended to, except the first of a row and special ids. CKA takes one token of each
    sentence, and so one of each row.

    Parameters
    ----------
    batches: a DataLoader or another iterable; read once. Of `Batch` objects, which stay as they are; tensors of ids
        (sequence, token), alone or in a list of one as a loader of a TensorDataset gives them; or mappings with
        ``input_ids`` (sequence, token) and, if you like, ``attention_mask`` of the same shape and ``document``, the id
        of each row's document (numbers or texts). Without a mask every token is attended to. What else a mapping holds
        is not looked at.
    corpus: first part of the keys.
    special_ids: ids that stand for no text, such as padding and separators.
    vocabulary: how many ids the model knows; not checked where None.
    longest: how many tokens fit into the model; not checked where None.
    limit: sequences to read at most; batches after them are not asked for.

    Attributes
    ----------
    batches: what was read, on the CPU, in the order given.
    counts: of what was read.
    tasks: probe tasks that batches have labels for.

    Raises
    ------
    UserError: no sequences, or something that is no batch, has no integer ids, has ids or a length that the model does
        not know, or names its documents in some batches only.
    DuplicateSequence: two sequences with the same key.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        *,
        corpus: str = "data",
        special_ids: Collection[int] = (),
        vocabulary: int | None = None,
        longest: int | None = None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise UserError(f"limit={limit}: allowed is 1 or more sequences, or none for all.")
        self.name = f"{type(batches).__name__} of ready batches"
        self._corpus, self._vocabulary, self._longest = corpus, vocabulary, longest
        self._special = torch.tensor(sorted(special_ids), dtype=torch.int64)
        self._rows, self._padding = 0, 0
        self._of_document: Counter[str] = Counter()
        self._named: bool | None = None
        self.batches = tuple(self._read(batches, limit))
        if not self.batches:
            raise UserError(f"data: found no sequences in the {self.name}, expected token ids.")
        self._refuse_duplicates()
        self.tasks = tuple(dict.fromkeys(task for batch in self.batches for task in batch.labels))
        self.counts = _count(self.batches, self.tasks)

    @property
    def flags(self) -> tuple[str, ...]:
        """What the reader of a result must know."""
        return ("every row counts as a document of its own",) if self._named is False else ()

    @property
    def notes(self) -> list[str]:
        """What was left out, one sentence each."""
        n = self._padding
        return [f"{self.name}: left out {n:,} row{'s' * (n > 1)} of nothing but padding."] if n else []

    @property
    def sha256(self) -> str:
        """SHA-256 of keys, tokens and labels; how rows were padded and cut into batches does not matter."""
        rows = {key: (batch, row) for batch in self.batches for row, key in enumerate(batch.keys)}
        digest = hashlib.sha256()
        for key in sorted(rows):
            batch, row = rows[key]
            mask = batch.attention_mask[row]
            digest.update(repr(tuple(key)).encode())
            for values in (batch.input_ids, batch.content, batch.sentence):
                digest.update(values[row][mask].numpy().tobytes())
            first = int(mask.int().argmax())
            for task, labels in sorted(batch.labels.items()):
                digest.update(task.encode())
                digest.update(_of_row(labels, row, first))
        return digest.hexdigest()

    def _read(self, batches: Iterable[Any], limit: int | None) -> Iterator[Batch]:
        read = 0
        for number, item in enumerate(batches, 1):
            batch = self._batch(_alone(item), f"batch {number} of the {self.name}")
            if limit is not None and read + len(batch.keys) > limit:
                batch = batch.select(range(limit - read))
            read += len(batch.keys)
            if batch.keys:
                yield batch
            if read == limit:
                return

    def _batch(self, item: Any, where: str) -> Batch:
        if isinstance(item, Batch):
            self._check(item.input_ids, where)
            return item.to("cpu")
        if isinstance(item, Tensor):
            item = {"input_ids": item}
        if not isinstance(item, Mapping) or "input_ids" not in item:
            given = f"a mapping without 'input_ids' ({', '.join(map(repr, item))})" if isinstance(item, Mapping) else ""
            raise UserError(f"{where}: found {given or type(item).__name__}, expected {EXPECTED}.")
        ids = self._check(item["input_ids"], where)
        mask = _mask(item.get("attention_mask"), ids, where)
        documents = self._documents(item.get("document"), len(ids), where)
        filled = mask.any(1)
        self._padding += int((~filled).sum())
        keys = tuple(self._key(d) for d, some in zip(documents, filled.tolist(), strict=True) if some)
        return self._of_rows(keys, ids[filled], mask[filled])

    def _of_rows(self, keys: tuple[Key, ...], ids: Tensor, mask: Tensor) -> Batch:
        text = mask & ~torch.isin(ids, self._special)
        first = mask & (mask.cumsum(1) == 1)
        number = torch.tensor([key.sequence for key in keys], dtype=torch.int64)  # one sentence: that of its row
        return Batch(keys, ids, mask, text & ~first, torch.where(text, number[:, None], -1))

    def _key(self, document: str) -> Key:
        self._of_document[document] += 1
        return Key(self._corpus, document, self._of_document[document] - 1)

    def _documents(self, given: Any, rows: int, where: str) -> list[str]:
        """The document of each row: the one given, or the number of the row."""
        first = self._rows + 1
        self._rows += rows
        if self._named is None:
            self._named = given is not None
        if self._named != (given is not None):
            raise UserError(
                f"{where}: {'names' if given is not None else 'does not name'} the documents of its rows, unlike the "
                "batches before it: give 'document' in all batches or in none."
            )
        if given is None:
            return [f"row {number}" for number in range(first, first + rows)]
        names = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(names, (list, tuple)) or any(not isinstance(n, (str, int)) for n in names):
            raise UserError(
                f"{where}: found {type(given).__name__} as 'document', expected a list of ids, one per row."
            )
        if len(names) != rows:
            raise UserError(f"{where}: found {len(names)} ids as 'document' for {rows} rows, expected one per row.")
        return list(map(str, names))

    def _check(self, ids: Any, where: str) -> Tensor:
        """Check token ids and return them on the CPU: (sequence, token) int64."""
        if not isinstance(ids, Tensor):
            raise UserError(
                f"{where}: found {type(ids).__name__} as input_ids, expected a tensor (sequence, token) of integers, "
                'as a tokenizer gives with return_tensors="pt".'
            )
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            kind = str(ids.dtype).removeprefix("torch.")
            raise UserError(f"{where}: found {kind} as input_ids, expected integers.")
        if ids.ndim != 2:
            raise UserError(f"{where}: found input_ids of shape {tuple(ids.shape)}, expected (sequence, token).")
        if self._longest is not None and ids.shape[1] > self._longest:
            raise UserError(
                f"{where}: found rows of {ids.shape[1]:,} tokens, but only {self._longest:,} fit into the model: cut "
                "them."
            )
        numbers: Tensor = ids.detach().to("cpu", torch.int64)
        wrong = numbers < 0 if self._vocabulary is None else (numbers < 0) | (numbers >= self._vocabulary)
        if bool(wrong.any()):
            row, token = wrong.nonzero()[0].tolist()
            allowed = "0 and more" if self._vocabulary is None else f"0 to {self._vocabulary - 1:,}"
            raise UserError(
                f"{where}: found id {int(numbers[row, token])} (row {row + 1}, token {token + 1}), but the model knows "
                f"{allowed}: these batches were made for another model, or padded with an id of no token."
            )
        return numbers

    def _refuse_duplicates(self) -> None:
        seen: set[Key] = set()
        for batch in self.batches:
            for key in batch.keys:
                if key in seen:
                    raise DuplicateSequence(
                        f"{self.name}: sequence {key.sequence} of document {key.document!r} ({key.corpus}) comes "
                        "twice: give every sequence a key of its own."
                    )
                seen.add(key)


def _alone(item: Any) -> Any:
    """The one tensor of a list of one, as a loader of a TensorDataset gives it, or the item itself."""
    lone = isinstance(item, (list, tuple)) and len(item) == 1 and isinstance(item[0], Tensor)
    return item[0] if lone else item


def _mask(given: Any, ids: Tensor, where: str) -> Tensor:
    """Check an attention mask: (sequence, token) bool."""
    if given is None:
        return torch.ones_like(ids, dtype=torch.bool)
    if not isinstance(given, Tensor) or given.shape != ids.shape or given.is_floating_point():
        kind = str(given.dtype).removeprefix("torch.") if isinstance(given, Tensor) else type(given).__name__
        raise UserError(
            f"{where}: found {kind} of shape {tuple(getattr(given, 'shape', ()))} as attention_mask, expected integers "
            f"or bool of the shape of input_ids, {tuple(ids.shape)}: 1 for a token, 0 for padding."
        )
    return given.detach().cpu().bool()


def _of_row(labels: Labels, row: int, first: int) -> bytes:
    """The instances of one row, positions counted from its first token."""
    here = labels.sequence == row
    slots = labels.slots[here]
    values = (torch.where(slots < 0, slots, slots - first), labels.target[here], labels.sentence[here])
    return b"".join(value.numpy().tobytes() for value in (*values, labels.word[here]))


def _count(batches: Collection[Batch], tasks: Collection[str]) -> Counts:
    keys = [key for batch in batches for key in batch.keys]
    rows = [row[row >= 0].tolist() for batch in batches for row in batch.sentence]
    return Counts(
        documents=len({(key.corpus, key.document) for key in keys}),
        sentences=sum(len(set(row)) for row in rows),
        sequences=len(keys),
        tokens=sum(int(batch.attention_mask.sum()) for batch in batches),
        labels={task: sum(len(b.labels[task].target) for b in batches if task in b.labels) for task in tasks},
    )
