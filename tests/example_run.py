"""Runs without a model, made by what makes real ones: signals with two planted boundaries, evaluated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mspgt.contracts.series import HeatMap, Lines, Series
from mspgt.contracts.signal import Report, SumSignal
from mspgt.core.key import Key
from mspgt.core.provenance import Provenance
from mspgt.core.state import State, Table
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.evaluate import Measured, Rule, evaluate
from mspgt.models.facts import ModelFacts
from mspgt.results.run import Run
from mspgt.stats.boundaries import STATUS, Boundary, Verdict

MODEL = ModelFacts("example-7b", "llama", 32, 4096, 32, 6_738_415_616, "bfloat16")
DATA = CorpusFacts(
    name="wiki.valid.tokens",
    documents=60,
    sentences=7_812,
    sequences=7_812,
    tokens=241_859,
    tokens_masked=8_204,
    tokens_massive=12,
    labels={"pos": 25_147, "dep": 21_996, "ner": 1_903, "srl": 9_771},
    flags=(),
)
PROVENANCE = Provenance(
    mspgt="0.1.0",
    git=None,
    python="3.11.15",
    packages={"torch": "2.13.0", "numpy": None},
    device="cpu",
    dtype="bfloat16",
    world_size=1,
    sequences_resumed=0,
    seed=0,
    command="mspgt run plugins=cka,probe,attn model=example-7b data=wiki.valid.tokens",
    started="2026-01-05T09:30:00Z",
    seconds=512.3,
    data_sha256={"data": "6b1f" * 16},
    model_sha256="9c0e" * 16,
)
SETTINGS = {"preset": "default", "seed": 0, "bootstrap": 200, "cka": {"estimator": "debiased"}}


class Ratio(SumSignal):
    """The ratio of two sums."""

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        return sums[..., 0] / sums[..., 1]


class Cka(Ratio):
    weight = 1.0
    series = (Series("similarity", "block", columns="block"),)
    figures = (HeatMap("cka-matrix", "similarity", "Similarity of blocks (CKA)", highest=1.0, caption="By CKA."),)

    def report(self, prepared: Any) -> Report:
        blocks = np.arange(prepared.shape[1] + 1)
        similarity = np.exp(-np.abs(blocks[:, None] - blocks) / len(blocks))
        return Report((), {"estimator": "debiased"}, {"similarity": similarity})


class Probe(Ratio):
    weight = 0.8
    series = (Series("f1", "block", columns="task", folded=False), Series("loss", "epoch"))
    figures = (Lines("probe-f1", ("f1",), "What probes read from each block", "F1", (0.0, 1.0), "F1 of the probes."),)

    def report(self, prepared: Any) -> Report:
        blocks = np.arange(prepared.shape[1] + 1) / prepared.shape[1]
        f1 = {task: top * (0.7 + 0.3 * blocks) for task, top in (("pos", 0.92), ("dep", 0.81), ("ner", 0.74))}
        tasks = {task: {"converged": True, "instances": {"train": 6_000, "test": 2_500}} for task in f1}
        return Report((), {"tasks": tasks}, {"f1": f1, "loss": [1.0, 0.5, 0.25]}, 0.04)


class Attn(Ratio):
    weight = 0.6
    unit = "bit"

    def report(self, prepared: Any) -> Report:
        return Report((), {"heads": "mean", "sink": "keep"})


def planted(n_layers: int, at: tuple[int, int], documents: int, seed: int) -> State:
    """Sums of two sentences a document, whose ratio has bumps at the given transitions."""
    rng = np.random.default_rng(seed)
    level = 2 + 0.05 * rng.standard_normal(n_layers - 1)
    level[[layer - 1 for layer in at if layer < n_layers]] += 1
    counts = rng.integers(5, 20, (2 * documents, 1)).astype(float) * np.ones(n_layers - 1)
    values = counts * (level + 0.05 * rng.standard_normal(counts.shape))
    sums = torch.from_numpy(np.stack([values, counts], axis=-1))
    keys = tuple(Key("text", f"{i // 2:04d}", i % 2) for i in range(2 * documents))
    return State(keys, {"sums": Table(torch.arange(len(sums)), {"sums": sums})})


def example_run(
    n_layers: int = 32, *, accepted: bool = True, intervals: bool = True, extra_signals: int = 0, seed: int = 0
) -> Run:
    """A run whose signals stand out at a third and at two thirds of the depth.

    Parameters
    ----------
    n_layers: blocks; fewer than 12 give the status too_shallow and no boundaries.
    accepted: whether our rule accepts the boundaries; otherwise they are there, with status unstable.
    intervals: False gives none, as there are six documents.
    extra_signals: how many signals beside cka, probe and attn.
    """
    at = (max(1, round(n_layers / 3)), max(2, round(2 * n_layers / 3)))
    kinds: dict[str, type[Ratio]] = {"cka": Cka, "probe": Probe, "attn": Attn}
    kinds |= {f"extra{i + 1}": Ratio for i in range(extra_signals)}
    documents = 60 if intervals else 6
    measured = {
        name: Measured(kind(), planted(n_layers, at, documents, seed + i), None, "data")
        for i, (name, kind) in enumerate(kinds.items())
    }
    found = evaluate(measured, n_layers, Rule({}, None, 200, seed))
    verdicts = dict(found.verdicts)
    if not accepted and intervals and n_layers >= 12:
        verdicts["mspgt"] = refused(verdicts["mspgt"])
    return Run(
        model=replace(MODEL, n_layers=n_layers),
        data=replace(DATA, documents=documents),
        signals=found.signals,
        verdicts=verdicts,
        bootstrap=found.bootstrap,
        provenance=PROVENANCE,
        notes=(*found.notes, "8,204 of 241,859 tokens were masked."),
        left_out=tuple(found.left_out),
        settings=SETTINGS,
    )


def refused(verdict: Verdict) -> Verdict:
    """The same with boundaries that move by four layers."""
    lower, upper = map(_wide, verdict.boundaries)
    return replace(
        verdict,
        accepted=False,
        status="unstable",
        reasons=("the interval is 8 layers wide.",),
        meaning=STATUS["unstable"].meaning,
        local_intermediate=lower,
        intermediate_global=upper,
    )


def _wide(boundary: Boundary) -> Boundary:
    ends = (boundary.layer - 4, boundary.layer + 4)
    return replace(boundary, ci=ends, ci_width=8, hpd=tuple(range(ends[0], ends[1] + 1)))


def with_signal(run: Run, name: str, **changes: Any) -> Run:
    """The same run with other fields of one signal."""
    return replace(run, signals={**run.signals, name: replace(run.signals[name], **changes)})
