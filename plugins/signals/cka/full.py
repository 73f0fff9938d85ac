"""CKA of every counted token, exact, from sums that add: the estimator `full`.

No row is stored. The first pass sums tokens, squares and products; the second, which knows the exact means and
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

from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Recorder
from mspgt.core.errors import UserError
from mspgt.core.state import State, Units
from mspgt.plugins.signals.cka.estimator import Estimator, PreparedCKA, need_clusters
from mspgt.plugins.signals.cka.full_sums import InfluenceRecorder, MomentRecorder
from mspgt.plugins.signals.cka.hsic import song
from mspgt.plugins.signals.cka.hsic_units import cka_of_neighbours, distinct_tuples, sides


class FullTokens(Estimator):
    """Exact point estimate over all tokens; replicates by the influences of documents.

    A state holds 2 L - 1 matrices (dim, dim) in float64 per pass.
    """

    passes = ("moments", "influence")
    exceptions = MappingProxyType(
        {"weight_zero": "weights act through first-order influences of documents, not by recomputation"}
    )

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
        """Sums of the pass."""
        return MomentRecorder(batch) if fitted is None else InfluenceRecorder(batch, fitted)

    def fit(self, name: str, state: State) -> Fitted | None:
        """Means and centred sums of products, after the first pass."""
        if name != "moments":
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

    def prepare(self, state: State, fitted: Fitted | None, units: Units) -> PreparedCKA:
        """HSIC of all tokens and the influence of each unit."""
        sequences = state.tables["sequences"]
        counts, reach, within = (sequences.columns[c].double() for c in ("tokens", "reach", "within"))
        need_clusters(int((counts > 0).sum()), "sequence")
        n, layers = counts.sum(), len(state.totals["token_norm"])
        products = reach.sum(0)  # of each pair, the squared norm of C = sum of x_i y_i: the sum of x_i C y_i
        apart = reach - within
        # Derivative of the leading term, a sum over pairs of distinct sequences divided by their number.
        expected = counts * (n - counts) / distinct_tuples(counts[None])[0]
        relative = 2 * (apart / apart.sum(0) - expected[:, None])
        own, between = relative[:, :layers], relative[:, layers:]
        influence = between - (own[:, :-1] + own[:, 1:]) / 2  # of log CKA, (sequence, L-1)
        owner = units.index(state.keys)[sequences.sequence]
        by_unit = torch.zeros(units.count, layers - 1, dtype=torch.float64).index_add_(0, owner, influence)
        point = cka_of_neighbours(_cluster_debiased(state.totals, apart.sum(0), counts))
        details = {
            "rows": int(n),
            "units_with_rows": int((torch.bincount(owner, counts) > 0).sum()),
        }
        series = {
            "debiased": point,
            "row_debiased": cka_of_neighbours(_row_debiased(state.totals, products, n)),
            "biased": cka_of_neighbours(products),
        }

        def values(weights: Tensor) -> Tensor:
            return point * (1 + (weights.double() - 1) @ by_unit)

        return PreparedCKA(values, units.count, details, series)


def _cluster_debiased(total: Mapping[str, Tensor], two: Tensor, counts: Tensor) -> Tensor:
    """U-statistic over distinct sequences, (pair,); activations are centred, so their grand sums are zero.

    Parameters
    ----------
    two: (pair,), sum of K_ij L_ij over tokens of distinct sequences.
    counts: (sequence,), tokens of each.
    """
    norms = total["cluster_norm"]
    left, right = sides(len(norms))
    three = 2 * total["chain"] - total["bridge"]
    four = norms[left] * norms[right] - 6 * total["cluster_norms"]
    four = four + 2 * torch.cat([total["cluster_own"], total["cluster_between"]]).square().sum((1, 2))
    n2, n3, n4 = distinct_tuples(counts[None])
    return two / n2 + four / n4 - 2 * three / n3


def _row_debiased(total: Mapping[str, Tensor], products: Tensor, n: Tensor) -> Tensor:
    """Song's U-statistic over tokens, (pair,)."""
    norms, both = total["token_norm"], total["token_norms"]
    left, right = sides(len(norms))
    return song(products - both, norms[left] * norms[right], both, n)
