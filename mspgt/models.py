"""Models: load a language model with its tokenizer, and say what it is."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.blocks import body_of, find_blocks, hidden_size, is_causal, original
from mspgt.built_in import MODELS
from mspgt.errors import UserError, first_line, unknown
from mspgt.forward import counts_positions, input_device, vocabulary_size

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model, ready to be measured."""

    model: nn.Module
    """the transformer body: what is run"""
    blocks: list[nn.Module]
    """its blocks, in the order in which the forward pass runs through them"""
    tokenizer: Any
    """a fast Hugging Face tokenizer; None for a model that is given token ids only"""
    full: nn.Module
    """the model with its head, as it was loaded or given; the body is a part of it"""
    name: str
    family: str
    """model_type of the configuration"""
    n_layers: int
    hidden_size: int
    n_heads: int
    """of the first block, as the configuration says; 0 where it does not"""
    parameters: int
    """of the full model; shared ones are counted once"""
    dtype: str
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
    def facts(self) -> dict[str, Any]:
        """The block `model` of a result."""
        kept = ("name", "family", "n_layers", "hidden_size", "n_heads", "parameters", "dtype")
        return {name: getattr(self, name) for name in kept}

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
        full = _load_model(source, options, quantization, dtype, device_map)
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


# ---------------------------------------------------------------------- loading


def _load_model(
    source: str, options: dict[str, Any], quantization: str | None, dtype: str, device_map: Any
) -> nn.Module:
    from transformers import AutoConfig

    if _looks_like_path(source) and not Path(source).expanduser().is_dir():
        raise UserError(
            f"model={source!r}: there is no such directory. Give a directory with config.json and weights, a Hugging "
            f"Face id, or one of the built-in models: {', '.join(sorted(MODELS))}."
        )
    arguments: dict[str, Any] = {**options, "dtype": _dtype(dtype, device_map)}
    if quantization is not None:
        arguments["quantization_config"] = _quantization(quantization)
    whole = isinstance(device_map, (str, int, torch.device)) and str(device_map) not in _PLANS
    if device_map is not None and not (whole and quantization is None):
        _require("accelerate", f"device_map={device_map}")
        arguments["device_map"] = device_map
    with _plain_errors(source, options["local_files_only"]), _quiet():
        config = AutoConfig.from_pretrained(source, **options)
        kind = _auto_class(config)
        model, report = kind.from_pretrained(source, config=config, output_loading_info=True, **arguments)
    _check_complete(source, model, report)
    return model.to(device_map) if whole and quantization is None else model  # type: ignore[no-any-return]


_PLANS = {"auto", "balanced", "balanced_low_0", "sequential"}
"""device maps that accelerate works out"""


def _auto_class(config: Any) -> Any:
    """The class that keeps a language-modelling head where the checkpoint has a causal one."""
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = getattr(config, "architectures", None) or []
    remote = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    heads = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    return AutoModelForCausalLM if remote or any(name in heads for name in names) else AutoModel


def _check_complete(source: str, model: nn.Module, report: Any) -> None:
    """A checkpoint must hold every weight of the blocks and of the embedding; heads and poolers may be missing."""
    missing = set(report["missing_keys"]) | {str(key[0]) for key in report.get("mismatched_keys") or ()}
    body = body_of(model)
    needed = [m for m in body.modules() if isinstance(m, nn.ModuleList)]
    embed = getattr(body, "get_input_embeddings", lambda: None)()
    parts = {id(p) for m in [*needed, *([embed] if embed is not None else [])] for p in m.parameters()}
    lacking = sorted(name for name, p in model.named_parameters() if name in missing and id(p) in parts)
    if lacking:
        raise UserError(
            f"model={source!r}: the checkpoint lacks or mis-shapes {len(lacking)} of the model's weights, such as "
            f"{lacking[0]}: it is damaged or belongs to another architecture; download it again."
        )


