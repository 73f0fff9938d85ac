"""How fast paired generation is, beside transformers' own `generate`.

Ours continues every prompt under the four conditions of the paper: noise goes into the outputs of the chosen blocks,
and each prompt's random choices are shared by its conditions. Theirs continues as many rows, undisturbed. Prompts,
number of tokens, temperature and nucleus are the same, no text ends early, and both take turns within one run.

    python benchmarks/generate.py [prompts=8] [tokens=64] [rounds=4] [blocks=12] [dim=96] [vocabulary=2048]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mspgt.contracts.intervention import LayerStatistics
from mspgt.generate.conditions import plan, scales, thirds
from mspgt.generate.decode import Decoding, generate
from mspgt.generate.disturb import Disturbance
from mspgt.generate.prompts import Prompt
from mspgt.models import LoadedModel, describe
from mspgt.plugins.interventions.gaussian import Gaussian

TARGET = 0.85
"""of the tokens per second of transformers"""
PROMPT_TOKENS, TOP_P, SIGMA = 16, 0.95, 0.1


def random_llama(blocks: int, dim: int, vocabulary: int) -> LoadedModel:
    """A Llama with random weights that never ends a text."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        intermediate_size=4 * dim,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    words = Tokenizer(models.WordLevel({str(i): i for i in range(vocabulary)}, unk_token="0"))
    return describe(model, PreTrainedTokenizerFast(tokenizer_object=words), "random")


def spread(model: LoadedModel, ids: torch.Tensor) -> dict[int, LayerStatistics]:
    """Statistics of the blocks on the prompts."""
    with torch.no_grad():
        hidden = model.full(ids, output_hidden_states=True).hidden_states
    found = {}
    for k in range(1, model.n_layers + 1):
        rows = hidden[k].flatten(0, 1)
        std = rows.std(0)
        found[k] = LayerStatistics(rows.mean(0), std, float(std.square().mean().sqrt()), float(rows.std()), rows[:4])
    return found


def measure(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def main(prompts: int, tokens: int, rounds: int, blocks: int, dim: int, vocabulary: int) -> None:
    """Time both in turns and print tokens per second."""
    model = random_llama(blocks, dim, vocabulary)
    ids = torch.randint(1, vocabulary, (prompts, PROMPT_TOKENS))
    given = [Prompt(i, tuple(row), "", "") for i, row in enumerate(ids.tolist())]
    conditions = plan(
        scales(thirds(blocks), blocks), blocks, [SIGMA], intervention="gaussian", controls=False
    ).conditions
    disturbance = Disturbance(model, lambda s: Gaussian(strength=s), spread(model, ids), seed=0)
    decoding = Decoding(tokens, top_p=TOP_P)
    rows = ids.repeat_interleave(len(conditions), 0)

    def ours() -> None:
        texts = generate(model, given, conditions, decoding, disturbance)
        assert sum(len(text.ids) for text in texts) == rows.shape[0] * tokens

    def theirs() -> None:
        options = {"do_sample": True, "temperature": 1.0, "top_p": TOP_P, "top_k": 0, "max_new_tokens": tokens}
        written: Any = model.full.generate(rows, attention_mask=torch.ones_like(rows), **options)  # type: ignore[operator]
        assert written.shape == (rows.shape[0], PROMPT_TOKENS + tokens)

    ours(), theirs()
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        times["ours"].append(measure(ours))
        times["theirs"].append(measure(theirs))

    table = Table("", "tokens/s", "tokens/s of processor time", title=f"{rows.shape[0]} rows of {tokens} tokens")
    best = {
        name: [rows.shape[0] * tokens / min(column) for column in zip(*seen, strict=True)]
        for name, seen in times.items()
    }
    table.add_row("paired, four conditions", *(f"{speed:,.0f}" for speed in best["ours"]))
    table.add_row("transformers, undisturbed", *(f"{speed:,.0f}" for speed in best["theirs"]))
    pairs = list(zip(times["ours"], times["theirs"], strict=True))
    ratios = [statistics.median(theirs[i] / ours[i] for ours, theirs in pairs) for i in (0, 1)]
    table.add_row("ratio, median of rounds", *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table, f"goal: {TARGET} or more: {'met' if min(ratios) >= TARGET else 'missed'}")


if __name__ == "__main__":
    settings = {"prompts": 8, "tokens": 64, "rounds": 4, "blocks": 12, "dim": 96, "vocabulary": 2048}
    settings.update((key, int(value)) for key, value in (argument.split("=") for argument in sys.argv[1:]))
    main(**settings)
