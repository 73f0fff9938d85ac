"""What a directory holds, and whether work may be put there."""

from __future__ import annotations

import shutil
from pathlib import Path

from mspgt.config.shared import Place
from mspgt.core.errors import UserError
from mspgt.measure.store import MANIFEST, Store
from mspgt.results.kinds import RECORDS, Kind, record_class, resolve

CONFIG, GENERATIONS = "config.yaml", "generations.jsonl"
LOCK = "lock"
"""held by the process that is at work"""
BESIDE = ("figures", GENERATIONS, "report.html", "run.log")
"""what else stands beside a result than its file and its tables"""


def kind_of(path: Path) -> str | None:
    """The kind of what a directory holds, or None where nothing was begun; UserError for a kind that is not known."""
    try:
        kind = Store(path / "state").manifest().kind
    except UserError:
        return next((name for name in RECORDS if (path / declared(name).file).is_file()), None)
    if kind not in RECORDS:
        raise UserError(f"{path} holds work of the unknown kind {kind!r}, not of {', '.join(RECORDS)}: name another.")
    return kind


def declared(name: str | None) -> Kind:
    """What is declared of a kind."""
    kind: Kind = record_class(name or "run").kind
    return kind


def require_kind(path: Path, kind: Kind) -> None:
    """Refuse a directory that holds another kind of work; UserError."""
    there = kind_of(path)
    if there not in (None, kind.name):
        raise UserError(f"out={path} holds {declared(there).what}, not {kind.what}: name another directory.")


def _results() -> tuple[str, ...]:
    """File names of all kinds of results."""
    return tuple(declared(name).file for name in RECORDS)


def check_replaceable(path: Path, place: Place, kind: Kind) -> None:
    """Refuse a folder that is somebody else's, or holds work that was not asked to be replaced; UserError."""
    if not _is_ours(path):
        raise UserError(f"out={path} exists and is no run directory; name another.")
    require_kind(path, kind)
    done = any((path / name).exists() for name in _results())
    begun = done or any((path / name).is_file() for name in (CONFIG, f"state/{MANIFEST}"))
    if begun and not (place.overwrite or (place.resume and not done)):
        way = "overwrite=true to replace it" if done else "resume=true to go on with it, overwrite=true to start anew"
        state = "a finished" if done else "an unfinished"
        raise UserError(f"out={path} holds {state} {kind.noun}; give {way}, or another out.")


def _is_ours(path: Path) -> bool:
    """Whether a folder holds work, or what is left of it; a settings file or a state folder alone is no proof."""
    concluded = any((path / name).is_file() for name in _results())
    if (path / "state" / MANIFEST).is_file() or ((path / CONFIG).is_file() and concluded):
        return True
    started = {"state", "run.log"}  # work that was stopped before it wrote its manifest
    return {p.name for p in path.iterdir()} <= started and {p.name for p in (path / "state").glob("*")} <= {LOCK}


def clear(path: Path) -> None:
    """Remove all that a verb wrote, and nothing else; the lock stays, as it is held."""
    kinds = [declared(name) for name in RECORDS if (path / declared(name).file).is_file()]
    tables = [part.file for kind in kinds for part in resolve(kind.shown).tables.values()]
    for part in (*(path / "state").glob("*"), *(path / name for name in (CONFIG, *_results(), *tables, *BESIDE))):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        elif part.name != LOCK:
            part.unlink(missing_ok=True)


def numbered(stem: str) -> Path:
    """The first free directory runs/STEM-NUMBER, made here and now: another run may start at the same time."""
    number = 1
    while True:
        path = Path("runs", f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(
                f"{path} cannot be made ({error.strerror}); give out= a place that can be written to."
            ) from error
        else:
            return path