def load_tokenizer(
    tokenizer: Any,
    model: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    offline: bool = False,
) -> Any:
    """Load a tokenizer, or take one that is loaded.

    Parameters
    ----------
    tokenizer: the name of a built-in model, a Hugging Face id, a directory, or a tokenizer object.
    model: the name of its model, for messages.
    revision: of a Hugging Face id.

    Raises
    ------
    UserError: there is none, or it is not a fast one.
    """
    if isinstance(tokenizer, (str, Path)):
        from transformers import AutoTokenizer

        source = str(MODELS[str(tokenizer)].path()) if str(tokenizer) in MODELS else str(tokenizer)
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(
                    source, revision=revision, trust_remote_code=trust_remote_code, local_files_only=offline
                )
        except Exception as error:
            raise UserError(
                f"no tokenizer for model {model!r} in {source!r} ({first_line(error)}): give tokenizer= with an id, a "
                "directory or a tokenizer object."
            ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"the tokenizer of {model!r} ({type(tokenizer).__name__}) is not a fast one, and words cannot be aligned "
            "with tokens without its offsets: give tokenizer= with a fast Hugging Face tokenizer."
        )
    return tokenizer


def _check_fit(body: nn.Module, tokenizer: Any, name: str) -> None:
    """Every token that a text can become must have a vector."""
    rows = vocabulary_size(body)
    if rows is None:
        return
    control = {*tokenizer.all_special_ids}
    last = max((number for number in tokenizer.get_vocab().values() if number not in control), default=0)
    if last >= rows:
        raise UserError(
            f"the tokenizer has tokens up to number {last:,}, but model {name!r} has vectors for {rows:,} tokens only: "
            "they do not belong together; give tokenizer= the one the model was trained with."
        )


def _dtype(dtype: str, device_map: Any) -> Any:
    if dtype == "auto":
        stays = device_map is not None and str(device_map) == "cpu"
        return "auto" if torch.cuda.is_available() and not stays else torch.float32
    if dtype not in DTYPES:
        raise unknown("value for dtype:", dtype, ["auto", *DTYPES])
    return DTYPES[dtype]


def _quantization(kind: str) -> Any:
    from transformers import BitsAndBytesConfig

    if kind not in ("4bit", "8bit"):
        raise unknown("value for quantization:", kind, ["4bit", "8bit"])
    for package in ("bitsandbytes", "accelerate"):
        _require(package, f"quantization={kind}")
    return BitsAndBytesConfig(**{f"load_in_{kind}": True})


def _require(package: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{what} needs the package {package}, which is not installed: pip install {package}")


def _looks_like_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source


@contextlib.contextmanager
def _plain_errors(source: str, offline: bool) -> Iterator[None]:
    """Say in one sentence why a checkpoint could not be loaded."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from safetensors import SafetensorError

    local = Path(source).is_dir()
    try:
        yield
    except (ImportError, torch.OutOfMemoryError):
        raise
    except SafetensorError as error:
        raise UserError(
            f"model={source!r}: the weights cannot be read ({first_line(error)}): the checkpoint is damaged; download "
            "it again."
        ) from error
    except (OSError, HFValidationError) as error:
        if local:
            raise UserError(
                f"model={source!r}: the checkpoint is incomplete or damaged ({first_line(error)})."
            ) from error
        how = (
            "and this run is offline"
            if offline or constants.HF_HUB_OFFLINE
            else "and could not be fetched from the Hub"
        )
        near = difflib.get_close_matches(source, MODELS, n=1, cutoff=0.6)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"model={source!r} is neither a directory nor in the local cache, {how} ({first_line(error)}).{guess} "
            f"Built-in models: {', '.join(sorted(MODELS))}."
        ) from error
    except Exception as error:
        raise UserError(
            f"model={source!r} could not be loaded ({type(error).__name__}: {first_line(error)}): the checkpoint is "
            "damaged, needs trust_remote_code=true, or is not supported by the installed transformers."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal while it loads."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def checkpoint_of(model: nn.Module) -> str:
    """Where a loaded model came from, as transformers remembers it; empty for one made from a configuration."""
    return str(getattr(getattr(model, "config", None), "_name_or_path", None) or "")


def name_of(model: nn.Module) -> str:
    """What to call a loaded model: its built-in name, where it came from, or its class."""
    source = checkpoint_of(model)
    named = [name for name, one in MODELS.items() if source and Path(source) == one.path()]
    return named[0] if named else source or type(original(model)).__name__


# ---------------------------------------------------------------------- what can be said of a model


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
