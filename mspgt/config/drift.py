"""Settings of `mspgt drift`: which checkpoints, and those of the run that is made of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mspgt.config import run as config
from mspgt.config.keys import divided, gathered, names_once, plain_fields
from mspgt.config.run import RunConfig, RunOptions
from mspgt.config.shared import resolved
from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.core.options import option, parse_some

MODEL = (
    "the Hugging Face id of revisions=; for Lightning checkpoints what gives the architecture and the tokenizer: "
    "built-in name, Hugging Face id, local folder, or in Python a model; not needed for Hugging Face folders"
)
"""meaning of `model`, which has no default here"""
WAYS = (
    "give checkpoints=, a directory, a glob or several with commas between, or revisions= of the Hugging Face model in "
    "model="
)


@dataclass(frozen=True)
class DriftOptions:
    """Keys of `mspgt drift` that `mspgt run` does not have."""

    checkpoints: tuple[str, ...] | None = option(
        None, "folders of Hugging Face checkpoints or Lightning's .ckpt files: a directory, a glob, or several"
    )
    revisions: tuple[str, ...] | None = option(
        None, "revisions of the Hugging Face model in model=, such as step1000,step2000"
    )
    against: tuple[str, ...] = option(
        (), "drift directories of other training runs of this architecture: answers the paper's prediction 3.2"
    )


@dataclass(frozen=True)
class DriftConfig:
    """All settings of a drift, checked."""

    options: DriftOptions
    run: RunConfig
    """how each checkpoint is measured; its `options.model` is None where none was given"""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for config.yaml and drift.json."""
        return plain_fields(self.options) | {
            key: value for key, value in self.run.as_dict().items() if key != "revision"
        }


def build(given: Mapping[str, Any], file: str | Path | None = None) -> DriftConfig:
    """Merge defaults, preset, file and given keys, and check every one.

    Raises
    ------
    UserError: unknown key or plugin (with a suggestion), a value of the wrong type or out of range, or keys that do
        not say which checkpoints are meant.
    """
    keys = gathered(given, file)
    if "revision" in keys:
        raise UserError("revision= names one revision: give revisions=, such as revisions=step1000,step2000.")
    signals = parse_some(RunOptions, keys, "plugins").plugins
    of_run = {f.name for f in dataclasses.fields(RunOptions)} - {"revision"} | {f"weights.{name}" for name in signals}
    options, _ = divided(
        DriftOptions,
        {name: registry.signal(name) for name in signals},
        {key: value for key, value in keys.items() if key not in of_run},
        "drift",
        sorted(of_run),
    )
    own = {f.name for f in dataclasses.fields(DriftOptions)}
    run = config.build({"model": None} | {key: value for key, value in keys.items() if key not in own})
    _check(options, run.options)
    return DriftConfig(options, run)


def _check(options: DriftOptions, run: RunOptions) -> None:
    if options.checkpoints is not None and options.revisions is not None:
        raise UserError("checkpoints= and revisions= are both given; give one of them.")
    if options.checkpoints is not None:
        names_once("checkpoints", options.checkpoints, "runs/a")
    elif options.revisions is None:
        raise UserError(f"no checkpoints are named: {WAYS}.")
    else:
        names_once("revisions", options.revisions, "step1000,step2000")
        if run.model is None:
            raise UserError(
                f"revisions={','.join(options.revisions)} needs model=, the Hugging Face id that they belong to, such "
                "as model=EleutherAI/pythia-70m."
            )
    if options.against:
        names_once("against", options.against, "runs/b-drift")
    places = {resolved(directory): directory for directory in options.against}
    if run.out is not None and resolved(run.out) in places:
        raise UserError(f"out={run.out} is one of against={','.join(options.against)}: name another directory.")
