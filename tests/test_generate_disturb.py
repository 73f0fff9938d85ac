"""The hooks of a disturbance: the right rows of the right blocks, and nothing left behind."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
import transformers as hf
from small_tokenizers import byte_bpe
from torch import Tensor, nn

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics
from mspgt.core.errors import PluginError, UserError
from mspgt.generate.conditions import drawn
from mspgt.generate.disturb import Disturbance
from mspgt.models import LoadedModel, describe
from mspgt.stats.paired.conditions import Condition

BLOCKS, DIM, VOCABULARY = 4, 32, 400
LENGTHS = (7, 4, 5, 7, 6)
CONDITIONS = (
    Condition("baseline"),
    Condition("local", "g", 0.5, blocks=(1, 2)),
    Condition("high", "g", 0.5, blocks=(2, 3)),
    Condition("strong", "g", 2.0, blocks=(2,)),
    Condition("window", "g", 0.5, blocks=(1, 2, 3), window=2),
)
"""one per row; block 4 is disturbed by none"""
SAMPLES = (3, 1, 4, 1, 5)
CONFIGS = {
    "llama": lambda: hf.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=DIM,
        intermediate_size=48,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        max_position_embeddings=64,
    ),
    "bloom": lambda: hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=DIM, n_layer=BLOCKS, n_head=4),
}
every_model = pytest.mark.parametrize("family", CONFIGS)


@cache
def shared(family: str) -> LoadedModel:
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return describe(model, byte_bpe(), family)


class Wave(Intervention):
    """Adds a wave of sample, position and block to what came in and what goes out."""

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        phase = (samples[:, None] * 7 + positions * 3 + layer.index)[..., None] + statistics.mean
        wave = torch.sin(phase) + 0.1 * layer.incoming.float()
        return (hidden.float() + self.strength * wave).to(hidden.dtype)


STATISTICS = {
    k: LayerStatistics(torch.linspace(0, k, DIM), torch.ones(DIM), 1.0, 1.0, torch.zeros(1, DIM))
    for k in range(1, BLOCKS + 1)
}


def wave(strength: float) -> Wave:
    return Wave(strength=strength)


def texts() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, VOCABULARY, (n,), generator=generator) for n in LENGTHS]


def padded(side: str) -> tuple[Tensor, Tensor]:
    """Ids and positions (row, token)."""
    width = max(LENGTHS)
    ids, positions = torch.zeros(len(LENGTHS), width, dtype=torch.int64), torch.full((len(LENGTHS), width), -1)
    for row, text in enumerate(texts()):
        place = slice(width - len(text), width) if side == "left" else slice(0, len(text))
        ids[row, place], positions[row, place] = text, torch.arange(len(text))
    return ids, positions


def states(model: LoadedModel, ids: Tensor, positions: Tensor) -> list[Tensor]:
    """What each block gives to the next, after all hooks: (row, token, dim) each."""
    seen: list[Tensor] = []

    def see(module: nn.Module, args: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).clone())

    inputs = {"input_ids": ids, "attention_mask": (positions >= 0).long()}
    if model.family == "llama":
        inputs["position_ids"] = positions.clamp_min(0)
    with torch.no_grad(), ExitStack() as stack:
        for block in model.blocks:
            stack.enter_context(block.register_forward_hook(see))
        model.model(**inputs, use_cache=False)
    return seen


def by_hand(model: LoadedModel, text: Tensor, condition: Condition, sample: int, first: int = 0) -> list[Tensor]:
    """The same for one text alone, disturbed by plain hooks on whole outputs."""

    def hook(k: int, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        incoming = args[0] if args else kwargs["hidden_states"]
        positions = torch.arange(len(text))[None]
        made = wave(condition.sigma).apply(hidden, Block(k, incoming), positions, torch.tensor([sample]), STATISTICS[k])
        made[:, :first] = hidden[:, :first]
        return (made, *output[1:]) if isinstance(output, tuple) else made

    with ExitStack() as stack:
        for k in drawn(condition, sample, 0):
            stack.enter_context(model.blocks[k - 1].register_forward_hook(partial(hook, k), with_kwargs=True))
        seen = states(model, text[None], torch.arange(len(text))[None])
    return [hidden[0] for hidden in seen]


def count_hooks(model: LoadedModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_hooks_with_kwargs) for m in model.full.modules())


def disturbed(
    model: LoadedModel, disturbance: Disturbance, side: str = "left", conditions: Sequence[Condition] = CONDITIONS
) -> list[Tensor]:
    ids, positions = padded(side)
    lengths = torch.tensor(LENGTHS) - 2
    with disturbance.rows(conditions, torch.tensor(SAMPLES), lengths):
        disturbance.step(positions)
        return states(model, ids, positions)


@every_model
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("apply", ["all", "generated"])
def test_each_row_is_as_if_alone_with_plain_hooks(family: str, side: str, apply: str) -> None:
    model = shared(family)
    found = disturbed(model, Disturbance(model, wave, STATISTICS, seed=0, apply=apply), side)
    _, positions = padded(side)
    for row, (text, condition, sample) in enumerate(zip(texts(), CONDITIONS, SAMPLES, strict=True)):
        first = len(text) - 2 if apply == "generated" else 0
        for hidden, truth in zip(found, by_hand(model, text, condition, sample, first), strict=True):
            torch.testing.assert_close(hidden[row, positions[row] >= 0], truth, rtol=1e-4, atol=1e-4)


@every_model
def test_padding_and_undisturbed_rows_are_left_alone_bit_by_bit(family: str) -> None:
    model = shared(family)
    ids, positions = padded("left")
    before = states(model, ids, positions)
    found = disturbed(model, Disturbance(model, wave, STATISTICS, seed=0))
    assert all(torch.equal(a[0].nan_to_num(), b[0].nan_to_num()) for a, b in zip(before, found, strict=True))
    padding = positions < 0
    assert torch.equal(before[0][padding].nan_to_num(), found[0][padding].nan_to_num())
    assert not torch.equal(before[0][~padding], found[0][~padding])


def test_only_blocks_that_some_row_disturbs_get_a_hook() -> None:
    model = shared("llama")
    disturbance = Disturbance(model, wave, STATISTICS, seed=0)
    samples, lengths = torch.tensor(SAMPLES), torch.tensor(LENGTHS)
    with disturbance.rows(CONDITIONS, samples, lengths):
        assert [len(block._forward_hooks) for block in model.blocks] == [1, 1, 1, 0]
    still = [Condition("zero", "g", 0.0, blocks=(1, 2, 3, 4)), *CONDITIONS[:1] * 4]
    with disturbance.rows(still, samples, lengths):
        assert count_hooks(model) == 0


@every_model
def test_what_was_added_is_the_squared_change_of_each_condition(family: str) -> None:
    model = shared(family)
    disturbance = Disturbance(model, wave, STATISTICS, seed=0)
    truth: dict[tuple[str, int], tuple[float, int]] = {}
    for text, condition, sample in zip(texts(), CONDITIONS, SAMPLES, strict=True):
        outputs, blocks = by_hand(model, text, condition, sample), drawn(condition, sample, 0)
        for k in blocks:
            lower = Condition("lower", "g", condition.sigma, blocks=tuple(b for b in blocks if b < k))
            plain = by_hand(model, text, lower, sample)[k - 1]
            truth[condition.name, k] = ((outputs[k - 1] - plain).double().square().sum().item(), len(text) * DIM)
    disturbed(model, disturbance)
    once = disturbance.added()
    assert {key: n for key, (_, n) in once.items()} == {key: n for key, (_, n) in truth.items()}
    for key, (squares, _) in once.items():
        assert squares == pytest.approx(truth[key][0], rel=1e-4)
    disturbed(model, disturbance)
    for key, (squares, values) in disturbance.added().items():
        assert (squares, values) == (pytest.approx(2 * once[key][0]), 2 * once[key][1])


def test_rows_that_are_dropped_keep_what_was_added_and_the_others_go_on() -> None:
    model = shared("llama")
    ids, positions = padded("right")
    one, two = (Disturbance(model, wave, STATISTICS, seed=0) for _ in range(2))
    kept = torch.tensor([1, 3, 4])
    samples, lengths = torch.tensor(SAMPLES), torch.tensor(LENGTHS)
    with one.rows(CONDITIONS, samples, lengths):
        one.step(positions)
        states(model, ids, positions)
        one.keep(kept)
        one.step(positions[kept])
        found = states(model, ids[kept], positions[kept])
    with two.rows(CONDITIONS, samples, lengths):
        two.step(positions)
        states(model, ids, positions)
    with two.rows([CONDITIONS[i] for i in kept], samples[kept], lengths[kept]):
        two.step(positions[kept])
        truth = states(model, ids[kept], positions[kept])
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(found, truth, strict=True))
    added = two.added()
    assert {key: (pytest.approx(squares), n) for key, (squares, n) in one.added().items()} == added


def test_after_an_error_the_model_is_as_before_and_nothing_was_added() -> None:
    model = shared("llama")
    ids, positions = padded("left")
    before, hooks = states(model, ids, positions), count_hooks(model)

    class Broken(Wave):
        def apply(
            self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
        ) -> Tensor:
            if layer.index == 3:
                raise ZeroDivisionError
            return super().apply(hidden, layer, positions, samples, statistics)

    disturbance = Disturbance(model, lambda s: Broken(strength=s), STATISTICS, seed=0)
    with pytest.raises(ZeroDivisionError):
        disturbed(model, disturbance)
    assert count_hooks(model) == hooks
    assert all(torch.equal(a, b) for a, b in zip(before, states(model, ids, positions), strict=True))
    assert disturbance.added() == {}
    disturbed(model, disturbance, conditions=[CONDITIONS[1]] * 5)
    assert set(disturbance.added()) == {("local", 1), ("local", 2)}


class Away(nn.Module):
    """A block that runs on another device than the one before it."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.to("meta")


