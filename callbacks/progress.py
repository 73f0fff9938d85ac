"""Progress of an analysis: a Rich bar with rate and time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mspgt.measure.collector import sentences

PLAIN_SECONDS = 10.0


class Progressing(L.Callback):
    """Shows how much has been done, how fast, and how long it will take.

    Parameters
    ----------
    console: where to show it (standard error).
    title: what is being done.
    total: how many there are, where known.
    done: how many need not be done again.
    unit: what is counted.
    count: how many a batch holds.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        total: int | None,
        done: int = 0,
        unit: str = "sentences",
        count: Callable[[Any], int] | None = None,
    ) -> None:
        self._console, self._title, self._total, self._done = console, title, total, done
        self._unit, self._count = unit, count or (lambda batch: sum(sentences(batch)))
        self._start_done = done
        self._bar: Progress | None = None

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar on the first rank."""
        self._started = self._said = time.monotonic()
        if trainer.global_rank != 0 or not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{self._unit}, {{task.fields[rate]}}/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(self._title, total=self._total, completed=self._done, rate="–")
        self._bar.start()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance by the batch; other ranks are assumed to go at the same speed."""
        self._done += self._count(batch.batch) * trainer.world_size
        if trainer.global_rank != 0:
            return
        now = time.monotonic()
        rate = (self._done - self._start_done) / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:,.0f}")
        elif now - self._said > PLAIN_SECONDS:
            self._said = now
            left = (
                f", {(self._total - self._done) / rate:.0f} s left" if self._total and self._total > self._done else ""
            )
            of = f" of {self._total:,}" if self._total else ""
            self._console.print(f"{self._title}: {self._done:,}{of} {self._unit}, {rate:,.0f}/s{left}")

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar before a message is printed."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
