"""An experiment in sentences: what each scale changes, what was not tested, the model, the scales and the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mspgt.core.phrases import amount, listed, magnitude, runs
from mspgt.results.intervention.effects import Effect, number
from mspgt.results.intervention.schema import Observed

UNCORRECTED = (
    "A verdict's p is of its statement alone and is not corrected for the number of statements; stars are corrected."
)
FEW = 3
"""metrics up to which it is said which ones, rather than all but some"""


def stars(behaviour: Observed) -> str:
    """What the stars mean, and by which tests."""
    documents = any(effect.primary == "t_document" for effect in _main(behaviour))
    test = "paired t of whole documents" if documents else "paired t"
    return f"*p<.05, **p<.01, ***p<.001 after Holm's correction ({test}, or swaps for a corpus-level metric)"


def headline(behaviour: Observed) -> str:
    """Which metrics each scale changes, and which were not tested; at most two sentences."""
    left_out = untested(behaviour)
    effects = {scale: [e for e in _of(behaviour, scale) if math.isfinite(e.p)] for scale in behaviour.scales}
    if not any(effects.values()):
        return f"No change was tested{f': {left_out}' if left_out else ''}."
    parts = [f"{_span(behaviour, scale)} changes {_changed(tested)}" for scale, tested in effects.items()]
    mark = "" if behaviour.accepted else "; these boundaries were not accepted"
    return f"Disturbing {'; '.join(parts)}{mark}." + (f" Not tested: {left_out}." if left_out else "")


def untested(behaviour: Observed) -> str:
    """Which metrics were not tested under which scales, and why; nothing if all were."""
    found: dict[tuple[str, str], list[str]] = {}
    for scale in behaviour.scales:
        for effect in _of(behaviour, scale):
            if effect.untested:
                found.setdefault((effect.metric, effect.untested), []).append(scale)
    every = list(behaviour.scales)
    return ", ".join(
        f"{metric}{'' if scales == every else f' under {listed(scales)}'} ({why})"
        for (metric, why), scales in found.items()
    )


def model(behaviour: Observed) -> str:
    """The model in one line: name, shape, parameters."""
    model = behaviour.data["model"]
    parts = []
    if model.get("n_layers"):
        width = f" × {model['hidden_size']}" if model.get("hidden_size") else ""
        parts.append(f"{model['n_layers']} blocks{width}")
    if model.get("n_heads"):
        parts.append(f"{model['n_heads']} heads")
    if model.get("parameters"):
        parts.append(f"{magnitude(number(model['parameters']))} parameters")
    family = f" ({model['family']})" if model.get("family") else ""
    return f"{behaviour.model}{family}" + (f": {', '.join(parts)}" if parts else "")


def boundaries(behaviour: Observed) -> str:
    """Which blocks make up each scale, where that comes from, and whether it was accepted."""
    run, layers = behaviour.data["run"], behaviour.layers
    spans = [f"{scale} {runs(blocks)}" for scale, blocks in layers.items()] or ["blocks not given"]
    depth = behaviour.data["model"].get("n_layers")
    of = f" of {depth} blocks" if depth and layers else ""
    accepted, source = "accepted" if behaviour.accepted else "not accepted", str(run.get("source") or "")
    if source.startswith(accepted):
        accepted, source = source, ""
    where = ", ".join(filter(None, (source, str(run.get("path") or ""))))
    return f"{', '.join(spans)}{of}; boundaries {accepted}" + (f" ({where})" if where else "")


def settings(s: Mapping[str, Any]) -> str:
    """What was done, to how many prompts, in which precision."""
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


def _changed(tested: Sequence[Effect]) -> str:
    """The metrics that a scale changes, out of those that were tested under it."""
    if not tested:
        return "what was not tested"
    changed = [effect.metric for effect in tested if effect.significant]
    unchanged = [effect.metric for effect in tested if not effect.significant]
    if len(changed) <= FEW or len(unchanged) > FEW:
        return listed(changed) or "no tested metric"
    return f"all {len(tested)} tested metrics" + (f" but {listed(unchanged)}" if unchanged else "")


def _of(behaviour: Observed, scale: str) -> list[Effect]:
    return [behaviour.effect(name, behaviour.variants[0].conditions[scale]) for name in behaviour.metrics]


def _main(behaviour: Observed) -> list[Effect]:
    return [effect for scale in behaviour.scales for effect in _of(behaviour, scale)]


def _span(behaviour: Observed, scale: str) -> str:
    blocks = behaviour.layers.get(scale)
    return f"blocks {runs(blocks)} ({scale})" if blocks else f"the {scale} blocks"


class Described(Observed):
    """An experiment that can be put in words."""

    @property
    def stars(self) -> str:
        """What the stars mean, and by which tests."""
        return stars(self)

    @property
    def untested(self) -> str:
        """Which metrics were not tested under which scales, and why; nothing if all were."""
        return untested(self)

    @property
    def headline(self) -> str:
        """Which metrics each scale changes, and which were not tested."""
        return headline(self)

    @property
    def describe_model(self) -> str:
        """The model in one line: name, shape, parameters."""
        return model(self)

    @property
    def describe_boundaries(self) -> str:
        """Which blocks make up each scale, where that comes from, and whether it was accepted."""
        return boundaries(self)

    @property
    def describe_settings(self) -> str:
        """What was done, to how many prompts, in which precision."""
        return settings(self.settings)
