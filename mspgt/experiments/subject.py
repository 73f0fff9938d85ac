"""What an experiment disturbs: a model, its corpus, and the scales between its boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mspgt.config.intervene import WAYS, InterveneOptions
from mspgt.config.run import RunOptions
from mspgt.core.errors import UserError
from mspgt.core.phrases import listed
from mspgt.experiments.measuring import load_model
from mspgt.experiments.run import config_of
from mspgt.experiments.workspace import existing
from mspgt.generate.conditions import paper_boundaries, scales, thirds
from mspgt.models import LoadedModel
from mspgt.results.intervention import Scales
from mspgt.results.run import Run
from mspgt.stats.boundaries import OUTCOME, Verdict
from mspgt.stats.boundaries.acceptance import PAPER_WEIGHTS

OWN: Mapping[str, Any] = {**dict.fromkeys(("tokenizer", "revision", "quantization", "device_map")), "dtype": "auto"}
"""how a run's model is loaded, put back to the defaults: it says nothing of another model"""


@dataclass(frozen=True)
class Subject:
    """A run to build on, or the settings that a run would have."""

    options: RunOptions
    run: Run | None
    path: Path | None
    other_model: bool
    """whether a model was given beside the run, in place of its own"""

    @classmethod
    def of(cls, o: InterveneOptions) -> Subject:
        """Read the run that the settings name; `model=` replaces its model, `prompts=` its corpus.

        Raises
        ------
        UserError: no such run, one that cannot be repeated from its settings, or no boundaries to go by.
        """
        if o.run is None:
            return cls(_replaced(RunOptions(), o), None, None, False)
        w = existing(o.run, Run.kind)
        options = _replaced(config_of(w.path).options, o)
        for key, name in {"model": "model", "tokenizer": "tokenizer", "data": "prompts"}.items():
            value = getattr(options, key)
            if isinstance(value, str) and value.startswith("<"):
                raise UserError(f"the run in {w.path} was given its {key} as an object ({value}): give {name}=.")
        subject = cls(options, Run.load(w.path), w.path, o.model is not None)
        if o.boundaries is None:
            subject.accepted()  # now, rather than after the model is loaded
        return subject

    def load_model(self, offline: bool) -> LoadedModel:
        """Load the model as the run did.

        Raises
        ------
        UserError: it cannot be loaded, or has not as many blocks as the run's.
        """
        model = load_model(self.options, offline)
        if self.run is not None and self.run.n_layers != model.n_layers:
            raise UserError(
                f"{model.name} has {model.n_layers} blocks, but the run in {self.path} is of a model of "
                f"{self.run.n_layers}: give the run's own model."
            )
        return model

    def scales(self, given: tuple[str, ...] | None, model: LoadedModel, sha256: str) -> Scales:
        """The groups between the boundaries that were given, or else between those that the run accepted.

        Parameters
        ----------
        sha256: of the model's weights; those of another model count as not accepted.

        Raises
        ------
        UserError: the weights are no longer those of the run; the run accepted no boundaries and none were given; or
            they do not fit the model.
        """
        changed = self._changed(model, sha256)
        if changed and not self.other_model:
            raise UserError(
                f"the weights of {model.name} are no longer those of the run in {self.path}: run again, or give model= "
                "to disturb these weights all the same."
            )
        accepted = given is None
        (one, other), why = self.accepted() if given is None else self._given(given, model)
        if accepted and changed:
            accepted, why = False, "those of a model with other weights"
        path = None if self.path is None else str(self.path)
        return Scales(path, (one, other), why, accepted, scales((one, other), model.n_layers))

    def accepted(self) -> tuple[tuple[int, int], str]:
        """The boundaries that the run accepted.

        Raises
        ------
        UserError: it accepted none.
        """
        verdict = None if self.run is None else self.run.verdict()
        if verdict is None or not verdict.accepted:
            status = "" if verdict is None else f" ({verdict.status})"
            raise UserError(f"the run in {self.path} accepted no boundaries{status}: {WAYS}.")
        return _blocks(verdict), f"{OUTCOME[True]} by the run"

    def _changed(self, model: LoadedModel, sha256: str) -> bool:
        """Whether the weights are not the run's; in another precision only a model given beside the run may differ."""
        if self.run is None:
            return False
        if model.dtype != self.run.model.dtype:
            return self.other_model
        return sha256 != self.run.provenance.model_sha256

    def _given(self, given: tuple[str, ...], model: LoadedModel) -> tuple[tuple[int, int], str]:
        if given == ("thirds",):
            return thirds(model.n_layers), "three equal scales, not found by measurement"
        if given == ("paper",) and self.run is None:
            depths = paper_boundaries(model.n_layers, model.family)
            return depths, "at the paper's mean depths, not found by measurement"
        if given == ("paper",) and self.run is not None:
            verdict = next((v for v in self.run.rules if v.rule == "paper"), None)
            if verdict is None or len(verdict.boundaries) != 2:
                why = f"it needs {listed(list(PAPER_WEIGHTS))}" if verdict is None else verdict.status
                raise UserError(
                    f"boundaries=paper: the paper's rule places no two boundaries in the run in {self.path} ({why}): "
                    "give boundaries=thirds, or numbers such as 5,9."
                )
            accepted = "accepted" if verdict.accepted else "did not accept"
            return _blocks(verdict), f"placed by the paper's rule, which {accepted} them"
        one, other = map(int, given)
        return (one, other), "given by hand"


def _blocks(verdict: Verdict) -> tuple[int, int]:
    """The blocks below the two boundaries of a verdict."""
    one, other = (boundary.layer for boundary in verdict.boundaries)
    return one, other


def _replaced(options: RunOptions, o: InterveneOptions) -> RunOptions:
    """Settings of a run, with those that the experiment is given in their place."""
    if o.model is not None:
        options = replace(options, **OWN)
    dtype = None if o.dtype == "auto" else o.dtype
    keys = {"model": o.model, "tokenizer": o.tokenizer, "dtype": dtype, "device_map": o.device_map, "data": o.prompts}
    given: dict[str, Any] = {key: value for key, value in keys.items() if value is not None}
    return replace(options, **given)
