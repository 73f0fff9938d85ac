"""Run: what a corpus run through a model shows: curves, boundaries and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mspgt.core.errors import UserError
from mspgt.core.provenance import Provenance
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.evaluate import Bootstrap, SignalCurve
from mspgt.models.facts import ModelFacts
from mspgt.results.kinds import Kind
from mspgt.results.result import Result
from mspgt.stats.boundaries import RULES, Boundary, Verdict
from mspgt.stats.curve import Curve


@dataclass(frozen=True, eq=False, repr=False)
class Run(Result):
    """Curves, boundaries and verdicts of one run.

    Attributes
    ----------
    signals: name -> its curve, and what it shows beside.
    verdicts: rule, "mspgt" or "paper" -> its answer.
    notes: what a reader must know beside the numbers; left_out: what failed or was refused; one sentence each.
    """

    kind: ClassVar[Kind] = Kind(
        name="run",
        file="result.json",
        what="a run",
        maker="`mspgt run out=...`",
        shown="mspgt.show.run:SHOWN",
        verb="run",
    )

    model: ModelFacts
    data: CorpusFacts
    signals: Mapping[str, SignalCurve]
    verdicts: Mapping[str, Verdict]
    bootstrap: Bootstrap
    provenance: Provenance
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.signals:
            raise ValueError("it has no signal")
        self.verdict()
        curves: dict[str, Curve] = {f"signals.{name}": curve for name, curve in self.signals.items()}
        curves |= {f"verdicts.{rule}.evidence": verdict.evidence for rule, verdict in self.verdicts.items()}
        for name, curve in curves.items():
            if len(curve.transition) != self.n_layers - 1:
                raise ValueError(f"{name} has {len(curve.transition)} transitions, the model {self.n_layers} blocks")
            if not np.array_equal(curve.transition, np.arange(1, self.n_layers)):
                raise ValueError(f"{name} has transitions that do not count from 1")

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return self.model.n_layers

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return self.bootstrap.confidence

    @property
    def rules(self) -> tuple[Verdict, ...]:
        """Every verdict, ours first."""
        return tuple(self.verdicts[rule] for rule in RULES if rule in self.verdicts)

    def verdict(self, rule: str = "mspgt") -> Verdict:
        """The verdict of one rule; UserError if the run has none."""
        if rule not in self.verdicts:
            available = ", ".join(v.rule for v in self.rules)
            raise UserError(f"this result has no verdict of the rule {rule!r}; available: {available or 'none'}.")
        return self.verdicts[rule]

    @property
    def boundaries(self) -> tuple[Boundary, ...]:
        """The boundaries that our rule places, accepted or not."""
        return self.verdict().boundaries
