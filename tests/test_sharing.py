"""Ranks of a training: which trainings have several, what is refused, and how states travel between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.strategies import SingleDeviceStrategy, XLAStrategy
from torch import Tensor

from mspgt.callbacks.sharing import _pack, _unpack, ranks_of
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.measure.passes import Alone

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    whole = torch.arange(int(torch.Size(shape).numel())).reshape(shape).to(draw(st.sampled_from(DTYPES)))
    return whole.T if len(shape) == 2 and draw(st.booleans()) else whole  # not as it lies in memory


@given(st.lists(tensors(), max_size=4), st.integers(0, 3))
def test_what_is_packed_is_unpacked_as_it_was(columns: list[Tensor], keys: int) -> None:
    table = Table(torch.arange(keys), {str(number): column for number, column in enumerate(columns)})
    state = State(
        tuple(Key("data", "a", n) for n in range(keys)), {"rows": table}, {"sum": torch.tensor(0.5)}, {7: "x"}
    )
    packed, beside = _pack({"signal": state})
    assert len(beside) == 2 + len(columns)
    found = _unpack(packed, [tensor.clone() for tensor in beside])
    assert (found["signal"].keys, found["signal"].names) == (state.keys, state.names)
    assert found["signal"].totals["sum"] == 0.5
    for given_, kept in zip(columns, found["signal"].tables["rows"].columns.values(), strict=True):
        assert kept.dtype == given_.dtype
        assert kept.equal(given_)


def test_tensors_are_not_copied_to_be_sent() -> None:
    rows = torch.zeros(1000, 50)
    packed, beside = _pack({"rows": rows, "rest": "x"})
    assert beside[0].data_ptr() == rows.data_ptr()
    assert len(packed) < 200


def trainer(strategy: Any, world_size: int) -> Any:
    return SimpleNamespace(strategy=strategy, world_size=world_size)


def test_a_training_in_one_process_is_alone() -> None:
    assert isinstance(ranks_of(trainer(SingleDeviceStrategy("cpu"), 1)), Alone)


def test_processes_that_cannot_talk_on_the_cpu_are_refused_in_one_sentence() -> None:
    """Each would take itself for the first: an evaluation of the whole corpus for each, all of them in one folder."""
    strategy = XLAStrategy.__new__(XLAStrategy)  # cannot be made on this machine
    with pytest.raises(UserError, match=r"^BoundaryDrift shares its corpus by torch.distributed, which XLAStrategy do"):
        ranks_of(trainer(strategy, 8))
