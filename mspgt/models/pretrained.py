"""Checkpoints and tokenizers of transformers; whatever is wrong with them, said in one sentence."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mspgt.core.errors import UserError, first_line, unknown
from mspgt.core.phrases import some
from mspgt.models.blocks import body_of
from mspgt.models.built_in import MODELS
from mspgt.models.forward import quiet

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_pretrained(
    source: str, options: dict[str, Any], quantization: str | None, dtype: str, device_map: Any
) -> nn.Module:
    """A checkpoint of transformers, with its head.

    Parameters
    ----------
    source: Hugging Face id or directory.
    options: ``revision``, ``trust_remote_code`` and ``local_files_only`` of transformers.

    Raises
    ------
    UserError: it is not there, damaged, incomplete or not supported, or the settings are not allowed.
    """
    from transformers import AutoConfig

    source = _existing(source)
    arguments: dict[str, Any] = {**options, "dtype": _dtype(dtype, device_map)}
    if quantization is not None:
        arguments["quantization_config"] = _quantization(quantization)
    whole = isinstance(device_map, (str, int, torch.device)) and str(device_map) not in _PLANS
    if device_map is not None and not (whole and quantization is None):
        _require("accelerate", f"device_map={device_map}")
        arguments["device_map"] = device_map
    with _plain_errors(source, options["local_files_only"]), quiet():
        config = AutoConfig.from_pretrained(source, **options)
        kind = _auto_class(config)
        arguments |= {"config": config, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, report = kind.from_pretrained(source, **arguments)
    _check_complete(source, model, report)
    return model.to(device_map) if whole and quantization is None else model  # type: ignore[no-any-return]


_PLANS = {"auto", "balanced", "balanced_low_0", "sequential"}
"""device maps that accelerate works out"""


def _existing(source: str) -> str:
    """A directory that holds a model, with its whole path, or an id of the Hub.

    Raises
    ------
    UserError: a path where no model is.
    """
    path = Path(_place(source))
    expected = (
        "a directory with config.json and weights, a Hugging Face id, or one of the built-in models: "
        f"{', '.join(sorted(MODELS))}"
    )
    if path.is_file():
        raise UserError(f"model={source!r} is a file; give {expected}.")
    if not path.is_dir():
        if _looks_like_path(source):
            raise UserError(f"model={source!r}: there is no such directory; give {expected}.")
        return source
    if not (path / "config.json").is_file():
        raise UserError(f"model={source!r}: there is no config.json in this directory; give {expected}.")
    return str(path)


def _auto_class(config: Any) -> Any:
    """The class that keeps a language-modelling head where the checkpoint has a causal one."""
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = getattr(config, "architectures", None) or []
    remote = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    heads = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    return AutoModelForCausalLM if remote or any(name in heads for name in names) else AutoModel


def _check_complete(source: str, model: nn.Module, report: Any) -> None:
    """A checkpoint must hold every weight of the blocks and of the embedding, and no further blocks.

    Heads and poolers may be missing, but nothing may have another shape.
    """
    body = body_of(model)
    lists = {name: m for name, m in body.named_modules() if isinstance(m, nn.ModuleList)}
    embed = getattr(body, "get_input_embeddings", lambda: None)()
    parts = {id(p) for m in [*lists.values(), *([embed] if embed is not None else [])] for p in m.parameters()}
    faults = {
        "lacks": [name for name, p in model.named_parameters() if name in report["missing_keys"] and id(p) in parts],
        "mis-shapes": [str(key[0]) for key in report.get("mismatched_keys") or ()],
        "has, beyond the blocks of config.json,": [
            key for key in map(str, report.get("unexpected_keys") or ()) if _is_further(key, lists)
        ],
    }
    for what, names in faults.items():
        if names:
            raise UserError(
                f"model={source!r}: the checkpoint {what} {some(sorted(names), 1)}: it is damaged or belongs to "
                "another architecture; download it again."
            )


def _is_further(key: str, lists: Mapping[str, nn.ModuleList]) -> bool:
    """Whether a weight belongs to a block after the last one of a list."""
    return any(
        int(number) >= len(blocks)
        for name, blocks in lists.items()
        for number in re.findall(rf"(?:^|\.){re.escape(name)}\.(\d+)\.", key)
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

        source = str(MODELS[str(tokenizer)].path()) if str(tokenizer) in MODELS else _place(str(tokenizer))
        try:
            with quiet():
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


def _place(source: str) -> str:
    """A path with the home directory in place of its sign; an id as it is."""
    return str(Path(source).expanduser()) if source.startswith("~") else source


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
