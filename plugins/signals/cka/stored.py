"""CKA from stored rows, with the exact document bootstrap: the estimators `debiased` (the default) and `biased`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Recorder
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units
from mspgt.plugins.signals.cka.centred import Rows
from mspgt.plugins.signals.cka.estimator import Estimator, Prepared, float64_device, need_clusters, plain
from mspgt.plugins.signals.cka.rows import RowRecorder, draw_tokens, whole_sentences
from mspgt.plugins.signals.cka.sums import layer_matrix, measure

THIN_ROWS = 2000
"""rows from which the layer matrix is estimated, and z-scored CKA set beside the unscaled"""


class StoredRows(Estimator):
    """One row per sentence (or several), kept for every block; evaluated exactly for any document weights."""

    def __init__(self, options: Any, seed: int, device: torch.device) -> None:
        super().__init__(options, seed, device)
        if options.scale == "zscore":
            reason = "standard deviations are those of all stored rows, whatever the weights"
            self.exceptions = MappingProxyType({"weight_zero": reason})

    def recorder(self, stage: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Keeps the drawn tokens, or the means of sentences."""
        if self.options.unit == "sentence_mean":
            return RowRecorder(batch, whole_sentences(batch))
        return RowRecorder(batch, draw_tokens(batch, self.seed, self.options.rows_per_sentence))

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> Prepared:
        """Sums over all rows; see `mspgt.plugins.signals.cka.sums`."""
        table = state.tables.get("rows")
        if table is None or not len(table.sequence):
            raise UserError("cka: no sentence has a counted token, so there is nothing to compare; check the corpus.")
        unit = units.index(state.keys)[table.sequence]
        distinct = self.options.estimator == "debiased"
        documents = int((torch.bincount(unit) > 0).sum())
        if distinct:
            need_clusters(documents, "document")
        zscore = self.options.scale == "zscore"
        rows = Rows.of(table.columns["hidden"], unit, units.count, float64_device(self.device), zscore)
        measured = measure(rows, distinct)
        details = {
            "rows": len(unit),
            "units_with_rows": documents,
            "debiased": plain(measured.debiased) if measured.debiased is not None else None,
            "row_debiased": plain(measured.row_debiased),
            "biased": plain(measured.biased),
            **_on_fewer_rows(rows),
        }
        return Prepared(measured.sums.cka, units.count, details)


def _on_fewer_rows(rows: Rows) -> dict[str, Any]:
    """What needs no interval and is costly on all rows: debiased, on at most 2,000 of them.

    The matrix of every two blocks; and CKA of neighbours with and without z-scoring, which tells what rogue
    dimensions make of it (Timkey & van Schijndel 2021, arXiv 2109.04404).
    """
    thin = rows.thinned(THIN_ROWS)
    none, zscore = layer_matrix(thin.scaled(False)), layer_matrix(thin.scaled(True))
    return {
        "matrix": plain(zscore if rows.zscore else none),
        "matrix_rows": len(thin.unit),
        "zscore_sensitivity": {"none": plain(none.diagonal(1)), "zscore": plain(zscore.diagonal(1))},
    }
