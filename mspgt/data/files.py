"""A file, a folder or a glob as a corpus: which files it means, and which reader each of them takes."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mspgt.contracts.document import TASKS, Document, Sentence
from mspgt.core.errors import UserError, unknown
from mspgt.data import conllu, text
from mspgt.data.lines import CUT_FLAG, Mark, group, read_lines

EXTENSIONS = (".conllu", ".conllup", ".jsonl", ".tokens", ".txt")


@dataclass(frozen=True)
class Files:
    """Files read one after the other, in the order of their names."""

    name: str
    """as the user gave it"""
    paths: tuple[Path, ...]
    prefixes: tuple[str, ...]
    """for each file, what its documents without identifiers are called by"""

    def documents(self) -> Iterator[Document]:
        """Read lazily; at most one document is held, and the identifiers of all."""
        claimed: dict[str, str] = {}
        for path, prefix in zip(self.paths, self.prefixes, strict=True):
            yield from group(self._read(path, prefix), str(path), prefix, claimed)

    def _read(self, path: Path, prefix: str) -> Iterator[Mark | Sentence]:
        lines, extension = read_lines(path), path.suffix.lower()
        if extension == ".txt":
            return text.read_txt(lines, marked=self._txt_marked)
        if extension == ".jsonl":
            return text.read_jsonl(lines, str(path))
        if extension == ".tokens":
            return text.read_wikitext(lines, prefix)
        return conllu.read(lines, str(path))

    @cached_property
    def _txt_marked(self) -> bool:
        """Whether plain text has document marks: blank lines in a file alone, the files themselves in a folder."""
        return len(self.paths) > 1 or text.has_blank_line_between(read_lines(self.paths[0]))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Probe tasks that at least one file has columns for."""
        annotated = [p for p in self.paths if p.suffix.lower() in (".conllu", ".conllup")]
        tasks = {task for path in annotated for task in conllu.tasks(read_lines(path), str(path))}
        return tuple(task for task in TASKS if task in tasks)

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Say which files have no document marks at their head."""
        first = {p: next(self._read(p, prefix), None) for p, prefix in zip(self.paths, self.prefixes, strict=True)}
        bare = [path for path, item in first.items() if isinstance(item, Sentence)]
        if not bare:
            return ()
        return (CUT_FLAG if len(bare) == len(self.paths) else f"{CUT_FLAG} ({', '.join(p.name for p in bare)})",)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file as `sha256sum` gives it; of several, that of their list of sums."""
        sums = self._sums
        if len(sums) == 1:
            return sums[0]
        listed = "".join(f"{s}  {prefix}\n" for s, prefix in zip(sums, self.prefixes, strict=True))
        return hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest()

    def check(self) -> None:
        """Refuse two files of the same bytes, which would count twice what was observed once."""
        sizes = [path.stat().st_size for path in self.paths]
        if len(set(sizes)) == len(sizes):
            return
        first: dict[str, Path] = {}
        for path, size, digest in zip(self.paths, sizes, self._sums, strict=True):
            if size and digest in first:
                raise UserError(
                    f"{self.name}: found {path} and {first[digest]} with the same content, expected each text once. "
                    "Leave one of them out."
                )
            first[digest] = path

    @cached_property
    def _sums(self) -> tuple[str, ...]:
        sums = []
        for path in self.paths:
            with path.open("rb") as file:
                sums.append(hashlib.file_digest(file, "sha256").hexdigest())
        return tuple(sums)


def find(source: str) -> Files | None:
    """Find the files that a path or glob means; None where there is no such path.

    Raises
    ------
    UserError: an extension without a reader, a folder or glob without readable files.
    """
    path = Path(source).expanduser()
    if os.path.isfile(path):  # unlike Path, it takes a name too long for the system, or with a null byte
        if path.suffix.lower() not in EXTENSIONS:
            raise unknown("file extension", path.suffix, EXTENSIONS, f"File: {path}.")
        return Files(source, (path,), (path.name,))
    if os.path.isdir(path):
        return _several(source, path, sorted(p for p in path.rglob("*") if not _hidden(p.relative_to(path))))
    if glob.has_magic(source):
        return _several(source, None, sorted(Path(p) for p in glob.glob(str(path), recursive=True)))
    return None


def missing(source: str, hint: str) -> UserError:
    """Build the error for a source that is nothing, with the nearest names in its folder."""
    path = Path(source).expanduser()
    present = [p.name for p in path.parent.iterdir()] if os.path.isdir(path.parent) else []
    near = difflib.get_close_matches(path.name, [*present, "grammar"], n=3, cutoff=0.6)
    guess = (
        f" Did you mean {' or '.join(repr(n if n == 'grammar' else str(path.parent / n)) for n in near)}?"
        if near
        else ""
    )
    return UserError(f"data {source!r}: there is no such file, folder or glob.{guess} {hint}")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _several(source: str, folder: Path | None, candidates: list[Path]) -> Files:
    paths = [p for p in candidates if p.suffix.lower() in EXTENSIONS and p.is_file()]
    if not paths:
        first = ", ".join(p.name for p in candidates[:5]) or "nothing"
        raise UserError(f"data {source!r}: found {first}, expected files ending in {', '.join(EXTENSIONS)}.")
    names = [str(p.relative_to(folder)) if folder else str(p) for p in paths]
    files = Files(source, tuple(paths), tuple(names))
    files.check()
    return files
