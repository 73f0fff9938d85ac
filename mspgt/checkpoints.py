"""Checkpoints of a training run: find them, put them in the order of their steps, and load them one at a time."""

from __future__ import annotations

import copy
import glob
import importlib.util
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from torch import nn

from mspgt import models, weights
from mspgt.blocks import first_line
from mspgt.config import RunOptions
from mspgt.errors import UserError
from mspgt.models import LoadedModel
from mspgt.wording import listed

Note = Callable[[str], object]
"""takes a sentence about what was found"""
Kind = Literal["transformers", "adapter", "lightning"]
KINDS: dict[Kind, str] = {
    "transformers": "a Hugging Face model",
    "adapter": "an adapter of peft",
    "lightning": "a file of Lightning",
}
TRAINER = "trainer_state.json"
"""what transformers' Trainer writes beside the weights"""
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
PARTS = (".metadata", "*.distcp", "zero_to_fp32.py", "mp_rank_*", "pytorch_model_fsdp_*")
"""what is in a folder where each process wrote its own part of the weights"""
SHOWN = 5
"""names that a message gives"""


@dataclass(frozen=True)
class Checkpoint:
    """The weights at one step of a training run."""

    name: str
    step: int
    """optimizer steps until then"""
    path: Path | None
    revision: str | None
    """of the Hugging Face model, in place of a path"""
    kind: Kind
    loss: float | None
    """mean training loss since the checkpoint before, where transformers' Trainer logged it"""


# ---------------------------------------------------------------------- finding them


@dataclass(frozen=True)
class _Place:
    """Where one checkpoint lies, and what it says of itself."""

    path: Path
    kind: Kind
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
    first = {path.resolve(): path for path in reversed(paths)}  # a place that has several names goes by the first
    places = [_read(path) for path in paths if first[path.resolve()] == path]
    kinds = {place.kind: place.path for place in places}
    if len(kinds) > 1:
        found = listed([f"{path} ({KINDS[kind]})" for kind, path in kinds.items()])
        raise UserError(f"checkpoints= found {found}: name those of one kind.")
    ordered = _in_order(places, note)
    starts = [0, *(step for step, _ in ordered)]
    return [
        Checkpoint(place.path.name, step, place.path, None, place.kind, _loss(place.log, start, step))
        for start, (step, place) in zip(starts, ordered, strict=False)
    ]


def of_revisions(options: RunOptions, revisions: Sequence[str], note: Note) -> list[Checkpoint]:
    """The checkpoints that are revisions of the Hugging Face model `options.model`, in the order of their steps.

    The step is the number after "step" in the name of the revision, else the last number in it. Where a revision has
    none, the order is the one given.

    Raises
    ------
    UserError: a revision does not exist or cannot be reached, or two are of the same step.
    """
    for revision in revisions:
        _check_revision(options, revision)
    steps = {revision: step for revision in revisions if (step := _number(revision)) is not None}
    if unnumbered := [revision for revision in revisions if revision not in steps]:
        note(f"no step can be told from {_some(unnumbered)}: steps are numbered from 1, in the order given.")
        steps = {revision: i for i, revision in enumerate(revisions, 1)}
    ordered = sorted(steps, key=lambda revision: steps[revision])
    for one, other in pairwise(ordered):
        if steps[one] == steps[other]:
            raise _twice(steps[one], one, other)
    return [Checkpoint(name, steps[name], None, name, "transformers", None) for name in ordered]


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
    found = [p for p in matches if _kind(p) is not None]
    if not found:
        raise UserError(
            f"checkpoints={source} matches {_some(p.name for p in matches)}, none of which is a checkpoint."
        )
    return found


def _inside(folder: Path, note: Note) -> list[Path]:
    """The checkpoints in a folder; the folder itself where it holds none."""
    itself = _kind(folder) is not None
    children = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    found = [p for p in children if _kind(p) is not None]
    if not found and not itself and (folder / "checkpoints").is_dir():
        return _inside(folder / "checkpoints", note)
    if not found and not itself:
        raise UserError(
            f"checkpoints={folder}: found {_some(p.name for p in children)}, expected folders with config.json and "
            "weights, or .ckpt files of Lightning."
        )
    if not found:
        return [folder]
    for child in children:
        if child not in found and (child / "config.json").is_file():
            note(f"{child} holds no weights and is left aside.")
    if itself and (folder / TRAINER).is_file():
        return [*found, folder]
    if itself:
        note(f"the weights in {folder} itself are of no known step and are left aside.")
    return found


