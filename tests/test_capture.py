"""Capture on tiny random models of many families, and on the real all-MiniLM-L6-v2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from mspgt import models
from mspgt.contracts.batch import Batch, Layer
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.models.attention import Recomputed, View
from mspgt.models.blocks import find_blocks
from mspgt.models.built_in import MODELS
from mspgt.models.capture import IMPLEMENTATION, Capture, prove

SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
GPT2 = {"vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
BLOOM = {"vocab_size": 97, "hidden_size": 32, "n_layer": 3, "n_head": 4}
WORD = {"word_embed_proj_dim": 32, "ffn_dim": 48}

OBSERVED = {
    "llama": lambda: hf.LlamaConfig(**GROUPED),
    "qwen2": lambda: hf.Qwen2Config(**{**GROUPED, "num_key_value_heads": 1}),
    "qwen3": lambda: hf.Qwen3Config(**GROUPED, head_dim=16),
    "mistral": lambda: hf.MistralConfig(**GROUPED, sliding_window=4),
    "gemma": lambda: hf.GemmaConfig(**{**GROUPED, "num_key_value_heads": 1}, head_dim=8),
    "gpt2": lambda: hf.GPT2Config(**GPT2),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**SMALL),
    "opt": lambda: hf.OPTConfig(**SMALL, **WORD),
    "phi": lambda: hf.PhiConfig(**SMALL),
    "bert": lambda: hf.BertConfig(**SMALL),
    "roberta": lambda: hf.RobertaConfig(**SMALL),
}
EAGER = {
    "gemma2": lambda: hf.Gemma2Config(**GROUPED, head_dim=8, sliding_window=4),
    "bloom": lambda: hf.BloomConfig(**BLOOM),
    "gptj": lambda: hf.GPTJConfig(**GPT2, rotary_dim=8),
    "falcon": lambda: hf.FalconConfig(vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4),
}
FAMILIES = {**OBSERVED, **EAGER}
every_family = pytest.mark.parametrize("family", FAMILIES)
LENGTHS = (9, 6, 7)


@cache
def shared(family: str) -> nn.Module:
    """A tiny random model with attention far from uniform; tests leave it as they found it."""
    torch.manual_seed(0)
    model = hf.AutoModel.from_config(FAMILIES[family]()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


@cache
def minilm() -> models.LoadedModel:
    return models.load("minilm")


def make_batch(side: str = "right", only: int | None = None) -> Batch:
    """Sequences of 9, 6 and 7 tokens, padded to 9 (one alone: not padded)."""
    generator = torch.Generator().manual_seed(3)
    texts = [torch.randint(5, 97, (n,), generator=generator) for n in LENGTHS]
    texts = texts if only is None else [texts[only]]
    width = max(map(len, texts))
    ids = torch.ones(len(texts), width, dtype=torch.int64)
    mask = torch.zeros(len(texts), width, dtype=torch.bool)
    for row, text in enumerate(texts):
        place = slice(0, len(text)) if side == "right" else slice(width - len(text), width)
        ids[row, place], mask[row, place] = text, True
    keys = tuple(Key("c", "d", row) for row in range(len(texts)))
    return Batch(keys, ids, mask, mask, torch.where(mask, 0, -1))


def full(chunks: Iterator[tuple[Any, ...]], tokens: int, which: int = 1) -> Tensor:
    """Put chunks of query rows together, all keys."""
    parts = [nn.functional.pad(c[which], (0, tokens - c[which].shape[-1])) for c in chunks]
    return torch.cat(parts, dim=-2)


def observe(model: nn.Module, batch: Batch, attention: bool = True) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden states of all layers, and attention of all blocks (sequence, head, query, key)."""
    hidden: list[Tensor] = []
    probabilities: list[Tensor] = []

    def note(layer: Layer) -> None:
        hidden.append(layer.hidden.clone())
        if attention and layer.index:
            probabilities.append(full(layer.attention(), batch.input_ids.shape[1]))

    with Capture(model, find_blocks(model), attention) as capture:
        capture.run(batch, note)
    return hidden, probabilities


def content(tensor: Tensor, mask: Tensor) -> list[Tensor]:
    """Each sequence's tensor without its padding: (token, ...) or (head, query, key)."""
    if tensor.ndim == 3:
        return [t[m] for t, m in zip(tensor, mask, strict=True)]
    return [t[:, m][:, :, m] for t, m in zip(tensor, mask, strict=True)]


