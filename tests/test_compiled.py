"""Models that `torch.compile` made faster: they are observed by their original code, and train as if they were not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
import torch._dynamo
import transformers as hf
from torch import Tensor, nn
from torch._dynamo.utils import counters

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.key import Key
from mspgt.models import content_sha256, describe
from mspgt.models.blocks import body_of, find_blocks
from mspgt.models.capture import Capture, prove
from mspgt.models.forward import plain_output
from mspgt.models.inside import describe_inside

IDS = torch.arange(48).reshape(4, 12) * 7 % 97
MASK = torch.tensor([[True] * 9, [True] * 6 + [False] * 3])
BATCH = Batch(
    (Key("c", "d", 0), Key("c", "d", 1)), torch.arange(18).reshape(2, 9), MASK, MASK, torch.where(MASK, 0, -1)
)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Nothing compiled before, nothing left behind."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


class Block(nn.Module):
    """Causal attention of one head, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, hidden: Tensor) -> Tensor:
        mixed = nn.functional.scaled_dot_product_attention(*self.read(hidden).chunk(3, -1), is_causal=True)
        return hidden + nn.functional.dropout(self.write(mixed), 0.1, self.training)


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(97, 8)
        self.layers = nn.ModuleList(Block() for _ in range(3))

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.embed(ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


class Small(nn.Module):
    """A language model that is compiled in an instant."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.head = Body(), nn.Linear(8, 97)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        logits = self.head(self.model(input_ids))
        if labels is None:
            return logits
        return SimpleNamespace(loss=nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()))


class Training(L.LightningModule):
    """A language model in training."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(input_ids=ids, labels=ids).loss


def small() -> Training:
    torch.manual_seed(0)
    return Training(Small())


def llama() -> Training:
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=97, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        attention_dropout=0.1,
    )  # fmt: skip
    return Training(hf.LlamaForCausalLM(config))


def wrapped(training: Training, backend: str) -> Training:
    training.model = torch.compile(training.model, backend=backend)
    return training


def called(training: Training, backend: str) -> Training:
    training.model.compile(backend=backend)
    return training


def body_wrapped(training: Training, backend: str) -> Training:
    training.model.model = torch.compile(training.model.model, backend=backend)
    return training


def body_called(training: Training, backend: str) -> Training:
    training.model.model.compile(backend=backend)
    return training


def blocks_wrapped(training: Training, backend: str) -> Training:
    layers = training.model.model.layers
    for number, block in enumerate(layers):
        layers[number] = torch.compile(block, backend=backend)
    return training


def one_block_wrapped(training: Training, backend: str) -> Training:
    layers = training.model.model.layers
    layers[1] = torch.compile(layers[1], backend=backend)
    return training


def blocks_called(training: Training, backend: str) -> Training:
    for block in training.model.model.layers:
        block.compile(backend=backend)
    return training


def forward_replaced(training: Training, backend: str) -> Training:
    training.model.model.forward = torch.compile(training.model.model.forward, backend=backend)
    return training


def module_wrapped(training: Training, backend: str) -> nn.Module:
    return torch.compile(training, backend=backend)  # type: ignore[no-any-return]


def module_called(training: Training, backend: str) -> Training:
    training.compile(backend=backend)
    return training


WAYS = (
    wrapped, called, body_wrapped, body_called, blocks_wrapped, one_block_wrapped, blocks_called, forward_replaced,
    module_wrapped, module_called,
)  # fmt: skip
every_way = pytest.mark.parametrize("way", WAYS)
Way = Callable[[Training, str], nn.Module]


def observe(module: nn.Module, attention: bool = False) -> list[Tensor]:
    """What the layers give."""
    loaded = describe_inside(module, "model", None, needs_tokenizer=False)
    prove(loaded.model, loaded.blocks, attention)
    hidden: list[Tensor] = []

    def note(layer: Layer) -> None:
        hidden.append(layer.hidden.clone())
        if attention and layer.index:
            assert [rows for rows, _ in layer.attention()]

    with Capture(loaded.model, loaded.blocks, attention) as capture:
        capture.run(BATCH, note)
    return hidden


