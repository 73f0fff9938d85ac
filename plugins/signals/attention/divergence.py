"""Jensen-Shannon divergence of attention rows, with the attention sink kept and with it dropped.

JS(p, q) = H(m) - H(p)/2 - H(q)/2 with m = (p + q)/2 (Lin 1991), in bits: 0 for equal rows, 1 for disjoint ones. It is
the divergence; `scipy.spatial.distance.jensenshannon` is its square root.

A row is held as its sink mass and the rest, so that one pass of logarithms over a block serves both readings and
both neighbours; each pair of blocks then costs two more, one for the mixture of each reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_MASS = 1e-3
"""rows that give less than this to all keys but the sink say nothing once the sink is dropped"""
_ZERO = 1e-30
"""stands for a probability of zero: its p log p vanishes in fp32, and its logarithm is finite"""


@dataclass(frozen=True)
class AttentionRows:
    """Rows of attention, ready to be compared; the leading axes are (sequence, query) or (sequence, head, query)."""

    rest: Tensor
    """(..., query, key) probabilities, none on the sink"""
    sink: Tensor
    """(..., query) probability of the sink"""
    mass: Tensor
    """(..., query) sum of `rest`"""
    entropy: Tensor
    """(..., query) minus the sum of r log r over `rest`, in nats"""

    @classmethod
    def of(cls, attention: Tensor, sink_key: Tensor) -> AttentionRows:
        """Set the sink apart.

        Parameters
        ----------
        attention: (sequence, query, key) or (sequence, head, query, key), fp32; left alone.
        sink_key: (sequence,) int64, the first key that is no padding. Rows that cannot see it are padding.
        """
        ones = (1,) * (attention.ndim - 1)
        key = sink_key.to(attention.device).clamp_max(attention.shape[-1] - 1).view(-1, *ones)
        key = key.expand(*attention.shape[:-1], 1)
        sink = attention.gather(-1, key).squeeze(-1)
        rest = attention.scatter(-1, key, 0.0)
        mass = rest.sum(-1)  # summed, not 1 - sink: a sink of 0.999 would leave four digits
        return cls(rest, sink, mass, _entropy(rest.clamp_min_(_ZERO)))

    def to(self, device: torch.device) -> AttentionRows:
        """Move to where the next block is, in a model that lies on several devices."""
        return AttentionRows(*(t.to(device) for t in (self.rest, self.sink, self.mass, self.entropy)))

    def only(self, query: int) -> AttentionRows:
        """One place of the query axis, kept as an axis of length one, to be compared with all of another's."""
        one = slice(query, query + 1)
        return AttentionRows(self.rest[..., one, :], self.sink[..., one], self.mass[..., one], self.entropy[..., one])


@dataclass(frozen=True)
class RowDivergence:
    """Divergence of each pair of rows, in bits: (..., query)."""

    keep: Tensor
    """of the rows as they are"""
    drop: Tensor
    """of the rows without the sink, renormalised; 0 where not `valid`"""
    valid: Tensor
    """bool: both rows leave at least `LEAST_MASS` to other keys than the sink"""


def jensen_shannon(p: AttentionRows, q: AttentionRows) -> RowDivergence:
    """Row-wise divergence of two blocks' attention over the same keys; leading axes broadcast."""
    mixture = torch.add(p.rest, q.rest).mul_(0.5)
    sink = torch.special.entr(0.5 * (p.sink + q.sink))
    sink = sink - 0.5 * (torch.special.entr(p.sink) + torch.special.entr(q.sink))
    keep = _entropy(mixture) + sink - 0.5 * (p.entropy + q.entropy)

    p_mass, q_mass = p.mass.clamp_min(LEAST_MASS), q.mass.clamp_min(LEAST_MASS)
    mixture = torch.addcmul(p.rest * (0.5 / p_mass).unsqueeze(-1), q.rest, (0.5 / q_mass).unsqueeze(-1))
    halves = p.entropy / p_mass + p_mass.log() + q.entropy / q_mass + q_mass.log()
    valid = (p.mass >= LEAST_MASS) & (q.mass >= LEAST_MASS)
    drop = torch.where(valid, _entropy(mixture) - 0.5 * halves, 0.0)
    bits = 1 / math.log(2)
    return RowDivergence((keep * bits).clamp_min(0), (drop * bits).clamp_min(0), valid)


def _entropy(rest: Tensor) -> Tensor:
    """Minus the sum of r log r over the last axis; every r is positive."""
    return rest.log().mul_(rest).sum(-1).neg_()
