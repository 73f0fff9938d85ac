"""A plausible drift without a model or training: what tests of its table, figures, page and files are fed with."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.results.schema import BOUNDARIES
from mspgt.stats.boundaries.fusion import fuse
from mspgt.stats.changes import Snapshot, moves
from mspgt.testing.results import example_result

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REPLICATES = 200
FORMING = {"mspgt": ((0.2, "no_peak"), (0.35, "one_peak"), (0.7, "unstable")), "paper": ((0.1, "no_peak"),)}
"""rule -> (share of the points, status until there); later the boundaries are accepted"""
NORMALISATION = {"mspgt": "robust", "paper": "max"}
MEANING = {
    "no_peak": "The layers change gradually: nothing stands out as a boundary.",
    "one_peak": "One place stands out; two are needed to part local, intermediate and global processing.",
}


def example_drift(
    n_layers: int = 12,
    points: int = 9,
    *,
    accepted: bool = True,
    intervals: bool = True,
    source: str = "training",
    seed: int = 0,
) -> dict[str, Any]:
    """The contents of a drift.json of schema 1: signals that grow, and boundaries that form, shift and settle.

    With 12 blocks the boundaries begin after blocks 2 and 10, move to 4 and 10 at 30% of the points and to 4 and 8 at
    80%. By mspgt's rule there is at first no peak, then one, then two that are unstable, from 70% on two that are
    accepted; by the paper's rule there are two from 10% on. Steps are uneven, the last one is the end of training, and
    the third point has a note.

    Parameters
    ----------
    n_layers: blocks; fewer than 12 give the status too_shallow and no boundaries.
    accepted: whether mspgt's rule accepts boundaries at last; otherwise they stay unstable.
    intervals: False gives nulls and no replicates, as for a corpus of fewer than 10 documents; nothing is accepted.
    source: "training", or "checkpoints", which have no losses and no overhead; they begin in the middle of training,
        so that two boundaries are there from the first point on.
    """
    rng = np.random.default_rng(seed)
    shared = example_result(n_layers, intervals=intervals, seed=seed)
    training = source == "training"
    steps = [100 * (i * (i - 1) // 2 + 1) if i else 0 for i in range(points + 1)]
    steps = steps[:points] if training else steps[1:]
    if training and points > 1:
        steps[-1] -= 50
    progress = np.linspace(0 if training else 0.5, 1, points)
    found = [_point(shared, s, float(p), accepted, training, rng) for s, p in zip(steps, progress, strict=True)]
    if training and points > 1:
        found[-1]["end"] = True
    if points > 2:
        found[2]["notes"] = ["3 of 241,859 tokens more than at the step before were masked as attention sinks."]
    return {
        "schema": 1,
        "model": shared["model"] | {"name": "example-12", "hidden_size": 512, "n_heads": 8, "parameters": 57_934_848},
        "data": shared["data"],
        "provenance": shared["provenance"]
        | {"command": "python train.py" if training else "mspgt drift checkpoints=r"},
        "settings": {"plugins": list(shared["signals"]), "bootstrap": REPLICATES if intervals else 0, "seed": seed},
        "bootstrap": shared["bootstrap"] | {"replicates": REPLICATES if intervals else 0},
        "points": found,
        "changes": [_change(before, after) for before, after in pairwise(found)],
        "overall": moves(_snapshot(found[0]), _snapshot(found[-1]), 0.95) if points > 1 else None,
        "prediction_3_2": None,
        "overhead": {
            "share": 0.031 if training else None,
            "every_n_steps": 100 if training else None,
            "max_overhead": 0.05 if training else None,
            "seconds": sum(point["seconds"] for point in found),
            "skipped": (steps[-1] // 100 + 1 - points) if training else 0,
        },
        "notes": ["the probes are trained anew at every step, so their curves vary a little more than those of CKA."],
        "left_out": [] if intervals else ["intervals: the corpus has 6 documents, at least 10 are needed."],
    }


def _point(
    shared: dict[str, Any], step: int, progress: float, accepted: bool, training: bool, rng: np.random.Generator
) -> dict[str, Any]:
    """A point whose signals stand out the more, the later it is, and whose boundaries come nearer in two jumps."""
    n_layers = shared["model"]["n_layers"]
    intervals = bool(shared["bootstrap"]["replicates"])
    ends = (round(n_layers / 3), round(2 * n_layers / 3))
    far = round(n_layers / 6)
    peaks = (ends[0] - far * (progress < 0.3), ends[1] + far * (progress < 0.8))
    signals = {name: _grown(block, ends, peaks, progress) for name, block in shared["signals"].items()}
    replicates, verdicts = {}, {}
    for rule, phases in FORMING.items():
        status = next((status for until, status in phases if progress < until), "ok")
        if n_layers < 12:
            status = "too_shallow"
        elif status == "ok" and not (intervals and (accepted or rule == "paper")):
            status = "unstable"
        replicates[rule] = _replicates(peaks, status, n_layers, rng)
        old = shared["verdicts"][rule]
        verdicts[rule] = _verdict(old, rule, status, signals, peaks, replicates[rule] if intervals else None)
    return {
        "step": step,
        "signals": signals,
        "verdicts": verdicts,
        "loss": 2.9 + 5.1 * float(np.exp(-4 * progress)) if training and step else None,
        "seconds": 1.8 + 0.2 * float(rng.random()),
        "end": False,
        "notes": [],
        "left_out": [],
        "replicates": {rule: dict(zip(BOUNDARIES, found.T.tolist(), strict=True)) for rule, found in replicates.items()}
        if intervals
        else None,
    }


def _grown(block: dict[str, Any], ends: tuple[int, int], peaks: tuple[int, int], progress: float) -> dict[str, Any]:
    """A signal as it is at some time: its bumps, at `ends` when training is over, are lower and lie at `peaks`."""
    transition = np.array(block["transition"], dtype=float)
    last = transition[-1]
    inside = peaks[0] > 1 and peaks[1] < last
    where = np.interp(transition, [1, *peaks, last], [1, *ends, last]) if inside else transition
    height = 0.1 + 0.9 * progress
    grown = copy.deepcopy(block)
    if "matrix" in grown["details"]:
        del grown["details"]["matrix"]
    grown["details"] = {k: v for k, v in grown["details"].items() if not isinstance(v, (list, dict))}
    floor = min(block["value"])
    value = np.interp(where, transition, floor + height * (np.array(block["value"]) - floor))
    grown["value"] = value.tolist()
    if block["low"][0] is not None:
        spread = np.array(block["high"]) - np.array(block["value"])
        grown["low"], grown["high"] = (value - spread).tolist(), (value + spread).tolist()
    return grown


def _replicates(peaks: tuple[int, int], status: str, n_layers: int, rng: np.random.Generator) -> Ints:
    """Boundaries in each bootstrap replicate, (replicate, boundary); 0 where a replicate has no two peaks."""
    share, spread = {"ok": (0.995, 0.25), "unstable": (0.97, 1.6), "one_peak": (0.3, 2.0)}.get(status, (0.02, 2.0))
    found = np.rint(np.array(peaks) + spread * rng.standard_normal((REPLICATES, 2))).astype(np.int64)
    found = np.sort(np.clip(found, 2, n_layers - 2), axis=1)
    whole = (rng.random(REPLICATES) < share) & (found[:, 0] < found[:, 1]) & (status != "too_shallow")
    return np.where(whole[:, None], found, 0)


def _verdict(
    old: dict[str, Any],
    rule: str,
    status: str,
    signals: dict[str, Any],
    peaks: tuple[int, int],
    replicates: Ints | None,
) -> dict[str, Any]:
    weights = np.array([block["weight"] for block in signals.values()])
    evidence = fuse(np.array([block["value"] for block in signals.values()]), weights, NORMALISATION[rule])
    spread = None if replicates is None else 0.04 + 0.04 * np.abs(np.sin(np.arange(len(evidence))))
    found: list[dict[str, Any] | None] = [None, None]
    if status in ("ok", "unstable"):
        columns = (None, None) if replicates is None else replicates[replicates[:, 0] > 0].T
        found = [_boundary(p, len(evidence) + 1, c) for p, c in zip(peaks, columns, strict=True)]
    return old | {
        "accepted": status == "ok",
        "status": status,
        "reasons": [] if status == "ok" else [f"the evidence gives the status {status}."],
        "meaning": MEANING.get(status, old["meaning"] if (status == "ok") == old["accepted"] else f"Status {status}."),
        "p_two_peaks": None if replicates is None else float(np.mean(replicates[:, 0] > 0)),
        "evidence": {
            "transition": list(range(1, len(evidence) + 1)),
            "value": evidence.tolist(),
            "low": [None] * len(evidence) if spread is None else (evidence - spread).tolist(),
            "high": [None] * len(evidence) if spread is None else (evidence + spread).tolist(),
        },
        **dict(zip(BOUNDARIES, found, strict=True)),
    }


def _boundary(layer: int, n_layers: int, replicates: Ints | None) -> dict[str, Any]:
    ci = None if replicates is None else np.quantile(replicates, [0.025, 0.975], method="inverted_cdf").tolist()
    return {
        "layer": layer,
        "relative": layer / n_layers,
        "prominence": 1.31,
        "ci": ci,
        "ci_width": None if ci is None else ci[1] - ci[0],
        "hpd": None if ci is None else list(range(ci[0], ci[1] + 1)),
        "support": None if replicates is None else float(np.mean(replicates == layer)),
    }


def _change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    signals = {name: _difference(before["signals"][name], block) for name, block in after["signals"].items()}
    return {**moves(_snapshot(before), _snapshot(after), 0.95), "signals": signals}


def _snapshot(point: dict[str, Any]) -> Snapshot:
    """What moves are computed from."""
    places: dict[str, tuple[int, int] | None] = {}
    for rule, verdict in point["verdicts"].items():
        lower, upper = (verdict[name] for name in BOUNDARIES)
        places[rule] = (lower["layer"], upper["layer"]) if lower and upper else None
    pairs = {rule: np.array([found[n] for n in BOUNDARIES]).T for rule, found in (point["replicates"] or {}).items()}
    return Snapshot(point["step"], {}, {}, places, pairs)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    difference = np.array(after["value"]) - np.array(before["value"])
    none = [None] * len(difference)
    spread = (
        None
        if after["low"][0] is None
        else 0.7 * (np.array(after["high"]) - np.array(after["value"]))  # paired: less than either alone
    )
    return {
        "transition": after["transition"],
        "difference": difference.tolist(),
        "low": none if spread is None else (difference - spread).tolist(),
        "high": none if spread is None else (difference + spread).tolist(),
    }
