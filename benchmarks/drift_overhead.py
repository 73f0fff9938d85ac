"""What watching a training costs: the same steps without the callback, with it, and with its share capped.

    python benchmarks/drift_overhead.py [key=value ...]        (--help lists the keys)

The recipe of the reference models on the CPU, from the same seed three times. Printed are the times as ratios of the
bare training, the share that the callback reports beside the share that was measured from outside, and whether the
weights are the same to the last bit.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from reference_models import asks_for_help, explain, script
from reference_recipe import MEMBERS, make_tokenizer
from rich.console import Console
from rich.table import Table
from train_reference import Training
from transformers.utils import logging

from mspgt.callbacks import BoundaryDrift
from mspgt.config.keys import key_values
from mspgt.core.options import option, parse
from mspgt.experiments.loop import quiet_libraries


@dataclass(frozen=True)
class Settings:
    """Keys of this script."""

    steps: int = option(60, "training steps", low=2)
    every: int = option(10, "steps between evaluations", low=1)
    limit: int = option(500, "sentences of the held-out corpus", low=1)
    cap: float = option(0.1, "largest share of the time, where it is capped", low=0.0, high=1.0)
    threads: int = option(2, "processor cores", low=1)


def main(arguments: list[str]) -> None:
    """Train three times."""
    if asks_for_help(arguments):
        explain("drift_overhead.py", Settings)
        return
    settings = parse(Settings, key_values(arguments))
    quiet_libraries()
    logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    tokenizer = make_tokenizer("llama")
    train(tokenizer, settings, 5)  # what is loaded and compiled once is not counted
    bare, weights, _ = train(tokenizer, settings, settings.steps)
    title = f"{settings.steps} steps, evaluated every {settings.every} on {settings.limit} sentences"
    table = Table("training", "seconds", "x bare", "evaluations", "share measured", "reported", "weights", title=title)
    table.add_row("bare", f"{bare:.1f}", "1.00", "-", "-", "-", "-")
    for name, cap in {"watched": None, f"at most {settings.cap:g}": settings.cap}.items():
        seconds, found, drift = train(tokenizer, settings, settings.steps, max_overhead=cap)
        if drift is None:
            raise RuntimeError("the callback found nothing")
        same = all(torch.equal(found[key], weights[key]) for key in weights)
        table.add_row(
            name,
            f"{seconds:.1f}",
            f"{seconds / bare:.2f}",
            f"{len(drift.points)}",
            f"{1 - bare / seconds:.0%}",
            f"{drift.overhead.share:.0%}",
            "the same bits" if same else "CHANGED",
        )
    Console().print(table)


def train(tokenizer: Any, settings: Settings, steps: int, **watched: Any) -> tuple[float, dict[str, Any], Any]:
    """Seconds, weights at the end, and the drift where it was watched."""
    L.seed_everything(0, verbose=False)
    module = Training(MEMBERS["tiny-llama-a"], tokenizer, steps)
    with tempfile.TemporaryDirectory() as folder:
        drift = BoundaryDrift(
            "grammar", tokenizer, every_n_steps=settings.every, limit=settings.limit, out=Path(folder) / "d", **watched
        )
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=steps,
            logger=False,
            callbacks=[drift] if watched else [],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        started = time.perf_counter()
        trainer.fit(module)
        seconds = time.perf_counter() - started
        return seconds, module.model.state_dict(), drift.drift if watched else None


if __name__ == "__main__":
    script(main)
