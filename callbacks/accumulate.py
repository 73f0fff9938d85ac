"""Accumulation: takes the states of each batch from the predict loop and keeps them in shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L

from mspgt.core.state import State
from mspgt.measure.shards import write_shard

FLUSH_BYTES, FLUSH_SECONDS = 16 << 20, 10.0


class Accumulate(L.Callback):
    """Writes the states of finished batches to shards: when they grow large, every ten seconds, and at the end.

    A shard holds whole batches only, so that after a kill at any moment the sequences in shards are exactly those
    that need not be seen again.

    Parameters
    ----------
    folder: where the shards of this pass go.
    merged: makes one state of each signal from those of several batches (`Collector.merged`).
    """

    def __init__(self, folder: Path, merged: Callable[[Sequence[Mapping[str, State]]], dict[str, State]]) -> None:
        self.folder = folder
        self._merged = merged
        self._pending: list[Mapping[str, State]] = []
        self._bytes = 0
        self._flushed = time.monotonic()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the states of a batch."""
        self._pending.append(outputs)
        self._bytes += sum(state.nbytes for state in outputs.values())
        if self._bytes > FLUSH_BYTES or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush(trainer)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the rest."""
        self._flush(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep what was computed before the error or the interrupt."""
        self._flush(trainer)

    def _flush(self, trainer: L.Trainer) -> None:
        pending, self._pending, self._bytes = self._pending, [], 0
        self._flushed = time.monotonic()
        if not pending:
            return
        merged = self._merged(pending)
        rank = trainer.global_rank
        number = 1 + max((int(p.stem.split("-")[1]) for p in self.folder.glob(f"{rank:04d}-*.safetensors")), default=0)
        write_shard(self.folder / f"{rank:04d}-{number:06d}.safetensors", merged)
