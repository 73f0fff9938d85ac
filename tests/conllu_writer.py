"""Write documents as CoNLL-U Plus, with the columns of annotated corpora, for the tests of the reader."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TextIO

from mspgt.contracts.document import Document, Frame, Sentence
from mspgt.core.errors import UserError

COLUMNS = (
    *("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC"),
    *("UNER:TAG", "UP:PRED", "UP:ARGSPANS"),
)


def write(documents: Iterable[Document], file: TextIO) -> None:
    """Write documents so that reading them gives the same documents back.

    Columns that a `Sentence` does not hold (LEMMA, XPOS, FEATS, DEPS) are ``_``, and the sense of a predicate, which
    it does not hold either, is ``XX``.

    Raises
    ------
    UserError: a sentence without words, or one that the format cannot hold (tabs, other white space between words
        than one space or none, two frames of one predicate).
    """
    file.write(f"# global.columns = {' '.join(COLUMNS)}\n")
    for document in documents:
        if not _holds(document.id):
            raise UserError(
                f"document {document.id!r}: CoNLL-U needs an identifier without line breaks or outer spaces."
            )
        for number, sentence in enumerate(document.sentences):
            if number == 0:
                file.write(f"# newdoc id = {document.id}\n")
            where = f"document {document.id!r}, sentence {number}"
            file.write(f"# sent_id = {document.id}-{number + 1:04d}\n")
            file.writelines(f"{line}\n" for line in _lines(sentence, where))


def _lines(sentence: Sentence, where: str) -> Iterator[str]:
    if not sentence.words:
        raise UserError(f"{where}: has no words; only annotated sentences can be written as CoNLL-U.")
    n = len(sentence.words)
    spaces = _space_after(sentence, where)
    frames = {frame.predicate: frame for frame in sentence.frames or ()}
    if len(frames) != len(sentence.frames or ()):
        raise UserError(f"{where}: has two frames of one predicate, which the columns cannot hold.")
    yield f"# text = {sentence.text}"
    yield f"# up_layer = {'no' if sentence.frames is None else 'yes'}"
    for first, last in _surface_runs(sentence):
        misc = "_" if spaces[last] else "SpaceAfter=No"
        if last > first:
            yield "\t".join([f"{first + 1}-{last + 1}", sentence.words[first], *["_"] * 7, misc, "_", "_", "_"])
        for i in range(first, last + 1):
            cells = [
                str(i + 1),
                sentence.words[i],
                "_",
                sentence.pos[i] if sentence.pos else "_",
                "_",
                "_",
                str(sentence.heads[i] + 1) if sentence.heads else "_",
                sentence.relations[i] if sentence.relations else "_",
                "_",
                misc if last == first else "_",
                sentence.entities[i] if sentence.entities else "_",
                *_frame_cells(frames.get(i), sentence.words[i]),
            ]
            if not all(map(_holds, cells)):
                raise UserError(f"{where}, word {i + 1}: a column is empty or holds a tab or line break: {cells}.")
            yield "\t".join(cells)
    if any(not 0 <= predicate < n for predicate in frames):
        raise UserError(f"{where}: has a frame whose predicate is none of its {n} words.")
    yield ""


def _holds(cell: str) -> bool:
    return bool(cell.strip()) and not set(cell) & set("\t\n\r") and cell == cell.strip()


def _surface_runs(sentence: Sentence) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of the words that share one surface form, nearly always a single word."""
    keys = zip(sentence.starts, sentence.words, strict=True)
    at = 0
    for _, run in itertools.groupby(keys):
        length = len(list(run))
        yield at, at + length - 1
        at += length


def _space_after(sentence: Sentence, where: str) -> list[bool]:
    """Tell for each word whether a space follows it; the last word counts as followed by one."""
    ends = [start + len(word) for start, word in zip(sentence.starts, sentence.words, strict=True)]
    gaps = [
        sentence.text[end:start] if start >= end else ""
        for end, start in zip(ends, (*sentence.starts[1:], len(sentence.text)), strict=True)
    ]
    rebuilt = "".join(sentence.words[last] + gaps[last] for _, last in _surface_runs(sentence))
    if rebuilt != sentence.text or gaps[-1] or not set(gaps) <= {"", " "}:
        raise UserError(f"{where}: its words do not make up its text with one space or none between them.")
    return [gap == " " for gap in gaps[:-1]] + [True]


def _frame_cells(frame: Frame | None, word: str) -> tuple[str, str]:
    if frame is None:
        return "_", "_"
    spans = "|".join(f"{role}:{first + 1}-{last + 1}" for role, first, last in frame.arguments)
    return f"{word.lower()}.XX", spans or "_"
