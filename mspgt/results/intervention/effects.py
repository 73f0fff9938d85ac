"""Views of metrics, of what disturbances did to them, and of the verdicts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALPHA = 0.05
STARS = ((0.001, "***"), (0.01, "**"), (ALPHA, "*"))
"""Holm-corrected p below -> mark, the strictest first"""


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its confidence interval; NaN where there is none."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def __bool__(self) -> bool:
        return math.isfinite(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether both ends are there."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Test:
    """One test of one effect: `p` as it stands and `p_holm` corrected by Holm; NaN where there is none."""

    __test__ = False  # pytest: this is not one of its classes

    name: str
    statistic: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Effect:
    """What a condition did to a metric, against the baseline of the same prompts.

    Attributes
    ----------
    difference: in the metric's own unit.
    percent: of the baseline's mean; nothing where that is undefined, and `undefined` says why.
    d_z: the mean difference over the standard deviation of the differences; its interval, where the file has none,
        is that of the difference over the same standard deviation.
    primary: name of the test that decides: "swap" for corpus-level metrics, "t_document" where whole documents were
        resampled, otherwise "t".
    n: complete pairs, both texts having a value, out of `samples`; None where the file has none.
    versus_control: difference from the condition that disturbs as many blocks outside the scale; nothing without one.
    versus_control_p: its Holm-corrected p; NaN if it was not tested.
    why_untested: the reason of the file why the effect was not tested, or nothing.
    """

    metric: str
    condition: str
    difference: Estimate = Estimate()
    percent: Estimate = Estimate()
    undefined: str = ""
    d_z: Estimate = Estimate()
    tests: Mapping[str, Test] = field(default_factory=dict)
    primary: str = "t"
    n: int | None = None
    samples: int | None = None
    versus_control: Estimate = Estimate()
    versus_control_p: float = math.nan
    why_untested: str = ""

    @property
    def p(self) -> float:
        """Holm-corrected p of the primary test; NaN if it was not made."""
        test = self.tests.get(self.primary)
        return math.nan if test is None else test.p_holm

    @property
    def untested(self) -> str:
        """Why there is a difference but no p; nothing where there is a p or no difference."""
        return "" if math.isfinite(self.p) or not self.difference else self.why_untested or "its test is undefined"

    @property
    def versus_control_percent(self) -> Estimate:
        """`versus_control` in points of `percent`; nothing where there is no percentage."""
        if not self.percent or not self.difference.value:
            return Estimate()
        unit, versus = self.percent.value / self.difference.value, self.versus_control
        return Estimate(unit * versus.value, *sorted((unit * versus.low, unit * versus.high)))

    @property
    def significant(self) -> bool:
        """Whether `p` is below 0.05."""
        return self.p < ALPHA

    @property
    def stars(self) -> str:
        """``***``, ``**``, ``*`` or nothing, by `p`."""
        return stars(self.p)

    @property
    def pairs(self) -> str:
        """How many pairs are complete, where some are not: n = 41."""
        return "" if self.n is None or self.samples is None or self.n >= self.samples else f"n = {self.n:,}"


@dataclass(frozen=True)
class Level:
    """A metric under one condition: its mean over `n` samples, or the corpus's value, with its interval."""

    mean: Estimate = Estimate()
    n: int | None = None


@dataclass(frozen=True)
class Measured:
    """A metric and what it was under each condition."""

    name: str
    level: str
    direction: str
    """which way is better: "higher", "lower" or "none" """
    means: tuple[str, str] | None
    """what more and less of it is, where neither is better"""
    unit: str
    """nothing where it would repeat the name"""
    note: str
    """one line to be read with its numbers, or nothing"""
    values: Mapping[str, Level]
    companions: Mapping[str, Mapping[str, Any]]
    """condition -> further numbers beside the mean"""

    def judge(self, effect: Effect) -> str:
        """What a significant change is: "better", "worse" or what the metric says it means; otherwise nothing."""
        change = effect.difference.value
        if not effect.significant or not change:
            return ""
        if self.direction in ("higher", "lower"):
            return "better" if (change > 0) == (self.direction == "higher") else "worse"
        return self.means[change < 0] if self.means else ""

    @property
    def side(self) -> str:
        """Which way is better, or what more of it means; nothing if neither is said."""
        if self.direction in ("higher", "lower"):
            return f"{self.direction} is better"
        return f"higher is {self.means[0]}" if self.means else ""


