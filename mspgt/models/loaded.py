"""A loaded model: one way to it from a name, a directory or an object, and what can be said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.core.errors import UserError
from mspgt.models.blocks import body_of, find_blocks, hidden_size, is_causal, original
from mspgt.models.built_in import MODELS
from mspgt.models.facts import ModelFacts
from mspgt.models.forward import counts_positions, input_device, vocabulary_size
from mspgt.models.pretrained import load_pretrained, load_tokenizer


@dataclass(frozen=True)
class LoadedModel(ModelFacts):
    """A model, ready to be measured."""

    model: nn.Module
    """the transformer body: what is run"""
    blocks: list[nn.Module]
    """its blocks, in the order in which the forward pass runs through them"""
    tokenizer: Any
    """a fast Hugging Face tokenizer; None for a model that is given token ids only"""
    full: nn.Module
    """the model with its head, as it was loaded or given; the body is a part of it"""
    context_length: int | None
    """tokens that fit, special tokens included; None where neither model nor tokenizer has a limit"""
    causal: bool
    """no token's hidden states depend on a later token"""

    @property
    def device(self) -> torch.device:
        """Where the model takes its token ids now."""
        return input_device(self.model)

    @property
    def movable(self) -> bool:
        """Whether the model may be moved to another device: one that is sharded or quantised may not."""
        return not (getattr(self.full, "hf_device_map", None) or getattr(self.full, "is_quantized", False))

    @property
    def facts(self) -> ModelFacts:
        """What a result says of it."""
        return ModelFacts(**{f.name: getattr(self, f.name) for f in fields(ModelFacts)})

    @property
    def vocabulary(self) -> int | None:
        """Tokens that the model has vectors for; None where it does not say."""
        return vocabulary_size(self.model)

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that stand for no text: the tokenizer's control tokens, or without one those the configuration names."""
        source: Any = _text_config(self.model) if self.tokenizer is None else self.tokenizer
        given = [getattr(source, f"{role}_token_id", None) for role in ("bos", "eos", "pad", "cls", "sep")]
        ids = {number for one in given for number in (one if isinstance(one, list) else [one])}
        # An unknown word is a word all the same, unless its token has another role too (GPT-2).
        control = {*getattr(source, "all_special_ids", ())} - {getattr(source, "unk_token_id", None)}
        return frozenset(number for number in ids | control if number is not None)

    @property
    def nbytes(self) -> int:
        """Bytes of the full model's weights."""
        return sum(p.nbytes for p in self.full.parameters())


def load(
    model: str | Path | nn.Module,
    tokenizer: Any = None,
    *,
    revision: str | None = None,
    quantization: str | None = None,
    trust_remote_code: bool = False,
    dtype: str = "auto",
    device_map: Any = None,
    layers_path: str | None = None,
    offline: bool = False,
) -> LoadedModel:
    """Load a model, or take one that is loaded, and find its blocks.

    Parameters
    ----------
    model: the name of a built-in model, a Hugging Face id, a local directory, or a model object, which is used as it
        is: quantised, sharded, training or not.
    tokenizer: id, directory or object; default the model's own.
    quantization: "4bit" or "8bit", by bitsandbytes.
    dtype: "float32", "bfloat16", "float16" or "auto": the checkpoint's own where CUDA is available and the model
        is not bound to the CPU by ``device_map="cpu"``, else float32.
    device_map: a device, or what accelerate takes ("auto", a mapping).
    layers_path: dotted name of the list of blocks, such as "model.layers", relative to the model or its body.
    offline: use local files only.

    Raises
    ------
    UserError: one sentence for each way in which this can fail.
    """
    if isinstance(model, nn.Module):
        given = {"revision": revision, "quantization": quantization, "device_map": device_map}
        if dtype != "auto" or any(value is not None for value in given.values()):
            raise UserError(
                "revision, quantization, dtype and device_map say how to load a model: with a model object, load it "
                "that way and give the object alone."
            )
        full, name, own = model, name_of(model), {}
        tokenizer = checkpoint_of(model) if tokenizer is None else tokenizer
        if not tokenizer:
            raise UserError(f"the {name} given as model= does not say where its tokenizer lies: give tokenizer= too.")
    elif not isinstance(model, (str, Path)) or not str(model):
        raise UserError(
            f"model={model!r}: found {type(model).__name__}, expected a built-in name, a Hugging Face id, a directory "
            "or a loaded model."
        )
    else:
        name = str(model)
        source = str(MODELS[name].path()) if name in MODELS else name
        options = {"revision": revision, "trust_remote_code": trust_remote_code, "local_files_only": offline}
        own = {"revision": revision} if tokenizer is None else {}
        tokenizer = source if tokenizer is None else tokenizer
        full = load_pretrained(source, options, quantization, dtype, device_map)
    loaded = load_tokenizer(tokenizer, name, trust_remote_code=trust_remote_code, offline=offline, **own)
    return describe(full, loaded, name, layers_path)


