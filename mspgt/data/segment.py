"""Raw text into sentences, with the rules of the `sentencex` library, which needs no downloads.

A line break ends a sentence: paragraphs on one line each, and one sentence on each line, both come out right.
Hard-wrapped text must be unwrapped first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sentencex import segment

from mspgt.contracts.document import Sentence
from mspgt.core.errors import UserError

_WIDE = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""white space beyond ASCII, over which the splitter stumbles before a full stop"""
_BLOCK = 10_000
"""characters given to the splitter at once: its time grows with the square of the length"""


def sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text, white space within them made single spaces."""
    for line in text.splitlines():
        for piece in _pieces(_WIDE.sub(" ", line)):
            clean = " ".join(piece.split())
            if clean:
                yield Sentence(clean)


def check_text(text: str, where: str) -> str:
    """Return the text; raises UserError where it cannot be encoded (lone surrogates, as from a broken escape)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: found the lone surrogate {text[error.start]!a} at character {error.start} of the text, "
            "expected text that can be encoded as UTF-8."
        ) from None
    return text


def _pieces(line: str) -> Iterator[str]:
    while len(line) > _BLOCK:
        pieces: list[str] = segment("en", line[:_BLOCK])
        # The last sentence of a block may go on in the next one, unless it fills the block.
        done = pieces[:-1] or [line[:_BLOCK]]
        yield from done
        line = line[sum(map(len, done)) :]
    yield from segment("en", line)
