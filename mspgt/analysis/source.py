"""What an experiment disturbs: a model, its corpus, and the boundaries between its scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mspgt import models
from mspgt.config import RunOptions
from mspgt.errors import UserError
from mspgt.generate.conditions import paper_boundaries, scales, thirds
from mspgt.intervene_config import InterveneOptions
from mspgt.models import LoadedModel
from mspgt.result import Result, load
from mspgt.rundir import existing

WAYS = (
    "give boundaries=5,9 (blocks below each), boundaries=paper (those of the paper's rule) or boundaries=thirds (three "
    "equal scales)"
)
"""the three ways to give boundaries"""


@dataclass(frozen=True)
class Boundaries:
    """Where the scales end, and why there."""

    blocks: tuple[int, int]
    """below each of the two"""
    source: str
    accepted: bool
    """by this tool's rule, on a run"""


@dataclass(frozen=True)
class Source:
    """A run to build on, or the settings that a run would have."""

    options: RunOptions
    result: Result | None
    path: Path | None
    fingerprint: Mapping[str, Any]
    """of the run; empty without one"""

    @classmethod
    def of(cls, o: InterveneOptions) -> Source:
        """Read the run that the settings name; its corpus is replaced by `prompts=`, its model by `model=`.

        Raises
        ------
        UserError: no such run, or one that cannot be repeated from its settings.
        """
        if o.run is None:
            return cls(RunOptions(model=o.model, data="grammar" if o.prompts is None else o.prompts), None, None, {})
        folder = existing(o.run)
        options, manifest = folder.config().options, folder.manifest()
        data = options.data if o.prompts is None else o.prompts
        model = options.model if o.model is None else o.model
        for key, value in (("model", model), ("prompts", data)):
            if isinstance(value, str) and value.startswith("<"):
                raise UserError(f"the run in {folder.path} was given {key} as an object ({value}): give {key}= again.")
        settings = {f: getattr(options, f) for f in RunOptions.__dataclass_fields__} | {"data": data, "model": model}
        return cls(RunOptions(**settings), load(folder.path), folder.path, manifest["fingerprint"])

    def load_model(self, o: InterveneOptions) -> LoadedModel:
        """Load the model as the run did.

        Raises
        ------
        UserError: it cannot be loaded, or its weights are no longer those of the run.
        """
        r = self.options
        model = models.load(
            r.model,
            r.tokenizer if o.tokenizer is None else o.tokenizer,
            revision=r.revision,
            quantization=r.quantization,
            trust_remote_code=r.trust_remote_code,
            dtype=o.dtype,
            device_map=o.device_map if o.device_map is not None else r.device_map,
            layers_path=r.layers_path,
            offline=o.offline or r.offline,
        )
        self._check_same(model, o)
        return model

    def _check_same(self, model: LoadedModel, o: InterveneOptions) -> None:
        if self.result is None:
            return
        if self.result.n_layers != model.n_layers:
            raise UserError(
                f"{model.name} has {model.n_layers} blocks, but the run in {self.path} is of a model of "
                f"{self.result.n_layers}: give the run's own model."
            )
        same_kind = model.dtype == self.fingerprint.get("dtype")
        if o.model is None and same_kind and models.content_sha256(model) != self.fingerprint.get("model_sha256"):
            raise UserError(
                f"the weights of {model.name} are no longer those of the run in {self.path}: run again, or give model= "
                "to disturb these weights all the same."
            )

    def boundaries(self, given: str | None, model: LoadedModel) -> Boundaries:
        """The boundaries that were given, or else those that the run accepted.

        Raises
        ------
        UserError: the run accepted none and none were given, or they do not fit the model.
        """
        found = self._accepted() if given is None else self._given(given, model)
        scales(found.blocks, model.n_layers)
        return found

    def _accepted(self) -> Boundaries:
        verdict = None if self.result is None else self.result.verdict()
        if verdict is None or not verdict.accepted:
            status = "" if verdict is None else f" ({verdict.status})"
            raise UserError(f"the run in {self.path} accepted no boundaries{status}: {WAYS}.")
        one, other = (boundary.layer for boundary in verdict.boundaries)
        return Boundaries((one, other), "accepted by the run", True)

    def _given(self, given: str, model: LoadedModel) -> Boundaries:
        if given == "thirds":
            return Boundaries(thirds(model.n_layers), "three equal scales, not found by measurement", False)
        if given == "paper" and self.result is None:
            depths = paper_boundaries(model.n_layers, model.family)
            return Boundaries(depths, "at the paper's mean depths, not found by measurement", False)
        if given == "paper" and self.result is not None:
            verdict = self.result.verdict("paper")
            if len(verdict.boundaries) != 2:
                raise UserError(
                    f"boundaries=paper: the paper's rule places no two boundaries in the run in {self.path} "
                    f"({verdict.status}): give boundaries=thirds, or numbers such as 5,9."
                )
            one, other = (boundary.layer for boundary in verdict.boundaries)
            accepted = "accepted" if verdict.accepted else "did not accept"
            return Boundaries((one, other), f"placed by the paper's rule, which {accepted} them", False)
        numbers = given.replace(" ", "").split(",")
        if len(numbers) != 2 or not all(n.isdigit() for n in numbers):
            raise UserError(f"boundaries={given}: {WAYS}.")
        return Boundaries((int(numbers[0]), int(numbers[1])), "given by hand", False)
