"""CoNLL-U and CoNLL-U Plus: sentences with gold parts of speech, dependencies, entities and semantic roles.

The `conllu` library parses the values of ID and HEAD and the comments. The lines themselves are split here: the
library accepts lines with too few columns, splits at two spaces too, strips trailing empty columns, and does not
know line numbers, without which a message could not say where a fault is.

Format: https://universaldependencies.org/format.html and .../ext-format.html (CoNLL-U Plus).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from conllu.exceptions import ParseException
from conllu.parser import parse_id_value, parse_int_value, parse_pair_value

from mspgt.contracts.document import TASKS, Frame, Sentence
from mspgt.core.errors import UserError
from mspgt.data.lines import Mark, place

STANDARD = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_NEEDED = {
    "pos": (("UPOS",),),
    "dep": (("HEAD", "DEPREL"),),
    "ner": (("UNER:TAG",), ("NER",)),
    "srl": (("UP:PRED", "UP:ARGSPANS"),),
}
"""task -> the column sets that carry it, the preferred one first"""
_SPAN = re.compile(r"(.+):([0-9]{1,9})-([0-9]{1,9})")


@dataclass(frozen=True)
class Columns:
    """Where the columns of a file are."""

    names: tuple[str, ...]
    declared: bool
    """whether the file names them, rather than having the ten of plain CoNLL-U"""

    def carriers(self) -> dict[str, tuple[int, ...]]:
        """Map each task that the file has gold labels for to the positions of its columns."""
        carriers = {}
        for task in TASKS:
            for names in _NEEDED[task]:
                if task not in carriers and all(name in self.names for name in names):
                    carriers[task] = tuple(self.names.index(name) for name in names)
        return carriers


@dataclass(frozen=True)
class Word:
    """A word line: its cells, and the line's number for messages."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Contraction:
    """A line such as ``3-4 zum``: the surface form of words 3 to 4."""

    first: int
    last: int
    form: str
    space_after: bool


def tasks(lines: Iterable[tuple[int, str]], name: str) -> tuple[str, ...]:
    """Tell which probe tasks a file has gold labels for, from its head."""
    for _, line in lines:
        comment = _comment(line)
        if comment is None and line.strip():
            break
        if comment is not None and comment[0] == "global.columns":
            return tuple(_declared(comment[1], name).carriers())
    return tuple(Columns(STANDARD, declared=False).carriers())


def read(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Mark | Sentence]:
    """Read marks and sentences; a ``# newdoc`` comment is a mark.

    A sentence with ``_`` for some word in a column has no such annotation; ``# up_layer = no`` says the same of
    semantic roles.

    Raises
    ------
    UserError: names the line, what was found and what was expected.
    """
    columns = Columns(STANDARD, declared=False)
    comments: dict[str, str] = {}
    body: list[tuple[int, str]] = []
    seen_sentence = False
    for number, line in itertools.chain(lines, [(0, "")]):  # the end of a file ends a sentence, like a blank line
        comment = _comment(line)
        if comment is not None:
            key, value = comment
            if key == "global.columns" and not (seen_sentence or body):
                columns = _declared(value, place(name, number))
            elif key == "global.columns":
                raise UserError(f"{place(name, number)}: found '# global.columns', expected it before any word.")
            elif key == "newdoc" or key == "newdoc id":
                yield Mark(value or None, number)
            else:
                comments[key] = value
        elif line.strip():
            body.append((number, line))
        else:
            if body:
                seen_sentence = True
                yield _sentence(body, columns, comments, name)
            body, comments = [], {}


def _comment(line: str) -> tuple[str, str] | None:
    if not line.startswith("#"):
        return None
    key, value = parse_pair_value(line[1:])
    return key, value or ""


def _declared(value: str, where: str) -> Columns:
    names = tuple(value.split())
    for name in ("ID", "FORM"):
        if name not in names:
            raise UserError(f"{where}: found no column {name} in '# global.columns = {value}'; expected {name}.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{where}: found column {twice} twice in '# global.columns', expected it once.")
    return Columns(names, declared=True)


def _sentence(body: list[tuple[int, str]], columns: Columns, comments: Mapping[str, str], name: str) -> Sentence:
    words, contractions = _word_lines(body, columns, name)
    text, surface, starts = _surface(words, contractions, columns)
    carriers = columns.carriers()

    def cells(task: str) -> list[list[str]] | None:
        """The task's columns, each as one cell per word; None where the sentence is not annotated."""
        if task not in carriers or (task == "srl" and comments.get("up_layer") == "no"):
            return None
        chosen = [[word.cells[at] for word in words] for at in carriers[task]]
        return None if task != "srl" and any("_" in column for column in chosen) else chosen

    pos, arcs, entities, roles = (cells(task) for task in TASKS)
    return Sentence(
        text=text,
        words=surface,
        starts=starts,
        pos=tuple(pos[0]) if pos else None,
        heads=_heads(arcs[0], words, name) if arcs else None,
        relations=tuple(arcs[1]) if arcs else None,
        entities=_entities(entities[0], words, name) if entities else None,
        frames=_frames(roles[0], roles[1], words, name) if roles else None,
    )


