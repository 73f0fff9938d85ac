"""Conditions of an experiment, and how they belong together: a baseline, groups of blocks, matched doses, controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

BASELINE = "baseline"
SCALES = ("local", "intermediate", "global")
"""the groups that the paper speaks of"""
WHOLE, MATCHED = "paper", "matched"


@dataclass(frozen=True)
class Condition:
    """One way in which every prompt is continued.

    Attributes
    ----------
    group: the group of blocks that it is about; empty for the baseline.
    sigma: strength, in the intervention's own measure; 0 for the baseline.
    intervention: name of what is done to the blocks; empty for the baseline.
    dose: "paper" disturbs every block of the group, "matched" as many as the smallest group has.
    control: name of the condition that it is the control of, which disturbs as many blocks outside the group; empty
        for a condition that is none.
    blocks: numbers of the blocks, from 1, that may be disturbed; none for the baseline.
    window: this many consecutive ones of `blocks` are disturbed, drawn anew for each sample; all where None.
    """

    name: str
    group: str = ""
    sigma: float = 0.0
    intervention: str = ""
    dose: str = WHOLE
    control: str = ""
    blocks: tuple[int, ...] = ()
    window: int | None = None


@dataclass(frozen=True)
class Group:
    """Blocks that are disturbed together; their numbers count from 1."""

    name: str
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Variant:
    """One way of disturbing, done to each of the groups.

    Attributes
    ----------
    kind: "" for what was asked for, "strength" for the same in another strength, otherwise "matched", "control" or
        "matched-control".
    sigma: strength, in the intervention's own measure.
    label: a few words for legends and tables.
    conditions: group -> name of the condition.
    """

    kind: str
    sigma: float
    label: str
    conditions: Mapping[str, str]


class Conditions:
    """All conditions of an experiment by what they are to each other.

    What was asked for is the first disturbed condition's dose and, as the main strength, its sigma.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.disturbed = tuple(condition for condition in conditions if condition.group)

    @cached_property
    def main(self) -> dict[str, str]:
        """Group -> its condition as it was asked for, at the main strength."""
        return dict(self.variants[0].conditions) if self.variants else {}

    @cached_property
    def matched(self) -> dict[str, str]:
        """Group -> its condition of matched dose at the main strength; empty where there are none beside the main."""
        return next((dict(v.conditions) for v in self.variants if v.kind == MATCHED and v.sigma == self._sigma), {})

    @cached_property
    def controls(self) -> dict[str, str]:
        """Condition -> its control."""
        return {condition.control: condition.name for condition in self.disturbed if condition.control}

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """As asked, then further strengths, matched doses and controls, in the order of the conditions."""
        grouped: dict[tuple[str, float], dict[str, str]] = {}
        for condition in self.disturbed:
            grouped.setdefault((self._kind(condition), condition.sigma), {})[condition.group] = condition.name
        return tuple(Variant(*key, self._label(*key), conditions) for key, conditions in grouped.items())

    def strengths(self, group: str) -> dict[float, str]:
        """Sigma -> the condition that disturbs a group by it as asked."""
        alike = (variant for variant in self.variants if variant.kind in ("", "strength"))
        return {variant.sigma: variant.conditions[group] for variant in alike if group in variant.conditions}

    @property
    def sizes(self) -> dict[str, int]:
        """Group -> number of blocks that its main condition disturbs."""
        return {c.group: c.window or len(c.blocks) for c in self.disturbed if c.name == self.main[c.group]}

    @property
    def _sigma(self) -> float:
        return self.disturbed[0].sigma

    def _kind(self, condition: Condition) -> str:
        beside = [MATCHED] if condition.dose != self.disturbed[0].dose else []
        beside += ["control"] if condition.control else []
        return "-".join(beside) or ("strength" if condition.sigma != self._sigma else "")

    def _label(self, kind: str, sigma: float) -> str:
        strength = f"sigma {sigma:g}"
        if kind in ("", "strength"):
            return strength
        return kind if sigma == self._sigma else f"{kind}, {strength}"
