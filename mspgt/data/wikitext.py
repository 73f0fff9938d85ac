"""Undo the tokenised spacing of WikiText, so that a model meets text as it is written.

The original spacing is lost; these rules restore what is certain and leave a space where it is not (the dash of
"the north – south road" and of "Chaney – an activist").
"""

from __future__ import annotations

import re

_JOINED = re.compile(r" ?@([-,.])@ ?")
_BETWEEN_DIGITS = re.compile(r"(?<=\d) ([–:]) (?=\d)")
_LEFT = frozenset({",", ".", ";", ":", "!", "?", "%", ")", "]", "}", "°", "...", "…", "’", "”"})
_RIGHT = frozenset({"(", "[", "{", "$", "£", "€", "¥", "#", "“"})
_QUOTES = frozenset({'"', "'"})


def detokenise(text: str) -> str:
    """Join the space-separated tokens of one paragraph as running text.

    >>> detokenise('He said , " it is 1 @.@ 5 – 2 km ( a well @-@ known distance ) . "')
    'He said, "it is 1.5–2 km (a well-known distance)."'
    """
    text = _BETWEEN_DIGITS.sub(r"\1", _JOINED.sub(r"\1", text))
    tokens = text.split()
    pieces: list[str] = []
    opened: set[str] = set()
    glue = True
    for i, token in enumerate(tokens):
        left, right = token in _LEFT, token in _RIGHT
        if token in _QUOTES:
            left = token in opened or (token == "'" and _is_apostrophe(tokens, i))
            right = not left
            if right:
                opened.add(token)
            else:
                opened.discard(token)
        elif token == "/":
            left = right = True
        elif len(token) > 1 and token[0] == "'":
            left = True  # 's, 't, 've; and the names d 'état, O 'Neil
        pieces.append(token if glue or left else " " + token)
        glue = right
    return "".join(pieces)


def _is_apostrophe(tokens: list[str], i: int) -> bool:
    """Tell a possessive (Linnaeus ' concept) from an opening quote, which must close later in the paragraph."""
    return tokens[i - 1 : i] != [] and (tokens[i - 1].endswith("s") or "'" not in tokens[i + 1 :])