def hook_count(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# ---------------------------------------------------------------------- what is seen


@every_family
def test_hidden_states_are_the_raw_outputs_of_the_blocks(family: str) -> None:
    model, batch = shared(family), make_batch()
    hidden, _ = observe(model, batch, attention=False)
    with torch.no_grad():
        theirs = model(
            batch.input_ids, attention_mask=batch.attention_mask.long(), output_hidden_states=True
        ).hidden_states
    assert len(hidden) == 4
    for ours, other in zip(hidden[:-1], theirs[:-1], strict=True):
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "opt", "phi", "bloom"])
def test_the_last_hidden_state_is_before_the_final_norm(family: str) -> None:
    model, batch = shared(family), make_batch()
    last = observe(model, batch, attention=False)[0][-1]
    norms = [m for m in model.children() if "norm" in type(m).__name__.lower()]
    norms += [m for child in model.children() for m in child.children() if "norm" in type(m).__name__.lower()]
    with torch.no_grad():
        theirs = model(batch.input_ids, attention_mask=batch.attention_mask.long()).last_hidden_state
        assert not torch.allclose(last, theirs, atol=1e-2)
        assert any(torch.allclose(norm(last), theirs, atol=1e-5) for norm in norms)


@every_family
def test_attention_equals_the_models_own_eager_weights(family: str) -> None:
    model, batch = shared(family), make_batch()
    _, ours = observe(model, batch)
    eager = hf.AutoModel.from_config(FAMILIES[family](), attn_implementation="eager").eval()
    eager.load_state_dict(model.state_dict())
    with torch.no_grad():
        theirs = eager(batch.input_ids, attention_mask=batch.attention_mask.long(), output_attentions=True).attentions
    assert len(ours) == 3
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(content(mine, batch.attention_mask), content(other, batch.attention_mask), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@every_family
def test_the_mean_over_heads_is_the_mean_of_the_heads(family: str) -> None:
    batch = make_batch("left")

    def note(layer: Layer) -> None:
        if layer.index:
            heads, mean = full(layer.attention(), 9), full(layer.attention_mean(), 9)
            torch.testing.assert_close(heads.mean(1), mean)

    model = shared(family)
    with Capture(model, find_blocks(model), True) as capture:
        capture.run(batch, note)


@pytest.mark.parametrize("family", ["llama", "bert", "gemma2"])
def test_a_pair_shows_the_previous_blocks_attention_and_this_ones(family: str) -> None:
    model, batch = shared(family), make_batch()
    _, expected = observe(model, batch)
    pairs: list[tuple[Tensor, Tensor]] = []

    def note(layer: Layer) -> None:
        if layer.index == 1:
            with pytest.raises(UserError, match="no previous block"):
                next(layer.attention_pair())
        if layer.index > 1:
            chunks = list(layer.attention_pair())
            assert all(before.shape == now.shape for _, before, now in chunks)
            pairs.append((full(iter(chunks), 9, 1), full(iter(chunks), 9, 2)))

    with Capture(model, find_blocks(model), True) as capture:
        capture.run(batch, note)
    for block, (before, now) in enumerate(pairs, start=1):
        assert torch.equal(before, expected[block - 1])
        assert torch.equal(now, expected[block])


def test_the_real_minilm_shows_its_own_attention_and_hidden_states() -> None:
    loaded = minilm()
    texts = loaded.tokenizer(["The cats that she feeds sleep.", "Why?"], padding=True, return_tensors="pt")
    mask = texts["attention_mask"].bool()
    keys = (Key("c", "d", 0), Key("c", "d", 1))
    batch = Batch(keys, texts["input_ids"], mask, mask, torch.where(mask, 0, -1))
    hidden, attention = observe(loaded.model, batch)
    eager = hf.AutoModel.from_pretrained(MODELS["minilm"].path(), attn_implementation="eager").float().eval()
    with torch.no_grad():
        theirs = eager(**texts, output_attentions=True, output_hidden_states=True)
    assert len(hidden) == 7
    for ours, other in zip(hidden, theirs.hidden_states, strict=True):  # an encoder has no final norm
        torch.testing.assert_close(ours[mask], other[mask], atol=1e-5, rtol=1e-4)
    for ours, other in zip(attention, theirs.attentions, strict=True):
        for a, b in zip(content(ours, mask), content(other, mask), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------------- what does not matter


@every_family
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_company_do_not_matter(family: str, side: str) -> None:
    model, batch = shared(family), make_batch(side)
    hidden, attention = observe(model, batch)
    for row in range(len(LENGTHS)):
        alone_hidden, alone_attention = observe(model, make_batch(only=row))
        for together, alone in zip([*hidden, *attention], [*alone_hidden, *alone_attention], strict=True):
            here = content(together, batch.attention_mask)[row]
            torch.testing.assert_close(here, alone[0], atol=2e-5, rtol=1e-3)


def test_rows_that_see_nothing_are_zero() -> None:
    query, key = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 3, 4)
    allowed = torch.ones(2, 1, 3, 3, dtype=torch.bool).tril()
    allowed[1, :, :, 0] = False
    added = torch.zeros(2, 1, 3, 3).masked_fill(~allowed, torch.finfo(torch.float32).min)
    for mask in (allowed, added, added.clamp_min(-torch.inf).masked_fill(~allowed, -torch.inf)):
        source = Recomputed(query, key, mask, True, 0.5)
        probabilities = source.probabilities(slice(0, 3))
        assert torch.equal(probabilities[1, :, 0], torch.zeros(2, 3))
        torch.testing.assert_close(probabilities[1, :, 1:].sum(-1), torch.ones(2, 2))
        torch.testing.assert_close(source.mean(slice(0, 3)), probabilities.mean(1))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_chunks_put_together_are_softmax_attention(causal: bool, masked: bool) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(3, 6, 40, 8), torch.randn(3, 2, 40, 8)
    allowed = torch.ones(40, 40, dtype=torch.bool)
    allowed = (allowed.tril() if causal else allowed)[None, None].repeat(3, 1, 1, 1)
    if masked:
        allowed[..., 5] = False
        allowed[..., 5, 5] = True
    scores = (query @ key.repeat_interleave(3, 1).transpose(-1, -2) / 8**0.5).masked_fill(~allowed, -torch.inf)
    source = Recomputed(query, key, allowed if masked else None, causal, 8**-0.5)
    view = View(1, source, None, 7)
    torch.testing.assert_close(full(view.chunks(), 40), scores.softmax(-1))
    torch.testing.assert_close(full(view.mean_chunks(), 40), scores.softmax(-1).mean(1))
    if causal:
        assert [chunk.shape[-1] for _, chunk in view.mean_chunks()] == [7, 14, 21, 28, 35, 40]


def test_a_bias_of_its_own_for_each_head_is_honoured() -> None:
    torch.manual_seed(0)
    query, key, bias = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 5, 8), torch.randn(1, 4, 5, 5)
    source = Recomputed(query, key, bias, False, 1.0)
    expected = (query @ key.transpose(-1, -2) + bias).softmax(-1)
    torch.testing.assert_close(source.probabilities(slice(0, 5)), expected)
    torch.testing.assert_close(source.mean(slice(0, 5)), expected.mean(1))