def _kind(path: Path) -> Kind | Literal["parts"] | None:
    """What a path holds: a checkpoint, a checkpoint in parts, or neither."""
    if not path.is_dir():
        return "lightning" if path.suffix == ".ckpt" and path.is_file() else None
    if (path / "config.json").is_file() and any(any(path.glob(pattern)) for pattern in WEIGHTS):
        return "transformers"
    if (path / "adapter_config.json").is_file():
        return "adapter"
    return "parts" if path.suffix == ".ckpt" or any(any(path.glob(pattern)) for pattern in PARTS) else None


def _read(path: Path) -> _Place:
    kind = "lightning" if path.is_file() else _kind(path)
    if kind == "parts" or kind is None:
        raise UserError(
            f"{path} holds the weights in parts, as FSDP and DeepSpeed write them: make one file of them first, by "
            f"`python -m lightning.pytorch.utilities.consolidate_checkpoint {path}` or DeepSpeed's zero_to_fp32.py."
        )
    step, log = (weights.read(path).step, ()) if kind == "lightning" else _trainer_state(path / TRAINER)
    return _Place(path, kind, _number(path.name) if step is None else step, log)


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
    found = re.findall(r"step\D?(\d+)", name, re.IGNORECASE) or re.findall(r"\d+", name)
    return int(found[-1]) if found else None


def _in_order(places: list[_Place], note: Note) -> list[tuple[int, _Place]]:
    """The checkpoints with their steps, each step once."""
    if unnumbered := [place.path.name for place in places if place.step is None]:
        note(f"no step is known of {_some(unnumbered)}: steps are numbered from 1, in the order of time of change.")
        by_time = sorted(places, key=lambda place: (_changed(place.path), str(place.path)))
        return [(i, replace(place, log=())) for i, place in enumerate(by_time, 1)]
    holders = {folder for place in places for folder in place.path.parents}
    ordered: list[tuple[int, _Place]] = []
    known = (
        (place.step, _again(place.path, holders), str(place.path), place) for place in places if place.step is not None
    )
    for step, again, path, place in sorted(known):
        if not ordered or ordered[-1][0] != step:
            ordered.append((step, place))
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


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "") or "nothing"


# ---------------------------------------------------------------------- loading one


def load(checkpoint: Checkpoint, options: RunOptions) -> LoadedModel:
    """Load the weights of a checkpoint, and nothing else of it.

    The tokenizer is `options.tokenizer`, else the checkpoint's own, else that of `options.model`. Lightning saves no
    architecture: the weights are put into a fresh copy of `options.model`, which stays as it is.

    Raises
    ------
    UserError: one sentence for each way in which this can fail.
    """
    if checkpoint.path is None:
        return _load(options, options.model, options.tokenizer, revision=checkpoint.revision)
    if checkpoint.kind == "lightning":
        return _from_lightning(checkpoint.path, options)
    if checkpoint.kind == "adapter":
        return _from_adapter(checkpoint.path, options)
    return _load(options, str(checkpoint.path), _tokenizer(checkpoint.path, options))


def require_same(first: LoadedModel, other: LoadedModel) -> None:
    """Refuse a checkpoint of another architecture or vocabulary than the first.

    Raises
    ------
    UserError: blocks, width or vocabulary differ.
    """
    for what, one, two in (
        ("blocks", first.n_layers, other.n_layers),
        ("as the width of its blocks", first.hidden_size, other.hidden_size),
    ):
        if one != two:
            raise UserError(
                f"{other.name} has {two:,} {what}, {first.name} has {one:,}: checkpoints of one training run have the "
                "same architecture; leave one of them out."
            )
    if first.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise UserError(
            f"the tokenizers of {first.name} and {other.name} have different vocabularies, and the corpus is read with "
            "one: give tokenizer=."
        )


