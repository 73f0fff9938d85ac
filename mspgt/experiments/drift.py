"""`mspgt drift`: each saved checkpoint of a training is measured as a run is, and adds a point.

state/history.json                     the points until now, written after each
state/replicates-<step>.safetensors    curves of the last point for each bootstrap replicate
state/step-<step>/                     workspace of the checkpoint that is being measured
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mspgt.config.drift import DriftConfig
from mspgt.config.keys import flat
from mspgt.contracts import registry
from mspgt.core.codec import plain, structure
from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_json, writing
from mspgt.core.provenance import Provenance
from mspgt.experiments.directory import LOCK
from mspgt.experiments.launch import rank
from mspgt.experiments.measuring import Corpora, assess, begin, measure, provenance_of
from mspgt.experiments.run import name_of
from mspgt.experiments.workspace import Workspace, workspace
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.history import History
from mspgt.measure.store import MANIFEST, Manifest
from mspgt.models import checkpoints
from mspgt.models.checkpoints import Checkpoint
from mspgt.models.facts import ModelFacts
from mspgt.results.drift import Drift, Overhead
from mspgt.results.prediction_3_2 import prediction_3_2
from mspgt.results.run import Run

HISTORY = "history.json"
FREE = (
    *("checkpoints", "revisions", "against", "preset", "data", "labels", "trust_remote_code", "device_map"),
    *("batch_tokens", "accelerator", "devices", "num_nodes", "strategy", "out", "overwrite", "resume", "offline"),
)
"""settings that may be others when a drift goes on: numbers do not depend on them, or not on how they are named"""


@dataclass(frozen=True)
class _Facts:
    """What drift.json says beside the points, as the last of them was made."""

    model: ModelFacts
    data: CorpusFacts
    common: Mapping[str, Any]
    """what all checkpoints have in common"""
    provenance: Provenance


@dataclass(frozen=True)
class _Saved:
    """What history.json holds."""

    history: Mapping[str, Any]
    facts: _Facts
    failed: Mapping[str, str]
    """step that could not be measured -> why"""
    replicates: str
    """file of the curves of the last point for each replicate"""


def start(config: DriftConfig, console: Console | None, temporary: bool) -> Drift:
    """Follow checkpoints with checked settings, in a fresh directory or an interrupted one."""
    o = config.run.options
    first = name_of(o.model) if config.options.checkpoints is None else config.options.checkpoints[0]
    with workspace(o, Drift.kind, f"{Path(first.rstrip('*')).name}-drift", console, temporary) as w:
        return _Follow(config, w).run()


@dataclass
class _Follow:
    """What one drift holds while it goes on."""

    config: DriftConfig
    w: Workspace
    history: History = field(default_factory=History)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: _Facts | None = None
    resumed: int = 0
    """sequences that an interrupted drift had done"""

    def run(self) -> Drift:
        """All checkpoints that are not measured yet, the oldest first; then the figures and the page."""
        self.started = time.time()
        others = [Drift.load(path) for path in self.config.options.against]  # a fault in one shows now, not after hours
        self.checkpoints = self._find()
        self.trainer = begin(self.config.run.options)
        spoken: list[str] = []
        self.corpora = Corpora.open(self.config.run, spoken.append)
        if not self.w.anew:
            self._take_up()
        self._announce(spoken)
        done = self._done
        for i, checkpoint in enumerate(self.checkpoints, 1):
            if str(checkpoint.step) not in done:
                self.w.say(f"checkpoint {i} of {len(self.checkpoints)}: {checkpoint.name}, step {checkpoint.step:,}")
                self._point(checkpoint)
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        if self.facts is None:
            raise UserError(f"none of the checkpoints could be measured. {next(iter(self.failed.values()))}")
        return self._conclude(self.facts, others)

    def _find(self) -> list[Checkpoint]:
        o = self.config.options
        if o.checkpoints is not None:
            return checkpoints.find(o.checkpoints, self.notes.append)
        return checkpoints.of_revisions(self.config.run.options, o.revisions or (), self.notes.append)

    def _announce(self, spoken: Sequence[str]) -> None:
        """Say what will be done."""
        every, done = self.checkpoints, self._done
        first, last = every[0].step, every[-1].step
        many = f"{len(every)} checkpoints, steps {first:,} to {last:,}"
        self.w.say(f"{many if every[1:] else f'1 checkpoint, step {first:,}'}; out: {self.w.path}")
        if done:
            self.w.say(f"going on: {sum(str(c.step) in done for c in every)} of {len(every)} are done already")
        for sentence in spoken:
            self.w.say(sentence)

    # ------------------------------------------------------------------ going on

    @property
    def _done(self) -> set[str]:
        """Steps that need not be looked at again."""
        return {*self.failed, *(str(point.step) for point in self.history.points)}

    def _manifest(self) -> Manifest:
        settings = flat(self.config.as_dict())
        corpora = {f"corpus {name}": corpus.sha256 for name, corpus in self.corpora.opened.items()}
        plugins = {f"plugin {name}": registry.signal(name).distribution for name in self.config.run.options.plugins}
        deciding = {key: value for key, value in settings.items() if key not in FREE}
        fingerprint = deciding | corpora | plugins | {"mspgt": version("mspgt")}
        return Manifest("drift", fingerprint, checkpoints=tuple(checkpoint.name for checkpoint in self.checkpoints))

    def _take_up(self) -> None:
        """Go on from the points that an interrupted drift left, or from those of a training that has gone on since."""
        self.w.check(self._manifest())
        path = self.w.store.path / HISTORY
        if not path.is_file():
            return
        again = "give overwrite=true to measure all anew"
        try:
            kept = structure(json.loads(path.read_text(encoding="utf-8")), _Saved, str(path), again)
            latest = load_file(self.w.store.path / kept.replicates)
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{path} is damaged ({error}); {again}.") from error
        self.history.load_state_dict({**kept.history, "latest": [latest]})
        self.facts, self.failed = kept.facts, dict(kept.failed)
        self.resumed = len(self.history.points) * kept.facts.data.sequences
        last = self.history.points[-1].step
        older = [c for c in self.checkpoints if c.step < last and str(c.step) not in self._done]
        if older:
            raise UserError(
                f"{older[0].name} is of step {older[0].step:,}, before step {last:,} that was measured last: changes "
                "are measured from checkpoint to checkpoint in order; give overwrite=true, or another out."
            )

    def _begin(self) -> None:
        """From now on, what was in the directory is replaced or gone on with."""
        if not self.w.begun:
            self.w.open(self._manifest(), self.config.as_dict())

    def _keep(self, facts: _Facts) -> None:
        """Write the history, whole or not at all; what it refers to is written before and removed after."""
        folder, name = self.w.store.path, f"replicates-{self.history.step}.safetensors"
        state = self.history.state_dict()
        with writing(folder / name) as temporary:
            save_file(state.pop("latest")[-1], temporary)
        write_json(folder / HISTORY, plain(_Saved(state, facts, self.failed, name)))
        for old in folder.glob("replicates-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _tidy(self) -> None:
        """Remove what a kill left behind: of the states, only what is needed to go on stays."""
        needed = {LOCK, MANIFEST, HISTORY, f"replicates-{self.history.step}.safetensors"}
        for path in self.w.store.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in needed:
                path.unlink()

    # ------------------------------------------------------------------ one checkpoint

    def _point(self, checkpoint: Checkpoint) -> None:
        """Add the point of a checkpoint; one that cannot be measured is left out, and the others go on."""
        began = time.perf_counter()
        inner = self.w.inner(f"step-{checkpoint.step}", Run.kind)
        try:
            model, common = self._observe(checkpoint, inner)
            if self.trainer.global_rank > 0:
                return
            self._add(checkpoint, inner, model, common, began)
        except UserError as error:
            if isinstance(error, MachineError) or self.trainer.world_size > 1:  # the other processes cannot know
                raise
            self.failed[str(checkpoint.step)] = f"{checkpoint.name} was left out: {error}"
            self.w.say(self.failed[str(checkpoint.step)])
        if self.w.begun:
            shutil.rmtree(inner.path, ignore_errors=True)

    def _observe(self, checkpoint: Checkpoint, inner: Workspace) -> tuple[ModelFacts, dict[str, Any]]:
        """Load a checkpoint and make its passes; what is to be known of it. The model is let go of again."""
        model = checkpoints.load(checkpoint, self.config.run.options)
        common = checkpoints.common(model)
        checkpoints.require_same(model.name, common, common if self.facts is None else self.facts.common)
        self._begin()
        inner.store.path.mkdir(parents=True, exist_ok=True)
        self.resumed += measure(inner, self.config.run, model, self.corpora, self.trainer, self.w.log)
        name = ", ".join(self.config.options.checkpoints or ()) or name_of(self.config.run.options.model)
        return replace(model.facts, name=name), common

    def _add(
        self, checkpoint: Checkpoint, inner: Workspace, model: ModelFacts, common: Mapping[str, Any], began: float
    ) -> None:
        """Evaluate what was observed, and keep it as a point."""
        device = str(self.trainer.strategy.root_device)
        assessed, manifest = assess(inner.store, self.config.run, device, self.w.log), inner.store.manifest()
        self.history.add(
            checkpoint.step,
            assessed.evaluation,
            loss=checkpoint.loss,
            seconds=time.perf_counter() - began,
            notes=assessed.notes,
            left_out=assessed.left_out,
        )
        made = provenance_of(manifest, self.config.run.options.seed, self.started, device)
        self.facts = _Facts(model, assessed.data, common, made)
        self._keep(self.facts)

    # ------------------------------------------------------------------ the end

    def _conclude(self, facts: _Facts, others: Sequence[Drift]) -> Drift:
        """Put all together, and write it."""
        self._begin()  # where nothing was left to measure
        if rank() > 0:
            raise SystemExit(0)
        drift = Drift.from_history(
            self.history,
            model=facts.model,
            data=facts.data,
            provenance=replace(facts.provenance, sequences_resumed=self.resumed).since(self.started),
            settings=self.config.as_dict(),
            overhead=Overhead(sum(point.seconds for point in self.history.points)),
            notes=tuple(self.notes),
            left_out=tuple(self.failed.values()),
        )
        if others:
            drift = self._compared(drift, others)
        drift = self.w.save(drift, "drift.json, drift.csv and figures/")
        self._tidy()
        return drift

    def _compared(self, drift: Drift, others: Sequence[Drift]) -> Drift:
        """The same with the answer on prediction 3.2, or with why there is none."""
        names = ["this training", *self.config.options.against]
        try:
            return replace(drift, prediction_3_2=prediction_3_2([drift, *others], names=names))
        except UserError as error:
            return replace(drift, left_out=(*drift.left_out, f"prediction 3.2 was left out: {error}"))
