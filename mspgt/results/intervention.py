"""Behaviour: what breaks when groups of blocks are disturbed while a model generates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from mspgt.contracts.metric import Direction, Level
from mspgt.core.errors import unknown
from mspgt.core.provenance import Provenance
from mspgt.generate.statistics import Spread
from mspgt.measure.evaluate import Bootstrap
from mspgt.models.facts import ModelFacts
from mspgt.results.kinds import Kind
from mspgt.results.result import Result
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.conditions import Condition, Conditions, Group, Variant
from mspgt.stats.paired.records import Effect, MetricValue


@dataclass(frozen=True)
class Scales:
    """The groups of blocks that are disturbed, and where they come from.

    Attributes
    ----------
    path: of the run that they are taken from; None without one.
    boundaries: blocks below each boundary; source: why there.
    accepted: whether mspgt's rule accepted them on a run.
    """

    path: str | None
    boundaries: tuple[int, ...]
    source: str
    accepted: bool
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Settings:
    """What was done to the groups, and to which texts.

    Attributes
    ----------
    sigma: strengths, the main one first.
    dtype: of the model that generated.
    further: the other keys of `mspgt intervene`, and the options of the intervention and of each metric by its name.
    """

    intervention: str
    sigma: tuple[float, ...]
    apply: Literal["all", "generated"]
    dose: Literal["paper", "matched", "both"]
    samples: int
    prompt_tokens: int
    new_tokens: int
    decoding: Literal["sample", "greedy"]
    temperature: float
    top_p: float
    dtype: str
    seed: int
    further: Mapping[str, Any]


@dataclass(frozen=True)
class MetricFacts:
    """A metric, and what it was under each condition.

    Attributes
    ----------
    level: "sample": a value depends on its own text alone; "corpus": on all texts of its condition.
    direction: which way is better: "higher", "lower" or "none".
    means: what more and less of it is, where neither is better.
    companions: condition -> further numbers beside the mean, none of them tested.
    note: one line to be read with its numbers.
    """

    level: Level
    direction: Direction
    means: tuple[str, str] | None
    unit: str
    summary: str
    values: Mapping[str, MetricValue]
    companions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str | None = None

    def judge(self, effect: Effect) -> str:
        """What a significant change is: "better", "worse" or what the metric says it means; otherwise nothing."""
        change = effect.difference.value
        if not effect.significant or not change:
            return ""
        if self.direction == "none":
            return self.means[change < 0] if self.means else ""
        return "better" if (change > 0) == (self.direction == "higher") else "worse"

    @property
    def side(self) -> str:
        """Which way is better, or what more of it means; nothing if neither is said."""
        if self.direction == "none":
            return f"higher is {self.means[0]}" if self.means else ""
        return f"{self.direction} is better"


@dataclass(frozen=True)
class Example:
    """What followed a prompt under each condition."""

    sample: int
    prompt: str
    texts: Mapping[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class Behaviour(Result):
    """An intervention experiment.

    Attributes
    ----------
    run: the groups of blocks.
    noise: how large each block's output is, and what was added to it.
    conditions: the baseline, the disturbed groups, then controls.
    effects: of every metric and disturbed condition.
    verdicts: statement of the paper -> the answer.
    not_measured: metric -> why; notes: what a reader must know beside the numbers.
    examples: the texts of a few prompts; all texts are kept only where `intervene` was given ``out``.
    """

    kind: ClassVar[Kind] = Kind(
        name="intervention",
        file="interventions.json",
        what="an experiment",
        maker="`mspgt intervene out=...`",
        shown="mspgt.show.intervention:SHOWN",
        verb="intervene",
    )

    model: ModelFacts
    run: Scales
    settings: Settings
    bootstrap: Bootstrap
    noise: tuple[Spread, ...]
    conditions: tuple[Condition, ...]
    metrics: Mapping[str, MetricFacts]
    effects: tuple[Effect, ...]
    verdicts: Mapping[str, Prediction]
    not_measured: Mapping[str, str]
    notes: tuple[str, ...]
    examples: tuple[Example, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        names = {condition.name for condition in self.conditions}
        groups = {"", *(group.name for group in self.run.groups)}
        for condition in self.conditions:
            if condition.group not in groups:
                raise ValueError(f"condition {condition.name} is of the group {condition.group!r}, which is not there")
            if condition.control and condition.control not in names:
                raise ValueError(f"condition {condition.name} controls {condition.control!r}, which is not there")
        disturbed = [*((g.name, g.blocks) for g in self.run.groups), *((c.name, c.blocks) for c in self.conditions)]
        for name, blocks in disturbed:
            if not all(1 <= block <= self.model.n_layers for block in blocks):
                raise ValueError(f"{name} has blocks that a model of {self.model.n_layers} does not have")
        for effect in self.effects:
            if effect.metric not in self.metrics or effect.condition not in names:
                raise ValueError(f"effects holds {effect.metric} under {effect.condition}, one of which is not there")

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return self.bootstrap.confidence

    @property
    def incomplete(self) -> bool:
        """Whether a metric could not be measured."""
        return bool(self.not_measured)

    @property
    def accepted(self) -> bool:
        """Whether the boundaries that define the groups were accepted."""
        return self.run.accepted

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The disturbed conditions by what was done: as asked, then further strengths, matched doses and controls."""
        return Conditions(self.conditions).variants

    @property
    def scales(self) -> dict[str, str]:
        """Group -> its condition as it was asked for, at the main strength."""
        return dict(self.variants[0].conditions) if self.variants else {}

    @property
    def strengths(self) -> tuple[Variant, ...]:
        """The same disturbance in every strength, the weakest first; empty where there is one strength."""
        same = [variant for variant in self.variants if variant.kind in ("", "strength")]
        return tuple(sorted(same, key=lambda variant: variant.sigma)) if len(same) > 1 else ()

    @property
    def doses(self) -> tuple[Variant, ...]:
        """As asked, matched and control, at the main strength; empty where there is nothing beside it."""
        first, others = self.variants[:1], self.variants[1:]
        beside = [v for v in others if v.kind != "strength" and v.sigma == first[0].sigma]
        return (*first, *beside) if beside else ()

    def effect(self, metric: str, condition: str) -> Effect:
        """What a condition did to a metric; an effect without numbers if it was not computed.

        Raises
        ------
        UserError: an unknown metric or condition.
        """
        names = [known.name for known in self.conditions]
        if metric not in self.metrics:
            raise unknown("metric", metric, self.metrics)
        if condition not in names:
            raise unknown("condition", condition, names)
        return self._effects.get((metric, condition), Effect(metric, condition))

    @cached_property
    def _effects(self) -> dict[tuple[str, str], Effect]:
        return {(effect.metric, effect.condition): effect for effect in self.effects}
