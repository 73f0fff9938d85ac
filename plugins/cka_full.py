"""CKA of every counted token, exact, from sums that add: the estimator `full`.

No row is stored. The first stage sums tokens, squares and products; the second, which knows the exact means and
covariances, sums what the cluster-debiased statistic needs of fourth order in centred activations (uncentred, a
constant offset of one dimension would cost all digits), and the first-order influence of each sequence.

The cluster whose inner pairs are left out is the *sequence*: a document may be spread over sequences, batches and
devices, so its pairs are never all in one place. Influences are summed by document, so intervals are by document.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from mspgt.batch import Batch
from mspgt.errors import UserError
from mspgt.plugins.cka_estimator import Estimator, Prepared, need_clusters, plain
from mspgt.plugins.cka_full_sums import Influence, Moments
from mspgt.plugins.hsic import cka
from mspgt.plugins.hsic_units import distinct_tuples, pairs
from mspgt.signal import Fitted, Recorder
from mspgt.state import State, Units


class FullTokens(Estimator):
    """Exact point estimate over all tokens; replicates by the influences of documents.

    A state holds 2 L - 1 matrices (dim, dim) in float64 per stage.
    """

    stages = ("moments", "influence")
    exceptions = MappingProxyType(
        {"weight_zero": "weights act through first-order influences of documents, not by recomputation"}
    )

    def recorder(self, stage: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Sums of the stage."""
        return Moments(batch) if fitted is None else Influence(batch, fitted)

    def fit(self, stage: str, state: State) -> Fitted | None:
        """Means and centred sums of products, after the first stage."""
        if stage != "moments":
            return None
        total = state.totals
        if not total or total["tokens"] == 0:
            raise UserError("cka: the corpus has no counted token, so there is nothing to compare; check it.")
        n, sums = total["tokens"], total["sums"]
        own = total["own"] - sums[:, :, None] * sums[:, None, :] / n
        between = total["between"] - sums[:-1, :, None] * sums[1:, None, :] / n
        scale = torch.ones_like(sums)
        if self.options.scale == "zscore":
            deviation = (own.diagonal(dim1=1, dim2=2) / n).clamp(min=0).sqrt()
            scale = torch.where(deviation > 0, deviation, 1)
            own = own / (scale[:, :, None] * scale[:, None, :])
            between = between / (scale[:-1, :, None] * scale[1:, None, :])
        return {"tokens": n, "mean": sums / n, "scale": scale, "own": own, "between": between}

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> Prepared:
        """HSIC of all tokens and the influence of each unit."""
        if fitted is None or "sequences" not in state.tables:
            raise UserError("cka: estimator=full has not finished its second pass; run again with resume=true.")
        sequences = state.tables["sequences"]
        n, counts = fitted["tokens"], sequences.columns["tokens"].double()
        need_clusters(int((counts > 0).sum()), "sequence")
        products = torch.cat([fitted["own"].square().sum((1, 2)), fitted["between"].square().sum((1, 2))])
        biased = products / n**2
        owner = units.index(state.keys)[sequences.sequence]
        share = torch.zeros(units.count, dtype=torch.float64).index_add_(0, owner, counts) / n
        reach = torch.zeros(units.count, len(products), dtype=torch.float64)
        reach.index_add_(0, owner, sequences.columns["reach"])
        relative = 2 * (reach / n**2 - share[:, None] * biased) / biased  # (unit, pair)
        layers = len(fitted["mean"])
        own, between = relative[:, :layers], relative[:, layers:]
        influence = between - (own[:, :-1] + own[:, 1:]) / 2  # of log CKA, (unit, L-1)
        point = _neighbours(_cluster_debiased(state.totals, products, counts), layers)
        details = {
            "rows": int(n),
            "units_with_rows": int((share > 0).sum()),
            "debiased": plain(point),
            "row_debiased": plain(_neighbours(_row_debiased(state.totals, products, n), layers)),
            "biased": plain(_neighbours(biased, layers)),
        }

        def values(weights: Tensor) -> Tensor:
            return point * (1 + (weights.double() - 1) @ influence)

        return Prepared(values, units.count, details)


def _cluster_debiased(total: Mapping[str, Tensor], products: Tensor, counts: Tensor) -> Tensor:
    """U-statistic over distinct sequences, (pair,); the sums are centred, so their grand sums are zero."""
    left, right = (torch.tensor(side) for side in zip(*pairs(list(range(len(total["cluster_norm"])))), strict=True))
    norms = total["cluster_norm"]
    two = products - total["within"]
    three = 2 * total["chain"] - total["bridge"]
    four = norms[left] * norms[right] - 6 * total["cluster_norms"]
    four = four + 2 * torch.cat([total["cluster_own"], total["cluster_between"]]).square().sum((1, 2))
    n2, n3, n4 = distinct_tuples(counts[None])
    return two / n2 + four / n4 - 2 * three / n3


def _row_debiased(total: Mapping[str, Tensor], products: Tensor, n: Tensor) -> Tensor:
    """Song's U-statistic over tokens, (pair,)."""
    left, right = (torch.tensor(side) for side in zip(*pairs(list(range(len(total["token_norm"])))), strict=True))
    norms, both = total["token_norm"], total["token_norms"]
    u = products - both + norms[left] * norms[right] / ((n - 1) * (n - 2)) - 2 * both / (n - 2)
    return u / (n * (n - 3))


def _neighbours(hsic: Tensor, layers: int) -> Tensor:
    """CKA of neighbouring blocks from HSIC of every pair."""
    return cka(hsic[layers:], hsic[: layers - 1], hsic[1:layers])
