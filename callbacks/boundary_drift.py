"""BoundaryDrift: watches the boundaries of a model while it trains, and changes nothing of the training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from mspgt.callbacks.pace import Pace
from mspgt.callbacks.sharing import ranks_of
from mspgt.callbacks.shown import OnBar, log_figures, log_scalars, words
from mspgt.callbacks.watch import Outcome, Watch
from mspgt.config import RunConfig, build, plain_value
from mspgt.dynamics import Drift
from mspgt.dynamics.history import History
from mspgt.dynamics.schema import FILE
from mspgt.errors import UserError, unknown
from mspgt.forward import random_state
from mspgt.passes import Alone, Ranks
from mspgt.provenance import command, provenance

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
SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)
"""strategies under which no process holds the whole model"""


class BoundaryDrift(L.Callback):
    """Runs a held-out corpus through a model in training, at intervals, and follows its boundaries.

    ::

        drift = BoundaryDrift("heldout.txt", tokenizer=tokenizer, every_n_steps=500)
        Trainer(callbacks=[drift]).fit(module)
        drift.drift.plot()

    At the start, every `every_n_steps` optimizer steps and at the end the signals, their fusion, the bootstrap and the
    rules are those of `mspgt run`. The training stays the same to the last bit. What was found goes to the Trainer's
    loggers (`mspgt.callbacks.shown.scalars` lists the names), onto its progress bar, into its checkpoints, and to
    `out`: drift.json and drift.csv at every evaluation, figures and a page at the end. An evaluation that fails is
    noted and left out; the training goes on.

    The model is measured in evaluation mode and without autocast, in the precision of its weights.

    Parameters
    ----------
    data: the held-out corpus: whatever ``data=`` of `mspgt run` accepts, or a loader of ready batches
        (`mspgt.data.ready`). It is read once and kept in main memory.
    tokenizer: id, folder or object; the model's own where None. Ready batches need none.
    plugins: signals; ``probe`` needs a corpus with labels.
    every_n_steps: optimizer steps (`Trainer.global_step`) between evaluations.
    model: dotted path of the transformer inside the LightningModule; the one Hugging Face model in it where None.
    labels: second corpus with gold labels, for the probes.
    loss: name of a logged metric that stands beside the boundaries; where None the loss that `training_step` returned,
        averaged since the evaluation before, or else the metric ``loss`` or ``train_loss``.
    out: folder; where None ``drift`` in the logger's folder or in `default_root_dir`. Where it holds the drift of
        another training, a number is added to its name.
    max_overhead: largest share of the training's time, 0 to 1; evaluations that would exceed it are skipped.
    figures: also draw the figures to loggers that take them.
    keys: how the corpus is read and evaluated: ``limit``, ``context``, ``max_length``, ``batch_tokens``,
        ``bootstrap``, ``prominence``, ``seed``, ``layers_path``, ``weights={"cka": 1.0}``, and the options of a signal
        as ``cka={"estimator": "biased"}``.

    Attributes
    ----------
    drift: what was found until now, as `Drift`; None in all processes but the first, and before the first evaluation.

    Raises
    ------
    UserError: bad settings, at once; an unusable corpus, no transformer, or a strategy that shards parameters, when
        `Trainer.fit` begins.
    """

    def __init__(
        self,
        data: Any,
        tokenizer: Any = None,
        plugins: tuple[str, ...] | list[str] | str = ("cka", "attn"),
        *,
        every_n_steps: int = 500,
        model: str | None = None,
        labels: Any = None,
        loss: str | None = None,
        out: str | Path | None = None,
        max_overhead: float | None = None,
        figures: bool = False,
        **keys: Any,
    ) -> None:
        self._config = _settings(plugins, keys)
        self._pace = Pace(every_n_steps, max_overhead)
        self._data, self._labels, self._tokenizer, self._path = data, labels, tokenizer, model
        self._loss, self._out, self._figures = loss, None if out is None else Path(out), figures
        self._history = History()
        self._mean = _Mean()
        self._notes: list[str] = []
        self._facts: dict[str, Any] = {}
        self._started = time.time()
        self._ranks: Ranks = Alone()
        self._watch: Watch | None = None
        self._bar: OnBar | None = None

    @property
    def state_key(self) -> str:
        """Settings that a history depends on: a callback with others does not go on with it."""
        return str(self._generate_state_key(**self._identity))

    @property
    def drift(self) -> Drift | None:
        """What was found until now."""
        return Drift(self._contents()) if self._history.points else None

    # ------------------------------------------------------------------ hooks of the Trainer

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse strategies under which no process holds the whole model."""
        if stage == "fit" and isinstance(trainer.strategy, SHARDED):
            raise UserError(
                f"BoundaryDrift needs the whole model in every process, which {type(trainer.strategy).__name__} "
                "shards: train with strategy=ddp, or run `mspgt drift` over the checkpoints afterwards."
            )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the model, read the corpus."""
        began = time.perf_counter()
        self._started = time.time()
        self._ranks = ranks_of(trainer)
        with random_state(pl_module):
            self._watch = Watch(
                self._config,
                self._data,
                self._labels,
                pl_module,
                self._path,
                self._tokenizer,
                str(trainer.strategy.root_device),
                self._ranks,
            )
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        self._out = self._out or folder / "drift"
        if not self._history.points:
            self._out = _free(self._out)
        self._pace.spent(time.perf_counter() - began)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluate before the first step; a training that goes on takes up its history."""
        self._pace.start()
        self._bar = OnBar(trainer, lambda: words(self._history.points[-1]) if self._history.points else "")
        step = trainer.global_step
        if self._pace.went_back(step):
            rank_zero_warn(f"the training went back to step {step}: the history of its boundaries begins anew.")
            self._history, self._mean, self._notes = History(), _Mean(), []
            self._pace.forget()
        self._history.drop_end()
        if self._pace.at_start(step):
            self._evaluate(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate where a step is due."""
        self._mean.add(_loss_of(outputs), trainer.accumulate_grad_batches)
        if self._pace.due(trainer.global_step, self._ranks):
            self._evaluate(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluate the trained model, draw, and report what it took."""
        step = trainer.global_step
        if self._pace.last != step:
            self._evaluate(trainer, pl_module, end=not self._pace.is_multiple(step))
        self._close(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was found before the training stopped."""
        self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The history, for the Trainer's checkpoints."""
        return {
            "history": self._history.state_dict(),
            "pace": self._pace.state_dict(),
            "loss": self._mean.state_dict(),
            "facts": self._facts,
            "notes": list(self._notes),
            "out": None if self._out is None else str(self._out),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of a checkpoint."""
        self._history.load_state_dict(state_dict["history"])
        self._pace.load_state_dict(state_dict["pace"])
        self._mean.load_state_dict(state_dict["loss"])
        self._facts, self._notes = dict(state_dict["facts"]), list(state_dict["notes"])
        if self._out is None and state_dict["out"] is not None:
            self._out = Path(state_dict["out"])

    # ------------------------------------------------------------------ evaluation

    def _evaluate(self, trainer: L.Trainer, pl_module: L.LightningModule, *, end: bool = False) -> None:
        """Add a point; whatever goes wrong, the training goes on, on all ranks."""
        if self._watch is None:
            return
        step, began = trainer.global_step, time.perf_counter()
        try:
            with random_state(pl_module):
                outcome = self._watch.evaluate()
            if outcome is not None:
                self._add(trainer, outcome, step, time.perf_counter() - began, end)
        except Exception as error:  # a fault of the analysis must not end the training
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._notes.append(f"step {step:,} was left out: {why}")
            rank_zero_warn(f"boundaries at {self._notes[-1]}")
        if not end:
            self._mean = _Mean()
        self._pace.evaluated(step, time.perf_counter() - began)

    def _add(self, trainer: L.Trainer, outcome: Outcome, step: int, seconds: float, end: bool) -> None:
        self._facts = {"data": outcome.data, **self._watch_facts()}
        point = self._history.add(
            step,
            outcome.evaluation,
            loss=self._loss_at(trainer),
            seconds=seconds,
            end=end,
            notes=outcome.notes,
            left_out=outcome.left_out,
        )
        log_scalars(trainer, point)
        drift = Drift(self._contents())
        drift.save_data(self._folder)
        if self._figures:
            log_figures(trainer, {"drift": drift.plot()}, step)

    def _loss_at(self, trainer: L.Trainer) -> float | None:
        if self._loss is None and (mean := self._mean.value) is not None:
            return mean
        names = (self._loss,) if self._loss is not None else ("loss", "train_loss")
        logged = {**trainer.callback_metrics}
        found = next((logged[name] for name in names if name in logged), None)
        return None if found is None else float(found)

    # ------------------------------------------------------------------ what is kept

    @property
    def _identity(self) -> dict[str, Any]:
        kept = self._config.as_dict()
        names = [*KEYS[:-1], "plugins", *self._config.options.plugins]
        return {
            "data": plain_value(self._data),
            "labels": plain_value(self._labels),
            "every_n_steps": self._pace.every,
            **{name: kept[name] for name in names},
            "weights": kept.get("weights", {}),
        }

    @property
    def _folder(self) -> Path:
        return self._out or Path("drift")

    def _watch_facts(self) -> dict[str, Any]:
        if self._watch is None:
            return {}
        given = {"started": self._started, "command": command(), "device": str(self._watch.model.device)}
        manifest = self._watch.manifest()
        return {"model": manifest["model"], "provenance": provenance(manifest, given), "notes": self._watch.notes}

    def _contents(self) -> dict[str, Any]:
        """The contents of drift.json."""
        return {
            "schema": 1,
            "model": self._facts["model"],
            "data": self._facts["data"],
            "provenance": self._facts["provenance"],
            "settings": {**self._identity, "model": self._path, "max_overhead": self._pace.max_overhead},
            "bootstrap": self._history.bootstrap,
            "points": self._history.points,
            "changes": self._history.changes,
            "overall": self._history.overall,
            "prediction_3_2": None,
            "overhead": asdict(self._pace.overhead),
            "notes": [*self._facts["notes"], *self._notes],
            "left_out": [],
        }

    def _close(self, trainer: L.Trainer) -> None:
        """Draw what was found and say where it is; the Trainer's bar as it was."""
        self._pace.stop()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if (drift := self.drift) is None or self._ranks.rank > 0:
            return
        try:
            drift.save(self._folder)
        except Exception as error:  # a full disk must not hide how the training ended
            rank_zero_warn(f"boundary drift could not be written to {self._folder}: {error}")
            return
        overhead = self._pace.overhead
        share = "" if overhead.share is None else f", {overhead.share:.1%} of the training's time"
        rank_zero_info(
            f"boundary drift: {drift.headline} {len(drift.points)} evaluations took {overhead.seconds:,.0f} s{share}; "
            f"written: {self._folder / 'report.html'}"
        )


class _Mean:
    """Mean of losses; it stays on their device, so that no step waits for it."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count = 0

    @property
    def value(self) -> float | None:
        return float(self._sum) / self._count if self._count else None

    def add(self, loss: Tensor | None, scale: int) -> None:
        if loss is not None:
            self._sum = self._sum + loss.detach().double() * scale
            self._count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sum, self._count = state["sum"], state["count"]


def _loss_of(outputs: Any) -> Tensor | None:
    """What `training_step` returned; Lightning divides it by the number of accumulated batches."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    return loss if isinstance(loss, Tensor) and loss.numel() == 1 else None


def _settings(plugins: Any, keys: Mapping[str, Any]) -> RunConfig:
    names = plugins.split(",") if isinstance(plugins, str) else list(plugins)
    for key in keys:
        if key not in KEYS and key not in names:
            raise unknown("argument of BoundaryDrift", key, [*KEYS, *names])
    return build({"plugins": ",".join(names), **keys})


def _free(path: Path) -> Path:
    """The path, or where another training wrote there, one with a number."""
    number, found = 1, path
    while (found / FILE).exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
