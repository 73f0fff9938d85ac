"""How long evaluation takes: 1,000 document-bootstrap replicates of cka, probe and attn, fusion and peaks included.

States are synthetic, of the size of a real run; what is timed is the real `evaluate` on the real signals. `prepare`,
which is paid once whatever the number of replicates, is reported apart.

    python benchmarks/bootstrap.py [rows=10000] [dim=128] [blocks=32] [documents=60] [replicates=1000]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Shown

from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.measure.evaluate import Evaluation, Measured, Rule, evaluate
from mspgt.plugins.signals.attention.attention import READINGS, AttentionDrift
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.plugins.signals.probe.probe import Probe
from mspgt.testing import measure, planted_cka_layers, planted_corpus, planted_steps

TARGET = 5.0
"""seconds after `prepare`"""


def keys(documents: int, sequences: int) -> tuple[Key, ...]:
    """Sequences spread evenly over documents, in canonical order."""
    return tuple(Key("text", f"{i * documents // sequences:04d}", i) for i in range(sequences))


def cka(rows: int, dim: int, blocks: int, documents: int, boundaries: tuple[int, int]) -> Measured:
    """One row per sequence, with CKA planted low at the boundaries."""
    layers, _ = planted_cka_layers(planted_steps(blocks, boundaries), rows=rows, dim=dim)
    hidden = layers[1:].transpose(0, 1).contiguous()  # (row, layer, dim)
    state = State(keys(documents, rows), {"rows": Table(torch.arange(rows), {"hidden": hidden})})
    return Measured(CKA(), state, None, "text")


def attention(rows: int, blocks: int, documents: int, boundaries: tuple[int, int]) -> Measured:
    """Sums of drift per sequence, higher at the boundaries."""
    rng = np.random.default_rng(0)
    level = 0.05 * np.exp(0.2 * rng.standard_normal(blocks - 1))
    level[np.array(boundaries) - 1] *= 3
    counted = rng.integers(5, 30, (rows, 1, 4, 1)) * np.ones((rows, blocks - 1, 4, len(READINGS)))
    drift = counted * level[:, None, None] * (1 + 0.3 * rng.standard_normal(counted.shape))
    sums = torch.from_numpy(np.stack([drift, counted], axis=-1))
    state = State(keys(documents, rows), {"sums": Table(torch.arange(rows), {"drift": sums})})
    return Measured(AttentionDrift(), state, None, "text")


def probe(blocks: int, documents: int) -> Measured:
    """Probes trained on a few labelled sentences: the bootstrap's cost does not depend on how many there are."""
    corpus = planted_corpus(documents=documents, blocks=blocks, dim=8, heads=1)
    signal = Probe(epochs=2)
    found = measure(signal, corpus.batches(40))
    return Measured(signal, found.state, found.fitted, "labels")


def run(rows: int, dim: int, blocks: int, documents: int, replicates: int) -> tuple[Evaluation, float]:
    """Evaluate all three signals; the second value is the wall-clock time of everything."""
    boundaries = (round(blocks / 3), round(2 * blocks / 3))
    measured = {
        "cka": cka(rows, dim, blocks, documents, boundaries),
        "probe": probe(blocks, documents),
        "attn": attention(rows, blocks, documents, boundaries),
    }
    start = time.perf_counter()
    evaluation = evaluate(measured, blocks, Rule({}, None, replicates, 0))
    return evaluation, time.perf_counter() - start


def main(arguments: Sequence[str]) -> None:
    """Read the sizes, evaluate, print the table."""
    sizes = {"rows": 10_000, "dim": 128, "blocks": 32, "documents": 60, "replicates": 1_000}
    sizes |= {name: int(value) for name, value in (argument.split("=", 1) for argument in arguments)}
    evaluation, total = run(**sizes)
    spent = evaluation.seconds
    after = spent["replicates"] + spent["boundaries"]
    table = Shown(title=", ".join(f"{name}={value:,}" for name, value in sizes.items()))
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_row("prepare, all signals", f"{spent['prepare']:.2f}")
    table.add_row("replicates, all signals", f"{spent['replicates']:.2f}")
    table.add_row("fusion, peaks and tests, both rules", f"{spent['boundaries']:.2f}")
    table.add_row("after prepare", f"{after:.2f}", style="bold")
    table.add_row("everything", f"{total:.2f}")
    console = Console()
    console.print(table)
    console.print(f"target after prepare: under {TARGET:g} s; {torch.get_num_threads()} threads.")
    for sentence in (*evaluation.left_out, evaluation.verdicts["mspgt"]["meaning"]):
        console.print(sentence)


if __name__ == "__main__":
    main(sys.argv[1:])
