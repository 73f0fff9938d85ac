"""BoundaryDrift: watches the boundaries of a model while it trains, and changes nothing of the training."""

from __future__ import annotations

import inspect
import re
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from mspgt.callbacks.ledger import Ledger
from mspgt.callbacks.loggers import OnBar, attempted, in_brief, log_figure, log_scalars, one_line
from mspgt.callbacks.losses import Losses
from mspgt.callbacks.pace import Pace
from mspgt.callbacks.settings import plain, settings
from mspgt.callbacks.sharing import ranks_of
from mspgt.callbacks.watch import Watch
from mspgt.config.keys import plain_value
from mspgt.core.errors import UserError
from mspgt.measure.ranks import Alone, Ranks
from mspgt.models.forward import random_state
from mspgt.results.drift import Drift

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
    loggers (`mspgt.callbacks.loggers.scalars` lists the names), onto its progress bar, into its checkpoints, and to
    `out`: drift.json, drift.csv and boundaries.csv at every evaluation, figures and a page at the end. An evaluation
    that fails is told and left out; the training goes on. Only the first, before the first step, must succeed.

    The model is measured in evaluation mode and without autocast, in the precision of its weights.

    A training that goes on from a checkpoint goes on with the history in it, provided that the callback has the same
    settings and the corpus is the same. A training that starts anew with the same callback starts a history of its own.

    Parameters
    ----------
    data: the held-out corpus: whatever ``data=`` of `mspgt run` accepts, or a loader of ready batches
        (`mspgt.data.ready`). It is read when training starts, and kept in main memory while it lasts.
    tokenizer: id, folder or object; the model's own where None. Ready batches need none.
    plugins: signals; one that needs labels needs a corpus with them.
    every_n_steps: optimizer steps (`Trainer.global_step`) between evaluations.
    model: dotted path of the transformer inside the LightningModule; the one Hugging Face model in it where None.
    labels: second corpus with gold labels, for the probes.
    loss: name of a logged metric that stands beside the boundaries; where None the loss that `training_step` returned
        (in the first process), averaged since the evaluation before, or else the metric ``loss`` or ``train_loss``.
    name: first part of the names in loggers, letters, digits, ``_``, ``.`` and ``-``; each `BoundaryDrift` of a Trainer
        needs its own.
    out: folder; where None ``drift`` (or ``drift-<name>``) in the logger's folder or in `default_root_dir`. Where it
        holds the drift of another training, a number is added to its name.
    max_overhead: largest share of the training's time, 0 to 1; evaluations that would exceed it are skipped.
    figures: also draw the figure of the drift to loggers that take figures, at every evaluation.
    keys: how the corpus is read and evaluated: ``limit``, ``context``, ``max_length``, ``batch_tokens``,
        ``bootstrap``, ``prominence``, ``seed``, ``layers_path``, ``weights={"cka": 1.0}``, and the options of a signal
        as ``cka={"estimator": "biased"}``.

    Raises
    ------
    UserError: bad settings, at once; an unusable corpus, no transformer, a strategy that shards parameters, or a
        first evaluation that fails, when `Trainer.fit` begins.
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
        name: str = "mspgt",
        out: str | Path | None = None,
        max_overhead: float | None = None,
        figures: bool = False,
        **keys: Any,
    ) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
            raise UserError(f"name={name!r}: give a name of letters, digits, '_', '.' and '-'.")
        self._config = settings(plugins, keys, inspect.signature(BoundaryDrift).parameters.keys() - {"keys"})
        self._pace = Pace(every_n_steps, max_overhead)
        self._data, self._labels, self._tokenizer, self._path = data, labels, tokenizer, model
        self._name, self._out, self._figures = name, None if out is None else Path(out), figures
        self._losses = Losses(loss)
        self._settings = self._described()
        self._key = str(self._generate_state_key(**self._settings))
        self._ledger = self._new_ledger()
        self._ranks: Ranks = Alone()
        self._watch: Watch | None = None
        self._bar: OnBar | None = None

    @property
    def state_key(self) -> str:
        """Settings that a history depends on: a callback with others does not go on with it.

        The Trainer asks for it around every hook.
        """
        return self._key

    @property
    def drift(self) -> Drift | None:
        """What was found until now; None before the first evaluation, and in all processes but the first.

        Strategies that train in processes of their own (ddp_spawn, ddp_notebook) leave it there: read `out`.
        """
        if self._ranks.rank > 0 or not self._ledger.history.points:
            return None
        return self._ledger.drift(self._pace.overhead)

    # ------------------------------------------------------------------ hooks of the Trainer

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse strategies under which no process holds the whole model, and callbacks that cannot be told apart."""
        if stage != "fit":
            return
        if isinstance(trainer.strategy, SHARDED):
            raise UserError(
                f"BoundaryDrift needs the whole model in every process, which {type(trainer.strategy).__name__} "
                "shards: train with strategy=ddp, or run `mspgt drift` over the checkpoints afterwards."
            )
        names = [callback._name for callback in trainer.callbacks if isinstance(callback, BoundaryDrift)]
        if names.count(self._name) > 1:
            raise UserError(
                f"several BoundaryDrift callbacks of this Trainer are called {self._name!r}: give each a name= of its "
                "own, under which loggers show it."
            )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the model, read the corpus."""
        began = time.perf_counter()
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
        self._pace.spent(time.perf_counter() - began)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the history of a training that goes on, or begin one and evaluate before the first step."""
        step = trainer.global_step
        self._pace.start()
        self._begin(trainer, step)
        self._bar = OnBar(trainer, self._name, self._words)
        if self._pace.at_start(step):
            first = self._pace.last is None
            failed = self._ranks.broadcast(self._evaluate(trainer, pl_module))
            if first and failed:
                raise UserError(f"the boundaries of this training cannot be followed: {failed}")

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Note the loss of a batch: callbacks before this one may write a checkpoint before it is over."""
        if pl_module.automatic_optimization and getattr(trainer.precision_plugin, "scaler", None) is None:
            self._losses.expect(loss, trainer.accumulate_grad_batches)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate where a step is due."""
        self._losses.add(outputs, trainer.accumulate_grad_batches)
        if self._pace.due(trainer.global_step, self._ranks):
            self._evaluate(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluate the trained model, draw, and report what it took."""
        step = trainer.global_step
        if self._pace.last != step:
            self._evaluate(trainer, pl_module, end=not self._pace.is_multiple(step))
        if self._losses.metric is not None and self._losses.metric not in trainer.callback_metrics:
            logged = ", ".join(trainer.callback_metrics) or "none"
            rank_zero_warn(f"no metric {self._losses.metric!r} was logged to stand as loss; logged were: {logged}.")
        self._close(pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was found before the training stopped."""
        self._close(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The history, for the Trainer's checkpoints."""
        return {
            "ledger": self._ledger.state_dict(),
            "pace": self._pace.state_dict(),
            "losses": self._losses.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of a checkpoint."""
        self._ledger.load_state_dict(state_dict["ledger"])
        self._pace.load_state_dict(state_dict["pace"])
        self._losses.load_state_dict(state_dict["losses"])

    # ------------------------------------------------------------------ what the hooks do

    def _described(self) -> dict[str, Any]:
        """What a history depends on; live objects stand in it by their class."""
        given = {"data": self._data, "labels": self._labels, "tokenizer": self._tokenizer}
        return {
            "name": self._name,
            **{key: plain_value(value) for key, value in given.items()},
            "model": self._path,
            "loss": self._losses.metric,
            "every_n_steps": self._pace.every,
            **plain(self._config),
        }

    def _new_ledger(self) -> Ledger:
        return Ledger({**self._settings, "max_overhead": self._pace.max_overhead})

    def _begin(self, trainer: L.Trainer, step: int) -> None:
        """Go on with the history where it belongs to this training, or else begin a new one."""
        if self._watch is None:
            return
        new = ""
        if self._pace.went_back(step) or (step == 0 and self._pace.last is not None):
            new = f"the training is at step {step:,}, and boundaries were followed to {self._pace.last:,} before"
        elif not self._ledger.fits(self._watch):
            new = "the model or the held-out corpus is not the one whose boundaries were followed before"
        if self._ranks.broadcast(new):
            rank_zero_warn(f"{new}: their history begins anew.")
            self._ledger = self._new_ledger()
            self._losses.clear()
            self._pace.forget()
        self._ledger.history.drop_end()
        self._ledger.begin(self._watch, self._folder(trainer))

    def _folder(self, trainer: L.Trainer) -> Path:
        root = trainer.log_dir or trainer.default_root_dir
        if self._out is not None:
            return self._out
        if "://" in str(root):
            raise UserError(f"the Trainer's folder {root} is not on this machine: give BoundaryDrift out= too.")
        return Path(root) / ("drift" if self._name == "mspgt" else f"drift-{self._name}")

    def _evaluate(self, trainer: L.Trainer, pl_module: L.LightningModule, *, end: bool = False) -> str:
        """Add a point. Whatever goes wrong, the training goes on, on all ranks; the answer is what went wrong."""
        failed, step, began = "", trainer.global_step, time.perf_counter()
        with random_state(pl_module):
            try:
                self._add(trainer, step, began, end)
            except Exception as error:  # a fault of the analysis must not end the training
                failed = one_line(error)
                self._ledger.left_out.append(f"step {step:,} was left out: {failed}")
                rank_zero_warn(f"boundaries at {self._ledger.left_out[-1]}")
            else:
                if not end:
                    self._losses.clear()
                self._show(trainer, step)
        self._pace.evaluated(step, time.perf_counter() - began)
        return failed

    def _add(self, trainer: L.Trainer, step: int, began: float, end: bool) -> None:
        outcome = None if self._watch is None else self._watch.evaluate()
        if outcome is None:
            return
        loss = self._losses.mean(trainer.callback_metrics)
        before = self._ledger.history.points[-1:]
        point = self._ledger.add(step, outcome, loss=loss, seconds=time.perf_counter() - began, end=end)
        for sentence in point.left_out:
            if all(sentence not in other.left_out for other in before):
                rank_zero_warn(f"boundaries at step {step:,}: {sentence}")

    def _show(self, trainer: L.Trainer, step: int) -> None:
        """Give the point of a step, where this process has it, to loggers, and write what there is."""
        history = self._ledger.history
        if history.step != step:
            return
        log_scalars(trainer, history.points[-1], self._name)
        with attempted("boundary drift could not be written"):
            drift = self._ledger.drift(self._pace.overhead)
            drift.save_data(self._ledger.folder)
            if self._figures:
                log_figure(trainer, drift.plot(), f"{self._name}/drift", step)

    def _words(self) -> str:
        points = self._ledger.history.points
        return in_brief(points[-1]) if points else ""

    def _close(self, pl_module: L.LightningModule) -> None:
        """Draw what was found and say where it is; the Trainer's bar as it was, the corpus forgotten."""
        from mspgt.show.drift.prose import describe_overhead, headline  # matplotlib is paid for when something is shown

        if self._watch is None:
            return
        self._pace.stop()
        self._watch = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        with random_state(pl_module), attempted("the page of the boundary drift could not be written"):
            if (drift := self.drift) is not None:
                drift.save(self._ledger.folder)
                page = self._ledger.folder / "report.html"
                evaluations = describe_overhead(drift.overhead)
                rank_zero_info(f"Boundary drift: {headline(drift)} Evaluations: {evaluations}. Written: {page}")
