"""One way to every model: a name, a directory or an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from mspgt.core.errors import UserError
from mspgt.models.built_in import MODELS
from mspgt.models.loaded import LoadedModel, checkpoint_of, describe, name_of
from mspgt.models.pretrained import load_pretrained, load_tokenizer


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
