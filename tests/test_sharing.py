"""Ranks of a training: which trainings have several, what is refused, and how states travel between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.strategies import SingleDeviceStrategy, XLAStrategy

from mspgt.callbacks.sharing import ranks_of
from mspgt.core.errors import UserError
from mspgt.measure.ranks import Alone


def trainer(strategy: Any, world_size: int) -> Any:
    return SimpleNamespace(strategy=strategy, world_size=world_size)


def test_a_training_in_one_process_is_alone() -> None:
    assert isinstance(ranks_of(trainer(SingleDeviceStrategy("cpu"), 1)), Alone)


def test_processes_that_cannot_talk_on_the_cpu_are_refused_in_one_sentence() -> None:
    """Each would take itself for the first: an evaluation of the whole corpus for each, all of them in one folder."""
    strategy = XLAStrategy.__new__(XLAStrategy)  # cannot be made on this machine
    with pytest.raises(UserError, match=r"^BoundaryDrift shares its corpus by torch.distributed, which XLAStrategy do"):
        ranks_of(trainer(strategy, 8))
