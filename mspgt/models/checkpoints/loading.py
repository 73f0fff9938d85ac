"""Load the weights of one checkpoint."""

from __future__ import annotations

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from mspgt import models
from mspgt.config.run import RunOptions
from mspgt.core.errors import UserError, first_line
from mspgt.core.phrases import some
from mspgt.models import LoadedModel, weights
from mspgt.models.checkpoints.finding import Checkpoint, kind_of


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


def _load(options: RunOptions, model: Any, tokenizer: Any, **more: Any) -> LoadedModel:
    names = ("quantization", "trust_remote_code", "dtype", "device_map", "layers_path", "offline")
    return models.load(model, tokenizer, **({name: getattr(options, name) for name in names} | more))


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
    if isinstance(given, (str, Path)) and (folder := Path(given).expanduser()).is_dir() and kind_of(folder) is None:
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
        f"{words} {some(sorted(names))}"
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