def train(
    module: nn.Module, lengths: Sequence[int], watch: Callable[[nn.Module], object] = id
) -> tuple[list[float], list[Tensor], int]:
    """Losses, weights and number of compiled graphs of some steps; watched before each."""
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(module.parameters(), 1e-1)
    losses = []
    for length in lengths:
        compiled = counters["stats"]["unique_graphs"]
        watch(module)
        assert counters["stats"]["unique_graphs"] == compiled
        loss = module(IDS[:, :length])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, [p.detach().clone() for p in module.parameters()], counters["stats"]["unique_graphs"]


def assert_same_training(
    make: Callable[[], nn.Module], lengths: Sequence[int] = (12, 12), attention: bool = False
) -> None:
    losses, weights, graphs = train(make(), lengths)
    watched_losses, watched_weights, watched_graphs = train(make(), lengths, lambda module: observe(module, attention))
    assert watched_losses == losses
    assert all(torch.equal(a, b) for a, b in zip(watched_weights, weights, strict=True))
    assert watched_graphs == graphs > 0


# ---------------------------------------------------------------------- what is seen, and what is not changed


@every_way
@pytest.mark.parametrize("make", [small, llama])
def test_all_layers_are_seen_as_in_the_original(make: Callable[[], Training], way: Way) -> None:
    expected, seen = observe(make()), observe(way(make(), "eager"))
    assert len(seen) == (4 if make is small else 3)
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    assert counters["stats"]["unique_graphs"] == 0


@every_way
def test_training_is_the_same_as_without_observing(way: Way) -> None:
    assert_same_training(lambda: way(small(), "eager"))


@pytest.mark.parametrize("way", [wrapped, body_called, blocks_called])
def test_training_is_the_same_where_gradients_are_compiled_too(way: Way) -> None:
    assert_same_training(lambda: way(small(), "aot_eager"))


def test_another_length_is_compiled_once_as_without_observing() -> None:
    assert_same_training(lambda: body_called(small(), "eager"), lengths=(12, 7, 9))


@pytest.mark.parametrize("way", [blocks_called, body_called])
def test_training_is_the_same_where_attention_is_observed(way: Way) -> None:
    assert_same_training(lambda: way(llama(), "eager"), attention=True)


def test_compiled_code_runs_again_after_an_error_in_an_observer() -> None:
    module = body_called(small(), "eager")
    model = body_of(module.model)

    def fail(layer: Layer) -> None:
        raise ZeroDivisionError

    with suppress(ZeroDivisionError), Capture(model, find_blocks(model), attention=False) as capture:
        capture.run(BATCH, fail)
    module(IDS)
    assert counters["stats"]["unique_graphs"] == 1


def test_a_stance_that_was_set_is_set_again() -> None:
    module = body_called(small(), "eager")
    with torch.compiler.set_stance("fail_on_recompile"):
        observe(module)
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            module(IDS)


def test_a_plain_pass_runs_the_original_code() -> None:
    compiled = plain_output(body_called(small(), "eager").model, BATCH)
    assert torch.equal(compiled, plain_output(small().model, BATCH))
    assert counters["stats"]["unique_graphs"] == 0


# ---------------------------------------------------------------------- what is said of a compiled model


@pytest.mark.parametrize("way", [wrapped, called, body_wrapped, blocks_wrapped])
def test_a_compiled_model_is_described_as_the_original(way: Way) -> None:
    expected, loaded = (describe(training.model, None, "it") for training in (llama(), way(llama(), "eager")))
    assert type(loaded.model) is hf.LlamaModel
    assert loaded.facts == expected.facts
    assert loaded.causal
    assert content_sha256(loaded) == content_sha256(expected)
