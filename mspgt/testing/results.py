"""Plausible results without a run: what tests of figures, tables and pages are fed with."""

from __future__ import annotations

from typing import Any

import numpy as np

from mspgt.stats.boundaries.fusion import fuse

WEIGHTS = {"cka": 1.0, "probe": 0.8, "attn": 0.6}


def example_result(
    n_layers: int = 32, *, accepted: bool = True, intervals: bool = True, extra_signals: int = 0, seed: int = 0
) -> dict[str, Any]:
    """The contents of a result.json of schema 1 with two planted boundaries, at a third and two thirds.

    Parameters
    ----------
    n_layers: blocks; fewer than 12 give the status too_shallow and no boundaries.
    accepted: whether our rule accepts the boundaries; otherwise they are there, with status unstable.
    intervals: False gives nulls, as for a corpus of fewer than 10 documents.
    extra_signals: how many signals beside cka, probe and attn.
    """
    rng = np.random.default_rng(seed)
    transition = np.arange(1, n_layers)
    peaks = (max(1, round(n_layers / 3)), max(2, round(2 * n_layers / 3)))
    weights = WEIGHTS | {f"extra{i + 1}": 0.5 for i in range(extra_signals)}
    signals = {name: _signal(name, weight, transition, peaks, intervals, rng) for name, weight in weights.items()}
    _add_details(signals, n_layers, peaks, rng)
    shallow = n_layers < 12
    ok = accepted and intervals and not shallow
    status = "ok" if ok else "too_shallow" if shallow else "unstable"
    found = [None, None] if shallow else [_boundary(p, n_layers, intervals, ok) for p in peaks]
    return {
        "schema": 1,
        "model": {
            "name": "example-7b",
            "family": "llama",
            "n_layers": n_layers,
            "hidden_size": 4096,
            "n_heads": 32,
            "parameters": 6_738_415_616,
            "dtype": "bfloat16",
        },
        "data": {
            "name": "wiki.valid.tokens",
            "documents": 60 if intervals else 6,
            "sentences": 7_812,
            "sequences": 7_812,
            "tokens": 241_859,
            "tokens_masked": 8_204,
            "labels": {"pos": 25_147, "dep": 21_996, "ner": 1_903, "srl": 9_771},
        },
        "signals": signals,
        "verdicts": {
            "paper": _verdict(signals, "max", "too_shallow" if shallow else "ok", found, rng, intervals),
            "mspgt": _verdict(signals, "robust", status, found, rng, intervals),
        },
        "bootstrap": {
            "replicates": 1_000 if intervals else 0,
            "unit": "document",
            "units": {"text": 60, "labels": 318},
            "seed": seed,
            "confidence": 0.95,
        },
        "provenance": {
            "mspgt": "0.1.0",
            "git": None,
            "python": "3.11.9",
            "packages": {"torch": "2.13.0", "transformers": "5.23.0", "lightning": "2.6.0"},
            "device": "cpu",
            "dtype": "bfloat16",
            "world_size": 1,
            "sequences_resumed": 0,
            "seed": seed,
            "command": "mspgt run plugins=cka,probe,attn model=example-7b data=wiki.valid.tokens",
            "started": "2026-01-05T09:30:00+00:00",
            "seconds": 512.3,
            "data_sha256": "6b1f" * 16,
            "model_sha256": "9c0e" * 16,
        },
        "settings": {"preset": "default", "seed": seed, "bootstrap": 1_000, "cka": {"estimator": "debiased"}},
        "notes": ["8,204 of 241,859 tokens were masked: special tokens, first positions and attention sinks."],
        "left_out": [] if intervals else ["intervals: the corpus has 6 documents, at least 10 are needed."],
    }


