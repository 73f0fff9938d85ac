"""Weights in a checkpoint of Lightning: read without running its code, found in it, and put into a model.

A training program keeps its model under some attribute, perhaps compiled or wrapped, beside other modules: where the
model's weights begin is found by their names.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from mspgt.core.errors import UserError, first_line
from mspgt.core.phrases import some

WRAPPERS = frozenset({"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"})
"""what torch.compile, activation checkpointing and FSDP put into the names of weights"""
AFTER = "pooler"
"""a part of the body that only runs after its blocks; a checkpoint may lack it"""
SHOWN = 3
"""names that a message gives of a kind"""


@dataclass(frozen=True)
class Saved:
    """What is read of a Lightning checkpoint; the tensors stay in the file until they are used."""

    state: Mapping[str, Tensor]
    step: int | None
    """optimizer steps, where the checkpoint says so"""


class _Unread:
    """Stands for an object of any class, such as a hyperparameter; what it is made of is dropped, and no code runs."""

    def __init__(self, *parts: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _UnreadMapping:
    """The same for an object that is filled like a dictionary, which torch allows of its own dictionaries only."""

    def __new__(cls, *parts: Any) -> Any:
        return OrderedDict()


def read(path: Path) -> Saved:
    """Read a Lightning checkpoint.

    Raises
    ------
    UserError: it is damaged, no checkpoint of Lightning, or cannot be read without running code that it brings.
    """
    try:
        contents = _contents(path)
    except UserError:
        raise
    except Exception as error:  # what a damaged file makes torch and pickle raise has no common base
        raise UserError(f"{path} is damaged, or no checkpoint of Lightning ({_said(error)}).") from error
    state = contents.get("state_dict") if isinstance(contents, Mapping) else None
    if not isinstance(state, Mapping):
        loaded = (
            ", ".join(map(str, list(contents)[:SHOWN])) if isinstance(contents, Mapping) else type(contents).__name__
        )
        raise UserError(f"{path} is no checkpoint of Lightning: found {loaded or 'nothing'}, expected a 'state_dict'.")
    step = contents.get("global_step")
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    return Saved(tensors, step if isinstance(step, int) else None)


def _contents(path: Path) -> Any:
    if not zipfile.is_zipfile(path):  # written before torch 1.6, or nothing that torch wrote
        return torch.load(path, map_location="cpu", weights_only=True)
    foreign = sorted(get_unsafe_globals_in_checkpoint(str(path)))
    try:
        return _load(path, foreign, _Unread)
    except pickle.UnpicklingError:
        if not foreign:
            raise
    try:
        return _load(path, foreign, _UnreadMapping)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} cannot be read without running code that it brings, which is not done ({some(foreign, SHOWN)}): "
            "if it is a Lightning checkpoint, load it where it was written and save its 'state_dict' and "
            "'global_step' alone, by torch.save."
        ) from error


def _load(path: Path, foreign: list[str], stand_in: type) -> Any:
    classes: list[Any] = [(stand_in, name) for name in foreign]
    with safe_globals(classes):
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)


def fill(full: nn.Module, body: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put the weights of a checkpoint into a model: all, or those of its body where the checkpoint has no such head.

    Parameters
    ----------
    where: the checkpoint, for messages.

    Raises
    ------
    UserError: the checkpoint holds no such model, or several with different weights.
    """
    there = {_plain(name): tensor for name, tensor in state.items()}
    fits: list[_Fit] = []
    for model in dict.fromkeys((full, body)):
        matching = _fits(model, there)
        whole = [fit for fit in matching if not fit.faults]
        if whole:
            _only(whole, where).copy()
            return
        fits += matching
    if not fits:
        starts = ", ".join(sorted({name.partition(".")[0] for name in there})[:SHOWN]) or "nothing"
        raise UserError(
            f"{where} holds no weights of a {type(full).__name__}, which model= gives (found: {starts}): give model= "
            "the architecture that was trained."
        )
    best = min(fits, key=lambda fit: fit.faults)
    raise UserError(f"{where}: {best.describe()}; give model= the architecture that was trained.")


