"""The choice of the next token: greedy, or by noise that all conditions of a prompt share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mspgt.core.errors import UserError, unknown
from mspgt.core.random import gumbel

MODES = ("sample", "greedy")
_EDGE = 1e-4
"""probability near the edge of the nucleus within which the sum over sorted tokens decides"""


@dataclass(frozen=True)
class Decoding:
    """How prompts are continued.

    Raises
    ------
    UserError: a value out of range.
    """

    new_tokens: int
    mode: str = "sample"
    """"sample" or "greedy" """
    temperature: float = 1.0
    top_p: float = 0.95
    """sample from the smallest set of tokens with at least this probability"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("value for decoding:", self.mode, MODES)
        if self.new_tokens < 1:
            raise UserError(f"new_tokens={self.new_tokens}: allowed is 1 or more.")
        if not 0 < self.temperature < float("inf"):
            raise UserError(f"temperature={self.temperature:g}: allowed is more than 0; decoding=greedy takes none.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p:g}: allowed is more than 0 and at most 1 (all tokens).")


class Draw:
    """The choice of the next token; rows of one sample share their noise."""

    def __init__(self, decoding: Decoding, samples: Tensor, device: torch.device) -> None:
        from transformers import TopPLogitsWarper

        self._decoding, self._device = decoding, device
        self._nucleus = TopPLogitsWarper(top_p=decoding.top_p)
        self._share(samples)

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows: (row,), on the CPU."""
        self._share(self._samples[rows])

    def tokens(self, logits: Tensor, step: int) -> Tensor:
        """Choose (row,) tokens from (row, vocabulary) logits; -1 where they hold NaN or have no finite maximum.

        The winner over all tokens is the winner over the nucleus where it lies in it, which takes no sorting to find
        out: the probability of less likely tokens and its own must exceed 1 - top_p.
        """
        if self._decoding.mode == "greedy":
            return _of_finite(*logits.max(-1))
        scores = logits / self._decoding.temperature
        noise = gumbel(self._decoding.seed, self._distinct, step, logits.shape[-1])[self._shared]
        highest, tokens = (scores + noise).max(-1)
        if self._decoding.top_p == 1:
            return _of_finite(highest, tokens)
        chosen = scores.gather(1, tokens[:, None])
        probabilities = scores.softmax(-1)
        mass = (probabilities * (scores < chosen)).sum(-1) + probabilities.gather(1, tokens[:, None])[:, 0]
        doubtful = (mass <= 1 - self._decoding.top_p + _EDGE).nonzero()[:, 0]
        if len(doubtful):
            inside = self._nucleus(None, scores[doubtful])
            tokens[doubtful] = (inside + noise[doubtful]).argmax(-1)
        return _of_finite(highest, tokens)

    def _share(self, samples: Tensor) -> None:
        self._samples = samples
        distinct, shared = torch.unique(samples, return_inverse=True)
        self._distinct, self._shared = distinct.to(self._device), shared.to(self._device)


def _of_finite(highest: Tensor, tokens: Tensor) -> Tensor:
    """(row,) tokens, -1 where the highest score is not finite: NaN is higher than any number."""
    return torch.where(highest.isfinite(), tokens, -1)
