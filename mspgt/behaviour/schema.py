"""What interventions.json (schema 1) says, checked once and given as typed views: conditions, effects, verdicts.

Figures, tables, the page and the CSV read these views and nothing else, so an experiment read back from disk a year
later is shown exactly as it was on its day.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mspgt.behaviour.conditions import SCALES, Variant, variants
from mspgt.behaviour.effects import Answer, Effect, Measured, answer, effect, measured, number
from mspgt.errors import UserError, unknown
from mspgt.schema import plain
from mspgt.wording import amount, magnitude, runs

SCHEMA = 1
FILE = "interventions.json"


@dataclass(frozen=True, eq=False)
class Behaviour:
    """An intervention experiment: the contents of its interventions.json are `data`.

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
        return number(self._settings.get("confidence"), 0.95)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition in its order, the baseline first."""
        return tuple(map(str, self.data["conditions"]))

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The disturbed conditions by what was done: as asked, then further strengths, matched doses and controls."""
        return variants(self.conditions, self._settings.get("sigma"))

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
    def numbered_notes(self) -> dict[str, tuple[int, str]]:
        """Metric -> the number and the text of the note that stands at it."""
        noted = [metric for metric in self.metrics.values() if metric.note]
        return {metric.name: (i, metric.note) for i, metric in enumerate(noted, start=1)}

    @property
    def stars(self) -> str:
        """What the stars mean, and by which tests."""
        documents = any(effect.primary == "t_document" for effect in self._effects.values())
        test = "paired t of whole documents" if documents else "paired t"
        return f"*p<.05, **p<.01, ***p<.001 after Holm's correction ({test}, or swaps for a corpus-level metric)"

    @property
    def headline(self) -> str:
        """How many metrics each scale changes, in one sentence."""
        counted = []
        for scale in self.scales:
            effects = [self.effect(name, self.variants[0].conditions[scale]) for name in self.metrics]
            tested = [effect for effect in effects if math.isfinite(effect.p)]
            counted.append((scale, sum(effect.significant for effect in tested), len(tested)))
        if not any(tested for _, _, tested in counted):
            return "No change was tested: no metric was measured under a disturbance and the baseline."
        same = len({tested for _, _, tested in counted}) == 1
        parts = [
            f"{self._span(scale)} changes {changed} of {tested} metric{'s' * (tested != 1)}"
            if not (same and i)
            else f"{self._span(scale)} {changed}"
            for i, (scale, changed, tested) in enumerate(counted)
        ]
        listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
        mark = "" if self.accepted else "; these boundaries were not accepted"
        return f"Disturbing {listed}{mark}."

    @property
    def describe_model(self) -> str:
        """The model in one line: name, shape, parameters."""
        model = self.data["model"]
        parts = []
        if model.get("n_layers"):
            width = f" × {model['hidden_size']}" if model.get("hidden_size") else ""
            parts.append(f"{model['n_layers']} blocks{width}")
        if model.get("n_heads"):
            parts.append(f"{model['n_heads']} heads")
        if model.get("parameters"):
            parts.append(f"{magnitude(number(model['parameters']))} parameters")
        family = f" ({model['family']})" if model.get("family") else ""
        return f"{self.model}{family}" + (f": {', '.join(parts)}" if parts else "")

    @property
    def describe_boundaries(self) -> str:
        """Which blocks make up each scale, where that comes from, and whether it was accepted."""
        run = self.data["run"]
        listed = [f"{scale} {runs(blocks)}" for scale, blocks in self._layers.items()] or ["blocks not given"]
        depth = self.data["model"].get("n_layers")
        of = f" of {depth} blocks" if depth and self._layers else ""
        accepted, source = "accepted" if self.accepted else "not accepted", str(run.get("source") or "")
        if source.startswith(accepted):
            accepted, source = source, ""
        where = ", ".join(filter(None, (source, str(run.get("path") or ""))))
        return f"{', '.join(listed)}{of}; boundaries {accepted}" + (f" ({where})" if where else "")

    @property
    def describe_settings(self) -> str:
        """What was done, to how many prompts, in which precision."""
        s = self._settings
        sigma = s.get("sigma")
        strengths = ", ".join(map(amount, sigma if isinstance(sigma, list) else [sigma])) if sigma is not None else ""
        parts = [f"{s.get('intervention') or 'disturbance'}{f' of sigma {strengths}' if strengths else ''}"]
        known = {
            "apply": "on {} tokens",
            "dose": "dose {}",
            "samples": "{} prompts",
            "prompt_tokens": "{} tokens of each",
            "new_tokens": "{} new tokens",
            "decoding": "decoding {}",
            "temperature": "temperature {}",
            "top_p": "top-p {}",
            "dtype": "{}",
            "seed": "seed {}",
        }
        parts += [
            text.format(f"{s[key]:,}" if isinstance(s[key], int) else s[key])
            for key, text in known.items()
            if s.get(key) is not None and not (s.get("decoding") == "greedy" and key in ("temperature", "top_p"))
        ]
        return ", ".join(parts)

    @property
    def _settings(self) -> Mapping[str, Any]:
        return self.data.get("settings") or {}

    @property
    def _layers(self) -> dict[str, list[int]]:
        layers = self.data["run"].get("layers") or {}
        return {scale: layers[scale] for scale in SCALES if layers.get(scale)}

    def _span(self, scale: str) -> str:
        blocks = self._layers.get(scale)
        return f"blocks {runs(blocks)} ({scale})" if blocks else f"the {scale} blocks"

    @cached_property
    def _effects(self) -> dict[tuple[str, str], Effect]:
        found = {}
        for block in self.data["effects"]:
            metric = self.metrics.get(str(block.get("metric")))
            if metric is not None:
                view = effect(block, metric)
                found[view.metric, view.condition] = view
        return found


def load(path: str | os.PathLike[str]) -> Behaviour:
    """Read an experiment back from its directory or its interventions.json.

    Raises
    ------
    UserError: there is none, it is not JSON, or its schema is another.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no experiment at {file}; give a directory that holds {FILE}, made by `mspgt intervene out=...`."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}.") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file} is not JSON (line {error.lineno}: {error.msg}); make it again with `mspgt intervene`."
        ) from None
    if not isinstance(data, Mapping):
        raise UserError(f"{file} holds a {type(data).__name__}; give a {FILE} made by `mspgt intervene`.")
    return Behaviour(data, where=str(file))


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
