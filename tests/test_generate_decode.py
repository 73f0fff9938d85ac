"""Paired decoding: against transformers' own generation, and the same on every batch layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from scipy.stats import chisquare
from small_tokenizers import byte_bpe
from torch import Tensor, nn

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics
from mspgt.core.errors import UserError
from mspgt.core.random import gumbel
from mspgt.generate.decode import Continuation, Decoding, _Running, generate
from mspgt.generate.disturb import Disturbance
from mspgt.generate.draw import Draw
from mspgt.generate.prompts import Prompt
from mspgt.models import LoadedModel, describe
from mspgt.plugins.interventions.gaussian import Gaussian
from mspgt.stats.paired.conditions import BASELINE, Condition

BLOCKS, DIM, VOCABULARY = 3, 32, 400
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": DIM,
    "intermediate_size": 48,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
CONFIGS = {
    "llama": lambda: hf.LlamaConfig(**SMALL, num_key_value_heads=2),
    "qwen2": lambda: hf.Qwen2Config(**SMALL, num_key_value_heads=1),
    "gpt2": lambda: hf.GPT2Config(vocab_size=VOCABULARY, n_embd=DIM, n_layer=BLOCKS, n_head=4, n_positions=64),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**SMALL),
    "opt": lambda: hf.OPTConfig(**SMALL, word_embed_proj_dim=DIM, ffn_dim=48),
    "bloom": lambda: hf.BloomConfig(vocab_size=VOCABULARY, hidden_size=DIM, n_layer=BLOCKS, n_head=4),
    "mistral": lambda: hf.MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=6),
}
every_model = pytest.mark.parametrize("family", CONFIGS)
CONDITIONS = (
    Condition(BASELINE),
    Condition("local", "g", 0.3, blocks=(1,)),
    Condition("window", "g", 0.3, blocks=(1, 2, 3), window=1),
    Condition("strong", "g", 1.0, blocks=(2, 3)),
)
BASE = CONDITIONS[:1]
STATISTICS = {
    k: LayerStatistics(torch.zeros(DIM), torch.ones(DIM), 1.0, 1.0, torch.zeros(1, DIM)) for k in range(1, BLOCKS + 1)
}


@cache
def shared(family: str) -> LoadedModel:
    """A tiny random model that never ends a text of its own accord."""
    torch.manual_seed(0)
    config = CONFIGS[family]()
    config.eos_token_id = None
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return describe(model, byte_bpe(), family)


@contextmanager
def ending(model: LoadedModel, ends: int | list[int]) -> Iterator[None]:
    model.full.generation_config.eos_token_id = ends
    try:
        yield
    finally:
        model.full.generation_config.eos_token_id = None


@cache
def prompts(count: int, shortest: int = 9, longest: int = 9) -> tuple[Prompt, ...]:
    generator = torch.Generator().manual_seed(5)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=generator).tolist()
    ids = [tuple(torch.randint(3, VOCABULARY, (n,), generator=generator).tolist()) for n in lengths]
    return tuple(Prompt(3 * i + 1, one, "", "d") for i, one in enumerate(ids))


def gaussian(model: LoadedModel, apply: str = "all") -> Disturbance:
    return Disturbance(model, lambda s: Gaussian(strength=s, seed=4), STATISTICS, seed=4, apply=apply)


def write(
    model: LoadedModel,
    given: Sequence[Prompt],
    decoding: Decoding,
    conditions: Sequence[Condition] = CONDITIONS,
    cache: bool = True,
) -> list[Continuation]:
    return generate(model, given, conditions, decoding, gaussian(model), cache=cache)


def transformers_greedy(model: LoadedModel, given: Sequence[Prompt], new_tokens: int) -> list[tuple[int, ...]]:
    width = max(len(p.ids) for p in given)
    ids = torch.tensor([[0] * (width - len(p.ids)) + list(p.ids) for p in given])
    mask = torch.tensor([[0] * (width - len(p.ids)) + [1] * len(p.ids) for p in given])
    out: Any = model.full.generate(ids, attention_mask=mask, max_new_tokens=new_tokens, do_sample=False)
    return [tuple(row) for row in out[:, width:].tolist()]


@every_model
@pytest.mark.parametrize("shortest", [9, 2])
def test_greedy_text_is_that_of_transformers(family: str, shortest: int) -> None:
    model, given = shared(family), prompts(6, shortest)
    found = write(model, given, Decoding(12, "greedy"), BASE)
    assert [c.ids for c in found] == transformers_greedy(model, given, 12)
    assert not any(c.ended for c in found)


def test_a_text_ends_where_transformers_ends_it() -> None:
    model, given = shared("llama"), prompts(6, 2)
    whole = [c.ids for c in write(model, given, Decoding(20, "greedy"), BASE)]
    ends = [whole[0][5], whole[1][9], whole[2][0]]
    with ending(model, ends):
        found = write(model, given, Decoding(20, "greedy"), BASE)
        theirs = transformers_greedy(model, given, 20)
    for mine, all_ids, their in zip(found, whole, theirs, strict=True):
        cut = next((i for i, token in enumerate(all_ids) if token in ends), None)
        assert (mine.ids, mine.ended) == (all_ids[:cut], cut is not None)
        assert their[: len(mine.ids)] == mine.ids
        assert cut is None or their[cut] == all_ids[cut]
    assert {c.ended for c in found} == {True, False} or all(c.ended for c in found)
    assert found[2].ids == ()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 0.9), (0.7, 0.5), (1.5, 1.0), (1.0, 1e-6)])
def test_each_token_is_the_gumbel_winner_of_transformers_nucleus(temperature: float, top_p: float) -> None:
    model, given = shared("llama"), prompts(8, 3)
    decoding = Decoding(8, temperature=temperature, top_p=top_p, seed=11)
    warp = hf.LogitsProcessorList([hf.TemperatureLogitsWarper(temperature), hf.TopPLogitsWarper(top_p)])
    for prompt, text in zip(given, write(model, given, decoding, BASE), strict=True):
        for step, token in enumerate(text.ids):
            ids = torch.tensor([[*prompt.ids, *text.ids[:step]]])
            with torch.no_grad():
                scores = warp(ids, model.full(ids).logits[:, -1])
            noise = gumbel(11, torch.tensor([prompt.sample]), step, VOCABULARY)
            assert token == int((scores + noise).argmax())


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 0.8), (2.0, 0.95)])
def test_the_first_token_has_transformers_probabilities(temperature: float, top_p: float) -> None:
    model = shared("gpt2")
    (one,) = prompts(1)
    given = [Prompt(i, one.ids[:3], "", "d") for i in range(6_000)]
    drawn = [c.ids[0] for c in write(model, given, Decoding(1, temperature=temperature, top_p=top_p), BASE)]
    ids = torch.tensor([one.ids[:3]])
    warp = hf.LogitsProcessorList([hf.TemperatureLogitsWarper(temperature), hf.TopPLogitsWarper(top_p)])
    with torch.no_grad():
        p = warp(ids, model.full(ids).logits[:, -1]).softmax(-1)[0].double().numpy()
    observed = np.bincount(drawn, minlength=VOCABULARY)
    assert observed[p == 0].sum() == 0
    common = p * len(drawn) > 5
    rest = (observed[~common].sum(), p[~common].sum() * len(drawn))
    observed, expected = observed[common], p[common] * len(drawn)
    if rest[1] > 0:
        observed, expected = np.append(observed, rest[0]), np.append(expected, rest[1])
    assert len(observed) > 2
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "mistral"])
@pytest.mark.parametrize("mode", ["sample", "greedy"])
def test_batch_cache_and_padding_do_not_matter(family: str, mode: str) -> None:
    model, given = shared(family), prompts(8, 2)
    decoding = Decoding(10, mode, top_p=0.9)
    together = write(model, given, decoding)  # 32 rows, padded on the left
    assert len({c.ids for c in together}) > 16
    assert write(model, given, decoding, cache=False) == together
    for i, prompt in enumerate(given):
        assert write(model, [prompt], decoding) == together[4 * i : 4 * i + 4]
    for condition in CONDITIONS:
        assert write(model, given[:2], decoding, [condition]) == [
            c for c in together[:8] if c.condition == condition.name
        ]


@pytest.mark.parametrize("cache", [True, False])
def test_texts_that_ended_do_not_matter_to_the_others(cache: bool) -> None:
    model, given = shared("llama"), prompts(8, 2)
    decoding = Decoding(24, top_p=0.9)
    whole = write(model, given, decoding, cache=cache)
    ends = sorted({c.ids[i % 20] for i, c in enumerate(whole)})[::2]
    with ending(model, ends):
        found = write(model, given, decoding, cache=cache)
    lengths = set()
    for text, all_ids in zip(found, (c.ids for c in whole), strict=True):
        cut = next((i for i, token in enumerate(all_ids) if token in ends), None)
        assert (text.ids, text.ended) == (all_ids[:cut], cut is not None)
        lengths.add(len(text.ids))
    assert len(lengths) > 5


def test_what_was_added_counts_each_token_that_was_processed_once() -> None:
    model, given = shared("llama"), prompts(8, 2)
    whole = write(model, given, Decoding(12))
    disturbance = gaussian(model)
    with ending(model, sorted({c.ids[i % 10] for i, c in enumerate(whole)})[::2]):
        found = generate(model, given, CONDITIONS, Decoding(12), disturbance)
    assert {c.ended for c in found} == {True, False}
    length = {p.sample: len(p.ids) for p in given}
    for condition, block in (("local", 1), ("strong", 2), ("strong", 3)):
        squares, values = disturbance.added()[condition, block]
        assert values == DIM * sum(length[c.sample] + min(len(c.ids), 11) for c in found if c.condition == condition)
        strength = 0.3 if condition == "local" else 1.0
        assert squares / values == pytest.approx(strength**2, rel=0.1)
    windows = [disturbance.added()["window", k][1] for k in (1, 2, 3)]
    assert sum(windows) == DIM * sum(length[c.sample] + min(len(c.ids), 11) for c in found if c.condition == "window")


class Harmless(Intervention):
    """Gives back a copy."""

    def apply(self, hidden: Tensor, *rest: Any) -> Tensor:
        return hidden.clone()


def test_conditions_that_change_nothing_give_the_baseline_s_text() -> None:
    model, given = shared("llama"), prompts(8, 2)
    conditions = [
        *BASE,
        Condition("zero", "g", 0.0, blocks=(1, 2, 3)),
        Condition("harmless", "g", 1.0, blocks=(1, 2, 3)),
    ]
    harmless = Disturbance(model, lambda s: Harmless(strength=s), STATISTICS, seed=0)
    found = generate(model, given, conditions, Decoding(15), harmless)
    for baseline, *others in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert [c.ids for c in others] == [baseline.ids] * 2
    assert len({c.ids for c in found}) == 8


def test_a_disturbance_of_generated_tokens_leaves_the_first_one_alone() -> None:
    model, given = shared("llama"), prompts(8, 2)
    strong = [*BASE, Condition("strong", "g", 5.0, blocks=(1, 2, 3))]
    texts = {a: generate(model, given, strong, Decoding(4), gaussian(model, a)) for a in ("all", "generated")}
    firsts = {apply: [c.ids[0] for c in found] for apply, found in texts.items()}
    assert firsts["generated"][1::2] == firsts["generated"][::2]
    assert firsts["all"][1::2] != firsts["all"][::2]
    assert any(a.ids != b.ids for a, b in zip(texts["generated"][::2], texts["generated"][1::2], strict=True))


def test_the_seed_changes_the_text_and_nothing_else_does() -> None:
    model, given = shared("llama"), prompts(4)
    one, again, other = (write(model, given, Decoding(10, seed=seed)) for seed in (0, 0, 1))
    assert one == again
    assert all(a.ids != b.ids for a, b in zip(one, other, strict=True))


class Breaking(Intervention):
    """Fails in the middle of a text."""

    def apply(self, hidden: Tensor, layer: Block, positions: Tensor, *rest: Any) -> Tensor:
        if int(positions.max()) > 12:
            raise ZeroDivisionError
        return hidden + torch.rand_like(hidden)


@pytest.mark.parametrize("broken", [True, False])
def test_the_model_is_left_as_it_was(broken: bool) -> None:
    model, given = shared("llama"), prompts(2)
    ids = torch.tensor([given[0].ids])
    with torch.no_grad():
        before = model.full(ids).logits
    modes = [i % 2 == 0 for i, _ in enumerate(model.full.modules())]
    for module, mode in zip(model.full.modules(), modes, strict=True):
        module.training = mode
    random = torch.random.get_rng_state()
    disturbance = Disturbance(model, lambda s: Breaking(strength=s), STATISTICS, seed=0)
    try:
        if broken:
            with pytest.raises(ZeroDivisionError):
                generate(model, given, CONDITIONS, Decoding(20), disturbance)
        else:
            generate(model, given, CONDITIONS, Decoding(2), disturbance)
        assert [module.training for module in model.full.modules()] == modes
    finally:
        model.full.eval()
    assert torch.equal(torch.random.get_rng_state(), random)
    assert not any(m._forward_hooks or m._forward_hooks_with_kwargs for m in model.full.modules())
    with torch.no_grad():
        assert torch.equal(model.full(ids).logits, before)
    assert all(parameter.requires_grad for parameter in model.full.parameters())


class Wrapper(nn.Module):
    """As adapters wrap a model: any argument is handed on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **rest: Any) -> Any:
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, **rest)


