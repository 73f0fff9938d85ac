"""Reading results of any kind back: one, or several that are compared."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeVar

from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.results.kinds import RECORDS, record_class
from mspgt.results.result import Result, read_json

Given = Result | str | os.PathLike[str]
R = TypeVar("R", bound=Result)


def load(path: str | os.PathLike[str]) -> Result:
    """Read a result back from its directory or its file, whatever its kind.

    Raises
    ------
    UserError: there is none, a directory holds several, the file is not JSON, of another schema, or damaged.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"load() was given {path!r}; give the path of a result: a directory or a file.")
    file = Path(path)
    if file.is_dir():
        present = [file / kind.kind.file for kind in _kinds() if (file / kind.kind.file).exists()]
        if len(present) > 1:
            raise UserError(f"{file} holds {listed([f.name for f in present])}; give the path of one of them.")
        if not present:
            raise UserError(f"no result is in {file}; give a directory that holds {_files()}.")
        file = present[0]
    data = read_json(file, "a result", f"give {_files()}, or a directory that holds one")
    name = data.get("kind")
    chosen = [kind for kind in _kinds() if name == kind.kind.name or (name is None and file.name == kind.kind.file)]
    if not chosen and name is not None:
        raise UserError(f"{file} holds {name!r}, which is none of {', '.join(RECORDS)}; give {_files()}.")
    return (chosen[0] if chosen else next(_kinds())).of(data, file)


def load_several(
    given: Given | Sequence[Given], names: Sequence[str] | None = None, kind: type[R] | None = None, least: int = 2
) -> dict[str, R]:
    """Results that are to be compared, by name.

    Parameters
    ----------
    given: results, or directories or files that hold them.
    names: one for each; paths as they are given, or names of models, where None. Equal ones are numbered.
    kind: which all of them must be; any one kind where None.
    least: how many are needed.

    Raises
    ------
    UserError: too few, of different kinds, one of them twice, not one name for each, or no such file.
    """
    each = [given] if isinstance(given, (str, os.PathLike, Result)) else list(given)
    what = kind.kind.what if kind else "a result"
    if len(each) < least:
        raise UserError(f"a comparison needs {least} or more; got {len(each)}: give another, {what}.")
    if names is not None and len(names) != len(each):
        raise UserError(f"{len(each)} results have {len(names)} names; give one name for each.")
    results = [one if isinstance(one, Result) else (kind.load if kind else load)(one) for one in each]
    called = _distinct(names or [_name(one, result) for one, result in zip(each, results, strict=True)])
    named = dict(zip(called, results, strict=True))
    wanted = kind or type(results[0])
    for name, result in named.items():
        if not isinstance(result, wanted):
            raise UserError(f"{name} is {result.kind.what}, not {wanted.kind.what}; give results of one kind.")
    for (one, first), (other, second) in combinations(named.items(), 2):
        if first is second or first.as_dict() == second.as_dict():
            raise UserError(f"{one} and {other} are the same result; give two that were made apart.")
    return named  # type: ignore[return-value]


def _name(given: Given, result: Result) -> str:
    return str(result.model.name) if isinstance(given, Result) else os.fspath(given)


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names, those that occur several times with a number after them."""
    often = Counter(names)
    return [f"{name} ({i})" if often[name] > 1 else name for i, name in enumerate(names, start=1)]


def _kinds() -> Iterator[type[Result]]:
    return map(record_class, RECORDS)


def _files() -> str:
    """The files there are, and what makes each."""
    named = [f"{kind.kind.file} (made by {kind.kind.maker})" for kind in _kinds()]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]
