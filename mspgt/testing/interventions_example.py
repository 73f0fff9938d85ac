"""A plausible intervention experiment without a model: what tests of its tables, figures and pages are fed with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

SCALES = ("local", "intermediate", "global")
METRICS: dict[str, tuple[str, str, str, float, float, tuple[float, float, float]]] = {
    "self_bleu": ("corpus", "none", "", 0.412, 0.06, (-0.01, 0.113, 0.115)),
    "length_variance": ("sample", "none", "words²", 41.7, 30.0, (-3.1, 76.8, -4.8)),
    "ttr": ("sample", "none", "", 0.638, 0.05, (-0.002, 0.139, 0.197)),
    "repetition": ("sample", "lower", "", 0.091, 0.08, (0.003, 0.018, 0.034)),
    "perplexity": ("sample", "lower", "nats per token", 2.66, 0.4, (0.08, 0.52, 1.69)),
    "divergence": ("sample", "none", "nat", 0.0, 0.0, (0.021, 0.094, 0.388)),
    "coherence": ("sample", "higher", "", 0.534, 0.12, (0.012, -0.099, -0.129)),
    "grammaticality": ("sample", "lower", "errors per 100 words", 2.61, 2.2, (0.07, 0.31, 1.94)),
}
"""name -> level, direction, unit, baseline mean, its standard deviation, differences by scale at a strength of 0.1"""
MEANS = {"self_bleu": ("less diverse", "more diverse"), "ttr": ("more diverse", "less diverse")}
"""name -> what more and less of it is"""
UNDEFINED = {"length_variance": 38}
"""name -> texts without a value under a disturbance, which has no pairs for these"""
TEXTS = {
    "baseline": "was built in 1894 for the harbour company and was restored after the fire of 1931.",
    "local": "was built in 1894 for the harbour company, and it was restored after the fire of 1931.",
    "intermediate": "was built. It built the harbour. The company, which which the fire restored in 1931, and.",
    "global": "was built in 1894 for the orchestra of salmon whose third season restored the tax.",
}


def example_interventions(
    *,
    accepted: bool = True,
    strengths: Sequence[float] = (0.1,),
    controls: bool = True,
    without: Sequence[str] = (),
    samples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """The contents of an interventions.json of schema 1: 12 blocks with boundaries after 5 and 9, eight metrics.

    Parameters
    ----------
    accepted: whether the boundaries were accepted.
    strengths: of the disturbance; the first is that of the conditions that bear a scale's name alone.
    controls: whether there are conditions of matched dose and of random windows.
    without: metrics that could not be measured.
    """
    rng = np.random.default_rng(seed)
    further = [f"{scale}@{s:g}" for s in strengths[1:] for scale in SCALES]
    beside = [f"{scale}-{kind}" for kind in ("matched", "control") for scale in SCALES] if controls else []
    disturbed = [*SCALES, *further, *beside]
    metrics: dict[str, Any] = {}
    effects: list[dict[str, Any]] = []
    for name in METRICS:
        if name not in without:
            metrics[name] = _metric(name, samples)
            for condition in disturbed:
                effects.append(_effect(name, condition, strengths[0], samples, rng))
                metrics[name]["values"][condition] = _shifted(metrics[name], effects[-1])
    _compare_with_controls(effects)
    _correct(effects)
    _add_companions(metrics, ["baseline", *disturbed])
    return {
        "schema": 1,
        "model": {
            "name": "example-12",
            "family": "llama",
            "n_layers": 12,
            "hidden_size": 512,
            "n_heads": 8,
            "parameters": 57_934_848,
            "dtype": "float32",
        },
        "run": {
            "path": "runs/example-12",
            "boundaries": [5, 9],
            "source": "accepted by the run" if accepted else "given by hand",
            "accepted": accepted,
            "layers": {"local": [1, 2, 3, 4, 5], "intermediate": [6, 7, 8, 9], "global": [10, 11, 12]},
        },
        "settings": {
            "intervention": "gaussian",
            "sigma": list(strengths),
            "apply": "all",
            "dose": "both" if controls else "paper",
            "samples": samples,
            "prompt_tokens": 16,
            "new_tokens": 64,
            "decoding": "sample",
            "temperature": 1.0,
            "top_p": 0.95,
            "dtype": "float32",
            "seed": seed,
        },
        "noise": [
            {"layer": layer, "std": 0.4 + 0.09 * layer, "std_all": 0.7 + 0.2 * layer, "added": 0.04 + 0.009 * layer}
            for layer in range(1, 13)
        ],
        "conditions": ["baseline", *disturbed],
        "metrics": metrics,
        "effects": effects,
        "verdicts": _verdicts(strengths[0]),
        "not_measured": {name: f"the server that {name} needs could not be started." for name in without},
        "notes": ["3 of 200 texts ended before 64 tokens under some condition."],
        "examples": [
            {"sample": i, "prompt": f"The lighthouse at Skagen, number {i},", "texts": _texts(disturbed)}
            for i in range(2)
        ],
        "provenance": {
            "mspgt": "0.1.0",
            "git": None,
            "python": "3.11.9",
            "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
            "device": "cpu",
            "dtype": "float32",
            "seed": seed,
            "command": "mspgt intervene run=runs/example-12 metrics=all",
            "started": "2026-01-05T11:00:00+00:00",
            "seconds": 843.1,
        },
    }


def _metric(name: str, samples: int) -> dict[str, Any]:
    level, direction, unit, mean, sd, _ = METRICS[name]
    half = 1.96 * sd / math.sqrt(samples)
    baseline = {"mean": mean, "low": mean - half, "high": mean + half, "n": samples}
    entry: dict[str, Any] = {
        "level": level,
        "direction": direction,
        "means": MEANS.get(name),
        "values": {"baseline": baseline},
    }
    if unit:
        entry["unit"] = unit
    if name == "self_bleu":
        entry["note"] = "the paper calls a rise of Self-BLEU a rise of diversity; by its own definition it is a fall."
    return entry


def _effect(name: str, condition: str, strength: float, samples: int, rng: np.random.Generator) -> dict[str, Any]:
    level, _, _, mean, sd, differences = METRICS[name]
    scale, _, at = condition.partition("@")
    scale, _, kind = scale.partition("-")
    dose = (float(at) / strength) ** 2 if at else {"matched": 0.7, "control": 0.35}.get(kind, 1.0)
    planted = differences[SCALES.index(scale)]
    spread = max(sd, abs(planted)) * (0.9 if level == "sample" else 0.3)
    pairs = samples - UNDEFINED.get(name, 0)
    error = spread / math.sqrt(pairs)
    value = planted * dose + 0.5 * error * rng.standard_normal()
    low, high = value - 1.96 * error, value + 1.96 * error
    percent = [100 * v / mean for v in (value, low, high)] if mean else None
    t = value / error
    p = float(2 * stats.norm.sf(abs(t)))
    tests: dict[str, dict[str, float]] = {}
    if level == "corpus":
        tests["swap"] = {"statistic": value, "p": max(p, 0.001)}
    elif mean:
        ranks = 0.5 * pairs * (pairs + 1) * float(stats.norm.sf(t))
        tests["t"] = {"statistic": t, "p": p}
        tests["wilcoxon"] = {"statistic": ranks, "p": min(1.0, 1.3 * p)}
        tests["tost"] = {"statistic": 2.0 - abs(t), "p": float(stats.norm.sf(2.0 - abs(t)))}
    ends = ("value", "low", "high")
    return {
        "metric": name,
        "condition": condition,
        "n": pairs,
        "samples": samples,
        "difference": dict(zip(ends, (value, low, high), strict=True)),
        "percent": dict(zip(ends, percent, strict=True)) if percent else None,
        "undefined": None if percent else "the baseline is within 4 standard errors of zero",
        "d_z": value / spread if mean and level == "sample" else None,
        "primary": next(iter(tests), None),
        "tests": tests,
        "untested": None if tests else "0 in every text of the baseline",
    }


def _shifted(metric: dict[str, Any], effect: dict[str, Any]) -> dict[str, Any]:
    baseline, difference = metric["values"]["baseline"], effect["difference"]
    mean = baseline["mean"] + difference["value"]
    half = (difference["high"] - difference["low"]) / 2
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": effect["n"]}


def _compare_with_controls(effects: list[dict[str, Any]]) -> None:
    """The difference of a scale from its control, taken as independent; a corpus-level metric has no test of it."""
    by_name = {(e["metric"], e["condition"]): e["difference"] for e in effects}
    for effect in effects:
        one, other = effect["difference"], by_name.get((effect["metric"], f"{effect['condition']}-control"))
        if other is None:
            continue
        half = math.hypot(one["high"] - one["value"], other["high"] - other["value"])
        value = one["value"] - other["value"]
        p = None if METRICS[effect["metric"]][0] == "corpus" else float(2 * stats.norm.sf(1.96 * abs(value) / half))
        ends = {"value": value, "low": value - half, "high": value + half}
        effect["versus_control"] = {**ends, "n": effect["n"], "p": p, "p_holm": p and min(1.0, 3 * p)}


def _correct(effects: list[dict[str, Any]]) -> None:
    """Holm's correction over the effects, for each test by itself."""
    for name in ("t", "wilcoxon", "tost", "swap"):
        tests = sorted((e["tests"][name] for e in effects if name in e["tests"]), key=lambda test: test["p"])
        worst = 0.0
        for i, test in enumerate(tests):
            worst = max(worst, min(1.0, test["p"] * (len(tests) - i)))
            test["p_holm"] = worst


