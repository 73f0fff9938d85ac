"""CKA from stored rows, with the exact document bootstrap: the estimators `debiased` (the default) and `biased`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Recorder
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units
from mspgt.plugins.signals.cka.centred import CentredRows
from mspgt.plugins.signals.cka.estimator import Estimator, PreparedCKA, float64_device, need_clusters
from mspgt.plugins.signals.cka.from_rows import estimate, layer_matrix
from mspgt.plugins.signals.cka.selection import RowRecorder, select

THIN_ROWS = 2000
"""rows from which the layer matrix is estimated, and z-scored CKA set beside the unscaled"""


class StoredRows(Estimator):
    """One row per sentence (or several), kept for every block; evaluated exactly for any document weights."""

    def __init__(self, options: Any, seed: int, device: torch.device) -> None:
        super().__init__(options, seed, device)
        if options.scale == "zscore":
            reason = "standard deviations are those of all stored rows, whatever the weights"
            self.exceptions = MappingProxyType({"weight_zero": reason})

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Keeps the drawn tokens, or the means of sentences."""
        return RowRecorder(batch, select(batch, self.options, self.seed))

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedCKA:
        """Sums over all rows; see `mspgt.plugins.signals.cka.from_rows`."""
        table = state.tables.get("rows")
        if table is None or not len(table.sequence):
            raise UserError("cka: no sentence has a counted token, so there is nothing to compare; check the corpus.")
        unit = units.index(state.keys)[table.sequence]
        distinct = self.options.estimator == "debiased"
        documents = int((torch.bincount(unit) > 0).sum())
        if distinct:
            need_clusters(documents, "document")
        zscore = self.options.scale == "zscore"
        rows = CentredRows.of(table.columns["hidden"], unit, units.count, float64_device(self.device), zscore)
        estimates, thin = estimate(rows, distinct), rows.thinned(THIN_ROWS)
        details = {"rows": len(unit), "units_with_rows": documents, "matrix_rows": len(thin.unit)}
        return PreparedCKA(estimates.sums.cka, units.count, details, {**estimates.series, **_on_fewer_rows(thin)})


def _on_fewer_rows(rows: CentredRows) -> dict[str, Any]:
    """What needs no interval and is costly on all rows, debiased.

    The matrix of every two blocks; and CKA of neighbours with and without z-scoring, which shows what rogue
    dimensions make of it (Timkey & van Schijndel 2021, arXiv 2109.04404).
    """
    none, zscore = (layer_matrix(rows.scaled(zscore)).cpu() for zscore in (False, True))
    return {
        "matrix": zscore if rows.zscore else none,
        "zscore_sensitivity": {"none": none.diagonal(1), "zscore": zscore.diagonal(1)},
    }
