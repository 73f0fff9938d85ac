"""The Collector: which tokens count, what is refused, and that a plugin falls alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Layer
from mspgt.contracts.signal import Fitted, Recorder, SumSignal
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.measure.collector import CENSUS, Collector

SEQUENCES, TOKENS, DIM, LAYERS = 4, 12, 8, 3


class FakeCapture:
    """Shows fixed hidden states, as a model would."""

    def __init__(self, hidden: Tensor, room: int = 100) -> None:
        self.hidden, self.room, self.passes = hidden, room, 0

    def run(self, batch: Batch, observe: Callable[[Layer], None]) -> None:
        self.passes += 1
        if len(batch.keys) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        rows = [key.sequence for key in batch.keys]
        for index, hidden in enumerate(self.hidden):
            observe(Layer(index, hidden[rows]))


class Moments(SumSignal):
    """Mean squared step between blocks."""

    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        step = ((upper - lower) ** 2).mean(-1) * content
        return torch.stack([step.sum(1), content.sum(1).float()], 1)

    def value(self, sums: Tensor) -> Tensor:
        return sums[..., 0] / sums[..., 1]


class Broken(Moments):
    """Raises on its second block."""

    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        raise RuntimeError("a fault of its own")


@pytest.fixture
def batch() -> Batch:
    mask = torch.ones(SEQUENCES, TOKENS, dtype=torch.bool)
    mask[1, 8:] = False
    content = mask.clone()
    content[:, 0] = False
    return Batch(
        keys=tuple(Key("data", f"d{i % 2}", i) for i in range(SEQUENCES)),
        input_ids=torch.zeros(SEQUENCES, TOKENS, dtype=torch.int64),
        attention_mask=mask,
        content=content,
        sentence=torch.where(content, torch.arange(TOKENS) // 6, -1),
    )


@pytest.fixture
def hidden() -> Tensor:
    return torch.randn(LAYERS + 1, SEQUENCES, TOKENS, DIM, generator=torch.Generator().manual_seed(0))


def collect(capture: Any, batch: Batch, **signals: SumSignal) -> tuple[Collector, dict[str, Any]]:
    collector = Collector(signals)
    return collector, collector.observe(capture, batch)


def test_a_massive_token_is_left_out_in_every_layer(batch: Batch, hidden: Tensor) -> None:
    loud = hidden.clone()
    loud[2, 0, 5] *= 1000  # massive in block 2 only, after block 1 was already summed
    _, seen = collect(FakeCapture(loud), batch, moments=Moments())
    dropped = torch.zeros(SEQUENCES, TOKENS, dtype=torch.bool)
    dropped[0, 5] = True
    _, expected = collect(FakeCapture(hidden), batch.without(dropped), moments=Moments())
    torch.testing.assert_close(
        seen["moments"].tables["sums"].columns["sums"], expected["moments"].tables["sums"].columns["sums"]
    )
    assert seen[CENSUS].tables["sequences"].columns["massive"].tolist() == [1, 0, 0, 0]


def test_a_batch_without_massive_tokens_is_run_once(batch: Batch, hidden: Tensor) -> None:
    capture = FakeCapture(hidden)
    collect(capture, batch, moments=Moments())
    assert capture.passes == 1


def test_loud_padding_is_no_massive_token(batch: Batch, hidden: Tensor) -> None:
    loud = hidden.clone()
    loud[:, 1, 8:] = 1e6
    _, seen = collect(FakeCapture(loud), batch, moments=Moments())
    assert seen[CENSUS].tables["sequences"].columns["massive"].sum() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_name_block_and_document(batch: Batch, hidden: Tensor, value: float) -> None:
    bad = hidden.clone()
    bad[2, 3, 4, 1] = value
    with pytest.raises(UserError, match=r"block 2 .* document 'd1'"):
        collect(FakeCapture(bad), batch, moments=Moments())


def test_padding_that_is_not_finite_does_not_matter(batch: Batch, hidden: Tensor) -> None:
    bad = hidden.clone()
    bad[2, 1, 9] = float("nan")
    collector, _ = collect(FakeCapture(bad), batch)
    assert not collector.failures


def test_a_plugin_that_raises_falls_alone(batch: Batch, hidden: Tensor) -> None:
    collector, seen = collect(FakeCapture(hidden), batch, broken=Broken(), moments=Moments())
    assert set(seen) == {"moments", CENSUS}
    assert "'broken'" in collector.failures["broken"]
    assert "a fault of its own" in collector.failures["broken"]


def test_a_plugin_whose_state_is_of_other_sequences_falls_alone(batch: Batch, hidden: Tensor) -> None:
    class Careless(Moments):
        def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Recorder:
            return super().recorder(name, batch.select([0]), fitted)

        def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
            return super().sums(lower[:1], upper[:1], content)

    collector, seen = collect(FakeCapture(hidden), batch, careless=Careless(), moments=Moments())
    assert set(seen) == {"moments", CENSUS}
    assert "not the 4 of its batch" in collector.failures["careless"]


def test_states_that_do_not_merge_take_only_their_signal_down() -> None:
    collector = Collector({})
    states = []
    for width in (2, 3):
        one = State((Key("data", "d", width),), {"t": Table(torch.zeros(1, dtype=torch.int64), {"c": torch.zeros(1)})})
        ragged = {"t": Table(torch.zeros(1, dtype=torch.int64), {"c": torch.zeros(1, width)})}
        states.append({"even": one, "ragged": replace(one, tables=ragged)})
    assert set(collector.merged(states)) == {"even"}
    assert "ragged" in collector.failures


def test_a_batch_that_does_not_fit_is_halved_and_gives_the_same(batch: Batch, hidden: Tensor) -> None:
    _, whole = collect(FakeCapture(hidden), batch, moments=Moments())
    collector, halved = collect(FakeCapture(hidden, room=1), batch, moments=Moments())
    assert halved["moments"].keys == tuple(sorted(batch.keys))
    order = [batch.keys.index(k) for k in halved["moments"].keys]
    torch.testing.assert_close(
        halved["moments"].tables["sums"].columns["sums"], whole["moments"].tables["sums"].columns["sums"][order]
    )
    assert any("halved" in note for note in collector.notes)


def test_one_sequence_that_does_not_fit_is_a_user_error(batch: Batch, hidden: Tensor) -> None:
    with pytest.raises(UserError, match="does not fit"):
        collect(FakeCapture(hidden, room=0), batch, moments=Moments())


def test_selected_sequences_keep_their_content(batch: Batch) -> None:
    part = batch.select([2, 1])
    assert part.keys == (batch.keys[2], batch.keys[1])
    assert torch.equal(part.attention_mask[1], batch.attention_mask[1])
    with pytest.raises(UserError, match="one per sequence"):
        replace(part, keys=part.keys[:1])