def _load(options: RunOptions, model: Any, tokenizer: Any, **more: Any) -> LoadedModel:
    keys = {
        "quantization": options.quantization,
        "trust_remote_code": options.trust_remote_code,
        "dtype": options.dtype,
        "device_map": options.device_map,
        "layers_path": options.layers_path,
        "offline": options.offline,
    }
    return models.load(model, tokenizer, **(keys | more))


def _tokenizer(path: Path, options: RunOptions) -> Any:
    """The tokenizer given, the checkpoint's own (None), or that of the model given."""
    own = any(any(path.glob(pattern)) for pattern in ("tokenizer*", "vocab*", "*.model"))
    if options.tokenizer is not None or own or options.model is None:
        return options.tokenizer
    if isinstance(options.model, nn.Module):
        return getattr(getattr(options.model, "config", None), "_name_or_path", None) or None
    return options.model


def _from_lightning(path: Path, options: RunOptions) -> LoadedModel:
    if options.model is None:
        raise UserError(
            f"{path} is a file of Lightning, which holds no architecture: give model=, the one that was trained (a "
            "built-in name, a Hugging Face id, a folder, or in Python a model)."
        )
    if options.quantization is not None:
        raise UserError(
            f"quantization={options.quantization} needs Hugging Face checkpoints, and {path} is Lightning's."
        )
    loaded = _architecture(options)
    if any(p.is_meta for p in loaded.model.parameters()):
        raise UserError(f"device_map={options.device_map} leaves weights on disk, where {path} cannot replace them.")
    weights.fill(loaded.full, loaded.model, weights.read(path).state, str(path))
    return loaded


def _architecture(options: RunOptions) -> LoadedModel:
    """A fresh copy of the model that was given."""
    given = options.model
    if isinstance(given, nn.Module):
        if getattr(given, "hf_device_map", None) or getattr(given, "is_quantized", False):
            raise UserError("the model given as model= is sharded or quantised: give it whole, or by its name.")
        return _load(options, copy.deepcopy(given), options.tokenizer)
    if isinstance(given, (str, Path)) and (folder := Path(given).expanduser()).is_dir() and _kind(folder) is None:
        return _from_config(folder, options)
    return _load(options, given, options.tokenizer)


def _from_config(folder: Path, options: RunOptions) -> LoadedModel:
    """A model of a folder that has a configuration and no weights."""
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=options.trust_remote_code)
        model = AutoModel.from_config(config, trust_remote_code=options.trust_remote_code)
    except Exception as error:  # formats and remote code: the library has no common base for them
        raise UserError(f"model={folder} gives no architecture ({first_line(error)}).") from error
    dtype = models.DTYPES.get(options.dtype)
    return _load(options, model if dtype is None else model.to(dtype), options.tokenizer or str(folder), dtype="auto")


def _from_adapter(path: Path, options: RunOptions) -> LoadedModel:
    """The model that an adapter was trained on, with the adapter in it."""
    if importlib.util.find_spec("peft") is None:
        raise UserError(f"{path} is an adapter, and needs the package peft, which is not installed: pip install peft")
    base = options.model or _base(path / "adapter_config.json")
    loaded = _architecture(replace(options, model=base, tokenizer=_tokenizer(path, replace(options, model=base))))
    try:
        report = loaded.full.load_adapter(str(path), adapter_kwargs={"local_files_only": True})  # type: ignore[operator]
    except Exception as error:  # peft and transformers have no common base for what they raise
        raise UserError(
            f"{path}: the adapter cannot be put into {loaded.name} ({first_line(error).rstrip('. ')}): {_WHOLE}."
        ) from error
    faults = [
        f"{words} {_some(sorted(names))}"
        for words, keys in (("it lacks", "missing_keys"), ("it also has", "unexpected_keys"))
        if (names := getattr(report, keys, ()))
    ]
    if faults:  # transformers drops the one and draws the other at random
        raise UserError(f"{path}: the adapter does not fit {loaded.name} ({'; '.join(faults)}): {_WHOLE}.")
    return models.describe(loaded.full, loaded.tokenizer, str(path), options.layers_path)


_WHOLE = "give model= the one that it was trained on, or save the model with the adapter merged into it"


def _base(path: Path) -> str:
    """The model that an adapter was trained on, as its configuration says."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} does not say which model the adapter belongs to ({first_line(error)}).") from error