def test_a_wrapped_model_writes_the_same() -> None:
    model, given = shared("gpt2"), prompts(6, 2)
    plain = write(model, given, Decoding(8))
    assert write(describe(Wrapper(model.full), model.tokenizer, "wrapped"), given, Decoding(8)) == plain


class Overflowing(Intervention):
    """Gives what half precision cannot hold, from some position on."""

    beyond = 0

    def apply(self, hidden: Tensor, layer: Block, positions: Tensor, *rest: Any) -> Tensor:
        broken = (positions[..., None] >= self.beyond) & (self.strength > 1)
        return torch.where(broken, float("inf"), hidden)


@pytest.mark.parametrize("beyond", [0, 12])
@pytest.mark.parametrize("decoding", [Decoding(8), Decoding(8, top_p=1.0), Decoding(8, "greedy")])
def test_logits_that_overflow_are_told_with_the_condition(
    decoding: Decoding, beyond: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Overflowing, "beyond", beyond)
    model, given = replace(shared("llama"), dtype="float16"), prompts(4)
    conditions = [*BASE, Condition("weak", "g", 0.5, blocks=(1, 2, 3)), Condition("local@2", "g", 2.0, blocks=(2,))]
    disturbance = Disturbance(model, lambda s: Overflowing(strength=s), STATISTICS, seed=0)
    assert len(generate(model, given, conditions[:2], decoding, disturbance)) == 8
    with pytest.raises(
        UserError, match=r"^local@2: .* sigma=2, .* in float16: give a smaller sigma or dtype=float32\.$"
    ):
        generate(model, given, conditions, decoding, disturbance)


