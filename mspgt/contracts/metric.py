"""The contract of a metric: generated texts to one number per sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mspgt.core.options import NoOptions, parse

Level = Literal["sample", "corpus"]
Direction = Literal["higher", "lower", "none"]
Values = NDArray[np.float64]
Swapped = Callable[[NDArray[np.bool_]], tuple[float, float]]
"""(sample,) which samples change sides -> the corpus values of both sides"""


@dataclass(frozen=True)
class Generated:
    """What a model wrote for one prompt under one condition."""

    sample: int
    """number of the prompt"""
    prompt: str
    text: str
    """without the prompt; may be empty"""
    scores: Mapping[str, float] = field(default_factory=dict)
    """for metrics that need them: `nll`, mean negative log-likelihood of the text's tokens under the undisturbed model
    (nats); `kl`, mean Kullback-Leibler divergence of the disturbed model from the undisturbed one along the
    undisturbed model's text (nats); absent where there is no token"""


class Metric:
    """Base of all metrics: one method, `measure`.

    Raise `mspgt.UserError` with one sentence where the metric cannot be measured at all (no server, no model): it is
    then reported as not measured, and everything else goes on.
    """

    summary: ClassVar[str] = ""
    """one line for `mspgt ls`"""
    level: ClassVar[Level] = "sample"
    """"sample": a value depends on its own text alone; "corpus": on all texts of the condition"""
    direction: ClassVar[Direction] = "none"
    """which way is better: "higher", "lower" or "none" """
    means: ClassVar[tuple[str, str] | None] = None
    """what more and less of a metric without a better side is, such as ("longer", "shorter") """
    unit: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    """what else than texts: "scores" """
    Options: ClassVar[type] = NoOptions
    """a frozen dataclass of `mspgt.core.options.option` fields"""
    exceptions: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """law of the conformance suite -> the reason why this metric does not obey it"""

    def __init_subclass__(cls) -> None:
        for what, word, known in (("level", cls.level, Level), ("direction", cls.direction, Direction)):
            if word not in get_args(known):
                raise TypeError(f"{what} of {cls.__name__} is {word!r}, not one of {', '.join(get_args(known))}")

    def __init__(self, *, seed: int = 0, device: str = "cpu", offline: bool = False, **options: Any) -> None:
        self.seed, self.device, self.offline = seed, device, offline
        self.options: Any = parse(self.Options, options)

    def probe(self) -> None:
        """Look for what the metric needs (a server, a program), before anything is generated; takes seconds at most.

        Raises
        ------
        mspgt.UserError: something is not there. The user is told at once; it is tried again when it is needed.
        """

    def measure(self, texts: Sequence[Generated]) -> Values:
        """One value per text, in their order; NaN where the metric is undefined for a text (too short, say)."""
        raise NotImplementedError

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """Further numbers of a condition that stand beside the mean; none are tested."""
        return {}

    def swapped(self, one: Sequence[Generated], other: Sequence[Generated]) -> Swapped:
        """Corpus values of two conditions when some samples change sides, for the randomisation test.

        The default measures anew each time; a corpus-level metric that can be quicker should be.
        """

        def values(swap: NDArray[np.bool_]) -> tuple[float, float]:
            first = [b if s else a for a, b, s in zip(one, other, swap, strict=True)]
            second = [a if s else b for a, b, s in zip(one, other, swap, strict=True)]
            return float(np.nanmean(self.measure(first))), float(np.nanmean(self.measure(second)))

        return values

    def close(self) -> None:
        """Let go of servers and models; called once, whatever happened."""
