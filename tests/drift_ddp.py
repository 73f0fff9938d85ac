"""Trainings by two processes, one after the other, each noted for the test that starts them in a FOLDER."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent))
import drift_training as t

from mspgt.callbacks import BoundaryDrift, boundary_drift, pace
from mspgt.callbacks.sharing import ranks_of
from mspgt.core.errors import UserError
from mspgt.experiments.loop import quiet_libraries
from mspgt.plugins.signals.attention.attention import AttentionDrift
from mspgt.results.drift import Drift

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


def training(
    folder: Path, name: str, drift: BoundaryDrift | None, during: Hooks | None = None, keep: bool = False, **how: Any
) -> None:
    """Train on two processes, and note what was seen, what was said, and how often was evaluated."""
    found: dict[str, Any] = {}
    before = collectives()
    with during() if during else nullcontext():
        try:
            given = {"steps": STEPS} | how
            seen, trainer = t.train(folder / name, *([drift] if drift else []), devices=2, strategy="ddp", **given)
            found |= observed(seen)
            if keep:
                trainer.save_checkpoint(folder / f"{name}.ckpt")
        except UserError as error:
            found["error"] = str(error)
    found["collectives"] = collectives() - before
    if drift is not None:
        found["last"], found["drift"] = drift._pace.last, drift.drift is not None
        found["skipped"] = drift._pace.overhead.skipped
    note(folder, name, found)


def collectives() -> int:
    """How many the processes of the training made until now."""
    return dist.group.WORLD._get_sequence_number_for_group() if dist.is_initialized() else 0


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


def not_finite_on_the_second(after: int) -> Any:
    """A training whose model gives NaN on rank 1 when the corpus is run through it, after so many steps."""
    made = t.Training(t.llama())

    def spoil(block: Any, _: Any, output: Any) -> Any:
        of_corpus = not block.training and output.shape[1] > 5  # five tokens have the proof that capture works
        spoilt = RANK == 1 and of_corpus and made.global_step >= after
        return torch.full_like(output, torch.nan) if spoilt else output

    made.model.model.layers[3].register_forward_hook(spoil)
    return made


@contextmanager
def clocks_differ() -> Iterator[None]:
    """By the second rank's clock everything is free, by the first's an evaluation takes most of the time."""
    speed = {0: 1.0, 1: 1e-6}[RANK]
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() * speed)
    with patch.object(pace, "time", clock), patch.object(boundary_drift, "time", clock):
        yield


def counted(made: list[Any]) -> Any:
    """Notes each group of processes that is made."""
    make = dist.new_group

    def new_group(*arguments: Any, **named: Any) -> Any:
        made.append(named)
        return make(*arguments, **named)

    return patch.object(dist, "new_group", new_group)


class Silent(dist.ProcessGroup):
    """A default group through which nothing can be said."""

    def getBackendName(self) -> str:
        return "silent"


def beside_a_group_that_cannot_speak(folder: Path) -> None:
    """All exchanges where the default group is of another kind, and every use of it would fail."""
    dist.destroy_process_group()
    dist.Backend.register_backend("silent", lambda store, rank, size, timeout: Silent(rank, size), devices=["cpu"])
    dist.init_process_group("silent", init_method=f"file://{folder}/meeting", rank=RANK, world_size=2)
    ranks = ranks_of(SimpleNamespace(world_size=2))
    brought = {"numbers": torch.arange(3)[:, None].expand(3, 2), "none": torch.empty(0, 4), "one": torch.tensor(RANK)}
    gathered = ranks.gather(brought)
    note(
        folder,
        "silent",
        {
            "gathered": gathered and [{name: tensor.tolist() for name, tensor in given.items()} for given in gathered],
            "exchanged": ranks.exchange(f"rank {RANK}"),
            "broadcast": ranks.broadcast(f"rank {RANK}"),
        },
    )


def main(folder: Path) -> None:
    quiet_libraries()
    faulthandler.dump_traceback_later(200, exit=True)  # where each process waits, should they wait for ever

    def drift(name: str, **given: Any) -> BoundaryDrift:
        return t.boundary_drift(**{"out": folder / name / "drift", "batch_tokens": 60} | given)

    groups: list[Any] = []
    with counted(groups), patch.object(Drift, "save", Drift.save_data):  # figures take longer than all else
        training(folder, "bare", None)
        training(folder, "watched", drift("watched"))
        training(folder, "one_batch", drift("one_batch", batch_tokens=4096))
        passes = {"data": t.LABELLED, "plugins": "cka,probe,attn", "probe": t.PROBE, "attn": {"heads": "matched"}}
        training(folder, "passes", drift("passes", **passes))
        training(folder, "plugin", drift("plugin"), attention_raises_on_the_second)
        training(folder, "stops", drift("stops"), module=lambda: not_finite_on_the_second(1))
        training(folder, "never", drift("never"), module=lambda: not_finite_on_the_second(0))
        training(folder, "clocks", drift("clocks", every_n_steps=1, max_overhead=0.3), clocks_differ)
        other = [*t.TEXTS[:-1], "Something else stands here. It is not the same."]
        training(folder, "differs", drift("differs", data=on_rank(1, there=other, elsewhere=t.TEXTS)))
        missing = on_rank(1, there=str(folder / "nowhere.txt"), elsewhere=t.TEXTS)
        training(folder, "missing", drift("missing", data=missing))
        training(folder, "resumed", drift("resumed"), keep=True, steps=4)
        training(folder, "resumed", drift("resumed"), ckpt_path=folder / "resumed.ckpt")
    note(folder, "groups", len(groups))
    beside_a_group_that_cannot_speak(folder)
    dist.destroy_process_group()  # with the interpreter still whole


if __name__ == "__main__":
    main(Path(sys.argv[1]))
