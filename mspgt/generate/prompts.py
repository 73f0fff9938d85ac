"""Prompts: the first tokens of texts of a corpus."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """The beginning of a text, to be continued under every condition."""

    sample: int
    """number of the prompt, from 0"""
    ids: tuple[int, ...]
    """token ids; those that the tokenizer puts before a text are counted extra"""
    text: str
    """without special tokens"""
    document: str
    """the document it comes from"""
