"""CKA from unbiased HSIC terms of single batches: the estimator `minibatch` (Nguyen, Raghu & Kornblith 2021)."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.signal import Fitted, Recorder
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units
from mspgt.plugins.signals.cka.estimator import MIN_CLUSTERS, Estimator, PreparedCKA, float64_device
from mspgt.plugins.signals.cka.hsic import cka, hsic_debiased, linear_gram
from mspgt.plugins.signals.cka.neighbours import NeighbourRecorder, stack
from mspgt.plugins.signals.cka.selection import Selection, select


class Minibatch(Estimator):
    """Sums of HSIC_1 over batches; only numbers are kept, so nothing can be resampled by document.

    Unbiased where the rows of a batch are independent: batches should mix documents. A batch of fewer than 4 rows
    is left out, and counted.
    """

    document_intervals = False
    exceptions = MappingProxyType(
        {
            "batch_size": "only pairs within a batch are compared, so the batches are part of the estimate",
            "order": "the order of sequences decides which rows share a batch",
            "merge": "a split of the corpus is another division into batches",
            "weight_zero": "rows of many documents share a batch: the estimate does not depend on weights",
        }
    )

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """HSIC_1 of one batch, over the same rows that the stored estimators draw."""
        return _BatchRecorder(batch, select(batch, self.options, self.seed))

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedCKA:
        """Ratio of the sums over batches."""
        total = state.totals
        if not total or total["batches"] == 0:
            raise UserError(
                f"cka: no batch had {MIN_CLUSTERS} rows, the fewest that estimator=minibatch can use: raise "
                "batch_tokens, or use cka.estimator=debiased."
            )
        own = total["own"]
        point = cka(total["between"], own[:-1], own[1:])
        details = {
            "rows": int(total["rows"]),
            "batches": int(total["batches"]),
            "batches_left_out": int(total["batches_left_out"]),
        }
        return PreparedCKA(lambda weights: point.expand(len(weights), -1), units.count, details, {"debiased": point})


class _BatchRecorder(NeighbourRecorder[Tensor, Tensor]):
    def __init__(self, batch: Batch, selection: Selection) -> None:
        super().__init__()
        self._batch, self._selection = batch, selection

    def block(self, layer: Layer) -> Tensor:
        rows = self._selection.take(layer.hidden.detach())
        return linear_gram(rows.to(float64_device(rows.device)))

    def pair(self, left: Tensor, right: Tensor, upper: int) -> Tensor:
        return hsic_debiased(left.to(right.device), right).cpu()

    def rows(self) -> State:
        rows = len(self._selection.row_sequence)
        usable = rows >= MIN_CLUSTERS
        numbers = {"rows": rows * usable, "batches": usable, "batches_left_out": not usable}
        totals = {name: torch.tensor(float(number), dtype=torch.float64) for name, number in numbers.items()}
        hsic = {"own": torch.stack(self._own), "between": stack(self._between, self._own[0])}
        totals |= {name: values if usable else torch.zeros_like(values) for name, values in hsic.items()}
        return State(self._batch.keys, totals=totals)
