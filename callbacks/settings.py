"""The settings of a drift callback, checked when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mspgt.config.run import RunConfig, build
from mspgt.contracts import registry
from mspgt.core.errors import unknown

KEYS = (
    "context",
    "limit",
    "max_length",
    "batch_tokens",
    "prominence",
    "bootstrap",
    "seed",
    "layers_path",
    "weights",
)
"""keys of `mspgt run` that say how a corpus is read and evaluated"""


def settings(plugins: Any, keys: Mapping[str, Any], own: Iterable[str]) -> RunConfig:
    """Settings of a run from the keyword arguments of a callback; model and corpora are not among them.

    Parameters
    ----------
    plugins: names of signals.
    keys: `KEYS`, and options of the signals by the signal's name.
    own: what else the callback takes, for messages.

    Raises
    ------
    UserError: an unknown argument or plugin (with a suggestion), or a value of the wrong type or out of range.
    """
    config = build({"plugins": plugins})
    asked = config.options.plugins
    for key in keys:
        if key.partition(".")[0] not in (*KEYS, *asked):
            hint = f"{key} is not among the plugins that are asked for." if key in registry.signals() else ""
            raise unknown("argument of BoundaryDrift", key, {*KEYS, *asked, *own}, hint)
    return build({"plugins": asked, **keys})


def plain(config: RunConfig) -> dict[str, Any]:
    """What was set, or is so by default, as plain values."""
    kept = config.as_dict()
    return {name: kept.get(name, {}) for name in (*KEYS, "plugins", *config.options.plugins)}
