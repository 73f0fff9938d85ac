"""Trainings by two processes, one after the other, each noted for the test that starts them in a FOLDER."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
import drift_training as t

from mspgt.analysis.loop import quiet_libraries
from mspgt.callbacks import BoundaryDrift, boundary_drift, pace
from mspgt.errors import UserError
from mspgt.passes import Passes
from mspgt.plugins.attn import AttentionDrift

RANK = int(os.environ.get("LOCAL_RANK", "0"))
STEPS = 7
Hooks = Callable[[], Any]


def digest(value: Any) -> str:
    """A hash of everything that can be seen of a training."""
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    if isinstance(value, dict):
        value = {str(key): digest(item) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        value = [digest(item) for item in value]
    return sha256(repr(value).encode()).hexdigest()


def observed(seen: t.Seen) -> dict[str, str]:
    kept = ("batches", "modes", "gradients", "requires", "rates", "attention", "steps", "randomness", "weights")
    return {name: digest(getattr(seen, name)) for name in (*kept, "optimizers", "metrics", "logged")}


def note(folder: Path, name: str, found: Any) -> None:
    (folder / f"{name}-{RANK}.json").write_text(json.dumps(found))


def training(folder: Path, name: str, drift: BoundaryDrift | None, during: Hooks | None = None) -> None:
    """Train on two processes, and note what was seen, what was said, and how often was evaluated."""
    found: dict[str, Any] = {}
    with during() if during else patch.dict({}):
        try:
            seen, _ = t.train(folder / name, *([drift] if drift else []), steps=STEPS, devices=2, strategy="ddp")
            found |= observed(seen)
        except UserError as error:
            found["error"] = str(error)
    if drift is not None:
        found["last"], found["drift"] = drift._pace.last, drift.drift is not None
        found["skipped"] = drift._pace.overhead.skipped
    note(folder, name, found)


def on_rank(rank: int, **given: Any) -> Any:
    """A value for one rank, another for the rest."""
    return given["there"] if rank == RANK else given["elsewhere"]


@contextmanager
def attention_raises_on_the_second() -> Iterator[None]:
    make = AttentionDrift.recorder

    def recorder(self: Any, *arguments: Any) -> Any:
        if RANK == 1:
            raise RuntimeError("no luck here")
        return make(self, *arguments)

    with patch.object(AttentionDrift, "recorder", recorder):
        yield


@contextmanager
def observing_fails_on_the_second() -> Iterator[None]:
    """Rank 1 cannot observe from the second evaluation on."""
    share, calls = Passes._share, iter(range(1000))

    def fails(self: Any, *arguments: Any) -> Any:
        if next(calls) > 0 and RANK == 1:
            raise UserError("this rank has seen enough.")
        return share(self, *arguments)

    with patch.object(Passes, "_share", fails):
        yield


@contextmanager
def clocks_differ() -> Iterator[None]:
    """By the second rank's clock everything is free, by the first's an evaluation takes most of the time."""
    speed = {0: 1.0, 1: 1e-6}[RANK]
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() * speed)
    with patch.object(pace, "time", clock), patch.object(boundary_drift, "time", clock):
        yield


def main(folder: Path) -> None:
    quiet_libraries()

    def drift(name: str, **given: Any) -> BoundaryDrift:
        return t.boundary_drift(**{"out": folder / name / "drift", "batch_tokens": 60} | given)

    training(folder, "bare", None)
    training(folder, "watched", drift("watched"))
    training(folder, "one_batch", drift("one_batch", batch_tokens=4096))
    training(folder, "plugin", drift("plugin"), attention_raises_on_the_second)
    training(folder, "stops", drift("stops"), observing_fails_on_the_second)
    training(folder, "clocks", drift("clocks", every_n_steps=1, max_overhead=0.3), clocks_differ)
    other = [*t.TEXTS[:-1], "Something else stands here. It is not the same."]
    training(folder, "differs", drift("differs", data=on_rank(1, there=other, elsewhere=t.TEXTS)))
    missing = on_rank(1, there=str(folder / "nowhere.txt"), elsewhere=t.TEXTS)
    training(folder, "missing", drift("missing", data=missing))
    training(folder, "again", drift("again"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
