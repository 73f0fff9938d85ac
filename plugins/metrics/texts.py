"""What generated texts are made of: tokens, words and sentences.

Sentences are found by the rules of the `sentencex` library; as everywhere in this package, a line break ends one.

A prompt ends wherever its tokens do, in the middle of a sentence as a rule. Sentences are therefore found in prompt and
text together, and those of a text begin with the one in which its first word stands: that one is counted whole, with
the prompt's part of it. What is counted is then made of whole sentences, wherever the prompt was cut.
"""

from __future__ import annotations

import re

from sentencex import segment

_WORD = r"\w+(?:['’-]\w+)*"
_TOKENS = re.compile(_WORD + r"|[^\w\s]")
_WORDS = re.compile(_WORD)
_SURROGATES = re.compile("[\ud800-\udfff]")
_WIDE_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_END = (".", "!", "?", "…", "。", "！", "？")
_AROUND = "\"'“”„‘’‚«»‹›()[]{}「」『』-‐–—― \t\r\n\f\v\u00a0"
"""quotes, brackets, dashes and space, which may follow the mark that ends a sentence"""


def tokens(text: str) -> list[str]:
    """Words and single marks of punctuation, case kept."""
    return _TOKENS.findall(text)


def words(text: str) -> list[str]:
    """The tokens that begin with a word character, in lower case."""
    return [word.lower() for word in _WORDS.findall(text)]


def sentences(text: str, prompt: str = "") -> list[str]:
    r"""Sentences that hold at least one word of the text, white space within them made single spaces.

    Lone surrogates, which the splitter cannot take, become U+FFFD; white space beyond ASCII, at which it may panic
    ("A\u00a0."), becomes a space.

    Parameters
    ----------
    prompt: what the text continues; its part of the first sentence is part of it.
    """
    kept, begin = [], 0
    for line in _WIDE_SPACES.sub(" ", _SURROGATES.sub("\ufffd", prompt + text)).splitlines(keepends=True):
        for piece in segment("en", line):
            if _WORDS.search(piece, max(0, len(prompt) - begin)):
                kept.append(" ".join(piece.split()))
            begin += len(piece)
    return kept


def is_cut(sentence: str) -> bool:
    """Whether a sentence is unfinished: no mark that ends one, before any quotes, brackets and dashes behind it."""
    return not sentence.rstrip(_AROUND).endswith(_END)


def without_fragment(pieces: list[str], longest: int) -> list[str]:
    """Sentences of a text without a last one that was cut by the token limit.

    A cut one that had got longer than `longest` words is left in: that it did not end tells of the text, not of the
    limit.
    """
    fragment = bool(pieces) and is_cut(pieces[-1]) and len(words(pieces[-1])) <= longest
    return pieces[:-1] if fragment else pieces
