"""An experiment in sentences: what each group changes, what was not tested, groups, settings and answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite

from mspgt.core.phrases import amount, listed, runs
from mspgt.results.intervention import Behaviour, MetricFacts
from mspgt.show import sections, wording
from mspgt.stats.boundaries import OUTCOME
from mspgt.stats.paired.answers import Prediction
from mspgt.stats.paired.records import Effect

UNCORRECTED = (
    "A verdict's p is of its statement alone and is not corrected for the number of statements; stars are corrected."
)
UNACCEPTED = f"the boundaries between the scales were {OUTCOME[False]}"
DOSES = {
    "matched": "in each scale a random window of as many blocks as the smallest has",
    "control": "a random window of as many blocks outside the scale",
    "matched-control": "the same as control, with as many blocks as matched",
}
"""kind of a variant -> what is disturbed"""
SETTINGS = {
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
"""setting -> how it stands in the line that says what was done"""
FEW = 3
"""metrics up to which it is said which ones, rather than all but some"""


# ------------------------------------------------------------------------------------------------- the answer


def headline(behaviour: Behaviour) -> str:
    """Which metrics each group changes, and which were not tested; at most two sentences."""
    left_out = untested(behaviour)
    tested = {group: [e for e in main_effects(behaviour, group) if isfinite(e.p)] for group in behaviour.scales}
    if not any(tested.values()):
        return f"No change was tested{f': {left_out}' if left_out else ''}."
    parts = [f"{_span(behaviour, group)} changes {_changed(effects)}" for group, effects in tested.items()]
    mark = "" if behaviour.accepted else f"; {UNACCEPTED}"
    return f"Disturbing {'; '.join(parts)}{mark}." + (f" Not tested: {left_out}." if left_out else "")


def main_effects(behaviour: Behaviour, group: str) -> list[Effect]:
    """What the disturbance that was asked for did to each metric."""
    return [behaviour.effect(name, behaviour.scales[group]) for name in behaviour.metrics]


def untested(behaviour: Behaviour) -> str:
    """Which metrics were not tested under which groups, and why; nothing if all were."""
    where: dict[tuple[str, str], list[str]] = {}
    for group in behaviour.scales:
        for effect in main_effects(behaviour, group):
            if why := effect.why_untested:
                where.setdefault((effect.metric, why), []).append(group)
    return ", ".join(f"{metric}{under(groups, behaviour)} ({why})" for (metric, why), groups in where.items())


def under(groups: Sequence[str], behaviour: Behaviour) -> str:
    """`` under local and global``; nothing where it is all of them."""
    return "" if len(groups) == len(behaviour.scales) else f" under {listed(groups)}"


def _changed(tested: Sequence[Effect]) -> str:
    """The metrics that a group changes, out of those that were tested under it."""
    if not tested:
        return "what was not tested"
    changed = [effect.metric for effect in tested if effect.significant]
    unchanged = [effect.metric for effect in tested if not effect.significant]
    if len(changed) <= FEW or len(unchanged) > FEW:
        return listed(changed) or "no tested metric"
    return f"all {len(tested)} tested metrics" + (f" but {listed(unchanged)}" if unchanged else "")


def _span(behaviour: Behaviour, group: str) -> str:
    blocks = next((g.blocks for g in behaviour.run.groups if g.name == group), ())
    return f"blocks {runs(blocks)} ({group})" if blocks else f"the {group} blocks"


# ------------------------------------------------------------------------------------------------- what was done


def subjects(behaviour: Behaviour) -> dict[str, str]:
    """What was looked at, and how."""
    return {
        "model": wording.describe_model(behaviour.model),
        "scales": describe_scales(behaviour),
        "done": describe_settings(behaviour),
    }


def answers(behaviour: Behaviour) -> dict[str, str]:
    """The verdicts in short."""
    in_short = (f"{spoken(name)} {answer.verdict}" for name, answer in behaviour.verdicts.items())
    return {"verdicts": "; ".join(in_short) or "none"}


def describe_scales(behaviour: Behaviour) -> str:
    """Which blocks make up each group, where that comes from, and whether it was accepted."""
    run = behaviour.run
    spans = ", ".join(f"{group.name} {runs(group.blocks)}" for group in run.groups)
    accepted, source = OUTCOME[run.accepted], run.source
    if source.startswith(accepted):
        accepted, source = source, ""
    where = ", ".join(filter(None, (source, run.path)))
    return f"{spans} of {behaviour.model.n_layers} blocks; boundaries {accepted}" + (f" ({where})" if where else "")


def describe_settings(behaviour: Behaviour) -> str:
    """What was done, to how many prompts, in which precision."""
    settings, disturbed = behaviour.settings, [c for c in behaviour.conditions if c.group]
    strengths = ", ".join(amount(s) for s in dict.fromkeys(c.sigma for c in disturbed))
    parts = [f"{listed(list(dict.fromkeys(c.intervention for c in disturbed)))} of sigma {strengths}"]
    left_out = ("temperature", "top_p") if settings.decoding == "greedy" else ()
    known = {text: getattr(settings, key) for key, text in SETTINGS.items() if key not in left_out}
    parts += [text.format(f"{v:,}" if isinstance(v, int) else v) for text, v in known.items()]
    return ", ".join(parts)


def stars(behaviour: Behaviour) -> str:
    """What the stars mean, and by which tests."""
    effects = (effect for group in behaviour.scales for effect in main_effects(behaviour, group))
    documents = any(effect.primary == "t_document" for effect in effects)
    test = "paired t of whole documents" if documents else "paired t"
    return f"*p<.05, **p<.01, ***p<.001 after Holm's correction ({test}, or swaps for a corpus-level metric)"


def unit(name: str, metric: MetricFacts) -> str:
    """The unit of a metric; nothing where it would repeat the name."""
    return "" if metric.unit.replace("_", " ") == name.replace("_", " ") else metric.unit


# ------------------------------------------------------------------------------------------------- answers


def spoken(name: str) -> str:
    """The name of a statement in words: prediction 2.1."""
    words, digits = re.fullmatch(r"(.*?)((?:_\d+)*)", name).groups()  # type: ignore[union-attr]
    number = digits.strip("_").replace("_", ".")
    return f"{words.replace('_', ' ')} {number}".strip()


def reasons(answer: Prediction) -> tuple[str, ...]:
    """Why, as sentences."""
    return tuple(reason[:1].upper() + reason[1:] for reason in sections.reasons(answer))


def first_reason(answer: Prediction) -> str:
    """The first sentence of the first reason, and the verdict at a matched dose where it is another."""
    first = re.split(r"(?<=[\w)]\.) (?=[A-Z])", next(iter(reasons(answer)), ""))[0]
    matched = answer.matched.verdict if answer.matched else answer.verdict
    other = "" if matched == answer.verdict else f"At a matched dose it is {matched}."
    return " ".join(filter(None, (first, other)))