def describe(full: nn.Module, tokenizer: Any | None, name: str, layers_path: str | None = None) -> LoadedModel:
    """Find the body and the blocks of a loaded model, and what can be said of it.

    Parameters
    ----------
    tokenizer: a fast Hugging Face tokenizer; None for a model that is given token ids only.

    Raises
    ------
    UserError: no blocks, or a tokenizer with tokens that the model has no vectors for.
    """
    body = body_of(full)
    if tokenizer is not None:
        _check_fit(body, tokenizer, name)
    blocks = find_blocks(body, layers_path, full)
    text = _text_config(body)
    heads = getattr(text, "num_attention_heads", 0)
    return LoadedModel(
        model=body,
        blocks=blocks,
        tokenizer=tokenizer,
        full=full,
        name=name,
        family=str(getattr(text, "model_type", type(full).__name__.lower())),
        n_layers=len(blocks),
        hidden_size=hidden_size(body, blocks),
        n_heads=int(heads[0] if isinstance(heads, Sequence) else heads or 0),
        parameters=_count_parameters(full),
        dtype=_dtype_name(full),
        context_length=_context_length(body, text, tokenizer),
        causal=is_causal(body, blocks[-1]),
    )


def content_sha256(loaded: LoadedModel) -> str:
    """Hash of names, types, shapes and values of the body's weights, one tensor at a time.

    A tensor that accelerate keeps on disk counts with its name, type and shape alone.
    """
    digest = hashlib.sha256()
    weights = {name.replace("_orig_mod.", ""): tensor for name, tensor in loaded.model.state_dict().items()}
    for name, tensor in sorted(weights.items()):  # compiled blocks have the weights and names of the original ones
        if not isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor!r}\n".encode())
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.device.type != "meta" and tensor.numel():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tokenizer_sha256(loaded: LoadedModel) -> str:
    """Hash of all that a fast tokenizer does: vocabulary, merges, normalisation, special tokens."""
    return hashlib.sha256(loaded.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def checkpoint_of(model: nn.Module) -> str:
    """Where a loaded model came from, as transformers remembers it; empty for one made from a configuration."""
    return str(getattr(getattr(model, "config", None), "_name_or_path", None) or "")


def name_of(model: nn.Module) -> str:
    """What to call a loaded model: its built-in name, where it came from, or its class."""
    source = checkpoint_of(model)
    named = [name for name, one in MODELS.items() if source and Path(source) == one.path()]
    return named[0] if named else source or type(original(model)).__name__


def _text_config(body: nn.Module) -> Any:
    config: Any = getattr(body, "config", None)
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _count_parameters(model: nn.Module) -> int:
    """Parameters; transformers knows how many are packed into quantised ones."""
    count = getattr(model, "num_parameters", None)
    return int(count()) if callable(count) else sum(p.numel() for p in model.parameters())


def _dtype_name(model: nn.Module) -> str:
    floating = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.float32)
    name = str(getattr(model, "dtype", floating)).removeprefix("torch.")
    quantizer = getattr(getattr(model, "config", None), "quantization_config", None)
    if quantizer is None:
        return name
    method = quantizer.get("quant_method") if isinstance(quantizer, dict) else getattr(quantizer, "quant_method", "")
    return f"{name}, quantised ({getattr(method, 'value', method)})"


def _context_length(model: nn.Module, config: Any, tokenizer: Any) -> int | None:
    """The least of what positions and tokenizer allow."""
    limits = [getattr(config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    if limits[0] is not None and counts_positions(model):
        limits[0] -= 1 + int(getattr(config, "pad_token_id", 0) or 0)  # positions start after the padding's
    known = [int(limit) for limit in limits if isinstance(limit, int) and 0 < limit < 1 << 40]
    return min(known, default=None)


def _check_fit(body: nn.Module, tokenizer: Any, name: str) -> None:
    """Every token that a text can become must have a vector."""
    rows = vocabulary_size(body)
    if rows is None:
        return
    fed = {*tokenizer("a").input_ids, tokenizer.pad_token_id or 0}  # of control tokens, those that a model is given
    control = {*tokenizer.all_special_ids} - fed
    last = max((number for number in tokenizer.get_vocab().values() if number not in control), default=0)
    if last >= rows:
        raise UserError(
            f"the tokenizer has tokens up to number {last:,}, but model {name!r} has vectors for {rows:,} tokens only: "
            "they do not belong together; give tokenizer= the one the model was trained with."
        )
