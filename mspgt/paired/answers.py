"""The parts of a verdict: how it is written down, and how a number stands in its sentences."""

from __future__ import annotations

from mspgt.paired.measured import Json


def answer(verdict: str, reasons: list[str], numbers: Json) -> Json:
    """A verdict as it stands in interventions.json; the first reason begins with the verdict."""
    return {"verdict": verdict, "reasons": reasons, "numbers": numbers}


def undecided(reason: str, numbers: Json) -> Json:
    """What cannot be judged, and why."""
    return answer("undecided", [f"undecided: {reason}."], numbers)


def not_measured(metric: str, *conditions: str) -> Json:
    """A statement about a metric or conditions that are not there."""
    return undecided(f"{metric} was not measured under {' and '.join(conditions)}", {"metric": metric})


def shown(p: float) -> str:
    """A p-value in a sentence."""
    return "undefined" if p != p else f"{p:.3g}"
