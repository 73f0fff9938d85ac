"""`mspgt run`: a corpus through a model, then states to a result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from mspgt.config.keys import read_yaml
from mspgt.config.run import RunConfig, build
from mspgt.core.errors import UserError
from mspgt.experiments.directory import CONFIG
from mspgt.experiments.measuring import Corpora, assess, begin, load_model, measure, provenance_of
from mspgt.experiments.workspace import Workspace, workspace
from mspgt.results.run import Run


def start(config: RunConfig, console: Console | None, temporary: bool) -> Run:
    """Run with checked settings, in a fresh directory or an interrupted one."""
    o = config.options
    stem = f"{Path(name_of(o.model)).name}-{Path(name_of(o.data)).stem}"
    with workspace(o, Run.kind, stem, console, temporary) as w:
        return run(config, w)


def run(config: RunConfig, w: Workspace) -> Run:
    """All passes that are not done yet, then the result."""
    started = time.time()
    trainer = begin(config.options)
    corpora = Corpora.open(config, w.say)  # before the model: a fault in a file costs no loading
    w.say(f"loading {name_of(config.options.model)}")
    resumed = measure(w, config, load_model(config.options), corpora, trainer, w.say)
    if trainer.global_rank != 0:
        raise SystemExit(0)  # the first process concludes for all
    return conclude(w, config, started, str(trainer.strategy.root_device), resumed)


def conclude(w: Workspace, config: RunConfig, started: float, device: str, resumed: int = 0) -> Run:
    """Evaluate the states of a run and save the result beside them.

    Parameters
    ----------
    started: seconds since the epoch.
    resumed: sequences that an interrupted run had done.
    """
    manifest, assessed = w.store.manifest(), assess(w.store, config, device, w.say)
    evaluation, model = assessed.evaluation, manifest.model
    if model is None:
        raise RuntimeError("the manifest of a run names its model")
    result = Run(
        model=model,
        data=assessed.data,
        signals=evaluation.signals,
        verdicts=evaluation.verdicts,
        bootstrap=evaluation.bootstrap,
        provenance=provenance_of(manifest, config.options.seed, started, device, resumed),
        notes=assessed.notes,
        left_out=assessed.left_out,
        settings=config.as_dict(),
    )
    return w.save(result, "result.json, signals.csv and figures/")


def config_of(path: Path) -> RunConfig:
    """The settings with which a run was made; UserError if there are none."""
    if not (path / CONFIG).is_file():
        raise UserError(f"{path} is no run directory: it has no {CONFIG}.")
    return build(read_yaml(path / CONFIG))


def name_of(value: Any) -> str:
    """The name of a model or corpus, or the class of an object."""
    return value if isinstance(value, str) else type(value).__name__
