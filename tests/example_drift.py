"""Drifts without a model: planted evaluations, which `History` turns into points and changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from example_run import DATA, MODEL, PROVENANCE
from numpy.typing import NDArray

from mspgt.measure.evaluate import Bootstrap, Evaluation, Replicates, SignalCurve
from mspgt.measure.history import History
from mspgt.results.drift import Drift, Overhead
from mspgt.stats.boundaries import RULES, STATUS, Boundary, Verdict
from mspgt.stats.boundaries.fusion import fuse
from mspgt.stats.curve import Curve

Ints = NDArray[np.int64]
Peaks = tuple[int, int]

REPLICATES = 200
SIGNALS = {"cka": (1.0, ""), "probe": (0.8, ""), "attn": (0.6, "bit")}
"""name -> weight, unit"""
FORMING = {"mspgt": ((0.2, "no_peak"), (0.35, "one_peak"), (0.7, "unstable")), "paper": ((0.1, "no_peak"),)}
"""rule -> (share of the points, status until there); later the boundaries are accepted"""
DRAWN = {"ok": (0.995, 0.25), "unstable": (0.97, 1.6), "one_peak": (0.3, 2.0)}
"""status -> share of the replicates with two peaks, and how far they spread"""


def example_drift(
    n_layers: int = 12,
    points: int = 9,
    *,
    accepted: bool = True,
    intervals: bool = True,
    source: str = "training",
    seed: int = 0,
) -> Drift:
    """A training in which boundaries form.

    With 12 blocks they stand out after blocks 2 and 10, move to 4 and 10 at 30% of the points and to 4 and 8 at 80%. By
    mspgt's rule there is at first no peak, then one, then two that are unstable, from 70% on two that are accepted; by
    the paper's rule there are two from 10% on. Steps are uneven, the last one is the end of training, and the third
    point has a note.

    Parameters
    ----------
    n_layers: blocks; fewer than 12 give the status too_shallow and no boundaries.
    accepted: whether mspgt's rule accepts boundaries at last; otherwise they stay unstable.
    intervals: False gives none, as for a corpus of fewer than 10 documents; nothing is accepted.
    source: "training", or "checkpoints", which have no losses and no overhead; they begin in the middle of training,
        so that two boundaries are there from the first point on.
    """
    rng, training = np.random.default_rng(seed), source == "training"
    steps = [100 * (i * (i - 1) // 2 + 1) if i else 0 for i in range(points + 1)]
    steps = steps[:points] if training else steps[1:]
    if training and points > 1:
        steps[-1] -= 50
    history = History()
    for i, (step, progress) in enumerate(zip(steps, np.linspace(0 if training else 0.5, 1, points), strict=True)):
        history.add(
            step,
            evaluation(n_layers, float(progress), rng, accepted=accepted, intervals=intervals),
            loss=2.9 + 5.1 * float(np.exp(-4 * progress)) if training and step else None,
            seconds=1.8 + 0.2 * float(rng.random()),
            end=training and 1 < points == i + 1,
            notes=["3 of 241,859 tokens more than at the step before are masked."] if points > 2 and i == 2 else (),
        )
    seconds = sum(point.seconds for point in history.points)
    return Drift.from_history(
        history,
        model=replace(MODEL, name="example-12", n_layers=n_layers, hidden_size=512, n_heads=8, parameters=57_934_848),
        data=replace(DATA, documents=60 if intervals else 6),
        provenance=replace(PROVENANCE, command="python train.py" if training else "mspgt drift checkpoints=r"),
        settings={"plugins": list(SIGNALS), "bootstrap": REPLICATES * intervals, "seed": seed},
        overhead=Overhead(seconds, *((0.031, 100, 0.05, steps[-1] // 100 + 1 - points) if training else ())),
        notes=("the probes are trained anew at every step, so their curves vary a little more than those of CKA.",),
        left_out=() if intervals else ("corpus data has 6 documents; intervals were refused.",),
    )


def read(data: Mapping[str, Any]) -> Drift:
    """A drift from the contents of its file."""
    return Drift.of(data, Path("d.json"))


def evaluation(
    n_layers: int, progress: float, rng: np.random.Generator, *, accepted: bool = True, intervals: bool = True
) -> Evaluation:
    """What is found at some share of a training: the later, the more signals stand out at both boundaries."""
    third, far = round(n_layers / 3), round(n_layers / 6)
    peaks = (third - far * (progress < 0.3), round(2 * n_layers / 3) + far * (progress < 0.8))
    transition = np.arange(1, n_layers)
    bumps = sum(np.exp(-0.5 * ((transition - peak) / 1.1) ** 2) for peak in peaks)
    signals, drawn, pairs, verdicts = {}, {}, {}, {}
    for name, (weight, unit) in SIGNALS.items():
        value = 0.15 + (0.1 + 0.9 * progress) * 0.8 * bumps + 0.02 * rng.standard_normal(n_layers - 1)
        drawn[name] = value + 0.03 * rng.standard_normal((REPLICATES, n_layers - 1))
        band = np.quantile(drawn[name], [0.025, 0.975], axis=0) if intervals else (None, None)
        curve = Curve.of(value, *band)
        ends = (curve.transition, curve.value, curve.low, curve.high)
        signals[name] = SignalCurve(*ends, weight=weight, unit=unit, details={"corpus": "data"})
    for rule in RULES:
        status = next((status for until, status in FORMING[rule] if progress < until), "ok")
        if n_layers < 12:
            status = "too_shallow"
        elif status == "ok" and not (intervals and (accepted or rule == "paper")):
            status = "unstable"
        pairs[rule] = _pairs(peaks, status, n_layers, rng)
        verdicts[rule] = _verdict(rule, status, signals, peaks, pairs[rule] if intervals else None)
    return Evaluation(
        signals,
        verdicts,
        Bootstrap(REPLICATES if intervals else 0, "document", {"data": 60 if intervals else 6}, 0, 0.95),
        [],
        [],
        {},
        Replicates(drawn, pairs) if intervals else Replicates({}, {}),
    )


def _pairs(peaks: Peaks, status: str, n_layers: int, rng: np.random.Generator) -> Ints:
    """Boundaries in each replicate, (replicate, boundary); 0 where a replicate has no two peaks."""
    share, spread = DRAWN.get(status, (0.02, 2.0))
    found = np.rint(np.array(peaks) + spread * rng.standard_normal((REPLICATES, 2))).astype(np.int64)
    found = np.sort(np.clip(found, 2, n_layers - 2), axis=1)
    whole = (rng.random(REPLICATES) < share) & (found[:, 0] < found[:, 1]) & (status != "too_shallow")
    return np.where(whole[:, None], found, 0)


def _verdict(rule: str, status: str, signals: Mapping[str, SignalCurve], peaks: Peaks, drawn: Ints | None) -> Verdict:
    normalisation = RULES[rule].normalisation
    weights = {name: curve.weight for name, curve in signals.items()}
    evidence = fuse(np.array([c.value for c in signals.values()]), np.array([*weights.values()]), normalisation)
    spread = 0.04 + 0.04 * np.abs(np.sin(np.arange(len(evidence))))
    placed: list[Boundary | None] = [None, None]
    if status in ("ok", "unstable"):
        columns = (None, None) if drawn is None else drawn[drawn[:, 0] > 0].T
        placed = [_boundary(p, len(evidence) + 1, c) for p, c in zip(peaks, columns, strict=True)]
    return Verdict(
        rule=rule,
        normalisation=normalisation,
        weights=weights,
        prominence=0.3,
        accepted=status == "ok",
        status=status,
        reasons=() if status == "ok" else (f"the evidence gives the status {status}.",),
        meaning=STATUS[status].meaning or "Two places stand out and stay put when other documents are drawn.",
        p_two_peaks=None if drawn is None else float(np.mean(drawn[:, 0] > 0)),
        null_p=None if drawn is None else 0.004,
        evidence=Curve.of(evidence, *((None, None) if drawn is None else (evidence - spread, evidence + spread))),
        local_intermediate=placed[0],
        intermediate_global=placed[1],
        peaks=(),
    )


def _boundary(layer: int, n_layers: int, drawn: Ints | None) -> Boundary:
    if drawn is None:
        return Boundary(layer, layer / n_layers, 1.31, None, None, None, None)
    low, high = map(int, np.quantile(drawn, [0.025, 0.975], method="inverted_cdf"))
    support = float(np.mean(drawn == layer))
    return Boundary(layer, layer / n_layers, 1.31, (low, high), high - low, tuple(range(low, high + 1)), support)
