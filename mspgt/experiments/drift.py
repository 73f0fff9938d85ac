"""The drift of a training run from its saved checkpoints: each is measured as a run is, and adds a point.

config.yaml, state/run.json      settings, and what must be the same to go on
state/history.json               the points until now, written after each
state/replicates-<step>.safetensors    curves of the last point for each bootstrap replicate
state/step-<step>/               run directory of the checkpoint that is being measured
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mspgt.config.drift import DriftConfig
from mspgt.config.keys import flat
from mspgt.contracts import registry
from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_json, writing
from mspgt.core.provenance import command, provenance
from mspgt.experiments.launch import rank
from mspgt.experiments.recompute import assess
from mspgt.experiments.run import Session, announce, begin, name_of, open_corpora
from mspgt.experiments.rundir import LOCK, RunDir
from mspgt.measure.assess import make_signals
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.history import History
from mspgt.models import checkpoints
from mspgt.models.checkpoints import Checkpoint
from mspgt.results.drift import Drift, load
from mspgt.results.drift.schema import SCHEMA
from mspgt.results.prediction_3_2 import prediction_3_2

HISTORY = "history.json"
FREE = (
    *("checkpoints", "revisions", "against", "preset", "data", "labels", "trust_remote_code", "device_map"),
    *("batch_tokens", "accelerator", "devices", "num_nodes", "strategy", "out", "overwrite", "resume", "offline"),
)
"""settings that may be others when a drift goes on: numbers do not depend on them, or not on how they are named"""


class Follow:
    """What one drift holds while it goes on."""

    def __init__(self, config: DriftConfig, folder: RunDir, console: Console) -> None:
        self.config, self.folder, self.console = config, folder, console
        self.history = History()
        self.failed: dict[int, str] = {}
        """step that could not be measured -> why"""
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}
        """what drift.json says beside the points, as the last of them was made"""
        self.resumed = 0
        """sequences that an interrupted drift had done"""

    def run(self) -> Drift:
        """All checkpoints that are not measured yet, the oldest first; then the figures and the page."""
        started = time.time()
        options = self.config.run.options
        others = [load(path) for path in self.config.options.against]  # a fault in one shows now, not after hours
        self.found = self._find()
        self.trainer = begin(options)
        self.corpora = open_corpora(options, make_signals(self.config.run, "cpu"))
        if not self.folder.anew:
            self._take_up()
        done = self._done
        self._announce(done)
        for number, checkpoint in enumerate(self.found, 1):
            if checkpoint.step not in done:
                self.say(f"checkpoint {number} of {len(self.found)}: {checkpoint.name}, step {checkpoint.step:,}")
                self._point(checkpoint)
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        if not self.history.points:
            raise UserError(f"none of the checkpoints could be measured. {next(iter(self.failed.values()))}")
        return self._conclude(started, others)

    def say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        self._log(sentence)

    def _log(self, sentence: str) -> None:
        if rank() == 0:
            self.folder.log(sentence)

    def _find(self) -> list[Checkpoint]:
        o = self.config.options
        if o.checkpoints is not None:
            return checkpoints.find(o.checkpoints, self.notes.append)
        return checkpoints.of_revisions(self.config.run.options, o.revisions or (), self.notes.append)

    def _announce(self, done: set[int]) -> None:
        """Say what will be done."""
        found = self.found
        first, last = found[0].step, found[-1].step
        many = f"{len(found)} checkpoints, steps {first:,} to {last:,}"
        self.say(f"{many if found[1:] else f'1 checkpoint, step {first:,}'}; out: {self.folder.path}")
        if done:
            self.say(f"going on: {sum(c.step in done for c in found)} of {len(found)} are done already")
        self.sentences = announce(self.corpora, self.say)

    # ------------------------------------------------------------------ the directory

    @property
    def _done(self) -> set[int]:
        """Steps that need not be looked at again."""
        return {*self.failed, *(point["step"] for point in self.history.points)}

    def _take_up(self) -> None:
        """Go on from the points that an interrupted drift left, or from those of a training that has gone on since."""
        old = self.folder.manifest()["fingerprint"]
        check_fingerprint(old, self._fingerprint(), f"the drift in {self.folder.path}")
        path = self.folder.state / HISTORY
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            latest = load_file(self.folder.state / kept["replicates"])
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{path} is damaged ({error}); give overwrite=true to measure all anew.") from error
        self.history.load_state_dict(kept["history"] | {"latest": [latest]})
        self.facts = kept["facts"]
        self.resumed = len(self.history.points) * self.facts["data"]["sequences"]
        last = self.history.points[-1]["step"]
        self.failed = {int(step): why for step, why in kept["failed"].items()}
        older = [c for c in self.found if c.step < last and c.step not in self._done]
        if older:
            raise UserError(
                f"{older[0].name} is of step {older[0].step:,}, before step {last:,} that was measured last: changes "
                "are measured from checkpoint to checkpoint in order; give overwrite=true, or another out."
            )

    def _begin(self) -> None:
        """Write settings and manifest: from now on, what was in the directory is replaced or gone on with."""
        if self.folder.begun or rank() > 0:
            return
        self.folder.begin()
        self.folder.clear_failures()
        names = [checkpoint.name for checkpoint in self.found]
        self.folder.write_manifest({"fingerprint": self._fingerprint(), "checkpoints": names})
        self.folder.write_config(self.config.as_dict())

    def _fingerprint(self) -> dict[str, Any]:
        settings = flat(self.config.as_dict())
        corpora = {f"corpus {name}": corpus.sha256 for name, corpus in self.corpora.items()}
        plugins = {f"plugin {name}": registry.signal(name).distribution for name in self.config.run.options.plugins}
        return {k: v for k, v in settings.items() if k not in FREE} | corpora | plugins | {"mspgt": version("mspgt")}

    def _keep(self) -> None:
        """Write the history, whole or not at all; what it refers to is written before and removed after."""
        name = f"replicates-{self.history.step}.safetensors"
        state = self.history.state_dict()
        with writing(self.folder.state / name) as temporary:
            save_file(state.pop("latest")[-1], temporary)
        kept = {"history": state, "facts": self.facts, "failed": self.failed, "replicates": name}
        write_json(self.folder.state / HISTORY, kept)
        for old in self.folder.state.glob("replicates-*.safetensors"):
            if old.name != name:
                old.unlink()

    def _tidy(self) -> None:
        """Remove what a kill left behind: of the states, only what is needed to go on stays."""
        needed = {LOCK, "run.json", HISTORY, f"replicates-{self.history.step}.safetensors"}
        for path in self.folder.state.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in needed:
                path.unlink()

    # ------------------------------------------------------------------ one checkpoint

    def _point(self, checkpoint: Checkpoint) -> None:
        """Add the point of a checkpoint; one that cannot be measured is left out, and the others go on."""
        began = time.perf_counter()
        folder = RunDir(self.folder.state / f"step-{checkpoint.step}", begun=False)
        try:
            facts = self._observe(checkpoint, folder)
        except UserError as error:
            if isinstance(error, MachineError) or self.trainer.world_size > 1:  # the other processes cannot know
                raise
            self._leave_out(checkpoint, error)
        else:
            if self.trainer.global_rank > 0:
                return
            self._add(checkpoint, folder, facts, began)
        if self.folder.begun:
            shutil.rmtree(folder.path, ignore_errors=True)

    def _observe(self, checkpoint: Checkpoint, folder: RunDir) -> dict[str, Any]:
        """Load a checkpoint, and make its passes; what is to be known of it. The model is let go of again."""
        model = checkpoints.load(checkpoint, self.config.run.options)
        common = checkpoints.common(model)
        checkpoints.require_same(model.name, common, self.facts.get("common", common))
        self._begin()
        folder.anew = not (folder.state / "run.json").is_file()
        folder.state.mkdir(parents=True, exist_ok=True)
        session = Session(self.config.run, folder, self.console, self.trainer, self._log)
        self.resumed += session.measure(model, self.corpora, self.sentences)
        return {"model": {**model.facts, "name": self._name}, "common": common}

    def _add(self, checkpoint: Checkpoint, folder: RunDir, facts: dict[str, Any], began: float) -> None:
        """Evaluate what was observed, and keep it as a point."""
        device = str(self.trainer.strategy.root_device)
        try:
            assessed = assess(folder, self.config.run, device, self._log)
        except MachineError:
            raise
        except UserError as error:
            self._leave_out(checkpoint, error)
            return
        self.history.add(
            checkpoint.step,
            assessed.evaluation,
            loss=checkpoint.loss,
            seconds=time.perf_counter() - began,
            notes=assessed.notes,
            left_out=assessed.left_out,
        )
        manifest = {key: folder.manifest()[key] for key in ("data", "fingerprint", "world_size")}
        self.facts = {**facts, "data": assessed.data, "device": device, "manifest": manifest}
        self._keep()

    def _leave_out(self, checkpoint: Checkpoint, error: UserError) -> None:
        self.failed[checkpoint.step] = f"{checkpoint.name} was left out: {error}"
        self.say(self.failed[checkpoint.step])

    @property
    def _name(self) -> str:
        options = self.config.options
        if options.checkpoints is not None:
            return ", ".join(options.checkpoints)
        return name_of(self.config.run.options.model)

    # ------------------------------------------------------------------ the end

    def _conclude(self, started: float, others: Sequence[Drift]) -> Drift:
        """Put all together, and write it."""
        self._begin()  # where nothing was left to measure
        facts = self.facts
        manifest = {"model": facts["model"], **facts["manifest"]}
        given = {"started": started, "command": command(), "device": facts["device"]}
        contents = {
            "schema": SCHEMA,
            "model": facts["model"],
            "data": facts["data"],
            "provenance": provenance(manifest, given | {"sequences_resumed": self.resumed}),
            "settings": self.config.as_dict(),
            "bootstrap": self.history.bootstrap,
            "points": self.history.points,
            "changes": self.history.changes,
            "overall": self.history.overall,
            "prediction_3_2": None,
            "overhead": {"share": None, "every_n_steps": None, "max_overhead": None},
            "notes": self.notes,
            "left_out": list(self.failed.values()),
        }
        if others:
            names = ["this training", *self.config.options.against]
            try:
                contents["prediction_3_2"] = prediction_3_2([Drift(contents), *others], names=names).as_dict()
            except UserError as error:
                contents["left_out"] = [*self.failed.values(), f"prediction 3.2 was left out: {error}"]
        drift = Drift(contents)
        self.say("drawing figures and the page")
        drift.save(self.folder.path)
        self._tidy()
        self.say(f"written: {self.folder.path / 'report.html'} and, beside it, drift.json, drift.csv and figures/")
        return drift
