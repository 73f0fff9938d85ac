"""What interventions.json (schema 1) says, checked once and given as typed views: conditions, effects, verdicts.

Figures, tables, the page and the CSV read these views and nothing else, so an experiment read back from disk a year
later is shown exactly as it was on its day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mspgt.core.codec import plain
from mspgt.core.errors import UserError, unknown
from mspgt.results.intervention.conditions import SCALES, Variant, variants
from mspgt.results.intervention.effects import Answer, Effect, Measured, answer, effect, measured, number

SCHEMA = 1
FILE = "interventions.json"


@dataclass(frozen=True, eq=False, repr=False)
class Observed:
    """What interventions.json says; `mspgt.Behaviour` is this with sentences, figures and files.

    Parameters
    ----------
    data: the contents; arrays become lists, NaN and infinities null, and the caller's object is left alone.
    where: the file they come from, named in messages.

    Raises
    ------
    UserError: another schema, or a missing part.
    """

    data: Mapping[str, Any]
    where: str = "the experiment"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", plain(self.data))
        _check(self.data, self.where)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.data["model"].get("name") or "unnamed model")

    @property
    def accepted(self) -> bool:
        """Whether the boundaries that define the scales were accepted."""
        return self.data["run"].get("accepted") is True

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return number(self.settings.get("confidence"), 0.95)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition in its order, the baseline first."""
        return tuple(map(str, self.data["conditions"]))

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The disturbed conditions by what was done: as asked, then further strengths, matched doses and controls."""
        return variants(self.conditions, self.settings.get("sigma"))

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales that were disturbed as asked."""
        return tuple(self.variants[0].conditions) if self.variants else ()

    @property
    def strengths(self) -> tuple[Variant, ...]:
        """The same disturbance in every strength, the weakest first; empty where there is one strength."""
        found = [v for v in self.variants if v.kind in ("", "strength") and v.strength is not None]
        return tuple(sorted(found, key=lambda v: v.strength or 0.0)) if len(found) > 1 else ()

    @property
    def doses(self) -> tuple[Variant, ...]:
        """As asked, matched and control, at the strength of the first; empty where there is nothing beside it."""
        first, others = self.variants[:1], self.variants[1:]
        beside = [v for v in others if v.kind != "strength" and v.strength == first[0].strength]
        return (*first, *beside) if beside else ()

    @cached_property
    def metrics(self) -> dict[str, Measured]:
        """Each metric by name."""
        return {name: measured(name, block) for name, block in self.data["metrics"].items()}

    def effect(self, metric: str, condition: str) -> Effect:
        """What a condition did to a metric; an effect without numbers if it was not computed.

        Raises
        ------
        UserError: an unknown metric or condition.
        """
        if metric not in self.metrics:
            raise unknown("metric", metric, self.metrics)
        if condition not in self.conditions:
            raise unknown("condition", condition, self.conditions)
        return self._effects.get((metric, condition), Effect(metric, condition))

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """The verdicts on the paper's predictions."""
        return tuple(
            answer(str(name), block)
            for name, block in (self.data.get("verdicts") or {}).items()
            if isinstance(block, Mapping)
        )

    @property
    def not_measured(self) -> dict[str, str]:
        """Metric -> why it was not measured."""
        return {str(k): str(v or "no reason was given") for k, v in (self.data.get("not_measured") or {}).items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the numbers."""
        return tuple(map(str, self.data.get("notes") or ()))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the experiment."""
        return self.data.get("settings") or {}

    @property
    def layers(self) -> dict[str, list[int]]:
        """Scale -> the numbers of its blocks, from 1."""
        layers = self.data["run"].get("layers") or {}
        return {scale: layers[scale] for scale in SCALES if layers.get(scale)}

    @cached_property
    def _effects(self) -> dict[tuple[str, str], Effect]:
        found = {}
        for block in self.data["effects"]:
            metric = self.metrics.get(str(block.get("metric")))
            if metric is not None:
                view = effect(block, metric)
                found[view.metric, view.condition] = view
        return found


def _check(data: Mapping[str, Any], where: str) -> None:
    again = "make it again with `mspgt intervene`."
    if data.get("schema") != SCHEMA:
        raise UserError(
            f"{where} has schema {data.get('schema')!r}; this version of mspgt reads schema {SCHEMA}: {again}"
        )
    kinds = {"model": dict, "run": dict, "metrics": dict, "conditions": list, "effects": list}
    for key, kind in kinds.items():
        if not isinstance(data.get(key), kind):
            raise UserError(f"{where} is not a complete experiment: {key!r} is missing; {again}")
    damaged = [f"metrics.{name}" for name, block in data["metrics"].items() if not isinstance(block, dict)]
    damaged += [f"effects[{i}]" for i, block in enumerate(data["effects"]) if not isinstance(block, dict)]
    if damaged:
        raise UserError(f"{where} is damaged: {damaged[0]} holds no mapping; {again}")
