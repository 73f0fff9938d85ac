"""The transformer inside another module, such as a LightningModule: found, and described like a loaded model."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from mspgt import models
from mspgt.core.errors import UserError, unknown
from mspgt.models import LoadedModel
from mspgt.models.blocks import original


def find_transformer(module: nn.Module, path: str | None = None) -> nn.Module:
    """Find the transformer that a module holds.

    Wrappers of `torch.compile` and of PEFT are looked into. Adapters inside the blocks (LoRA) stay as they are: what
    is observed has them active, as it trains.

    Parameters
    ----------
    path: dotted name of the transformer, or of a wrapper around one Hugging Face model; "" for the module itself.
        Where None, the one Hugging Face model in the module; a model that is part of another does not count.

    Raises
    ------
    UserError: none, several, no such path, or a transformer whose layers cannot be observed.
    """
    name = type(original(module)).__name__
    start = module if path is None else _at(module, path)
    known = _hugging_face(start)
    if len(known) > 1:
        listed = ", ".join(".".join(filter(None, (path, inner))) for inner in known)
        raise UserError(
            f"{path or name} holds several Hugging Face models ({listed}): give model= with the dotted name of the one "
            "to observe."
        )
    if path is None and not known:
        parts = ", ".join(child for child, _ in original(module).named_children()) or "none"
        raise UserError(
            f"{name} holds no Hugging Face model: give model= with the dotted name of the module that runs token ids "
            f'through its blocks, as in model="path.to.module"; its own modules are: {parts}.'
        )
    transformer = next(iter(known.values()), original(start))
    _refuse_unobservable(module, transformer)
    return transformer


def describe_inside(
    module: nn.Module,
    path: str | None,
    tokenizer: Any,
    *,
    needs_tokenizer: bool = True,
    name: str | None = None,
    layers_path: str | None = None,
) -> LoadedModel:
    """Describe the transformer inside a module, with its head where it has one.

    Parameters
    ----------
    path: as in `find_transformer`.
    tokenizer: the name of a built-in model, an id, a directory or an object; the model's own where None.
    needs_tokenizer: whether there is text to read. Where there is none and `tokenizer` is None, none is looked for.
    name: what to call the model; where it came from, or else its class, where None.
    layers_path: dotted name of the list of blocks, relative to the transformer.

    Raises
    ------
    UserError: as `find_transformer`; no blocks; no tokenizer, or one that does not fit the model.
    """
    full = find_transformer(module, path)
    called = models.name_of(full) if name is None else name
    if tokenizer is None and needs_tokenizer and not (tokenizer := models.checkpoint_of(full)):
        raise UserError(f"the {called} in training does not say where its tokenizer lies: give tokenizer= too.")
    loaded = None if tokenizer is None else models.load_tokenizer(tokenizer, called)
    return models.describe(full, loaded, called, layers_path)


def _readable(path: str) -> str:
    """A dotted name without the wrappers of `torch.compile`."""
    return ".".join(part for part in path.split(".") if part not in ("", "_orig_mod"))


def _at(module: nn.Module, path: str) -> nn.Module:
    """The submodule of a dotted name."""
    module_there, before = original(module), ""
    for part in filter(None, _readable(path).split(".")):
        inner = {child: m for child, m in module_there._modules.items() if m is not None}
        if part not in inner:
            raise unknown(
                "value for model:",
                _readable(path),
                [before + child for child in inner],
                f"{before.rstrip('.') or type(module_there).__name__} holds no {part!r}.",
            )
        module_there, before = original(inner[part]), f"{before}{part}."
    return module_there


def _hugging_face(module: nn.Module) -> dict[str, nn.Module]:
    """The outermost Hugging Face models in a module by their readable names, each once."""
    from transformers import PreTrainedModel

    named = {_readable(name): m for name, m in module.named_modules() if isinstance(m, PreTrainedModel)}
    parts = {id(part) for model in named.values() for part in model.modules() if part is not model}
    return {name: model for name, model in named.items() if id(model) not in parts}


def _refuse_unobservable(module: nn.Module, transformer: nn.Module) -> None:
    name = type(transformer).__name__
    if isinstance(transformer, (torch.jit.ScriptModule, torch.fx.GraphModule)):
        raise UserError(
            f"{name} is a graph made of a model (by torch.jit, torch.fx or torch.export), and its blocks call no "
            "hooks: train the model itself, compiled by torch.compile if you like."
        )
    if "peft" not in sys.modules:  # no adapters
        return
    from peft import PeftModel

    for wrapper in module.modules():
        if not isinstance(wrapper, PeftModel) or all(part is not transformer for part in wrapper.modules()):
            continue
        config = wrapper.active_peft_config
        kind = str(getattr(config.peft_type, "value", config.peft_type)).replace("_", " ").lower()
        if config.is_prompt_learning:
            raise UserError(
                f"PEFT's {kind} adds virtual tokens outside of the {name}'s blocks, so that the layers cannot be "
                "observed as they train: use a method whose weights lie inside the blocks, such as LoRA."
            )
        if kind == "xlora" or getattr(config, "alora_invocation_tokens", None):
            raise UserError(
                f"PEFT's {'X-LoRA' if kind == 'xlora' else 'activated LoRA'} is steered from outside of the {name}, so "
                "that the layers cannot be observed as they train: use plain LoRA."
            )