def test_a_text_that_has_ended_may_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = shared("llama"), prompts(16)
    whole = write(model, given, Decoding(12, "greedy"), BASE)
    with ending(model, [whole[0].ids[0]]):
        truth = write(model, given, Decoding(12, "greedy"), BASE)
        logits, broken = _Running.logits, []

        def overflow(batch: _Running) -> Tensor:
            ended = batch.positions[:, -1] < 0
            broken.append(int(ended.sum()))
            return logits(batch).masked_fill(ended[:, None], float("nan"))

        monkeypatch.setattr(_Running, "logits", overflow)
        assert write(model, given, Decoding(12, "greedy"), BASE) == truth
    assert max(broken) > 0


@pytest.mark.parametrize("decoding", [Decoding(1), Decoding(1, top_p=1.0), Decoding(1, "greedy")])
def test_a_row_without_a_finite_maximum_has_no_token(decoding: Decoding) -> None:
    nan, inf = float("nan"), float("inf")
    broken, sound = [[1, nan, 9], [-inf] * 3, [0, inf, 1], [nan] * 3], [[-inf, 2, -inf], [0, 50, 0]]
    logits = torch.tensor(broken + sound)
    draw = Draw(decoding, torch.arange(len(logits)), torch.device("cpu"))
    assert draw.tokens(logits, 0).tolist() == [-1, -1, -1, -1, 1, 1]


