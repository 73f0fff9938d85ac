"""The parts of a verdict: how it is written down, and how a number stands in its sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mspgt.core.phrases import listed
from mspgt.stats.paired.measured import Json


def answer(verdict: str, reasons: list[str], numbers: Json) -> Json:
    """A verdict as it stands in a file of results; the first reason begins with the verdict."""
    return {"verdict": verdict, "reasons": reasons, "numbers": numbers}


def undecided(reason: str, numbers: Json) -> Json:
    """What cannot be judged, and why."""
    return answer("undecided", [f"undecided: {reason}."], numbers)


def not_measured(metric: str, *conditions: str) -> Json:
    """A statement about a metric or conditions that are not there."""
    return undecided(f"{metric} was not measured under {listed(conditions)}", {"metric": metric})


def shown(p: float) -> str:
    """A p-value in a sentence."""
    return "undefined" if p != p else f"{p:.3g}"


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer on a prediction of the paper.

    Attributes
    ----------
    verdict: supported, contradicted or undecided.
    reasons: sentences; the first begins with the verdict.
    numbers: plain JSON values, None where there is none.
    """

    verdict: str
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The answer as it stands in a file of results."""
        return answer(self.verdict, list(self.reasons), dict(self.numbers))

    def __str__(self) -> str:
        return self.reasons[0]

    def __repr__(self) -> str:
        return f"<{self}>"
