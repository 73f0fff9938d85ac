"""The drift of a training run from its saved checkpoints: each is measured as a run is, and adds a point."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from rich.console import Console
from safetensors.torch import load_file, save_file

from mspgt import checkpoints, registry
from mspgt.analysis.launch import rank
from mspgt.analysis.session import Session, announce, begin, name_of, open_corpora
from mspgt.checkpoints import Checkpoint
from mspgt.drift_config import DriftConfig
from mspgt.dynamics import Drift
from mspgt.dynamics.history import History
from mspgt.dynamics.prediction import prediction_3_2
from mspgt.errors import MachineError, UserError
from mspgt.files import writing
from mspgt.models import LoadedModel
from mspgt.provenance import command, provenance
from mspgt.recompute import assess, make_signals
from mspgt.rundir import RunDir, check_fingerprint, write_json

HISTORY = "history.json"
MEASURE = ("data", "labels", "context", "limit", "max_length", "plugins", "prominence", "bootstrap", "seed", "dtype")
"""settings that points have in common"""


class Follow:
    """What one drift holds while it goes on."""

    def __init__(self, config: DriftConfig, folder: RunDir, console: Console) -> None:
        self.config, self.folder, self.console = config, folder, console
        self.history = History()
        self.failed: dict[int, str] = {}
        """step that could not be measured -> why"""
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}

    def run(self) -> Drift:
        """All checkpoints that are not measured yet, the oldest first; then the figures and the page."""
        started = time.time()
        options = self.config.run.options
        found = self._find()
        self.trainer = begin(options)
        self.corpora = open_corpora(options, make_signals(self.config.run, "cpu"))
        self._open(found)
        done = {*self.failed, *(point["step"] for point in self.history.points)}
        self.say(f"{len(found)} checkpoints, steps {found[0].step:,} to {found[-1].step:,}; out: {self.folder.path}")
        if done:
            self.say(f"going on: {len(done)} of them are done already")
        self.sentences = announce(self.corpora, self.say)
        first: LoadedModel | None = None
        for number, checkpoint in enumerate(found, 1):
            if checkpoint.step not in done:
                self.say(f"checkpoint {number} of {len(found)}: {checkpoint.name}, step {checkpoint.step:,}")
                first = self._point(checkpoint, first) or first
        if self.trainer.global_rank != 0:
            raise SystemExit(0)  # the first process concludes for all
        if not self.history.points:
            raise UserError(f"no checkpoint could be measured. {' '.join(self.failed.values())}")
        return self._conclude(started)

    def say(self, sentence: str) -> None:
        """Tell the user and the log."""
        self.console.print(sentence, highlight=False, markup=False)
        self._log(sentence)

    def _log(self, sentence: str) -> None:
        if rank() == 0:
            self.folder.log(sentence)

    # ------------------------------------------------------------------ the directory

    def _find(self) -> list[Checkpoint]:
        o = self.config.options
        if o.checkpoints is not None:
            return checkpoints.find(o.checkpoints, self.notes.append)
        return checkpoints.of_revisions(self.config.run.options, o.revisions or (), self.notes.append)

    def _open(self, found: Sequence[Checkpoint]) -> None:
        """Write settings and manifest, or take up the history of the drift to go on with."""
        fingerprint = self._fingerprint()
        if rank() > 0:
            if not self.folder.anew:
                self._take_up(found)
            return
        if not self.folder.anew:
            check_fingerprint(self.folder.manifest()["fingerprint"], fingerprint, f"the drift in {self.folder.path}")
            self._take_up(found)
        self.folder.begin()
        self.folder.write_manifest({"fingerprint": fingerprint, "checkpoints": [c.name for c in found]})
        self.folder.write_config(self.config.as_dict())

    def _fingerprint(self) -> dict[str, Any]:
        plain = self.config.run.as_dict()
        found: dict[str, Any] = {"mspgt": version("mspgt"), **{key: plain[key] for key in MEASURE}}
        found |= {f"corpus {name}": corpus.sha256 for name, corpus in self.corpora.items()}
        for name in self.config.run.options.plugins:
            found[f"plugin {name}"] = registry.signal(name).distribution
            found |= {f"{name}.{key}": value for key, value in plain[name].items()}
        return found | {"weights": plain.get("weights", {})}

    def _take_up(self, found: Sequence[Checkpoint]) -> None:
        """Go on from the points that an interrupted drift left, or from those of a training that has gone on since."""
        path = self.folder.state / HISTORY
        if not path.is_file():
            return
        kept = json.loads(path.read_text(encoding="utf-8"))
        latest = load_file(self.folder.state / kept["replicates"])
        self.history.load_state_dict(kept["history"] | {"latest": [latest]})
        self.facts = kept["facts"]
        last = self.history.points[-1]["step"]
        self.failed = {int(step): why for step, why in kept["failed"].items() if int(step) < last}
        done = {*self.failed, *(point["step"] for point in self.history.points)}
        older = [c for c in found if c.step < last and c.step not in done]
        if older:
            raise UserError(
                f"{older[0].name} is of step {older[0].step:,}, before step {last:,} that was measured last: changes "
                "are measured from checkpoint to checkpoint in order; give overwrite=true, or another out."
            )

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

    # ------------------------------------------------------------------ one checkpoint

    def _point(self, checkpoint: Checkpoint, first: LoadedModel | None) -> LoadedModel | None:
        """Measure a checkpoint; one that cannot be is left out, and the others go on."""
        began = time.perf_counter()
        run = self.config.run
        folder = self._folder(checkpoint)
        try:
            model = checkpoints.load(checkpoint, run.options)
            if first is not None:
                checkpoints.require_same(first, model)
            session = Session(run, folder, self.console, self.trainer, self._log)
            session.measure(model, self.corpora, self.sentences)
        except UserError as error:
            if isinstance(error, MachineError) or self.trainer.world_size > 1:  # the other processes cannot know
                raise
            self.failed[checkpoint.step] = f"{checkpoint.name} was left out: {error}"
            self.say(self.failed[checkpoint.step])
            shutil.rmtree(folder.path)
            return None
        if self.trainer.global_rank == 0:
            device = str(self.trainer.strategy.root_device)
            assessed = assess(folder, run, device, self._log)
            self.history.add(
                checkpoint.step,
                assessed.evaluation,
                loss=checkpoint.loss,
                seconds=time.perf_counter() - began,
                notes=assessed.notes,
                left_out=assessed.left_out,
            )
            self.facts = {
                "model": {**model.facts, "name": self._name},
                "data": assessed.data,
                "device": device,
                "manifest": {key: folder.manifest()[key] for key in ("data", "fingerprint", "world_size")},
            }
            self._keep()
            shutil.rmtree(folder.path)
        return model

    def _folder(self, checkpoint: Checkpoint) -> RunDir:
        """Where the states of a checkpoint are until its point is made."""
        path = self.folder.state / f"step-{checkpoint.step}"
        (path / "state").mkdir(parents=True, exist_ok=True)
        anew = not (path / "state" / "run.json").is_file()
        return RunDir(path, anew=anew, begun=False)

    @property
    def _name(self) -> str:
        options = self.config.options
        if options.checkpoints is not None:
            return ", ".join(options.checkpoints)
        return name_of(self.config.run.options.model)

    # ------------------------------------------------------------------ the end

    def _conclude(self, started: float) -> Drift:
        facts = self.facts
        manifest = {"model": facts["model"], **facts["manifest"]}
        given = {"started": started, "command": command(), "device": facts["device"]}
        contents = {
            "schema": 1,
            "model": facts["model"],
            "data": facts["data"],
            "provenance": provenance(manifest, given),
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
        if against := self.config.options.against:
            answer = prediction_3_2([Drift(contents), *against], names=[str(self.folder.path), *against])
            contents["prediction_3_2"] = answer.as_dict()
        drift = Drift(contents)
        self.say("drawing figures and the page")
        drift.save(self.folder.path)
        self.say(f"written: {self.folder.path / 'report.html'} and, beside it, drift.json, drift.csv and figures/")
        return drift