def _add_companions(metrics: dict[str, Any], conditions: list[str]) -> None:
    beside = {"length_variance": ("median", 21.5, "run_on", 0.02), "ttr": ("mattr_50", 0.71, "tokens", 96.0)}
    for name, (first, one, second, other) in beside.items():
        if name in metrics:
            metrics[name]["companions"] = {
                c: {first: one * (1 + 0.01 * i), second: other} for i, c in enumerate(conditions)
            }


def _verdicts(strength: float) -> dict[str, Any]:
    gamma = [
        {
            "sigma": strength,
            "change": {"value": -31.0, "low": -74.2, "high": 12.1, "se": 22.0, "n": 162},
            "percent": None,
        }
    ]
    return {
        "prediction_2_1": {
            "verdict": "supported",
            "reasons": ["supported: the intermediate scale changes length_variance most (p = 0.0004)."],
            "numbers": {"metric": "length_variance", "n": 162, "absolute": {"p": 0.0004, "p_more": {"local": 1.0}}},
        },
        "global_diversity": {
            "verdict": "contradicted",
            "reasons": ["contradicted: Self-BLEU rises, less diverse.", "The type-token ratio rises."],
            "numbers": {},
        },
        "prediction_3_1": {
            "verdict": "undecided",
            "reasons": ["undecided: needs two models or more."],
            "numbers": {"metrics": {"length_variance": {"gamma": gamma, "kappa": None, "lack_of_fit": None}}},
        },
    }


def _texts(disturbed: list[str]) -> dict[str, str]:
    texts = {"baseline": TEXTS["baseline"]}
    return texts | {c: TEXTS[c.partition("@")[0].partition("-")[0]] for c in disturbed}
