"""Prompts: the first tokens of texts of a corpus, dealt evenly over its documents."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Any

from mspgt.core.errors import UserError
from mspgt.data import Corpus

Turn = tuple[int, int]
"""(round, number of the document)"""
Beginning = tuple[tuple[int, ...], tuple[int, ...]]
"""ids that the tokenizer puts before a text, and the text's own first ones"""


@dataclass(frozen=True)
class Prompt:
    """The beginning of a text, to be continued under every condition."""

    sample: int
    """number of the prompt, from 0"""
    ids: tuple[int, ...]
    """token ids; those that the tokenizer puts before a text are among them"""
    text: str
    """without special tokens"""
    document: str
    """the document that it comes from"""


def take_prompts(corpus: Corpus, tokenizer: Any, samples: int, tokens: int) -> list[Prompt]:
    """Take prompts that all differ, dealt in rounds, so that every document gives about as many as any other.

    In the first round each document gives its first tokens; then each gives those of its second sentence, then of its
    third, and so on. The corpus is read no further than needed, and at most twice; no more than `samples` prompts are
    held. A shorter text gives a shorter prompt, of one token at least.

    Parameters
    ----------
    samples: how many prompts.
    tokens: tokens of a prompt; those that the tokenizer puts before a text count extra, what it puts behind is left
        out.

    Raises
    ------
    UserError: a corpus with fewer different prompts.
    """
    for name, value in (("samples", samples), ("prompt_tokens", tokens)):
        if value < 1:
            raise UserError(f"{name}={value}: allowed is 1 or more.")
    first = _Earliest(samples)
    for number, document in enumerate(corpus.documents()):
        sentences = [sentence.text for sentence in document.sentences]
        first.offer((1, number), _beginning(tokenizer, sentences, tokens), document.id)
        if first.full:
            break
    later = _Earliest(samples - len(first.held))
    if not first.full:
        for number, document in enumerate(corpus.documents()):
            if not later.takes((2, number)):
                break
            for turn, sentence in enumerate(document.sentences[1:], start=2):
                if not later.takes((turn, number)):
                    break
                beginning = _beginning(tokenizer, [sentence.text], tokens)
                if beginning not in first.held:
                    later.offer((turn, number), beginning, document.id)
    taken = [*first.in_order(), *later.in_order()]
    if len(taken) < samples:
        raise UserError(
            f"samples={samples}: {corpus.name} has {len(taken)} different prompts of up to {tokens} tokens: ask for no "
            "more samples than that, for longer prompts (prompt_tokens=), or give more text (prompts=)."
        )
    return [
        Prompt(number, added + own, tokenizer.decode(list(own), clean_up_tokenization_spaces=False), document)
        for number, ((added, own), document) in enumerate(taken)
    ]


class _Earliest:
    """The beginnings of texts whose turn comes first, each once, and no more than are wanted.

    Attributes
    ----------
    held: beginning -> its turn.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._order: list[tuple[Turn, Beginning, str]] = []  # by turn
        self.held: dict[Beginning, tuple[Turn, str]] = {}

    @property
    def full(self) -> bool:
        """Whether one more can only take the place of another."""
        return len(self._order) == self._wanted

    def takes(self, turn: Turn) -> bool:
        """Whether a beginning could still come in at this turn."""
        return not self.full or turn < self._order[-1][0]

    def offer(self, turn: Turn, beginning: Beginning, document: str) -> None:
        """Take a beginning in, if it has tokens and no earlier turn already."""
        if not beginning[1] or not self.takes(turn):
            return
        before = self.held.get(beginning)
        if before is not None:
            if before[0] <= turn:
                return
            del self._order[bisect_left(self._order, (before[0], beginning, before[1]))]
        elif self.full:
            del self.held[self._order.pop()[1]]
        self.held[beginning] = turn, document
        insort(self._order, (turn, beginning, document))

    def in_order(self) -> list[tuple[Beginning, str]]:
        """Beginnings and their documents, by turn."""
        return [(beginning, document) for _, beginning, document in self._order]


def _beginning(tokenizer: Any, sentences: list[str], tokens: int) -> Beginning:
    """The beginning of a text; no more sentences are tokenised than that takes."""
    taken = 1
    while True:
        encoded = tokenizer(" ".join(sentences[:taken]), return_special_tokens_mask=True)
        special: list[int] = encoded["special_tokens_mask"]
        if taken >= len(sentences) or special.count(0) > 2 * tokens:  # what follows cannot change the first ones
            break
        taken *= 2
    start = special.index(0) if 0 in special else len(special)
    length = min(tokens, special.count(0))
    ids = tuple(encoded["input_ids"])
    return ids[:start], ids[start : start + length]