def test_nothing_to_write_is_nothing() -> None:
    model = shared("llama")
    assert write(model, [], Decoding(3)) == write(model, prompts(2), Decoding(3), []) == []


def test_an_encoder_cannot_continue_a_text() -> None:
    torch.manual_seed(0)
    encoder = describe(hf.BertModel(hf.BertConfig(**SMALL)), byte_bpe(), "bert")
    with pytest.raises(UserError, match="bert is an encoder and cannot continue a text: give a causal"):
        write(encoder, prompts(1), Decoding(3))


@pytest.mark.parametrize("kind", [hf.LlamaModel, hf.LlamaForSequenceClassification])
def test_a_model_without_a_head_cannot_continue_a_text(kind: Any) -> None:
    torch.manual_seed(0)
    headless: nn.Module = kind(CONFIGS["llama"]())
    with pytest.raises(UserError, match="without a language-modelling head"):
        write(describe(headless, byte_bpe(), "llama"), prompts(1), Decoding(3))


def test_a_text_that_does_not_fit_is_refused_with_what_fits() -> None:
    model, given = shared("llama"), prompts(2)
    with pytest.raises(UserError, match=r"new_tokens=56: llama holds 64 tokens.* new_tokens=55 at most"):
        write(model, given, Decoding(56))
    assert len(write(model, given, Decoding(55), BASE)[0].ids) == 55
    with pytest.raises(UserError, match="a prompt of 64 tokens leaves no room"):
        write(model, [Prompt(0, tuple(range(64)), "", "")], Decoding(1))


@pytest.mark.parametrize(
    "wrong",
    [{"new_tokens": 0}, {"temperature": 0.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.1}],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        Decoding(**{"new_tokens": 5, **wrong})


def test_an_unknown_mode_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'sample'"):
        Decoding(5, "sampling")