@pytest.mark.parametrize("conditions", [[CONDITIONS[1]] * 5, CONDITIONS])
def test_all_that_an_intervention_is_given_is_where_the_output_of_the_block_is(
    conditions: Sequence[Condition],
) -> None:
    class Seen(Exception):
        pass

    class Looking(Intervention):
        def apply(
            self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
        ) -> Tensor:
            known = (statistics.mean, statistics.std_dim, statistics.bank)
            raise Seen({t.device.type for t in (hidden, layer.incoming, positions, samples, *known)})

    model = replace(shared("llama"), blocks=[Away(), nn.Identity(), nn.Identity(), nn.Identity()])
    _, positions = padded("left")
    disturbance = Disturbance(model, lambda s: Looking(strength=s), STATISTICS, seed=0)
    for block, device in ((0, "meta"), (1, "cpu")):
        with disturbance.rows(conditions, torch.tensor(SAMPLES), torch.tensor(LENGTHS)):
            disturbance.step(positions)
            with pytest.raises(Seen) as seen:
                model.blocks[block](torch.zeros(*positions.shape, DIM))
        assert seen.value.args == ({device},)


def test_statistics_are_moved_once() -> None:
    moves: list[str] = []

    class Counted(Tensor):
        def to(self, *args: Any, **kwargs: Any) -> Tensor:
            moves.append("to")
            return super().to(*args, **kwargs)

    model = shared("llama")
    counted = {k: replace(known, bank=known.bank.as_subclass(Counted)) for k, known in STATISTICS.items()}
    disturbance = Disturbance(model, wave, counted, seed=0)
    for _ in range(2):
        disturbed(model, disturbance)
    assert len(moves) == 3  # of blocks 1, 2 and 3


def test_half_precision_stays_half_precision() -> None:
    model = shared("llama")
    half = describe(hf.AutoModelForCausalLM.from_config(CONFIGS["llama"]()).bfloat16(), model.tokenizer, "half")
    found = disturbed(half, Disturbance(half, wave, STATISTICS, seed=0))
    assert {hidden.dtype for hidden in found} == {torch.bfloat16}


def test_an_intervention_that_changes_the_shape_is_named() -> None:
    class Shrinking(Wave):
        def apply(self, hidden: Tensor, *rest: Any) -> Tensor:
            return hidden[..., :3]

    model = shared("llama")
    with pytest.raises(PluginError, match=r"Shrinking gave \(\d, \d, 3\)"):
        disturbed(model, Disturbance(model, lambda s: Shrinking(strength=s), STATISTICS, seed=0))


def test_apply_has_two_values() -> None:
    with pytest.raises(UserError, match="Available: all, generated"):
        Disturbance(shared("llama"), wave, STATISTICS, seed=0, apply="generated_only")
