"""Settings of a run: typed defaults <- preset <- YAML file <- key=value; an unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mspgt.config.keys import divided, gathered, names_once, plain_fields, plain_options
from mspgt.config.shared import Machine
from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.core.options import describe, option, parse_some

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {
        "context": "sentence",
        "limit": 10_000,
        "cka.estimator": "biased",
        "probe.debias": False,
    },
}
"""preset -> the keys it sets; `paper` reads the paper literally where it says anything"""


@dataclass(frozen=True)
class RunOptions(Machine):
    """Keys of `mspgt run` that do not belong to a plugin."""

    preset: str = option("default", "where the defaults come from", choices=tuple(PRESETS))
    model: Any = option("tiny-llama-a", "built-in name, Hugging Face id, local folder, or in Python a loaded model")
    tokenizer: Any = option(None, "id or folder of the tokenizer; the model's own where none")
    revision: str | None = option(None, "revision of a Hugging Face model")
    quantization: str | None = option(None, "load in 8 or 4 bits (needs bitsandbytes)", choices=("8bit", "4bit"))
    trust_remote_code: bool = option(False, "run code that comes with the model")
    layers_path: str | None = option(None, "dotted path of the list of blocks, where it is not found by itself")
    data: Any = option("grammar", "corpus: grammar, a file, a folder, a glob, or a Hugging Face dataset id")
    labels: Any = option(None, "second corpus, with gold labels, for the probes")
    context: str = option(
        "document",
        "what the model reads at once: windows of whole sentences of a document, or each sentence alone",
        choices=("document", "sentence"),
    )
    limit: int | None = option(
        None, "read up to this many sentences of each corpus; 2,000 of the endless grammar where none", low=1
    )
    max_length: int = option(256, "longest sequence in tokens", low=8)
    batch_tokens: int = option(4096, "tokens in a batch, padding included", low=8)
    plugins: tuple[str, ...] = option(("cka", "probe", "attn"), "signals to measure")
    prominence: float | None = option(
        None,
        "smallest prominence of a peak; 0.3 for the paper's three signals, else 0.125 x the sum of weights",
        low=0,
    )
    bootstrap: int = option(1000, "bootstrap replicates over documents", low=100)


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run, checked."""

    options: RunOptions
    signals: Mapping[str, Mapping[str, Any]]
    """signal -> its options as given, checked by its own declaration"""
    weights: Mapping[str, float]
    """signal -> weight, for those that were given one"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for config.yaml and result.json; live objects are named by their class."""
        plain = plain_fields(self.options)
        for name in self.options.plugins:
            plain[name] = plain_options(registry.signal(name), self.signals.get(name, {}))
        return plain | ({"weights": dict(self.weights)} if self.weights else {})


def build(given: Mapping[str, Any], file: str | Path | None = None) -> RunConfig:
    """Merge defaults, preset, file and given keys, and check every one.

    Parameters
    ----------
    given: dotted keys (``"cka.estimator"``) to values; texts are converted.

    Raises
    ------
    UserError: unknown key or plugin (with a suggestion), or a value of the wrong type or out of range.
    """
    keys = gathered(given, file)
    preset = parse_some(RunOptions, keys, "preset").preset
    keys = {**PRESETS[preset], **keys}
    plugins = parse_some(RunOptions, keys, "plugins").plugins
    names_once("plugins", plugins, "cka,attn")
    weights = {}
    for name in plugins:
        if (key := f"weights.{name}") in keys:
            weights[name] = _weight(key, keys.pop(key))
    for key in PRESETS[preset]:
        if key.partition(".")[0] in {*registry.signals()} - {*plugins}:
            keys.pop(key, None)  # the preset's option of a signal that is not asked for
    entries = {name: registry.signal(name) for name in plugins}
    options, signals = divided(RunOptions, entries, keys, "run", [f"weights.{name}" for name in plugins])
    return RunConfig(options, signals, weights)


def given(config: RunConfig) -> dict[str, Any]:
    """The settings as keys and values from which `build` makes them again; live objects stay as they are."""
    options = {o.name: getattr(config.options, o.name) for o in describe(type(config.options))}
    signals = {f"{name}.{key}": value for name, values in config.signals.items() for key, value in values.items()}
    return options | signals | {f"weights.{name}": value for name, value in config.weights.items()}


def _weight(key: str, value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 < weight < float("inf"):
        raise UserError(f"{key}={value}: a weight is a number above 0.")
    return weight
