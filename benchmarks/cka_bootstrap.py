"""How long the document bootstrap of CKA takes: `prepare` once, then 1,000 replicates of all transitions.

    python benchmarks/cka_bootstrap.py [--dims 512 2048] [--rows 10000] [--layers 32] [--documents 60]

Rows are random; what is timed are the signal's own `prepare` and `curve`, on two threads of the CPU or on the GPU
where there is one. The naive way, beside it, forms the biased CKA of each resampled set of rows anew in feature
space, for one replicate and one transition, and is scaled up.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Shown

from mspgt.core.key import Key
from mspgt.core.state import State, Table, Units
from mspgt.plugins.signals.cka.cka import CKA

THREADS = 2
REPLICATES = 1000


def rows(dim: int, options: argparse.Namespace) -> State:
    """A state of random rows, equally many for each document."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(options.rows, options.layers, dim, generator=generator, dtype=torch.float32).bfloat16()
    keys = tuple(Key("random", f"{i:05d}", 0) for i in range(options.documents))
    sequence = torch.arange(options.rows) * options.documents // options.rows
    return State(keys, {"rows": Table(sequence, {"hidden": hidden, "sentence": torch.arange(options.rows)})})


def naive(state: State, weights: np.ndarray) -> float:
    """Seconds of one replicate of one transition, by writing the resampled rows out."""
    table = state.tables["rows"]
    chosen = torch.arange(len(table.sequence)).repeat_interleave(torch.from_numpy(weights)[table.sequence])
    start = time.perf_counter()
    x, y = (table.columns["hidden"][chosen, layer].float() for layer in (0, 1))
    x, y = x - x.mean(0), y - y.mean(0)
    float((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--documents", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shown = Shown(
        title=f"CKA, {options.layers} layers, {options.rows} rows, {options.documents} documents, "
        f"{REPLICATES} replicates, {device}"
    )
    for name in ("dim", "prepare, s", "all replicates, s", "naive replicates (scaled up), s"):
        shown.add_column(name, justify="right")
    resampled = np.random.default_rng(0).multinomial(
        options.documents, [1 / options.documents] * options.documents, REPLICATES
    )
    for dim in options.dims:
        state, signal = rows(dim, options), CKA(device=device)
        start = time.perf_counter()
        prepared = signal.prepare(state, None, Units.of(state.keys))
        ready = time.perf_counter()
        signal.curve(prepared, torch.from_numpy(resampled).double(), None).sum().item()
        done = time.perf_counter()
        scaled = naive(state, resampled[0]) * REPLICATES * (options.layers - 1)
        shown.add_row(str(dim), f"{ready - start:.1f}", f"{done - ready:.2f}", f"{scaled:,.0f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
