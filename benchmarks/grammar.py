"""How fast the built-in corpus is generated, recognised and scored, in sentences per second of CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable

from grammar_exact import cross_entropy, entropies, recognise

from mspgt.contracts.document import Document
from mspgt.grammar import documents


def _rate(sentences: int, work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return sentences / (time.process_time() - begin)


def main() -> None:
    """Print one row per task."""
    corpus: list[Document] = []
    cold = _rate(3000, lambda: corpus.extend(documents(3000, seed=0)))
    warm = _rate(20000, lambda: sum(len(d.sentences) for d in documents(20000, seed=1)))
    sentences = [s.text for d in corpus for s in d.sentences]
    recognise(sentences[0])
    recognised = _rate(2000, lambda: [recognise(text) for text in sentences[:2000]])
    some = list(documents(500, seed=2))
    scored = _rate(500, lambda: cross_entropy(some))
    print("task                                          sentences/s")
    print(f"generate with annotations, first 3,000      {cold:12,.0f}")
    print(f"generate with annotations, next 20,000      {warm:12,.0f}")
    print(f"recognise                                   {recognised:12,.0f}")
    print(f"score word by word, latents marginalised    {scored:12,.0f}")
    levels, floor = entropies(), cross_entropy(some)
    print(f"\nH(G) {levels.global_level:.3f}  H(I|G) {levels.intermediate_level:.3f}", end="  ")
    print(f"H(L|I,G) {levels.local_level:.3f} nats per sentence;", end=" ")
    print(f"cross-entropy {floor.nats_per_word:.3f} ± {floor.standard_error:.3f} nats per word")


if __name__ == "__main__":
    main()
