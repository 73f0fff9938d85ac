"""Keys that several verbs share: where work is kept, and what it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mspgt.core.options import option


@dataclass(frozen=True)
class Place:
    """Where work is kept."""

    out: str | None = option(None, "output directory; a fresh one under runs/ where none")
    overwrite: bool = option(False, "replace what is finished in `out`")
    resume: bool = option(False, "go on with what was interrupted in `out`")


@dataclass(frozen=True)
class Machine(Place):
    """What work runs on."""

    dtype: str = option(
        "auto",
        "precision of the weights; auto: float32 on a CPU, the checkpoint's own elsewhere",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    device_map: str | None = option(
        None, "spread one model over devices, as transformers does it (auto, balanced, ...)"
    )
    accelerator: str = option("auto", "Lightning accelerator (auto, cpu, gpu, ...)")
    devices: str = option("1", "Lightning devices: a number, a list, or auto")
    num_nodes: int = option(1, "machines that share the output directory", low=1)
    strategy: str = option("auto", "Lightning strategy (auto, ddp, ...)")
    seed: int = option(0, "seed of everything random", low=0)
    offline: bool = option(False, "never ask the network")


def resolved(directory: str) -> Path:
    """A directory by its one absolute name."""
    return Path(directory).expanduser().resolve()