def _signal(
    name: str, weight: float, transition: np.ndarray, peaks: tuple[int, int], intervals: bool, rng: Any
) -> dict[str, Any]:
    bumps = sum(np.exp(-0.5 * ((transition - p) / 1.1) ** 2) for p in peaks)
    shape = 0.15 + 0.8 * bumps + 0.08 * rng.random(len(transition))
    value = {"cka": 1 + 0.03 * shape, "probe": 0.09 * shape}.get(name, 0.3 * shape)
    spread = (value.max() - value.min()) * (0.03 + 0.03 * rng.random(len(transition)))
    none = [None] * len(transition)
    return {
        "transition": transition.tolist(),
        "value": value.tolist(),
        "low": (value - spread).tolist() if intervals else none,
        "high": (value + spread).tolist() if intervals else none,
        "weight": weight,
        "flags": [],
        "details": {},
    }


def _boundary(layer: int, n_layers: int, intervals: bool, sharp: bool) -> dict[str, Any]:
    half = 1 if sharp else 4
    return {
        "layer": layer,
        "relative": layer / n_layers,
        "prominence": 1.31,
        "ci": [layer - half, layer + half] if intervals else None,
        "ci_width": 2 * half if intervals else None,
        "hpd": list(range(layer - half, layer + half + 1)) if intervals else None,
        "support": 0.97 if intervals else None,
    }


def _verdict(
    signals: dict[str, Any], normalisation: str, status: str, found: list[Any], rng: Any, intervals: bool
) -> dict[str, Any]:
    curves = np.array([s["value"] for s in signals.values()])
    evidence = fuse(curves, np.array([s["weight"] for s in signals.values()]), normalisation)
    transition = np.arange(1, len(evidence) + 1)
    spread = 0.05 + 0.05 * rng.random(len(transition))
    none = [None] * len(transition)
    reason = {
        "ok": [],
        "unstable": ["the interval of the intermediate-global boundary is 8 blocks wide; below 5 is required."],
        "too_shallow": [f"{len(transition) + 1} blocks; at least 12 are required."],
    }
    meaning = {
        "ok": "Two places stand out in every signal and stay put when other documents are drawn.",
        "unstable": "Two peaks stand out, but they move when other documents are drawn: do not build on them.",
        "too_shallow": "With so few blocks two boundaries cannot be told from chance; read the curves instead.",
    }
    return {
        "normalisation": normalisation,
        "weights": {name: s["weight"] for name, s in signals.items()},
        "prominence": 0.3,
        "accepted": status == "ok",
        "status": status,
        "reasons": reason[status],
        "meaning": meaning[status],
        "p_two_peaks": 0.994 if intervals else None,
        "null_p": 0.003,
        "evidence": {
            "transition": transition.tolist(),
            "value": evidence.tolist(),
            "low": (evidence - spread).tolist() if intervals else none,
            "high": (evidence + spread).tolist() if intervals else none,
        },
        "local_intermediate": found[0],
        "intermediate_global": found[1],
    }


def _add_details(signals: dict[str, Any], n_layers: int, peaks: tuple[int, int], rng: Any) -> None:
    layers = np.arange(1, n_layers + 1)
    regime = np.searchsorted(peaks, layers, side="left")
    distance = np.abs(layers[:, None] - layers) / n_layers + 0.3 * (regime[:, None] != regime)
    cka = np.exp(-distance)
    signals["cka"]["details"] = {"estimator": "debiased", "cka": cka.diagonal(1).tolist(), "matrix": cka.tolist()}
    tasks = {
        task: {
            "instances": {"train": 6_000, "validation": 1_500, "test": 2_500},
            "converged": True,
            "f1": (top * (0.7 + 0.1 * regime) + 0.004 * rng.standard_normal(n_layers)).tolist(),
            "selectivity": (0.3 * top + 0.004 * rng.standard_normal(n_layers)).tolist(),
        }
        for task, top in (("pos", 0.92), ("dep", 0.81), ("ner", 0.74), ("srl", 0.69))
    }
    signals["probe"]["details"] = {"noise_share": 0.04, "tasks": tasks}
    signals["attn"]["details"] = {"unit": "bit", "heads": "mean", "sink": "keep"}
