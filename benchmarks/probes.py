"""What a probe costs and how well it reads: banks of probes against a loop over scikit-learn's MLPClassifier.

    python benchmarks/probes.py [data=grammar] [limit=1500] [model=minilm] [seeds=2] [threads=2] [device=cpu]

Both train one hidden layer of 128 on the same standardised vectors of the same documents, and are scored on the same
test documents. The bank trains all layers and seeds of a task together for a fixed number of epochs; scikit-learn
trains one probe after the other and stops each when its own validation score no longer rises.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from mspgt import data, models
from mspgt.core.state import State, Units, merge
from mspgt.measure.collector import Collector
from mspgt.models.capture import Capture
from mspgt.plugins.signals.probe import tasks as probe_tasks
from mspgt.plugins.signals.probe.f1 import f1, label_counts, micro_f1
from mspgt.plugins.signals.probe.probe import Probe
from mspgt.plugins.signals.probe.spans import Scheme, span_counts
from mspgt.plugins.signals.probe.tasks import TEST, TRAIN, Task
from mspgt.plugins.signals.probe.vectors import standardised


@dataclass
class Trained:
    """What one way of training gave."""

    seconds: float
    """per probe"""
    f1: dict[str, float]
    """task -> mean over layers and seeds"""
    epochs: float
    """mean number"""

    @property
    def mean(self) -> float:
        """Mean over tasks."""
        return sum(self.f1.values()) / len(self.f1)


def collect(signal: Probe, corpus: str, limit: int, model: str) -> State:
    """The labelled rows of a corpus at every layer of a model."""
    loaded = models.load(model, offline=True)
    reading = data.Reading(
        data.load(corpus, limit=limit), loaded.tokenizer, max_length=256, batch_tokens=4096, context="sentence"
    )
    collector = Collector({"probe": signal})
    with Capture(loaded.model, loaded.blocks, attention=False) as capture:
        return merge(collector.observe(capture, batch)["probe"] for batch in reading.batches(signal.options.tasks))


def bank(signal: Probe, state: State) -> Trained:
    """All probes by batched matrix products."""
    start = time.perf_counter()
    fitted = signal.fit("observe", state)
    seconds = time.perf_counter() - start
    prepared = signal.prepare(state, fitted, Units.of(state.keys))
    tasks, layers, seeds = prepared.counts.shape[:3]
    score = f1(prepared.counts.sum(3)).mean((1, 2))
    return Trained(
        seconds / (tasks * layers * seeds),
        dict(zip(prepared.tasks, score.tolist(), strict=True)),
        signal.options.epochs,
    )


def loop(signal: Probe, state: State, tasks: Sequence[str]) -> Trained:
    """The same probes by scikit-learn, one after the other."""
    parts = probe_tasks.split(state, signal.seed)
    training = (parts[state.tables["vectors"].sequence] == TRAIN).nonzero().squeeze(1)
    read = {name: task for name in tasks if (task := probe_tasks.read_task(state, name, parts)) is not None}
    scores: dict[str, list[float]] = {name: [] for name in read}
    seconds, epochs = 0.0, []
    for _, features in standardised(state, training, "cpu"):
        for vectors in features:
            for name, task in read.items():
                inputs = vectors[task.rows].flatten(1).numpy()  # -1 is the last row
                train, test = task.chosen(TRAIN), task.chosen(TEST)
                for seed in range(signal.options.seeds):
                    probe = MLPClassifier((signal.options.hidden,), early_stopping=True, random_state=seed)
                    start = time.perf_counter()
                    probe.fit(inputs[train], task.target[train].numpy())
                    seconds += time.perf_counter() - start
                    epochs.append(probe.n_iter_)
                    scores[name].append(score(name, task, torch.from_numpy(probe.predict(inputs[test]))))
    return Trained(seconds / len(epochs), {n: sum(s) / len(s) for n, s in scores.items()}, sum(epochs) / len(epochs))


def score(name: str, task: Task, predicted: Tensor) -> float:
    """Micro F1 on the test documents."""
    test = task.chosen(TEST)
    gold, unit = task.target[test], torch.zeros(len(test), dtype=torch.int64)
    if name == "ner":
        counts = span_counts(gold, predicted[None], task.sentence[test], unit, 1, Scheme.of(task.names))
    else:
        counts = label_counts(gold, predicted[None], len(task.names), unit, 1)
    return float(micro_f1(counts)[0, 0])


def main(arguments: Sequence[str]) -> None:
    """Read the settings, train both ways, print the table."""
    settings = {"data": "grammar", "limit": "1500", "model": "minilm", "seeds": "2", "threads": "2", "device": "cpu"}
    settings |= dict(argument.split("=", 1) for argument in arguments)
    warnings.filterwarnings("ignore", module="sklearn")  # classes with few members in its validation split
    threads = int(settings["threads"])
    torch.set_num_threads(threads)
    signal = Probe(seeds=int(settings["seeds"]), control=False, device=settings["device"])
    state = collect(signal, settings["data"], int(settings["limit"]), settings["model"])
    ours = bank(signal, state)
    with threadpool_limits(threads):
        theirs = loop(signal, state, list(ours.f1))
    table = Table(title=", ".join(f"{name}={value}" for name, value in settings.items()))
    for column in ("", "bank", "MLPClassifier"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("seconds per probe", f"{ours.seconds:.3f}", f"{theirs.seconds:.3f}", style="bold")
    table.add_row("epochs", f"{ours.epochs:g}", f"{theirs.epochs:.1f} (stopped early)")
    for name in ours.f1:
        table.add_row(f"F1 {name}", f"{ours.f1[name]:.4f}", f"{theirs.f1[name]:.4f}")
    table.add_row("F1, mean over tasks", f"{ours.mean:.4f}", f"{theirs.mean:.4f}", style="bold")
    console = Console()
    console.print(table)
    console.print(
        f"{theirs.seconds / ours.seconds:.1f} times faster per probe (target: 2), "
        f"F1 {ours.mean - theirs.mean:+.4f} (target: no lower than -0.0050)."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
