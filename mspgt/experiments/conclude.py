"""From texts to interventions.json: metrics, effects, verdicts, and what a reader must know beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mspgt.config.intervene import InterveneConfig
from mspgt.generate.conditions import BASELINE, Condition
from mspgt.generate.measuring import Measuring, NotMeasured, guarded
from mspgt.results.intervention.behaviour import Behaviour
from mspgt.stats.paired import PAPER_NOTES, Measured, Resampling, effects, metric_values, notes, verdicts

EXAMPLES = 5
"""prompts whose texts are shown side by side"""


@dataclass(frozen=True)
class Facts:
    """What is known before anything is measured."""

    model: Mapping[str, Any]
    run: Mapping[str, Any]
    noise: Sequence[Mapping[str, Any]]
    conditions: Sequence[Condition]
    documents: Sequence[str]
    """of each prompt"""
    notes: Sequence[str]


def conclude(config: InterveneConfig, facts: Facts, measuring: Measuring) -> dict[str, Any]:
    """Compare the conditions; the contents of interventions.json but for its provenance.

    Parameters
    ----------
    measuring: has measured; a corpus-level metric is measured anew here.
    """
    o = config.options
    clusters = np.unique(list(facts.documents), return_inverse=True)[1]
    resampling = Resampling(len(facts.documents), clusters=clusters, replicates=o.bootstrap, seed=o.seed)
    measured, values = _resampled(measuring, resampling)
    compared = _effects(measuring, measured, resampling, o.swaps)
    measured = [m for m in measured if m.name not in measuring.not_measured]
    strengths = {c.strength: c.name for c in facts.conditions if c.name.partition("@")[0] == "local"}
    blocks = {c.scale: c.window or len(c.layers) for c in facts.conditions if c.name == c.scale}
    answers = verdicts(measured, compared, resampling, strengths, blocks, noise=o.intervention == "gaussian")
    for name, answer in answers.items():
        if name in PAPER_NOTES:
            answer["note"] = PAPER_NOTES[name]
    names = [c.name for c in facts.conditions]
    return {
        "schema": 1,
        "model": dict(facts.model),
        "run": dict(facts.run),
        "settings": config.as_dict()
        | {"sigma": list(o.sigma), "dtype": facts.model["dtype"], "confidence": resampling.confidence},
        "noise": list(facts.noise),
        "conditions": names,
        "metrics": {m.name: _metric(measuring, m, values[m.name]) for m in measured},
        "effects": compared,
        "verdicts": answers,
        "not_measured": dict(measuring.not_measured),
        "notes": [*facts.notes, *notes(measured, compared, resampling, swaps=o.swaps), *_notes(config, blocks)],
        "examples": _examples(measuring, names),
    }


def save(data: Mapping[str, Any], directory: Path) -> Behaviour:
    """Write interventions.json, interventions.csv, figures and report.html; returns the typed view."""
    behaviour = Behaviour(data)
    behaviour.save(directory)
    return behaviour


def _resampled(measuring: Measuring, resampling: Resampling) -> tuple[list[Measured], dict[str, Any]]:
    """Values with intervals; a metric that fails when it is measured anew is left out."""
    measured, values = [], {}
    for name in list(measuring.values):
        one = measuring.measured(name)
        try:
            with guarded(name):
                values[name] = metric_values(one, resampling)
        except NotMeasured as error:
            measuring.leave_out(error)
        else:
            measured.append(one)
    return measured, values


def _effects(
    measuring: Measuring, measured: Sequence[Measured], resampling: Resampling, swaps: int
) -> list[dict[str, Any]]:
    """Effects of all metrics: together, as corrections for many tests go over all of them."""
    try:
        return effects(measured, resampling, swaps=swaps)
    except NotMeasured as error:  # a corpus-level metric, on swapped texts
        measuring.leave_out(error)
    kept = [m for m in measured if m.name not in measuring.not_measured]
    return _effects(measuring, kept, resampling, swaps)


def _metric(measuring: Measuring, measured: Measured, values: Mapping[str, Any]) -> dict[str, Any]:
    metric = measuring.metrics[measured.name]
    return {
        "level": measured.level,
        "direction": measured.direction,
        "means": metric.means,
        "unit": metric.unit,
        "summary": metric.summary,
        "values": values,
        "companions": measuring.companions[measured.name],
        "note": PAPER_NOTES.get(measured.name),
    }


def _notes(config: InterveneConfig, blocks: Mapping[str, int]) -> list[str]:
    o = config.options
    found = []
    if o.dose != "matched" and len(set(blocks.values())) > 1:
        found.append(PAPER_NOTES["dose"])
    if o.decoding == "greedy":
        found.append("With greedy decoding a text depends on its prompt alone: Self-BLEU reflects the prompts.")
    return found


def _examples(measuring: Measuring, names: Sequence[str]) -> list[dict[str, Any]]:
    texts = measuring.texts
    shown = [name for name in names if name == BASELINE or ("-" not in name and "@" not in name)]
    return [
        {
            "sample": texts[BASELINE][i].sample,
            "prompt": texts[BASELINE][i].prompt,
            "texts": {name: texts[name][i].text for name in shown},
        }
        for i in range(min(EXAMPLES, len(texts[BASELINE])))
    ]
