"""S1: representation change between neighbouring blocks, one over their CKA."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch
from mspgt.contracts.series import HeatMap, Series
from mspgt.contracts.signal import Fitted, Recorder, Report, Signal
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units
from mspgt.plugins.signals.cka.estimator import Estimator, PreparedCKA
from mspgt.plugins.signals.cka.full import FullTokens
from mspgt.plugins.signals.cka.minibatch import Minibatch
from mspgt.plugins.signals.cka.options import CKAOptions
from mspgt.plugins.signals.cka.stored import StoredRows

FLOOR = 0.05
"""CKA below this counts as this: debiased CKA may be zero or negative, and its reciprocal must stay finite"""

_CAPTION = "Debiased CKA between the outputs of every two blocks."
ESTIMATORS: dict[str, type[Estimator]] = {
    "debiased": StoredRows,
    "biased": StoredRows,
    "full": FullTokens,
    "minibatch": Minibatch,
}


class CKA(Signal):
    """S1(l) = 1 / max(CKA(h^l, h^(l+1)), 0.05), linear CKA of the raw outputs of neighbouring blocks.

    Kornblith et al. 2019 (arXiv 1905.00414), debiased after Song et al. 2012 (JMLR 13) over distinct documents.
    The paper's equation is S1 = 1/CKA; the floor, flagged where it is hit, and the debiasing are ours: the biased
    estimate of two unrelated layers is d / (n + d), 0.29 for 10,000 rows of 4,096 dimensions.

    Options are those of `CKAOptions`; which of them go together is checked here.

    Raises
    ------
    UserError: `scale` or the options of rows are given to an estimator that has no use for them.
    """

    weight = 1.0
    summary = "representation change 1/CKA between neighbouring blocks (S1)"
    unit = "1/CKA"
    series = (
        Series("cka", summary="CKA of neighbouring blocks, of which the curve is the reciprocal"),
        Series(
            "debiased",
            optional=True,
            summary="by the U-statistic over distinct documents (full: sequences; minibatch: rows)",
        ),
        Series("row_debiased", optional=True, summary="by the U-statistic over rows, as if they were independent"),
        Series("biased", optional=True, summary="by the V-statistic"),
        Series("zscore_sensitivity", columns="scale", optional=True, summary="debiased, with and without z-scoring"),
        Series("matrix", "block", columns="block", optional=True, summary="debiased CKA of every two blocks"),
    )
    figures = (HeatMap("cka-matrix", "matrix", "Similarity of blocks (CKA)", highest=1.0, caption=_CAPTION),)
    Options = CKAOptions

    def __init__(self, *, seed: int = 0, device: torch.device | str = "cpu", **options: Any) -> None:
        super().__init__(seed=seed, device=device, **options)
        _check(self.options)
        self._estimator = ESTIMATORS[self.options.estimator](self.options, self.seed, self.device)
        self.passes = self._estimator.passes
        self.exceptions = self._estimator.exceptions  # type: ignore[misc]  # narrower than the class's
        self.document_intervals = self._estimator.document_intervals

    def bytes_per_sentence(self, n_layers: int, hidden_size: int) -> float:
        """The rows that are kept of a sentence, in fp32; the streaming estimators keep none."""
        stored = self.options.estimator in ("debiased", "biased")
        return 4.0 * self.options.rows_per_sentence * n_layers * hidden_size if stored else 0.0

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """A fresh recorder of the chosen estimator."""
        return self._estimator.recorder(name, batch, fitted)

    def fit(self, name: str, state: State) -> Fitted | None:
        """Means and covariances for the estimator `full`, nothing for the others."""
        return self._estimator.fit(name, state)

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedCKA:
        """All cost that does not depend on weights."""
        return self._estimator.prepare(state, fitted, units)

    def curve(self, prepared: PreparedCKA, weights: Tensor, rng: np.random.Generator | None) -> Tensor:
        """1 / max(CKA, 0.05): (replicate, unit) -> (replicate, L-1); NaN where CKA has no value."""
        return 1 / prepared.cka(weights).cpu().clamp(min=FLOOR)

    def report(self, prepared: PreparedCKA) -> Report:
        """CKA of every transition with its alternatives, what it rests on, and what went wrong."""
        value = prepared.cka(torch.ones(1, prepared.units, dtype=torch.float64)).cpu()[0]
        curve = 1 / value.clamp(min=FLOOR)
        flags = {
            "cka_floor_hit": bool((value < FLOOR).any()),
            "hsic_not_positive": bool(value.isnan().any()),
            "no_document_intervals": not self.document_intervals,
        }
        finite = curve[curve.isfinite()]
        swing = float((finite.max() - finite.min()) / finite.max()) if len(finite) else None
        details = {"estimator": self.options.estimator, "dynamic_range": swing, **prepared.details}
        raised = tuple(flag for flag, holds in flags.items() if holds)
        return Report(raised, details, {"cka": value, **prepared.series})


def _check(options: CKAOptions) -> None:
    """Refuse options that would silently do nothing."""
    drawn = options.unit == "token" and options.rows_per_sentence == 1
    if options.estimator == "full" and not drawn:
        raise UserError(
            "cka.estimator=full takes every token, so cka.unit and cka.rows_per_sentence have no use: leave them out."
        )
    if options.unit == "sentence_mean" and options.rows_per_sentence != 1:
        raise UserError(
            f"cka.rows_per_sentence={options.rows_per_sentence} draws tokens, but cka.unit=sentence_mean makes one "
            "row of a sentence: leave one of them out."
        )
    if options.estimator == "minibatch" and options.scale == "zscore":
        raise UserError(
            "cka.scale=zscore needs the standard deviation of all rows, which cka.estimator=minibatch never sees: "
            "use cka.estimator=debiased."
        )