def test_a_bf16_model_is_observed_near_its_fp32_self() -> None:
    batch = make_batch()
    model = hf.AutoModel.from_config(OBSERVED["llama"]()).eval()
    hidden, attention = observe(model, batch)
    hidden16, attention16 = observe(model.to(torch.bfloat16), batch)
    assert {h.dtype for h in hidden16} == {torch.bfloat16}
    assert {a.dtype for a in attention16} == {torch.float32}
    torch.testing.assert_close(hidden16[-1].float(), hidden[-1], atol=0.05, rtol=0.1)
    torch.testing.assert_close(attention16[-1][0], attention[-1][0], atol=0.02, rtol=0.05)


def test_attention_is_computed_in_fp32_under_autocast() -> None:
    model, batch = shared("llama"), make_batch()
    seen: list[Tensor] = []

    def note(layer: Layer) -> None:
        if layer.index == 1:
            seen.append(full(layer.attention(), 9).sum(-1))

    with torch.autocast("cpu", torch.bfloat16), Capture(model, find_blocks(model), True) as capture:
        capture.run(batch, note)
    torch.testing.assert_close(seen[0], torch.ones_like(seen[0]), atol=1e-6, rtol=0)


# ---------------------------------------------------------------------- what is left behind


@every_family
@pytest.mark.parametrize("raises", [False, True])
def test_the_model_is_as_before(family: str, raises: bool) -> None:
    model, batch = shared(family), make_batch()
    model.train()
    frozen = next(model.parameters()).requires_grad_(False)
    model.get_input_embeddings().eval()
    modes, implementation = [m.training for m in model.modules()], model.config._attn_implementation
    hooks, random = hook_count(model), torch.get_rng_state()

    def note(layer: Layer) -> None:
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(1)
        if raises and layer.index == 2:
            raise ZeroDivisionError

    with suppress(ZeroDivisionError), Capture(model, find_blocks(model), True) as capture:
        capture.run(batch, note)
    try:
        assert [m.training for m in model.modules()] == modes
        assert model.config._attn_implementation == implementation
        assert hook_count(model) == hooks
        assert torch.equal(torch.get_rng_state(), random)
        assert not frozen.requires_grad
        assert all(p.grad is None for p in model.parameters())
    finally:
        frozen.requires_grad_(True)
        model.eval()


