"""Labelled instances of the probe tasks, as token ranges of one sequence.

Conventions of edge probing (Tenney et al. 2019, 1905.06316): a word is its last sub-token, the only one that has seen
the whole word in a causal model; an argument span is the mean of its tokens.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from mspgt.contracts.batch import Labels
from mspgt.contracts.document import Sentence
from mspgt.core.state import stable_code
from mspgt.data.align import Ints

SLOTS = {"pos": 1, "dep": 2, "ner": 1, "srl": 2}
"""task -> token ranges that describe an instance"""
_NO_TOKEN = (-1, -1)
"""the head of a root word"""

Ranges = list[tuple[int, int]]
Found = Iterator[tuple[tuple[int, ...], str, int]]
"""(first and past-the-last token of each slot, class, number of the first slot's word)"""


@dataclass
class Instances:
    """The instances of one task in one sequence, as rows of numbers: half a million of them fit in 30 MB."""

    task: str
    rows: array[int] = field(default_factory=lambda: array("q"))
    """(instance, 2 x slots + 3), flat: slots, code of the class, number of the sentence, code of the word"""
    names: dict[int, str] = field(default_factory=dict)
    """code -> class"""

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 2 * SLOTS[self.task] + 3

    def __len__(self) -> int:
        return len(self.rows) // self.width

    def add(self, sentence: Sentence, number: int, ranges: Ints) -> None:
        """Add the instances of a sentence; words without tokens have none.

        Parameters
        ----------
        number: of the sentence in its document.
        ranges: (word, 2) token ranges, (-1, -1) for a word without tokens.
        """
        pairs: Ranges = [(first, last) for first, last in ranges.tolist()]
        for slots, target, word in _FINDERS[self.task](sentence, pairs):
            code = _code(target)
            self.names[code] = target
            self.rows.extend((*slots, code, number, _code(sentence.words[word].lower())))

    def table(self) -> Ints:
        """(instance, 2 x slots + 3)."""
        return np.frombuffer(self.rows, dtype=np.int64).reshape(-1, self.width)


def collate(task: str, instances: Sequence[Instances], shifts: Sequence[int]) -> Labels:
    """Gather the instances of a batch.

    Parameters
    ----------
    instances: of each sequence of the batch.
    shifts: padding to the left of each sequence, by which its slots move.
    """
    lengths = [len(one) for one in instances]
    table = torch.from_numpy(np.concatenate([one.table() for one in instances]))
    row = torch.repeat_interleave(torch.arange(len(instances)), torch.tensor(lengths))
    slots = table[:, :-3].reshape(len(table), SLOTS[task], 2)
    return Labels(
        sequence=row,
        slots=torch.where(slots < 0, slots, slots + torch.tensor(shifts)[row, None, None]),
        target=table[:, -3].clone(),
        sentence=table[:, -2].clone(),
        word=table[:, -1].clone(),
        names={code: name for one in instances for code, name in one.names.items()},
    )


def _tagged(tags: Sequence[str] | None, tokens: Ranges) -> Found:
    for i, tag in enumerate(tags or ()):
        if tokens[i] != _NO_TOKEN:
            yield _last(tokens[i]), tag, i


def _dep(sentence: Sentence, tokens: Ranges) -> Found:
    """Arcs (dependent, head) with the universal relation, subtypes stripped, punctuation left out."""
    for i, (head, relation) in enumerate(zip(sentence.heads or (), sentence.relations or (), strict=True)):
        universal = relation.split(":")[0]
        if universal == "punct" or tokens[i] == _NO_TOKEN or (head >= 0 and tokens[head] == _NO_TOKEN):
            continue
        yield _last(tokens[i]) + (_NO_TOKEN if head < 0 else _last(tokens[head])), universal, i


def _srl(sentence: Sentence, tokens: Ranges) -> Found:
    """Arguments (predicate, span) with their role."""
    for frame in sentence.frames or ():
        for role, first, last in frame.arguments:
            span = [word for word in tokens[first : last + 1] if word != _NO_TOKEN]
            if span and tokens[frame.predicate] != _NO_TOKEN:
                yield (*_last(tokens[frame.predicate]), span[0][0], span[-1][1]), role, frame.predicate


_FINDERS: dict[str, Callable[[Sentence, Ranges], Found]] = {
    "pos": lambda sentence, tokens: _tagged(sentence.pos, tokens),
    "dep": _dep,
    "ner": lambda sentence, tokens: _tagged(sentence.entities, tokens),
    "srl": _srl,
}


def _last(tokens: tuple[int, int]) -> tuple[int, int]:
    return tokens[1] - 1, tokens[1]


@lru_cache(maxsize=1 << 16)
def _code(text: str) -> int:
    return stable_code(text)