@dataclass(frozen=True)
class Answer:
    """What the experiment says about a prediction: supported, contradicted or undecided, why, and on which numbers."""

    name: str
    verdict: str
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any]
    note: str = ""
    """one line to be read with it, or nothing"""

    @property
    def reason(self) -> str:
        """The first sentence of the first reason."""
        first = self.reasons[0] if self.reasons else ""
        return re.split(r"(?<=[\w)]\.) (?=[A-Z])", first)[0]

    @property
    def at_matched_dose(self) -> str:
        """The verdict of the conditions of matched dose, or nothing."""
        matched = self.numbers.get("matched")
        return str(matched.get("verdict") or "") if isinstance(matched, Mapping) else ""

    @property
    def title(self) -> str:
        """The name in words: prediction 2.1."""
        words = self.name.split("_")
        digits = [word for word in words if word.isdigit()]
        spoken = " ".join(words[: len(words) - len(digits)])
        return f"{spoken} {'.'.join(digits)}" if digits and words[-len(digits) :] == digits else " ".join(words)


def measured(name: str, block: Mapping[str, Any]) -> Measured:
    """A metric of the file as a view."""
    levels = {
        str(condition): Level(
            Estimate(*(number(value.get(key)) for key in ("mean", "low", "high"))),
            _count(value.get("n")),
        )
        for condition, value in (block.get("values") or {}).items()
        if isinstance(value, Mapping)
    }
    companions = {
        str(condition): values
        for condition, values in (block.get("companions") or {}).items()
        if isinstance(values, Mapping)
    }
    unit, means = str(block.get("unit") or ""), block.get("means")
    return Measured(
        name,
        str(block.get("level") or "sample"),
        str(block.get("direction") or "none"),
        (str(means[0]), str(means[1])) if isinstance(means, (list, tuple)) and len(means) == 2 else None,
        "" if unit.replace("_", " ") == name.replace("_", " ") else unit,
        str(block.get("note") or ""),
        levels,
        companions,
    )


def effect(block: Mapping[str, Any], metric: Measured) -> Effect:
    """An effect of the file as a view."""
    tests = {
        str(name): Test(str(name), *(number(test.get(key)) for key in ("statistic", "p", "p_holm")))
        for name, test in (block.get("tests") or {}).items()
        if isinstance(test, Mapping)
    }
    difference, d_z = _estimate(block.get("difference")), _estimate(block.get("d_z"))
    if d_z and not d_z.has_interval and difference.value:
        unit = d_z.value / difference.value
        d_z = Estimate(d_z.value, *sorted((unit * difference.low, unit * difference.high)))
    versus = block.get("versus_control")
    percent, why = _estimate(block.get("percent")), block.get("undefined")
    return Effect(
        metric.name,
        str(block.get("condition")),
        difference,
        percent,
        "" if percent else why if isinstance(why, str) and why else "the percentage is undefined",
        d_z,
        tests,
        str(block.get("primary") or ("swap" if metric.level == "corpus" else "t")),
        _count(block.get("n")),
        _count(block.get("samples")),
        _estimate(versus),
        number(versus.get("p_holm")) if isinstance(versus, Mapping) else math.nan,
        str(block.get("untested") or ""),
    )


def stars(p: float) -> str:
    """``***``, ``**``, ``*`` or nothing, by a Holm-corrected p."""
    return next((mark for limit, mark in STARS if p < limit), "")


def _estimate(block: Any) -> Estimate:
    if isinstance(block, Mapping):
        return Estimate(*(number(block.get(key)) for key in ("value", "low", "high")))
    return Estimate(number(block))


def number(value: Any, default: float = math.nan) -> float:
    """A JSON number as a float, anything else as `default`."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def answer(name: str, block: Mapping[str, Any]) -> Answer:
    """A verdict of the file as a view; reasons do not repeat it."""
    verdict = str(block.get("verdict") or "undecided")
    reasons = tuple(_capital(str(r).removeprefix(f"{verdict}: ")) for r in block.get("reasons") or ())
    numbers = block.get("numbers")
    return Answer(name, verdict, reasons, numbers if isinstance(numbers, Mapping) else {}, str(block.get("note") or ""))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
