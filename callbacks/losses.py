"""The loss of a training, averaged from one evaluation to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

METRICS = ("loss", "train_loss")
"""names of logged metrics that stand in where `training_step` returns no loss"""


class Losses:
    """Mean of the losses since the last evaluation; they stay on their device, so that no step waits for them.

    Parameters
    ----------
    metric: name of the logged metric to take instead; None for what `training_step` returned.
    """

    def __init__(self, metric: str | None = None) -> None:
        self.metric = metric
        self._sum: Tensor | float = 0.0
        self._count = 0
        self._expected: tuple[Tensor, int] | None = None
        """of a batch that is not over yet: its loss, and what it is to be multiplied by"""

    def mean(self, logged: Mapping[str, Any]) -> float | None:
        """The mean, or else the metric among those that were `logged`; None where there is neither."""
        if self.metric is None and self._count:
            return float(self._sum) / self._count
        names = METRICS if self.metric is None else (self.metric,)
        return next((float(logged[name]) for name in names if name in logged), None)

    def expect(self, loss: Tensor, batches: int) -> None:
        """A batch has this loss, should a checkpoint be written before `add` is told of it."""
        self._expected = loss.detach(), batches

    def add(self, outputs: Any, batches: int) -> None:
        """Take what `training_step` returned, which Lightning has divided by the number of accumulated `batches`."""
        self._expected = None
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and loss.numel() == 1:
            self._sum = self._sum + _wide(loss) * batches
            self._count += 1

    def clear(self) -> None:
        """Begin the next mean."""
        self._sum, self._count = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain values."""
        if self._expected is None:
            return {"sum": float(self._sum), "count": self._count}
        loss, batches = self._expected
        return {"sum": float(self._sum + _wide(loss) * batches), "count": self._count + 1}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._sum, self._count, self._expected = state["sum"], state["count"], None


def _wide(loss: Tensor) -> Tensor:
    """In double precision, which Apple's GPUs do not have."""
    return loss.detach().reshape(()).to(torch.float32 if loss.device.type == "mps" else torch.float64)
