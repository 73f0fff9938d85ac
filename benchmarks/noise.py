"""What counter-based noise costs: its time over that of `torch.randn` of the same shape.

    python benchmarks/noise.py [device=cpu]

Shapes are those of generation: a decoding step of 64 prompts and their prefill at a small and a large width, and one
step's Gumbel noise for a small and a large vocabulary. Times are medians of interleaved repeats in one process: of one
processor core's time, so that other work on the machine does not count, or of the clock on an accelerator. The ratio
is that of each pair of repeats, with its quartiles; small shapes show the fixed cost of some 50 small operations.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mspgt.core.random import gaussian, gumbel

SECONDS = 1.0
"""for each shape"""
REPEATS = 15
"""at least"""
NOISE = ((64, 1, 96), (64, 16, 96), (64, 1, 4096), (64, 16, 4096))
"""(row, token, dim)"""
VOCABULARIES = ((64, 2048), (64, 150_000))
"""(row, vocabulary)"""


def timed(made: Callable[[], Tensor], device: torch.device) -> float:
    """Seconds of one call."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    made()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def compare(
    counted: Callable[[], Tensor], plain: Callable[[], Tensor], device: torch.device
) -> list[tuple[float, float]]:
    """Interleaved times of both, after one warm-up each."""
    timed(counted, device), timed(plain, device)
    times: list[tuple[float, float]] = []
    stop = time.perf_counter() + SECONDS
    while len(times) < REPEATS or time.perf_counter() < stop:
        times.append((timed(counted, device), timed(plain, device)))
    return times


def main() -> None:
    """Print one row per shape."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    device = torch.device(given.get("device", "cpu"))
    torch.set_num_threads(1)
    table = Table("noise", "shape", "counter-based", "torch.randn", "ratio", "quartiles", title=f"noise on {device}")
    for shape in (*NOISE, *VOCABULARIES):
        samples = torch.arange(shape[0], device=device)
        positions = torch.arange(shape[1], device=device).expand(shape[0], -1) if len(shape) == 3 else None

        def counted(samples: Tensor = samples, positions: Tensor | None = positions, width: int = shape[-1]) -> Tensor:
            return gumbel(0, samples, 1, width) if positions is None else gaussian(0, samples, 1, positions, width)

        def plain(shape: tuple[int, ...] = shape) -> Tensor:
            return torch.randn(shape, device=device)

        times = compare(counted, plain, device)
        ours, theirs = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        low, middle, high = statistics.quantiles([a / b for a, b in times], n=4)
        table.add_row(
            "gumbel" if positions is None else "gaussian",
            " x ".join(f"{size:,}" for size in shape),
            f"{ours:.3f} ms",
            f"{theirs:.3f} ms",
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
