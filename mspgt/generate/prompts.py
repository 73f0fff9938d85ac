"""Prompts: the first tokens of texts of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mspgt.data import Corpus
from mspgt.errors import UserError


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
    """Take prompts that all differ: the first tokens of each document, then of each later sentence.

    The corpus is read no further than needed. A shorter text gives a shorter prompt, of one token at least.

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
    prompts: dict[tuple[int, ...], Prompt] = {}
    for document, sentences in _texts(corpus):
        added, own = _beginning(tokenizer, sentences, tokens)
        ids = added + own
        if own and ids not in prompts:
            text = tokenizer.decode(list(own), clean_up_tokenization_spaces=False)
            prompts[ids] = Prompt(len(prompts), ids, text, document)
            if len(prompts) == samples:
                return list(prompts.values())
    raise UserError(
        f"samples={samples}: {corpus.name} has {len(prompts)} different prompts of up to {tokens} tokens: ask for no "
        "more samples than that, for longer prompts (prompt_tokens=), or give more text (prompts=)."
    )


def _texts(corpus: Corpus) -> Iterator[tuple[str, list[str]]]:
    """(document, sentences of a text): documents as wholes, then their second and later sentences one by one."""
    for document in corpus.documents():
        yield document.id, [sentence.text for sentence in document.sentences]
    for document in corpus.documents():
        for sentence in document.sentences[1:]:
            yield document.id, [sentence.text]


def _beginning(tokenizer: Any, sentences: list[str], tokens: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that are put before a text, and its own first ones; no more sentences are tokenised than that takes."""
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
