"""How long Self-BLEU takes beside nltk's, and what a swap of the randomisation test costs.

Texts are random draws from a Zipf-like vocabulary, a fifth of each copied from a stock of phrases. nltk scores a few
of the texts against all others; its time for all is that of the few, scaled, and their scores are compared bit by bit.
Times are of the processor, on
one thread, with tokens given; those of mspgt are the median of several runs.

    python benchmarks/self_bleu.py [length=100] [hypotheses=4] [swaps=20]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rich.console import Console
from rich.table import Table

from mspgt.plugins.metrics.self_bleu import Swaps, self_bleu

TARGET_RATIO, TARGET_SWAP = 1000, 0.015
"""at 1,000 texts: times nltk, and seconds per swap"""


def corpus(rng: np.random.Generator, samples: int, length: int, vocabulary: int = 10_000) -> list[list[str]]:
    """Tokenised texts of about `length` tokens."""
    weights = 1 / np.arange(1, vocabulary + 1)
    ids = rng.choice(vocabulary, (samples, length), p=weights / weights.sum())
    phrases = rng.choice(vocabulary, (50, max(1, length // 5)))
    ids[:, -phrases.shape[1] :] = phrases[rng.integers(0, 50, samples)]
    keep = rng.integers(length - length // 10, length + 1, samples)
    return [[f"w{i}" for i in row[-k:]] for row, k in zip(ids, keep, strict=True)]


def seconds(work: Callable[[], Any], runs: int = 1) -> tuple[float, Any]:
    """Median processor time, and what the last run gave."""
    times = []
    for _ in range(runs):
        begin = time.process_time()
        result = work()
        times.append(time.process_time() - begin)
    return statistics.median(times), result


def by_nltk(texts: list[list[str]], chosen: int) -> list[float]:
    """Scores of the first texts against all others."""
    method1 = SmoothingFunction().method1
    return [
        float(sentence_bleu(texts[:i] + texts[i + 1 :], texts[i], smoothing_function=method1)) for i in range(chosen)
    ]


def main(length: int = 100, hypotheses: int = 4, swaps: int = 20) -> None:
    """Print one row per number of texts."""
    table = Table(title=f"Self-BLEU of texts of about {length} tokens, on one thread")
    for name in ("texts", "mspgt, s", "nltk, s (scaled)", "times", "bits equal", "prepare swaps, s", "a swap, ms"):
        table.add_column(name, justify="right")
    for samples in (200, 1000):
        rng = np.random.default_rng(samples)
        one, other = corpus(rng, samples, length), corpus(rng, samples, length)
        own, values = seconds(lambda texts=one: self_bleu(texts), runs=7)
        theirs, expected = seconds(lambda texts=one: by_nltk(texts, hypotheses))
        theirs *= samples / hypotheses
        prepare, swapped = seconds(lambda one=one, other=other: Swaps(one, other))
        sides = rng.random((swaps, samples)) < 0.5
        swap = statistics.median([seconds(lambda side=side, swapped=swapped: swapped(side))[0] for side in sides])
        equal = values[:hypotheses].tolist() == expected
        row = (f"{own:.4f}", f"{theirs:.1f}", f"{theirs / own:,.0f}", str(equal), f"{prepare:.3f}", f"{1e3 * swap:.2f}")
        table.add_row(f"{samples:,}", *row)
    met = theirs / own >= TARGET_RATIO and swap <= TARGET_SWAP
    console = Console(width=120)
    console.print(table, f"nltk timed on {hypotheses} of the texts")
    console.print(
        f"goal at 1,000 texts: {TARGET_RATIO:,} times nltk, {1e3 * TARGET_SWAP:.0f} ms a swap: "
        f"{'met' if met else 'missed'}"
    )


if __name__ == "__main__":
    main(**{key: int(value) for key, value in (argument.split("=") for argument in sys.argv[1:])})
