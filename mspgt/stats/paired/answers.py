"""Answers on predictions of the paper, and how a number stands in their sentences."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.core.phrases import listed
from mspgt.stats.distance import Apart
from mspgt.stats.paired.numbers import Answer, Coefficients, Diversity, Most, Versus

Numbers = Most | Diversity | Coefficients | Versus | Apart
"""what an answer may rest on"""


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer on a prediction of the paper.

    Attributes
    ----------
    verdict: supported, contradicted or undecided.
    reasons: sentences, one at least; the first begins with the verdict.
    numbers: None where nothing was measured.
    note: one line to be read with it, or nothing.
    matched: the answer at a matched dose; None where there is none beside this one.

    Raises
    ------
    ValueError: there are no reasons.
    """

    verdict: Answer
    reasons: tuple[str, ...]
    numbers: Numbers | None
    note: str = ""
    matched: Prediction | None = None

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueError("an answer gives no reasons")

    def __str__(self) -> str:
        return self.reasons[0]

    def __repr__(self) -> str:
        return f"<{self}>"


def undecided(reason: str, numbers: Numbers | None = None) -> Prediction:
    """What cannot be judged, and why."""
    return Prediction("undecided", (f"undecided: {reason}.",), numbers)


def not_measured(metric: str, *conditions: str) -> Prediction:
    """A statement about a metric or conditions that are not there."""
    return undecided(f"{metric} was not measured under {listed(conditions)}")


def p_text(p: float) -> str:
    """A p-value in a sentence."""
    return "undefined" if p != p else f"{p:.3g}"
