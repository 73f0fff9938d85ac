"""Answers on predictions of the paper, and how a number stands in their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mspgt.core.codec import plain
from mspgt.core.phrases import listed


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer on a prediction of the paper.

    Attributes
    ----------
    verdict: supported, contradicted or undecided.
    reasons: sentences; the first begins with the verdict.
    numbers: plain JSON values, None where there is none.
    note: one line to be read with it, or nothing.
    """

    verdict: str
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any]
    note: str = ""

    def __str__(self) -> str:
        return self.reasons[0]

    def __repr__(self) -> str:
        return f"<{self}>"


def answer(verdict: str, reasons: list[str], numbers: Mapping[str, Any]) -> Prediction:
    """An answer; records among the numbers become plain values."""
    return Prediction(verdict, tuple(reasons), plain(numbers))


def undecided(reason: str, numbers: Mapping[str, Any]) -> Prediction:
    """What cannot be judged, and why."""
    return answer("undecided", [f"undecided: {reason}."], numbers)


def not_measured(metric: str, *conditions: str) -> Prediction:
    """A statement about a metric or conditions that are not there."""
    return undecided(f"{metric} was not measured under {listed(conditions)}", {"metric": metric})


def p_text(p: float) -> str:
    """A p-value in a sentence."""
    return "undefined" if p != p else f"{p:.3g}"