def test_only_the_fallback_gives_up_the_fast_kernel() -> None:
    for family in FAMILIES:
        model = shared(family)
        capture = Capture(model, find_blocks(model), True)
        assert capture.attention_kind == ("eager" if family in EAGER else "sdpa")
        assert bool(capture.reason) == (family in EAGER)
    assert Capture(model, find_blocks(model), False).attention_kind == "none"


def test_an_observed_pass_computes_what_sdpa_computes() -> None:
    for family in OBSERVED:
        plain, _ = observe(shared(family), make_batch(), attention=False)
        watched, _ = observe(shared(family), make_batch(), attention=True)
        assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True)), family


def test_our_attention_runs_plain_sdpa_outside_a_capture() -> None:
    model, batch = shared("llama"), make_batch()
    with torch.no_grad():
        plain = model(batch.input_ids, attention_mask=batch.attention_mask.long()).last_hidden_state
        with Capture(model, find_blocks(model), True):
            assert model.config._attn_implementation == IMPLEMENTATION
            inside = model(batch.input_ids, attention_mask=batch.attention_mask.long()).last_hidden_state
    assert torch.equal(plain, inside)


def test_gradients_of_a_training_step_are_untouched() -> None:
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(OBSERVED["llama"]()).train()
    batch = make_batch(only=0)

    def gradient() -> Tensor:
        model.zero_grad()
        model(input_ids=batch.input_ids, labels=batch.input_ids).loss.backward()
        return model.model.layers[0].mlp.up_proj.weight.grad.clone()

    before = gradient()
    with Capture(model.model, find_blocks(model.model), True) as capture:
        capture.run(make_batch(), lambda layer: None)
    assert torch.equal(gradient(), before)


# ---------------------------------------------------------------------- the proof


@every_family
def test_capture_is_proven_for(family: str) -> None:
    model = shared(family)
    note = prove(model, find_blocks(model), attention=True)
    assert bool(note) == (family in EAGER)


def test_a_hook_that_never_fires_is_an_error_that_names_the_block() -> None:
    model = shared("llama")
    blocks, hooks = find_blocks(model), hook_count(model)
    stranger = hf.AutoModel.from_config(OBSERVED["llama"]()).layers[2]
    with pytest.raises(UserError, match=r"hook of block 3 .*did not fire: give layers_path="):
        prove(model, [*blocks[:2], stranger], attention=False)
    with pytest.raises(UserError, match=r"block 3 \(layers\.1\) ran when block 2 \(layers\.2\) was due"):
        prove(model, [blocks[0], blocks[2], blocks[1]], attention=False)
    assert hook_count(model) == hooks


def test_blocks_without_attention_are_an_error_where_attention_is_wanted() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(16, 8)
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            hidden = self.embed(input_ids)
            for layer in self.layers:
                hidden = layer(hidden)
            return hidden

    model = Plain()
    assert prove(model, find_blocks(model), attention=False) == ""
    assert Capture(model, find_blocks(model), attention=False).attention_kind == "none"
    with pytest.raises(UserError, match="block 1 shows no attention"):
        prove(model, find_blocks(model), attention=True)


def test_a_run_outside_the_context_is_refused() -> None:
    model = shared("llama")
    with pytest.raises(RuntimeError, match="inside"):
        Capture(model, find_blocks(model), False).run(make_batch(), lambda layer: None)
