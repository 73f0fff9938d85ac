"""Readers of raw text: plain text, JSON lines and WikiText."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mspgt.contracts.document import Sentence
from mspgt.core.errors import UserError
from mspgt.data.lines import Mark, place
from mspgt.data.segment import check_text, sentences
from mspgt.data.wikitext import detokenise

NumberedLines = Iterable[tuple[int, str]]


def read_txt(lines: NumberedLines, *, marked: bool) -> Iterator[Mark | Sentence]:
    """Read plain text, in which blank lines stand between documents.

    Parameters
    ----------
    marked: whether the text begins a document; False for text without document marks.
    """
    fresh = marked
    for number, line in lines:
        if not line.strip():
            fresh = marked
            continue
        if fresh:
            yield Mark(None, number)
            fresh = False
        yield from sentences(line)


def has_blank_line_between(lines: NumberedLines) -> bool:
    """Tell whether a blank line stands between two lines of text."""
    blanks = (not line.strip() for _, line in lines)
    runs = [blank for blank, _ in itertools.islice(itertools.groupby(blanks), 4)]
    return runs[runs[:1] == [True] :][:3] == [False, True, False]


def read_jsonl(lines: NumberedLines, name: str) -> Iterator[Mark | Sentence]:
    """Read one JSON object a line, ``{"id": ..., "text": ...}``; `id` may be missing, other keys are passed over."""
    for number, line in lines:
        if not line.strip():
            continue
        where = place(name, number)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: found no JSON ({error}), expected an object with a 'text'.") from None
        identifier, text = read_row(row, where)
        yield Mark(identifier, number)
        yield from sentences(text)


def read_row(row: Any, where: str) -> tuple[str | None, str]:
    """Check one document given as ``{"id": ..., "text": ...}`` and return (id or None, text)."""
    expected = "expected an object with a 'text' and, if you like, an 'id'"
    if not isinstance(row, dict):
        raise UserError(f"{where}: found {_kind(row)}, {expected}.")
    if not isinstance(row.get("text"), str):
        what = "no 'text'" if "text" not in row else f"{_kind(row['text'])} as 'text'"
        keys = ", ".join(repr(key) for key in itertools.islice(row, 8)) or "none"
        raise UserError(f"{where}: found {what} (keys: {keys}), {expected}.")
    identifier = row.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int, type(None))):
        raise UserError(f"{where}: found {_kind(identifier)} as 'id', expected a text or an integer.")
    given = None if identifier is None else check_text(str(identifier).strip(), where)
    return given or None, check_text(row["text"], where)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


_TITLE = re.compile(r"= [^=](?:.*[^=])? =")
_HEADING = re.compile(r"= = .* = =")


def read_wikitext(lines: NumberedLines, prefix: str) -> Iterator[Mark | Sentence]:
    """Read WikiText: ``= Title =`` between blank lines begins a document, deeper headings are dropped.

    A title may occur twice (rare words are ``<unk>``), so the identifier holds the article's number as well.
    """
    titles, before = 0, ""
    for (number, line), (_, after) in itertools.pairwise(itertools.chain(lines, [(0, "")])):
        stripped = line.strip()
        # A lone "= 1 henry and capacitance C =" occurs inside articles, next to other lines.
        if is_title(line) and not before and not after.strip():
            titles += 1
            yield Mark(f"{prefix}#{titles} {detokenise(stripped[2:-2])}", number)
        elif stripped and not _HEADING.fullmatch(stripped):
            yield from sentences(detokenise(stripped))
        before = stripped


def is_title(line: str) -> bool:
    """Tell whether a line could be the title of a WikiText article."""
    return _TITLE.fullmatch(line.strip()) is not None
