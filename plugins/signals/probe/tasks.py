"""From stored rows to probe tasks: split by document, class inventory, control labels, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, stable_code

TRAIN, VALIDATION, TEST = 0, 1, 2
SHARES = (0.60, 0.15, 0.25)
"""documents for training, validation and test"""
LEAST_TRAINING = 10
"""training instances below which a task is left out"""
UNSCORED = {"dep": frozenset({"punct"})}
"""classes that are no instances of a task: attaching punctuation is a convention, not syntax"""


@dataclass(frozen=True)
class Task:
    """The instances of one task in canonical order."""

    names: tuple[str, ...]
    """class names, in alphabetical order"""
    codes: Tensor
    """(class,) int64: their stable codes"""
    rows: Tensor
    """(instance, slot) int64: rows of table `vectors`, -1 for no token"""
    target: Tensor
    """(instance,) int64: class"""
    word: Tensor
    """(instance,) int64: stable code of the word type"""
    sentence: Tensor
    """(instance,) int64: a number of its own for each sentence of each document"""
    document: Tensor
    """(instance,) int64: stable code of the document"""
    part: Tensor
    """(instance,) int64: TRAIN, VALIDATION or TEST"""

    def chosen(self, part: int) -> Tensor:
        """The instances of one part, in canonical order."""
        return (self.part == part).nonzero().squeeze(1)


def split(state: State, seed: int) -> Tensor:
    """The part of each sequence, by document: (sequence,) int64.

    Labelled documents are ranked by a hash of seed and name and cut at 60/15/25 %, so the proportions are exact
    and neither order nor batches nor devices matter.

    Raises
    ------
    UserError: fewer than three documents have labels.
    """
    labelled = torch.unique(state.tables["vectors"].sequence).tolist() if "vectors" in state.tables else []
    documents = sorted({_document(state.keys[i]) for i in labelled}, key=lambda d: (stable_code(f"{seed}/{d}"), d))
    if len(documents) < 3:
        raise UserError(
            f"probe needs labels in at least 3 documents (to train, to validate, to test); {len(documents)} have any. "
            "Give a corpus with more labelled documents as data= or labels=, or leave probe out of plugins=."
        )
    validation, test = (max(1, round(share * len(documents))) for share in SHARES[1:])
    train = len(documents) - validation - test
    part = dict(zip(documents, [TRAIN] * train + [VALIDATION] * validation + [TEST] * test, strict=True))
    return torch.tensor([part.get(_document(key), TRAIN) for key in state.keys])


def _document(key: Key) -> tuple[str, str]:
    return key.corpus, key.document


def read_task(state: State, task: str, parts: Tensor) -> Task | None:
    """The task's instances, or None where the corpus has none; parts: (sequence,) as from `split`."""
    if task not in state.tables or not len(state.tables[task].sequence):
        return None
    table, vectors = state.tables[task], state.tables["vectors"]
    skip = [c for c, name in state.names.items() if name in UNSCORED.get(task, ())]
    keep = ~torch.isin(table.columns["target"], torch.tensor(skip, dtype=torch.int64))
    sequence, code = table.sequence[keep], table.columns["target"][keep]
    slots = table.columns["slots"][keep].long()
    first = torch.searchsorted(vectors.sequence, sequence)[:, None]
    classes = sorted((state.names[c], c) for c in torch.unique(code).tolist())
    by_code = torch.tensor(sorted((c, i) for i, (_, c) in enumerate(classes)), dtype=torch.int64).view(-1, 2)
    documents = torch.tensor([stable_code(key.document) for key in state.keys], dtype=torch.int64)[sequence]
    numbers = torch.stack([documents, table.columns["sentence"][keep].long()], dim=1)
    return Task(
        names=tuple(name for name, _ in classes),
        codes=torch.tensor([c for _, c in classes], dtype=torch.int64),
        rows=(slots + first).where(slots >= 0, -1),
        target=by_code[torch.searchsorted(by_code[:, 0].contiguous(), code), 1],
        word=table.columns["word"][keep],
        sentence=torch.unique(numbers, dim=0, return_inverse=True)[1],
        document=documents,
        part=parts[sequence],
    )


def counts(task: Task | None) -> Tensor:
    """What `why_left_out` judges: (4,) int64, instances for training, validation, test; classes in training."""
    if task is None:
        return torch.zeros(4, dtype=torch.int64)
    sizes = torch.bincount(task.part, minlength=3)
    classes = len(torch.unique(task.target[task.chosen(TRAIN)]))
    return torch.cat([sizes, torch.tensor([classes])])


def why_left_out(task: str, sizes: Tensor) -> str | None:
    """One sentence where a task cannot be probed; sizes as from `counts`."""
    train, validation, test, classes = sizes.tolist()
    if train + validation + test == 0:
        return f"{task}: the corpus has no labels for it."
    if train < LEAST_TRAINING or validation == 0 or test == 0:
        return (
            f"{task}: too few labels, {train} for training, {validation} for validation and {test} for test "
            f"(documents are split 60/15/25 %); at least {LEAST_TRAINING}, 1 and 1 are needed."
        )
    if classes < 2:
        return f"{task}: the training documents show one class only, so there is nothing to tell apart."
    return None


def control_target(task: Task, seed: int) -> Tensor:
    """Targets of the control task of Hewitt & Liang (2019, arXiv:1909.03368): (instance,) int64.

    Each word type is given a class drawn from the class frequencies of the training documents, by a hash of the
    type: no structure of language helps to predict it, only memory for words does.
    """
    frequency = torch.bincount(task.target[task.chosen(TRAIN)], minlength=len(task.names)).double()
    edges = frequency.cumsum(0) / frequency.sum()
    types, inverse = torch.unique(task.word, return_inverse=True)
    draws = [stable_code(f"control/{seed}/{word}") / 2**63 for word in types.tolist()]
    drawn = torch.searchsorted(edges, torch.tensor(draws, dtype=torch.float64), right=True)
    return drawn.clamp_max(int(frequency.nonzero().max()))[inverse]
