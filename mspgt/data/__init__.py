"""Corpora: readers, segmentation, tokenisation, alignment of words to tokens, batching.

`load` opens a corpus without torch; `Reading` turns it into batches for a tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mspgt.contracts.document import TASKS, Document, Frame, Sentence
from mspgt.data.corpus import Corpus, load

if TYPE_CHECKING:
    from mspgt.data.batching import Reading

__all__ = ["TASKS", "Corpus", "Document", "Frame", "Reading", "Sentence", "load"]


def __getattr__(name: str) -> Any:
    """Import `Reading`, which needs torch, where it is first used."""
    if name == "Reading":
        from mspgt.data.batching import Reading

        return Reading
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
