"""Experiments without a model, made by what makes real ones: texts with planted values, measured and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mspgt.config.intervene import build
from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.core.provenance import Provenance
from mspgt.experiments.conclude import Preliminaries, conclude
from mspgt.generate.conditions import plan, scales
from mspgt.generate.metrics import TextMetrics
from mspgt.generate.statistics import Spread
from mspgt.models.facts import ModelFacts
from mspgt.results.intervention import Behaviour, Scales
from mspgt.stats.paired.conditions import BASELINE, SCALES, Condition, Conditions
from mspgt.stats.paired.records import Effect

MODEL = ModelFacts("example-12", "llama", 12, 512, 8, 57_934_848, "float32")
PROVENANCE = Provenance(
    mspgt="0.1.0",
    git=None,
    python="3.11.9",
    packages={"torch": "2.13.0"},
    device="cpu",
    dtype="float32",
    world_size=1,
    sequences_resumed=0,
    seed=0,
    command="mspgt intervene run=runs/example-12 metrics=all",
    started="2026-01-05T11:00:00Z",
    seconds=843.1,
    data_sha256={"prompts": "6b1f" * 16},
    model_sha256="9c0e" * 16,
)


class Planted(NamedTuple):
    """A metric: the mean and the standard deviation of its baseline, and its change by scale at a sigma of 0.1."""

    mean: float
    sd: float
    changes: tuple[float, float, float]
    direction: str = "none"
    unit: str = ""
    level: str = "sample"
    means: tuple[str, str] | None = None
    undefined: int = 0
    """texts without a value under a disturbance"""


METRICS = {
    "self_bleu": Planted(
        0.412, 0.06, (-0.01, 0.113, 0.115), level="corpus", means=("less diverse", "more diverse"), unit="share"
    ),
    "length_variance": Planted(41.7, 30.0, (-3.1, 76.8, -4.8), unit="words²", undefined=38),
    "ttr": Planted(0.638, 0.05, (-0.002, 0.139, 0.197), means=("more diverse", "less diverse")),
    "repetition": Planted(0.091, 0.08, (0.003, 0.018, 0.034), "lower"),
    "perplexity": Planted(2.66, 0.4, (0.08, 0.52, 1.69), "lower", "nats per token"),
    "divergence": Planted(0.0, 0.0, (0.021, 0.094, 0.388), unit="nats"),
    "coherence": Planted(0.534, 0.12, (0.012, -0.099, -0.129), "higher"),
    "grammaticality": Planted(2.61, 2.2, (0.07, 0.31, 1.94), "lower", "errors per 100 words"),
}
TEXTS = {
    BASELINE: "was built in 1894 for the harbour company and was restored after the fire of 1931.",
    "local": "was built in 1894 for the harbour company, and it was restored after the fire of 1931.",
    "intermediate": "was built. It built the harbour. The company, which which the fire restored in 1931, and.",
    "global": "was built in 1894 for the orchestra of salmon whose third season restored the tax.",
}
COMPANIONS = {"length_variance": {"median": 21.5, "run_on": 0.02}, "ttr": {"mattr_50": 0.71, "tokens": 96.0}}


def planned(
    sigmas: Sequence[float] = (0.1,), dose: str = "paper", *, controls: bool = False, sizes: Sequence[int] = (4, 4, 4)
) -> Conditions:
    """Conditions of local, intermediate and global scales of so many blocks."""
    groups, depth = scales((sizes[0], sizes[0] + sizes[1]), sum(sizes)), sum(sizes)
    return Conditions(plan(groups, depth, sigmas, intervention="gaussian", dose=dose, controls=controls).conditions)


def example_behaviour(
    *,
    accepted: bool = True,
    sigmas: Sequence[float] = (0.1,),
    controls: bool = True,
    without: Sequence[str] = (),
    metrics: Mapping[str, Planted] = METRICS,
    samples: int = 120,
    bootstrap: int = 100,
    seed: int = 0,
    model: ModelFacts = MODEL,
    **options: Any,
) -> Behaviour:
    """An experiment on 12 blocks with boundaries after 5 and 9.

    Parameters
    ----------
    sigmas: strengths; the first is the main one.
    controls: whether there are conditions of matched dose and of random windows.
    without: metrics that could not be measured.
    options: further settings of the experiment.
    """
    keys: dict[str, Any] = {
        "run": "runs/example-12",
        "sigma": tuple(sigmas),
        "dose": "both" if controls else "paper",
        "controls": controls,
        "samples": samples,
        "new_tokens": 64,
        "metrics": tuple(metrics),
        "bootstrap": bootstrap,
        "swaps": 99,
        "seed": seed,
    }
    config, groups = build(keys | options, None), scales((5, 9), 12)
    o = config.options
    conditions = plan(groups, 12, sigmas, intervention=o.intervention, dose=o.dose, controls=o.controls).conditions
    facts = Preliminaries(
        model=model,
        run=Scales("runs/example-12", (5, 9), "accepted by the run" if accepted else "given by hand", accepted, groups),
        noise=tuple(Spread(k, 0.4 + 0.09 * k, 0.7 + 0.2 * k, 2.0 + k, 0.04 + 0.009 * k) for k in range(1, 13)),
        conditions=conditions,
        documents=[f"d{i}" for i in range(samples)],
        notes=["3 of 200 texts ended before 64 tokens under some condition."],
        provenance=PROVENANCE,
    )
    texts = _texts(conditions, metrics, samples, seed)
    made = TextMetrics(config, texts, Path("nowhere"), "cpu")
    for name, planted in metrics.items():
        if name in without:
            made.not_measured[name] = f"the server that {name} needs could not be started."
            continue
        made.metrics[name] = metric = _Score(name, planted)
        made.values[name] = {condition: metric.measure(of) for condition, of in texts.items()}
        made.companions[name] = {c: dict(COMPANIONS[name]) for c in texts} if name in COMPANIONS else {}
    return conclude(config, facts, made)


class _Score(Metric):
    """Reads the value that is planted in a text."""

    def __init__(self, name: str, planted: Planted) -> None:
        super().__init__()
        self.name, self.summary = name, f"planted {name}"  # type: ignore[misc]
        self.level, self.direction = planted.level, planted.direction  # type: ignore[misc]
        self.means, self.unit = planted.means, planted.unit  # type: ignore[misc]

    def measure(self, texts: Sequence[Generated]) -> Values:
        return np.array([text.scores[self.name] for text in texts])


def _texts(
    conditions: Sequence[Condition], metrics: Mapping[str, Planted], samples: int, seed: int
) -> dict[str, list[Generated]]:
    rng = np.random.default_rng(seed)
    shared = {name: rng.normal(size=samples) for name in metrics}
    values = {
        condition.name: {name: _values(condition, metrics[name], shared[name], rng) for name in metrics}
        for condition in conditions
    }
    return {
        condition.name: [
            Generated(
                i,
                f"The lighthouse at Skagen, number {i},",
                TEXTS[condition.group or BASELINE],
                {name: float(value[i]) for name, value in values[condition.name].items()},
            )
            for i in range(samples)
        ]
        for condition in conditions
    }


def _values(condition: Condition, planted: Planted, shared: Values, rng: np.random.Generator) -> Values:
    values: Values = planted.mean + planted.sd * shared
    if not condition.group:
        return values
    kind = 0.35 if condition.control else 0.7 if condition.dose == "matched" else 1.0
    change = planted.changes[SCALES.index(condition.group)] * kind * (condition.sigma / 0.1) ** 2
    values = values + change + (0.3 * planted.sd + 0.3 * abs(change)) * rng.normal(size=len(values))
    values[: planted.undefined] = np.nan
    return values


# --------------------------------------------------------------------------------------------------- changed ones


def with_effect(behaviour: Behaviour, metric: str, condition: str, **changed: Any) -> Behaviour:
    """The same with other fields of an effect."""
    return with_effects(behaviour, lambda e: changed if (e.metric, e.condition) == (metric, condition) else {})


def with_effects(behaviour: Behaviour, changed: Callable[[Effect], dict[str, Any]]) -> Behaviour:
    """The same with other fields of its effects."""
    return replace(behaviour, effects=tuple(replace(effect, **changed(effect)) for effect in behaviour.effects))


def renamed(behaviour: Behaviour, metric: str, name: str, **changed: Any) -> Behaviour:
    """The same with another name of a metric, and other fields of it."""
    metrics = {
        name if old == metric else old: replace(facts, **changed) if old == metric else facts
        for old, facts in behaviour.metrics.items()
    }
    effects = tuple(replace(e, metric=name) if e.metric == metric else e for e in behaviour.effects)
    return replace(behaviour, metrics=metrics, effects=effects)