def _word_lines(body: list[tuple[int, str]], columns: Columns, name: str) -> tuple[list[Word], list[Contraction]]:
    """Split the lines of a sentence; empty nodes (ID 8.1) have no place in the text and are passed over."""
    at_id, at_form = columns.names.index("ID"), columns.names.index("FORM")
    words: list[Word] = []
    contractions: list[Contraction] = []
    for number, line in body:
        where = place(name, number)
        cells = line.split("\t")
        if len(cells) != len(columns.names):
            origin = "as '# global.columns' says" if columns.declared else "those of CoNLL-U, as none are declared"
            raise UserError(
                f"{where}: found {len(cells)} columns, expected {len(columns.names)} separated by tabs "
                f"({' '.join(columns.names)}; {origin})."
            )
        empty = next((i for i, cell in enumerate(cells) if not cell.strip()), None)
        if empty is not None:
            raise UserError(f"{where}: found an empty column {columns.names[empty]}, expected a value or '_'.")
        identifier = _identifier(cells[at_id], where)
        if isinstance(identifier, tuple) and identifier[1] == ".":
            continue
        following = len(words) + 1
        first = identifier if isinstance(identifier, int) else identifier[0]
        taken = bool(contractions) and not isinstance(identifier, int) and contractions[-1].last >= following
        if first != following or taken:
            raise UserError(f"{where}: found ID {cells[at_id]}, expected word {following} of the sentence.")
        if isinstance(identifier, int):
            words.append(Word(number, cells))
        else:
            contractions.append(Contraction(first, identifier[2], cells[at_form], _space_after(cells, columns)))
    if not words or (contractions and contractions[-1].last > len(words)):
        last = contractions[-1].last if contractions else 1
        raise UserError(
            f"{place(name, body[-1][0])}: found the end of the sentence after {len(words)} words, expected word {last}."
        )
    return words, contractions


def _identifier(text: str, where: str) -> int | tuple[int, str, int]:
    try:
        value: int | tuple[int, str, int] | None = parse_id_value(text)
    except (ParseException, ValueError):
        value = None
    if value is None:
        raise UserError(f"{where}: found ID {text!r}, expected a number such as 3, 3-4 or 3.1.")
    return value


def _space_after(cells: list[str], columns: Columns) -> bool:
    return "MISC" not in columns.names or "SpaceAfter=No" not in cells[columns.names.index("MISC")].split("|")


def _surface(
    words: list[Word], contractions: list[Contraction], columns: Columns
) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    """Rebuild (text, surface words, their offsets).

    The words of a contraction that spells them one after the other (did|n't) share it out; where it does not
    (zu|dem in zum), each of them stands for the whole contraction.
    """
    at_form = columns.names.index("FORM")
    forms = [word.cells[at_form] for word in words]
    joined = {c.first - 1: c for c in contractions}
    text, surface, starts = "", [], []
    i = 0
    while i < len(words):
        contraction = joined.get(i)
        end = contraction.last if contraction else i + 1
        form = contraction.form if contraction else forms[i]
        parts, at = forms[i:end], len(text)
        if "".join(parts) != form:
            surface += [form] * len(parts)
            starts += [at] * len(parts)
        else:
            for part in parts:
                surface.append(part)
                starts.append(at)
                at += len(part)
        spaced = contraction.space_after if contraction else _space_after(words[i].cells, columns)
        text += form + (" " if spaced and end < len(words) else "")
        i = end
    return text, tuple(surface), tuple(starts)


def _heads(column: list[str], words: list[Word], name: str) -> tuple[int, ...]:
    heads = []
    for i, (cell, word) in enumerate(zip(column, words, strict=True), 1):
        try:
            head = parse_int_value(cell)
        except (ParseException, ValueError):
            head = None
        if head is None or not 0 <= head <= len(words) or head == i:
            raise UserError(
                f"{place(name, word.line)}: found HEAD {cell!r}, expected 0 for the root or the number of another "
                f"word, 1 to {len(words)}."
            )
        heads.append(head - 1)
    return tuple(heads)


def _entities(column: list[str], words: list[Word], name: str) -> tuple[str, ...]:
    before = "O"
    for tag, word in zip(column, words, strict=True):
        known = tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)
        if not known or (tag[:2] == "I-" and before[2:] != tag[2:]):
            raise UserError(
                f"{place(name, word.line)}: found entity tag {tag!r} after {before!r}, expected IOB2: O, B-TYPE to "
                "begin an entity, I-TYPE only after B-TYPE or I-TYPE of the same type."
            )
        before = tag
    return tuple(column)


def _frames(predicates: list[str], spans: list[str], words: list[Word], name: str) -> tuple[Frame, ...]:
    frames = []
    for i, (predicate, cell) in enumerate(zip(predicates, spans, strict=True)):
        where = place(name, words[i].line)
        if predicate == "_" and cell != "_":
            raise UserError(f"{where}: found UP:ARGSPANS {cell!r} without a UP:PRED, expected '_'.")
        if predicate != "_":
            frames.append(Frame(i, () if cell == "_" else _arguments(cell, len(words), where)))
    return tuple(frames)


def _arguments(cell: str, n_words: int, where: str) -> tuple[tuple[str, int, int], ...]:
    arguments = []
    for part in cell.split("|"):
        match = _SPAN.fullmatch(part)
        first, last = (int(match[2]), int(match[3])) if match else (0, 0)
        if match is None or not 1 <= first <= last <= n_words:
            raise UserError(
                f"{where}: found {part!r} in UP:ARGSPANS, expected ROLE:first-last with word numbers 1 to {n_words}, "
                "joined by '|'."
            )
        arguments.append((match[1], first - 1, last - 1))
    return tuple(arguments)
