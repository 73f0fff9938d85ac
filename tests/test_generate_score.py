"""Teacher-forced scores against transformers' loss, torchmetrics and sums written out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mspgt.contracts.intervention import Block, Intervention, LayerStatistics
from mspgt.core.errors import UserError
from mspgt.generate import score as module
from mspgt.generate.conditions import drawn
from mspgt.generate.decode import Continuation
from mspgt.generate.disturb import Disturbance
from mspgt.generate.prompts import Prompt
from mspgt.generate.score import Scores, score
from mspgt.models import LoadedModel, describe
from mspgt.stats.paired.conditions import BASELINE, Condition

VOCABULARY, DIM, BLOCKS = 13, 16, 4
CONDITIONS = (
    Condition(BASELINE),
    Condition("local", "local", 0.3, blocks=(1, 2)),
    Condition("global", "global", 0.3, blocks=(3, 4), window=1),
)


class Push(Intervention):
    """Adds a vector that depends on block, sample and position."""

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        return hidden + self.strength * pushed(layer.index, samples[:, None], positions)


def pushed(block: int, sample: Tensor, position: Tensor) -> Tensor:
    phase = (position + 1) * (1 + sample % 7) * block
    return torch.sin(phase[..., None] * torch.arange(1, DIM + 1) / 3)


def small(kind: str) -> LoadedModel:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    if kind == "gpt2":  # with learned positions
        shape: dict[str, Any] = {"n_embd": DIM, "n_layer": BLOCKS, "n_head": 2, "n_positions": 64}
        full: nn.Module = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, initializer_range=0.5, **shape))
    else:
        shape = {"hidden_size": DIM, "intermediate_size": 32, "num_hidden_layers": BLOCKS, "num_attention_heads": 2}
        full = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, initializer_range=0.5, **shape))
    words = Tokenizer(WordLevel({str(i): i for i in range(VOCABULARY)}, unk_token="0"))
    return describe(full.eval(), PreTrainedTokenizerFast(tokenizer_object=words), kind)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return small(request.param)


def texts(seed: int = 0, samples: int = 5) -> tuple[list[Prompt], list[Continuation]]:
    """Prompts of 1 to 5 tokens, continuations of 1 to 9."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return tuple(torch.randint(0, VOCABULARY, (length,), generator=generator).tolist())

    prompts = [Prompt(10 + i, draw(1, 5), "", "d") for i in range(samples)]
    return prompts, [Continuation(p.sample, c.name, draw(1, 9), False) for p in prompts for c in CONDITIONS]


def disturb(model: LoadedModel, apply: str = "all") -> Disturbance:
    nothing = LayerStatistics(torch.zeros(DIM), torch.ones(DIM), 1.0, 1.0, torch.zeros(1, DIM))
    statistics = dict.fromkeys(range(1, BLOCKS + 1), nothing)
    return Disturbance(model, lambda strength: Push(strength=strength), statistics, seed=0, apply=apply)


def scored(model: LoadedModel, conditions: tuple[Condition, ...] = CONDITIONS, **options: Any) -> Scores:
    prompts, continuations = texts()
    return score(model, prompts, continuations, conditions, disturb(model), **options)


def alone(model: LoadedModel, prompt: Prompt, continuation: Continuation) -> Tensor:
    """Logits of a continuation's tokens, from a pass over the one text: (token, vocabulary)."""
    with torch.no_grad():
        logits: Tensor = model.full(input_ids=torch.tensor([prompt.ids + continuation.ids])).logits[0]
    return logits[len(prompt.ids) - 1 : -1]


def by_name(continuations: list[Continuation]) -> dict[tuple[int, str], Continuation]:
    return {(c.sample, c.condition): c for c in continuations}


# ------------------------------------------------------------------------------------------- likelihood


def test_likelihood_is_transformers_own_loss(model: LoadedModel) -> None:
    prompts, continuations = texts()
    found = scored(model)
    for c in continuations:
        ids = next(p.ids for p in prompts if p.sample == c.sample)
        labels = torch.tensor([[-100] * len(ids) + list(c.ids)])
        with torch.no_grad():
            loss = model.full(input_ids=torch.tensor([ids + c.ids]), labels=labels).loss
        assert found[c.sample, c.condition]["nll"] == pytest.approx(float(loss), rel=1e-5)