@dataclass
class _Fit:
    """A model, and the weights under one prefix."""

    model: nn.Module
    prefix: str
    pairs: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """name in the model -> the model's, the checkpoint's"""
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    """name and what is different"""
    unknown: list[str] = field(default_factory=list)
    """weights of parts of the model that it does not have itself"""

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.differing) + len(self.unknown)

    def copy(self) -> None:
        with torch.no_grad():
            for mine, theirs in self.pairs.values():
                mine.copy_(theirs)

    def describe(self) -> str:
        parts = {"lacks {}": self.missing, "has {}": self.differing, "also has {}": self.unknown}
        faults = " and ".join(words.format(some(names, SHOWN)) for words, names in parts.items() if names)
        under = f"under {self.prefix!r}" if self.prefix else "with no prefix"
        return f"what it holds of a {type(self.model).__name__} {under} {faults}"


def _fits(model: nn.Module, there: Mapping[str, Tensor]) -> list[_Fit]:
    """The model under each prefix under which at least half of it may be."""
    mine = {
        _plain(name): value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)
    }
    votes: Counter[str] = Counter()
    for name in there:
        parts = name.split(".")
        votes.update(
            prefix
            for prefix, rest in ((".".join([*parts[:i], ""]), ".".join(parts[i:])) for i in range(len(parts)))
            if rest in mine
        )
    return [_fit(model, mine, there, prefix) for prefix, count in votes.items() if 2 * count >= len(mine)]


def _fit(model: nn.Module, mine: Mapping[str, Tensor], there: Mapping[str, Tensor], prefix: str) -> _Fit:
    fit = _Fit(model, prefix)
    tied: dict[int, list[str]] = {}
    for name, value in mine.items():
        tied.setdefault(id(value), []).append(name)
    for names in tied.values():
        named = [name for name in names if prefix + name in there]
        if not named and names[0].partition(".")[0] != AFTER:
            fit.missing.append(prefix + names[0])
        for name in named:
            want, have = mine[name], there[prefix + name]
            if want.shape != have.shape:
                fit.differing.append(f"{prefix}{name} of shape {tuple(have.shape)} instead of {tuple(want.shape)}")
            elif not _same(have, there[prefix + named[0]]):
                fit.differing.append(f"{prefix}{name} unlike {prefix}{named[0]}, with which the model shares it")
            else:
                fit.pairs[name] = (want, have)
    heads = {name.partition(".")[0] for name in mine}
    kept = {name.rpartition(".")[2] for name, _ in model.named_buffers()}  # such as positions, which others do save
    ignored = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    for name in there:
        rest = name.removeprefix(prefix)
        if not name.startswith(prefix) or rest in mine or rest.partition(".")[0] not in heads:
            continue
        if rest.rpartition(".")[2] not in kept and not any(re.search(pattern, rest) for pattern in ignored):
            fit.unknown.append(name)
    return fit


def _only(fits: list[_Fit], where: str) -> _Fit:
    """The one that fits; of several with the same weights the first."""
    first = fits[0]
    for other in fits[1:]:
        shared = first.pairs.keys() & other.pairs.keys()
        if not all(_same(first.pairs[name][1], other.pairs[name][1]) for name in shared):
            prefixes = " and ".join(repr(fit.prefix) for fit in fits)
            raise UserError(
                f"{where} holds several of a {type(first.model).__name__} with different weights, under {prefixes}: "
                "save the one that is meant by itself, with save_pretrained."
            )
    return first


def _same(one: Tensor, other: Tensor) -> bool:
    return (one.data_ptr() == other.data_ptr() and one.shape == other.shape) or torch.equal(one, other)


def _plain(name: str) -> str:
    """The name of a weight without the names of wrappers."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _said(error: Exception) -> str:
    """The first sentence of an error: what follows in torch's is advice for programmers."""
    return first_line(error).partition(". ")[0]
