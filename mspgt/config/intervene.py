"""Settings of `mspgt intervene`: the same mechanism as those of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mspgt.config.keys import divided, gathered, names_once, plain_fields, plain_options, plain_value
from mspgt.config.shared import Machine, resolved
from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.core.options import option, parse_some

WAYS = (
    "give boundaries=5,9 (blocks below each), boundaries=paper (those of the paper's rule) or boundaries=thirds (three "
    "equal scales)"
)
"""the three ways to give boundaries"""


@dataclass(frozen=True)
class InterveneOptions(Machine):
    """Keys of `mspgt intervene` that do not belong to a plugin."""

    run: str | None = option(None, "run directory: its model, its corpus, its boundaries")
    model: Any = option(None, "a model instead of a run's, with boundaries= (as for `mspgt run`)")
    tokenizer: Any = option(None, "id or folder of the tokenizer; the model's own where none")
    boundaries: tuple[str, ...] | None = option(
        None,
        "blocks below each boundary, such as 5,9; paper: where the paper's rule places them, without a run at the "
        "paper's mean depths; thirds: three equal scales; where none, those that the run accepted",
    )
    intervention: str = option("gaussian", "what is done to the blocks; `mspgt ls interventions` lists them")
    sigma: tuple[float, ...] = option(
        (0.1,), "strength, in the intervention's own measure; of several the first is the main one"
    )
    apply: str = option(
        "all", "disturb every token, or only those that the model generates", choices=("all", "generated")
    )
    dose: str = option(
        "paper",
        "paper: every block of a scale; matched: as many blocks in each scale, windows drawn at random; both",
        choices=("paper", "matched", "both"),
    )
    controls: bool = option(False, "also disturb as many blocks in windows outside each scale")
    against: str | None = option(
        None, "experiment directory of a model of another family: answers the paper's prediction 3.1"
    )
    samples: int = option(1000, "prompts", low=2)
    prompts: Any = option(None, "corpus of the prompts, whatever data= takes; the run's where none")
    prompt_tokens: int = option(16, "tokens of a prompt, at most", low=1)
    new_tokens: int = option(100, "tokens to generate, at most", low=1)
    decoding: str = option("sample", "how the next token is chosen", choices=("sample", "greedy"))
    temperature: float = option(1.0, "temperature of sampling", low=1e-3)
    top_p: float = option(
        0.95, "sample from the most probable tokens that together have this probability", low=0, high=1
    )
    metrics: tuple[str, ...] = option(
        tuple(registry.BUILT_IN[registry.METRIC]), "what is measured of the texts; `mspgt ls metrics` lists them"
    )
    batch_size: int = option(128, "texts generated at once, all conditions counted", low=1)
    bootstrap: int = option(1000, "bootstrap replicates", low=100)
    swaps: int = option(999, "swaps of the randomisation test for corpus-level metrics", low=99)
    resume: bool = option(False, "go on with what was interrupted in `out`; other metrics may be asked for")


@dataclass(frozen=True)
class InterveneConfig:
    """All settings of an experiment, checked."""

    options: InterveneOptions
    plugins: Mapping[str, Mapping[str, Any]]
    """intervention or metric -> its options as given"""

    @property
    def intervention(self) -> Mapping[str, Any]:
        """The intervention's options as given."""
        return self.plugins[self.options.intervention]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for config.yaml and interventions.json."""
        o = self.options
        return plain_fields(o) | {name: plain_options(entry, self.plugins[name]) for name, entry in _entries(o).items()}


def build(given: Mapping[str, Any], file: str | Path | None = None) -> InterveneConfig:
    """Merge defaults, file and given keys, and check every one.

    Raises
    ------
    UserError: unknown key or plugin (with a suggestion), or a value of the wrong type or out of range.
    """
    keys = gathered(given, file)
    _check_numbers(keys)
    head = parse_some(InterveneOptions, keys, "intervention", "metrics", "sigma")
    names_once("metrics", head.metrics, "ttr,self_bleu")
    if not head.sigma or len({f"{s:g}" for s in head.sigma}) != len(head.sigma):
        raise UserError(f"sigma={','.join(f'{s:g}' for s in head.sigma)}: give one strength or several different ones.")
    options, plugins = divided(InterveneOptions, _entries(head), keys, "intervene")
    if options.top_p == 0:
        raise UserError("top_p=0 leaves no token to sample from: give a share above 0, or decoding=greedy.")
    if options.run is None and options.model is None:
        raise UserError("give run=DIRECTORY, or model= with boundaries=, such as boundaries=5,9.")
    if options.run is None and options.boundaries is None:
        raise UserError(f"model={plain_value(options.model)} needs boundaries=, such as 5,9, or paper, or thirds.")
    if options.boundaries is not None:
        _check_boundaries(options.boundaries)
    if options.run is not None and options.out is not None and resolved(options.run) == resolved(options.out):
        raise UserError(f"out={options.out} is the run itself: name another directory.")
    if options.against is not None and options.out is not None and resolved(options.against) == resolved(options.out):
        raise UserError(f"against={options.against} is out= itself: name the experiment of another model.")
    return InterveneConfig(options, plugins)


def _check_numbers(keys: Mapping[str, Any]) -> None:
    """Say of strengths and temperature what to give instead, which their types alone do not tell."""
    if "sigma" in keys:
        try:
            strengths = parse_some(InterveneOptions, keys, "sigma").sigma
        except UserError:
            raise UserError(f"sigma={keys['sigma']!r}: give a number, such as 0.1; several as 0.1,0.2.") from None
        for strength in strengths:
            if not math.isfinite(strength):
                raise UserError(f"sigma={strength:g}: give a finite number, such as 0.1.")
    try:
        parse_some(InterveneOptions, keys, "temperature")
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; or give decoding=greedy.") from None


def _check_boundaries(given: tuple[str, ...]) -> None:
    numbers = len(given) == 2 and all(word.isdecimal() for word in given)
    if not numbers and given not in (("paper",), ("thirds",)):
        raise UserError(f"boundaries={','.join(given)}: {WAYS}.")


def _entries(options: InterveneOptions) -> dict[str, registry.Entry]:
    chosen = {options.intervention: registry.intervention(options.intervention)}
    metrics = {name: registry.metric(name) for name in options.metrics}
    if options.intervention in metrics:
        raise UserError(
            f"{options.intervention!r} names an intervention and a metric, whose options cannot be told apart."
        )
    return chosen | metrics