def test_likelihood_is_the_logarithm_of_torchmetrics_perplexity(model: LoadedModel) -> None:
    from torchmetrics.text import Perplexity

    prompts, continuations = texts()
    found = scored(model)
    for prompt, c in zip(prompts, continuations[:: len(CONDITIONS)], strict=True):
        perplexity = Perplexity()(alone(model, prompt, c)[None], torch.tensor([c.ids]))
        assert found[c.sample, BASELINE]["nll"] == pytest.approx(math.log(perplexity), rel=1e-5)


def test_a_model_that_knows_nothing_takes_all_tokens_for_equally_likely() -> None:
    model = small("llama")
    model.full.lm_head.weight.data.zero_()  # type: ignore[union-attr, operator]
    found = scored(model)
    for values in found.values():
        assert values["nll"] == pytest.approx(math.log(VOCABULARY), rel=1e-6)
        assert values["kl"] == pytest.approx(0, abs=1e-6)


# ------------------------------------------------------------------------------------------- divergence


def disturbed_alone(model: LoadedModel, condition: Condition, prompt: Prompt, continuation: Continuation) -> Tensor:
    """The same logits, with the vectors added by hooks of this test."""

    def hook(block: int) -> Any:
        def add(module: nn.Module, args: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            sample, position = torch.tensor([[prompt.sample]]), torch.arange(hidden.shape[1])[None]
            hidden = hidden + condition.sigma * pushed(block, sample, position)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return add

    chosen = drawn(condition, prompt.sample, 0)
    handles = [model.blocks[block - 1].register_forward_hook(hook(block)) for block in chosen]
    try:
        return alone(model, prompt, continuation)
    finally:
        for handle in handles:
            handle.remove()


def test_divergence_is_the_sum_written_out_on_the_baselines_text(model: LoadedModel) -> None:
    prompts, continuations = texts()
    found, base = scored(model), by_name(continuations)
    for prompt in prompts:
        for condition in CONDITIONS[1:]:
            text = base[prompt.sample, BASELINE]
            p = alone(model, prompt, text).double().softmax(-1).tolist()
            q = disturbed_alone(model, condition, prompt, text).double().softmax(-1).tolist()
            per_token = [
                sum(a * math.log(a / b) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)
            ]
            expected = sum(per_token) / len(text.ids)
            assert expected > 1e-5
            assert found[prompt.sample, condition.name]["kl"] == pytest.approx(expected, rel=1e-4, abs=2e-7)


def test_divergence_is_torchs(model: LoadedModel) -> None:
    prompts, continuations = texts()
    found, text = scored(model), continuations[0]
    p, q = alone(model, prompts[0], text), disturbed_alone(model, CONDITIONS[1], prompts[0], text)
    logs = (q.log_softmax(-1), p.log_softmax(-1))
    expected = nn.functional.kl_div(*logs, log_target=True, reduction="batchmean")
    assert found[text.sample, "local"]["kl"] == pytest.approx(float(expected), rel=1e-4)


def test_the_baseline_and_a_strength_of_zero_diverge_by_exactly_zero(model: LoadedModel) -> None:
    idle = Condition("local", "local", 0.0, blocks=(1, 2))
    found = scored(model, (CONDITIONS[0], idle))
    for (_, name), values in found.items():
        if name in (BASELINE, "local"):
            assert values["kl"] == 0.0


def test_more_noise_diverges_more_and_huge_noise_hugely(model: LoadedModel) -> None:
    def mean(strength: float) -> float:
        found = scored(model, (CONDITIONS[0], Condition("local", "local", strength, blocks=(1, 2))))
        divergences = [values["kl"] for (_, name), values in found.items() if name == "local"]
        return sum(divergences) / len(divergences)

    small_one, large, huge = mean(0.1), mean(0.3), mean(1e3)
    assert 0 < small_one < large < huge
    assert huge > 1


def test_small_noise_diverges_with_its_square(model: LoadedModel) -> None:
    half, whole = (scored(model, (CONDITIONS[0], Condition("local", "local", s, blocks=(1, 2)))) for s in (0.005, 0.01))
    ratios = [values["kl"] / half[key]["kl"] for key, values in whole.items() if key[1] == "local"]
    assert sum(ratios) / len(ratios) == pytest.approx(4, rel=0.1)


def test_where_only_generated_tokens_are_disturbed_the_first_is_predicted_as_before(model: LoadedModel) -> None:
    prompts, continuations = texts()
    one = [replace(c, ids=c.ids[:1]) for c in continuations]
    for apply, check in (("generated", lambda kl: kl == 0.0), ("all", lambda kl: kl > 1e-6)):
        found = score(model, prompts, one, CONDITIONS, disturb(model, apply))
        assert all(check(values["kl"]) for (_, name), values in found.items() if name != BASELINE)
    two = [replace(c, ids=(*c.ids, 1)[:2]) for c in continuations]
    found = score(model, prompts, two, CONDITIONS, disturb(model, "generated"))
    assert all(values["kl"] > 1e-6 for (_, name), values in found.items() if name != BASELINE)


def test_logits_of_minus_infinity_diverge_by_nothing() -> None:
    model = small("llama")

    def forbid(head: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.index_fill(-1, torch.tensor([VOCABULARY - 1]), -math.inf)

    prompts, continuations = texts()
    allowed = [replace(c, ids=tuple(i % (VOCABULARY - 1) for i in c.ids)) for c in continuations]
    model.full.lm_head.register_forward_hook(forbid)  # type: ignore[union-attr]
    found = score(model, prompts, allowed, CONDITIONS, disturb(model))
    assert all(math.isfinite(values[name]) for values in found.values() for name in ("nll", "kl"))
    assert found[10, "local"]["kl"] > 1e-3


# ------------------------------------------------------------------------------------------- what is run


def assert_same(one: Scores, other: Scores) -> None:
    assert one.keys() == other.keys()
    for key, values in one.items():
        assert values == pytest.approx(other[key], rel=1e-5, abs=1e-6)


def test_the_batch_does_not_matter(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = scored(model)
    assert_same(scored(model, batch_size=1), together)
    assert_same(scored(model, batch_size=3), together)
    monkeypatch.setattr(module, "LOGITS_BYTES", 1)
    assert_same(scored(model), together)


def test_logits_are_computed_for_few_rows_and_for_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = small("llama"), []
    prompts = [Prompt(i, (1, 2, 3, 4, 5, 6), "", "d") for i in range(6)]
    continuations = [Continuation(i, c.name, (7, 8, 9, 10), True) for i in range(6) for c in CONDITIONS]
    model.full.lm_head.register_forward_hook(lambda *call: sizes.append(tuple(call[2].shape)))  # type: ignore[union-attr]
    monkeypatch.setattr(module, "LOGITS_BYTES", 2 * 4 * VOCABULARY * 4)  # two rows of four tokens
    score(model, prompts, continuations, CONDITIONS, disturb(model))
    assert set(sizes) == {(2, 4, VOCABULARY)}


def test_a_model_that_cannot_leave_out_logits_is_scored_the_same() -> None:
    class Narrow(nn.Module):
        """Takes ids and mask alone."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.config = inner, inner.config
            self.get_input_embeddings, self.get_output_embeddings = (
                inner.get_input_embeddings,
                inner.get_output_embeddings,
            )

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask)

    model = small("llama")
    assert_same(scored(replace(model, full=Narrow(model.full))), scored(model))


def test_dropout_is_off_and_the_model_is_left_as_it_was() -> None:
    model = small("gpt2")
    expected = scored(model)
    model.full.train()
    before = torch.random.get_rng_state()
    assert_same(scored(model), expected)
    assert all(part.training for part in model.full.modules())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(block._forward_hooks for block in model.blocks)


def test_texts_without_tokens_have_no_scores(model: LoadedModel) -> None:
    prompts, continuations = texts()
    silent = [
        replace(c, ids=()) if (c.sample, c.condition) in ((10, BASELINE), (11, "local")) else c for c in continuations
    ]
    found = score(model, prompts, silent, CONDITIONS, disturb(model))
    assert (10, BASELINE) not in found
    assert found[10, "local"].keys() == {"nll"}
    assert found[11, "local"].keys() == {"kl"}
    assert found[12, "local"].keys() == {"nll", "kl"}
    assert score(model, [], [], CONDITIONS, disturb(model)) == {}


def test_a_model_without_a_head_is_refused() -> None:
    model = small("llama")
    with pytest.raises(UserError, match="head"):
        scored(replace(model, full=model.model))
