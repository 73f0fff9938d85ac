"""From texts to the record of an experiment: metrics, effects, verdicts, and what a reader must know beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from mspgt.config.intervene import InterveneConfig
from mspgt.core.provenance import Provenance
from mspgt.generate.metrics import NotMeasured, TextMetrics
from mspgt.generate.statistics import Spread
from mspgt.measure.evaluate import Bootstrap
from mspgt.models.facts import ModelFacts
from mspgt.results.intervention import Behaviour, Example, MetricFacts, Scales, Settings
from mspgt.stats.paired import (
    PAPER_NOTES,
    Conditions,
    Resampling,
    Samples,
    effects,
    metric_values,
    notes,
    verdicts,
)
from mspgt.stats.paired.conditions import BASELINE, MATCHED, Condition
from mspgt.stats.paired.records import Effect, MetricValue

EXAMPLES = 5
"""prompts whose texts are shown side by side"""


@dataclass(frozen=True)
class Preliminaries:
    """What is known before anything is measured."""

    model: ModelFacts
    run: Scales
    noise: tuple[Spread, ...]
    conditions: tuple[Condition, ...]
    documents: Sequence[str]
    """of each prompt"""
    notes: Sequence[str]
    provenance: Provenance


def conclude(config: InterveneConfig, facts: Preliminaries, metrics: TextMetrics) -> Behaviour:
    """Compare the conditions.

    Parameters
    ----------
    metrics: have been measured; a corpus-level metric is measured anew here.
    """
    o = config.options
    conditions = Conditions(facts.conditions)
    clusters = np.unique(list(facts.documents), return_inverse=True)[1]
    resampling = Resampling(len(facts.documents), clusters=clusters, replicates=o.bootstrap, seed=o.seed)
    kept, values, compared = _compared(metrics, resampling, conditions, o.swaps)
    noise = o.intervention == "gaussian"
    more = notes(kept, compared, resampling, conditions, swaps=o.swaps)
    return Behaviour(
        model=facts.model,
        run=facts.run,
        settings=_settings(config, facts.model.dtype),
        bootstrap=Bootstrap(
            o.bootstrap, resampling.unit, {"prompts": resampling.count}, resampling.seed, resampling.confidence
        ),
        noise=facts.noise,
        conditions=facts.conditions,
        metrics={samples.name: _metric(metrics, samples, values[samples.name]) for samples in kept},
        effects=compared,
        verdicts=verdicts(kept, compared, resampling, conditions, noise=noise),
        not_measured=dict(metrics.not_measured),
        notes=(*facts.notes, *more, *_notes(config, conditions)),
        examples=_examples(metrics, (BASELINE, *conditions.main.values())),
        provenance=facts.provenance,
    )


def _settings(config: InterveneConfig, dtype: str) -> Settings:
    named = {f.name for f in fields(Settings)} - {"dtype", "further"}
    further = {key: value for key, value in config.as_dict().items() if key not in {*named, "dtype"}}
    return Settings(**{name: getattr(config.options, name) for name in named}, dtype=dtype, further=further)


def _compared(
    metrics: TextMetrics, resampling: Resampling, conditions: Conditions, swaps: int
) -> tuple[list[Samples], dict[str, dict[str, MetricValue]], tuple[Effect, ...]]:
    """Metrics, their values and their effects: together, as corrections for many tests go over all of them.

    A metric that fails when it is measured anew, on other sets of texts, is left out.
    """
    every = {name: metrics.samples(name) for name in metrics.values}
    while True:
        kept = [samples for name, samples in every.items() if name in metrics.values]
        try:
            values = {samples.name: metric_values(samples, resampling) for samples in kept}
            return kept, values, effects(kept, resampling, conditions, swaps=swaps)
        except NotMeasured as error:
            metrics.leave_out(error)


def _metric(metrics: TextMetrics, samples: Samples, values: Mapping[str, MetricValue]) -> MetricFacts:
    metric = metrics.metrics[samples.name]
    return MetricFacts(
        level=samples.level,
        direction=samples.direction,
        means=metric.means,
        unit=metric.unit,
        summary=metric.summary,
        values=values,
        companions=metrics.companions[samples.name],
        note=PAPER_NOTES.get(samples.name),
    )


def _notes(config: InterveneConfig, conditions: Conditions) -> list[str]:
    sentences = []
    if config.options.dose != MATCHED and len(set(conditions.sizes.values())) > 1:
        sentences.append(PAPER_NOTES["dose"])
    if config.options.decoding == "greedy":
        sentences.append("With greedy decoding a text depends on its prompt alone: Self-BLEU reflects the prompts.")
    return sentences


def _examples(metrics: TextMetrics, names: Sequence[str]) -> tuple[Example, ...]:
    texts = metrics.texts
    return tuple(
        Example(text.sample, text.prompt, {name: texts[name][i].text for name in names})
        for i, text in enumerate(texts[BASELINE][:EXAMPLES])
    )
