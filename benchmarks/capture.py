"""What capture costs: its time over the bare forward pass, and time and memory against the naive way.

    python benchmarks/capture.py

A Llama of 12 layers x 512 dimensions x 8 heads, 2,048 tokens a batch, on a CPU. Compared with the bare forward pass
of the body are: hooks alone; a run's Collector with `cka` and `attn`; and the naive way, which keeps all hidden
states and eager attention and compares them afterwards. Times are medians of interleaved repeats within one process;
peak memory is the resident size of a fresh process for each way, less that of the bare forward pass.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel

from mspgt.contracts.batch import Batch
from mspgt.core.key import Key
from mspgt.measure.collector import Collector
from mspgt.models.blocks import find_blocks
from mspgt.models.capture import Capture
from mspgt.plugins.signals.attention.attention import AttentionDrift
from mspgt.plugins.signals.cka.cka import CKA

LENGTHS = (32, 128, 512)
TOKENS = 2048
SENTENCE = 20
"""tokens of a sentence"""
WAYS = ("bare", "hooks", "signals", "naive")


def build(implementation: str = "sdpa") -> nn.Module:
    """The Llama shape, with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8000,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=8,
        attn_implementation=implementation,
    )
    model: nn.Module = LlamaModel(config)
    return model.eval()


def make_batch(length: int, tokens: int = TOKENS) -> Batch:
    """Sequences of this length, 2,048 tokens in all."""
    count = tokens // length
    ids = torch.randint(8000, (count, length), generator=torch.Generator().manual_seed(0))
    everything = torch.ones_like(ids, dtype=torch.bool)
    content = everything.clone()
    content[:, 0] = False
    sentence = torch.where(content, torch.arange(length) // SENTENCE, -1)
    return Batch(tuple(Key("c", "d", i) for i in range(count)), ids, everything, content, sentence)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each row, in nats: (sequence, query, key) twice -> (sequence, query)."""

    def entropy(rows: Tensor) -> Tensor:
        total: Tensor = torch.special.entr(rows).sum(-1)
        return total

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def bare(model: nn.Module, batch: Batch) -> None:
    """The forward pass and nothing else."""
    with torch.no_grad():
        model(input_ids=batch.input_ids, attention_mask=batch.attention_mask.long(), use_cache=False)


def naive(model: nn.Module, batch: Batch) -> None:
    """Everything is kept by the model's own means, then compared."""
    with torch.no_grad():
        output = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask.long(),
            use_cache=False,
            output_hidden_states=True,
            output_attentions=True,
        )
        means = [weights.mean(1) for weights in output.attentions]
        for lower, upper in pairwise(means):
            divergence(lower, upper).sum()


def make_way(name: str) -> Callable[[Batch], None]:
    """One way of running a batch, on a model of its own."""
    model = build("eager" if name == "naive" else "sdpa")
    if name in ("bare", "naive"):
        use = bare if name == "bare" else naive
        return lambda batch: use(model, batch)
    capture = Capture(model, find_blocks(model), name == "signals").__enter__()  # for the life of the process
    if name == "hooks":
        return lambda batch: capture.run(batch, lambda layer: None)
    collector = Collector({"cka": CKA(), "attn": AttentionDrift()})

    def run(batch: Batch) -> None:
        collector.observe(capture, batch)

    return run


def times(length: int, repeats: int) -> dict[str, float]:
    """Median seconds of each way, interleaved so that a slow moment of the machine meets all of them."""
    batch, runs = make_batch(length), {name: make_way(name) for name in WAYS}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run(batch)
            if repeat > 1:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def peak(way: str, length: int) -> float:
    """Peak resident MiB of a fresh process that runs one way three times."""
    command = [sys.executable, __file__, "--peak", way, "--length", str(length)]
    # glibc gives freed blocks back at once: the peak is what is held, not how the heap happened to be cut
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def measure_peak(way: str, length: int) -> float:
    """What the fresh process does. Linux can forget the peak of building the model; elsewhere it counts too."""
    run, batch = make_way(way), make_batch(length)
    run(make_batch(32, 64))  # code and workspaces that every way loads once
    forget, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if forget.exists():
        forget.write_text("5")
    for _ in range(3):
        run(batch)
    if forget.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(measure_peak(options.peak, options.length))
        return
    table = Table(title=f"Capture, Llama 12 x 512 x 8 heads, {TOKENS} tokens a batch, {options.threads} threads")
    head = ("T", "bare, ms", "hooks / bare", "cka,attn / bare", "naive / bare", "cka,attn, MiB", "naive, MiB")
    for name in head:
        table.add_column(name, justify="right")
    for length in LENGTHS:
        seconds = times(length, options.repeats)
        memory = {way: peak(way, length) for way in ("bare", "signals", "naive")}
        table.add_row(
            str(length),
            f"{1000 * seconds['bare']:.0f}",
            *(f"{seconds[way] / seconds['bare']:.3f}" for way in ("hooks", "signals", "naive")),
            *(f"+{memory[way] - memory['bare']:.0f}" for way in ("signals", "naive")),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
