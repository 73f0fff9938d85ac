"""Find the checkpoints of a training run, and put them in the order of their steps."""

from __future__ import annotations

import glob
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from mspgt.config.keys import plain_value
from mspgt.config.run import RunOptions
from mspgt.core.errors import UserError, first_line
from mspgt.core.phrases import listed, some
from mspgt.models import weights
from mspgt.models.built_in import MODELS

Note = Callable[[str], object]
"""takes a sentence about what was found"""
Format = Literal["transformers", "adapter", "lightning"]
FORMATS: dict[Format, str] = {
    "transformers": "a Hugging Face model",
    "adapter": "an adapter of peft",
    "lightning": "a file of Lightning",
}
TRAINER = "trainer_state.json"
"""what transformers' Trainer writes beside the weights"""
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
PARTS = (".metadata", "*.distcp", "zero_to_fp32.py", "mp_rank_*", "pytorch_model_fsdp_*")
"""what is in a folder where each process wrote its own part of the weights"""


@dataclass(frozen=True)
class Checkpoint:
    """The weights at one step of a training run."""

    name: str
    step: int
    """optimizer steps until then"""
    path: Path | None
    revision: str | None
    """of the Hugging Face model, in place of a path"""
    kind: Format
    loss: float | None
    """mean training loss since the checkpoint before, where transformers' Trainer logged it"""


@dataclass(frozen=True)
class _Candidate:
    """Where one checkpoint lies, and what it says of itself."""

    path: Path
    kind: Format
    step: int | None
    log: tuple[tuple[int, int, float], ...] = ()
    """(after step, up to step, mean loss), as logged"""


def find(sources: Sequence[str], note: Note) -> list[Checkpoint]:
    """Find the checkpoints that directories, globs and files mean, in the order of their steps.

    A directory is a checkpoint, or holds some, or holds a folder ``checkpoints`` with some. The step is what
    transformers' Trainer or Lightning wrote down, else the number after "step" in the name, else the last number in it.

    Parameters
    ----------
    note: is told what was left aside and how steps were made up.

    Raises
    ------
    UserError: nothing is found, something cannot be read, both Hugging Face models and files of Lightning are there,
        or two checkpoints are of the same step.
    """
    paths = dict.fromkeys(path for source in sources for path in _expand(source, note))
    first = {path.resolve(): path for path in reversed(paths)}  # what has several names goes by the first
    candidates = [_read(path) for path in paths if first[path.resolve()] == path]
    kinds = {candidate.kind: candidate.path for candidate in candidates}
    if len(kinds) > 1:
        formats = listed([f"{path} ({FORMATS[kind]})" for kind, path in kinds.items()])
        raise UserError(f"checkpoints= found {formats}: name those of one kind.")
    ordered = _in_order(candidates, note)
    starts = [0, *(step for step, _ in ordered)]
    return [
        Checkpoint(candidate.path.name, step, candidate.path, None, candidate.kind, _loss(candidate.log, start, step))
        for start, (step, candidate) in zip(starts, ordered, strict=False)
    ]


def of_revisions(options: RunOptions, revisions: Sequence[str], note: Note) -> list[Checkpoint]:
    """The checkpoints that are revisions of the Hugging Face model `options.model`, in the order of their steps.

    The step is the number after "step" in the name of the revision, else the last number in it. Where a revision has
    none, the order is the one given.

    Raises
    ------
    UserError: the model is none of the hub, a revision does not exist or cannot be reached, or two share a step.
    """
    _check_hub(options.model)
    for revision in revisions:
        _check_revision(options, revision)
    steps = {revision: step for revision in revisions if (step := _number(revision)) is not None}
    if unnumbered := [revision for revision in revisions if revision not in steps]:
        note(f"the names {some(unnumbered)} tell no step: steps are numbered from 1, in the order given.")
        steps = {revision: i for i, revision in enumerate(revisions, 1)}
    ordered = sorted(steps, key=lambda revision: steps[revision])
    for one, other in pairwise(ordered):
        if steps[one] == steps[other]:
            raise _twice(steps[one], one, other)
    return [Checkpoint(name, steps[name], None, name, "transformers", None) for name in ordered]


def _check_hub(model: Any) -> None:
    """Revisions are those of a Hugging Face id, and of nothing else."""
    built_in = isinstance(model, str) and model in MODELS
    if built_in or not isinstance(model, str) or Path(model).expanduser().is_dir():
        what = "a built-in model" if built_in else "on this machine"
        raise UserError(
            f"model={plain_value(model)} is {what} and has no revisions: give a Hugging Face id, or checkpoints=."
        )


def _expand(source: str, note: Note) -> list[Path]:
    """The checkpoints that one word means."""
    path = Path(source).expanduser()
    if path.is_dir():
        return _inside(path, note)
    if path.is_file():
        return [path]
    if not glob.has_magic(source):
        raise UserError(f"checkpoints={source}: there is no such directory or file.")
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    checkpoints = [p for p in matches if kind_of(p) is not None]
    if not checkpoints:
        raise UserError(f"checkpoints={source} matches {some(p.name for p in matches)}, none of which is a checkpoint.")
    return checkpoints


