"""What generated texts are made of: tokens, words and sentences.

Sentences are found by the rules of the `sentencex` library; as everywhere in this package, a line break ends one.
"""

from __future__ import annotations

import re

from sentencex import segment

_WORD = r"\w+(?:['’-]\w+)*"
_TOKENS = re.compile(_WORD + r"|[^\w\s]")
_WORDS = re.compile(_WORD)
_SURROGATES = re.compile("[\ud800-\udfff]")
_END = (".", "!", "?", "…", "。", "！", "？")
_CLOSERS = "\"'”’»)] \t\r\n\f\v\u00a0"


def tokens(text: str) -> list[str]:
    """Words and single marks of punctuation, case kept."""
    return _TOKENS.findall(text)


def words(text: str) -> list[str]:
    """The tokens that begin with a word character, in lower case."""
    return [word.lower() for word in _WORDS.findall(text)]


def sentences(text: str) -> list[str]:
    """Sentences that hold at least one word, white space within them made single spaces.

    Lone surrogates, which the splitter cannot take, become U+FFFD.
    """
    found = (piece for line in _SURROGATES.sub("\ufffd", text).splitlines() for piece in segment("en", line))
    return [" ".join(piece.split()) for piece in found if _WORDS.search(piece)]


def is_cut(text: str) -> bool:
    """Whether the last sentence is unfinished: no closing punctuation, before any quotes and brackets that close."""
    return not text.rstrip(_CLOSERS).endswith(_END)