def _inside(folder: Path, note: Note) -> list[Path]:
    """The checkpoints in a folder; the folder itself where it holds none."""
    itself = kind_of(folder) is not None
    children = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    checkpoints = [p for p in children if kind_of(p) is not None]
    if not checkpoints and not itself and (folder / "checkpoints").is_dir():
        return _inside(folder / "checkpoints", note)
    if not checkpoints and not itself:
        raise UserError(
            f"checkpoints={folder}: found {some(p.name for p in children)}, expected folders with config.json and "
            "weights, or .ckpt files of Lightning."
        )
    if not checkpoints:
        return [folder]
    for child in children:
        if child not in checkpoints and (child / "config.json").is_file():
            note(f"{child} holds no weights and is left aside.")
    if itself and (folder / TRAINER).is_file():
        return [*checkpoints, folder]
    if itself:
        note(f"the weights in {folder} itself are of no known step and are left aside.")
    return checkpoints


def kind_of(path: Path) -> Format | Literal["parts"] | None:
    """What a path holds: a checkpoint, a checkpoint in parts, or neither."""
    if not path.is_dir():
        return "lightning" if path.suffix == ".ckpt" and path.is_file() else None
    if (path / "config.json").is_file() and any(any(path.glob(pattern)) for pattern in WEIGHTS):
        return "transformers"
    if (path / "adapter_config.json").is_file():
        return "adapter"
    return "parts" if path.suffix == ".ckpt" or any(any(path.glob(pattern)) for pattern in PARTS) else None


def _read(path: Path) -> _Candidate:
    kind = "lightning" if path.is_file() else kind_of(path)
    if kind == "parts" or kind is None:
        raise UserError(
            f"{path} holds the weights in parts, as FSDP and DeepSpeed write them: make one file of them first, by "
            f"`python -m lightning.pytorch.utilities.consolidate_checkpoint {path}` or DeepSpeed's zero_to_fp32.py."
        )
    step, log = (_step(path), ()) if kind == "lightning" else _trainer_state(path / TRAINER)
    return _Candidate(path, kind, _number(path.name) if step is None else step, log)


def _step(path: Path) -> int | None:
    """The step in a file of Lightning. One that is damaged goes by its name: it is left out when its turn comes."""
    try:
        return weights.read(path).step
    except UserError:
        if _number(path.name) is None:
            raise
        return None


def _trainer_state(path: Path) -> tuple[int | None, tuple[tuple[int, int, float], ...]]:
    """The step, and the losses logged until then."""
    if not path.is_file():
        return None, ()
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        step = int(state["global_step"])
        logged = [(int(e["step"]), float(e["loss"])) for e in state.get("log_history") or () if "loss" in e]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error}): the checkpoint is damaged; leave it out."
        ) from error
    starts = [0, *(until for until, _ in logged)]
    return step, tuple((start, until, loss) for start, (until, loss) in zip(starts, logged, strict=False))


def _number(name: str) -> int | None:
    """The step that a name tells."""
    numbers = re.findall(r"step\D?(\d+)", name, re.IGNORECASE) or re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else None


def _in_order(candidates: list[_Candidate], note: Note) -> list[tuple[int, _Candidate]]:
    """The checkpoints with their steps, each step once."""
    if unnumbered := [candidate.path.name for candidate in candidates if candidate.step is None]:
        note(f"no step is known of {some(unnumbered)}: steps are numbered from 1, in the order of time of change.")
        by_time = sorted(candidates, key=lambda candidate: (_changed(candidate.path), str(candidate.path)))
        return [(i, replace(candidate, log=())) for i, candidate in enumerate(by_time, 1)]
    holders = {folder for candidate in candidates for folder in candidate.path.parents}
    ordered: list[tuple[int, _Candidate]] = []
    known = [(c.step, _again(c.path, holders), str(c.path), c) for c in candidates if c.step is not None]
    for step, again, path, candidate in sorted(known):
        if not ordered or ordered[-1][0] != step:
            ordered.append((step, candidate))
        elif again:
            note(f"{path} is of step {step:,} like {ordered[-1][1].path} and is left aside.")
        else:
            raise _twice(step, ordered[-1][1].path, path)
    return ordered


def _again(path: Path, holders: set[Path]) -> bool:
    """Whether a name is one under which the latest or best of other checkpoints is saved once more."""
    return path in holders or (path.suffix == ".ckpt" and path.stem.startswith("last"))


def _twice(step: int, one: object, other: object) -> UserError:
    return UserError(f"{one} and {other} are both of step {step:,}: leave one of them out.")


def _changed(path: Path) -> float:
    files = [p for p in path.iterdir() if p.is_file()] if path.is_dir() else [path]
    return max(p.stat().st_mtime for p in files)


def _loss(log: Iterable[tuple[int, int, float]], start: int, stop: int) -> float | None:
    """The mean of what was logged between two steps, weighted by steps; None where nothing was."""
    spans = [(b - a, loss) for a, b, loss in log if start <= a < b <= stop and math.isfinite(loss)]
    return sum(n * loss for n, loss in spans) / sum(n for n, _ in spans) if spans else None


def _check_revision(options: RunOptions, revision: str) -> None:
    """Ask for the configuration alone, so that a name that is wrong costs no loading."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(
            options.model,
            revision=revision,
            trust_remote_code=options.trust_remote_code,
            local_files_only=options.offline,
        )
    except Exception as error:  # network, cache and formats: the library has no common base for them
        raise UserError(
            f"revision {revision!r} of model={options.model} cannot be had ({first_line(error)})."
        ) from error
