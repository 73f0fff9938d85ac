"""What the reference models have learned: cross-entropy against the grammar's own, and sampled sentences it accepts.

    python benchmarks/reference_models.py [key=value ...]        (--help lists the keys)

The floor is the exact prequential cross-entropy of the grammar on the same documents: no model that reads from left to
right can do better on average. A document fits whole into a model's context, so both know the same words.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grammar_exact
import numpy as np
import torch
from grammar_exact.automaton import split_sentences
from reference_recipe import MEMBERS, Member, document_text
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.nn.functional import cross_entropy

from mspgt import grammar, models
from mspgt.config.keys import help_lines, key_values
from mspgt.contracts.document import Document
from mspgt.core.errors import UserError
from mspgt.core.options import option, parse

LARGEST_GAP, LEAST_ACCEPTED = 0.20, 0.90
"""what a reference model must reach: nats per token above the grammar, share of accepted sentences"""
HELD_OUT = 7
"""seed of the documents that are measured on, used for nothing else"""
DOCUMENTS, SAMPLES = 200, 150
END = "end of document"
KINDS = ("other", "new name", "repeated name", END)


@dataclass(frozen=True)
class Estimate:
    """A mean per token over documents, in nats, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Part:
    """Tokens of one kind."""

    tokens: int
    model: float
    """nats per token"""
    floor: float

    @property
    def gap(self) -> float:
        """What the model lacks, in nats per token of this kind."""
        return self.model - self.floor


@dataclass(frozen=True)
class Quality:
    """What was measured of one model."""

    documents: int
    seed: int
    held_out: Estimate
    floor: Estimate
    gap: Estimate
    gap_without_repeated: float
    parts: dict[str, Part]
    sampled: int
    """complete sentences"""
    accepted: float
    """share that the recogniser accepts"""
    topic_consistent: float
    """share of the accepted that one topic explains"""

    def plain(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


def quality(
    checkpoint: str | Path, member: Member, documents: int = DOCUMENTS, samples: int = SAMPLES, seed: int = HELD_OUT
) -> Quality:
    """Measure a checkpoint on held-out documents of its mixture, and on documents it samples."""
    loaded = models.load(str(checkpoint), dtype="float32", offline=True)
    chosen = list(itertools.islice(grammar.documents(None, seed, member.mixture), documents))
    rows = [nats(loaded, document, member.mixture) for document in chosen]
    model, floor, count = (np.array([[row[kind][i] for kind in KINDS] for row in rows]) for i in range(3))
    tokens = count.sum(axis=1)
    plain = [k for k, kind in enumerate(KINDS) if kind != "repeated name"]
    sentences = list(itertools.chain.from_iterable(sample(loaded, samples, seed)))
    read = [grammar_exact.recognise(sentence) for sentence in sentences]
    accepted = [r for r in read if r.accepted]
    return Quality(
        documents=documents,
        seed=seed,
        held_out=ratio(model.sum(axis=1), tokens),
        floor=ratio(floor.sum(axis=1), tokens),
        gap=ratio((model - floor).sum(axis=1), tokens),
        gap_without_repeated=float((model - floor)[:, plain].sum() / count[:, plain].sum()),
        parts={
            kind: Part(int(n), float(m / max(n, 1)), float(f / max(n, 1)))
            for kind, m, f, n in zip(KINDS, model.sum(axis=0), floor.sum(axis=0), count.sum(axis=0), strict=True)
        },
        sampled=len(sentences),
        accepted=len(accepted) / max(len(sentences), 1),
        topic_consistent=sum(r.topic_consistent for r in accepted) / max(len(accepted), 1),
    )


def ratio(values: Sequence[float], counts: Sequence[float]) -> Estimate:
    """Sum over sum, with the linearised standard error over documents."""
    top, bottom = np.asarray(values, dtype=float), np.asarray(counts, dtype=float)
    value = top.sum() / bottom.sum()
    n = len(top)
    residual = float(((top - value * bottom) ** 2).sum())
    return Estimate(float(value), math.sqrt(n / (n - 1) * residual) / float(bottom.sum()))


@torch.inference_mode()
def nats(
    loaded: models.LoadedModel, document: Document, mixture: grammar.Mixture
) -> dict[str, tuple[float, float, int]]:
    """Score one document under model and grammar: kind of token -> nats of the model, of the grammar, tokens."""
    scored = grammar_exact.score(document, mixture)
    kinds = [kind for sentence in scored for kind in sentence.kinds] + [END]
    floor = dict.fromkeys(KINDS, 0.0)
    for number, sentence in enumerate(scored):
        for value, kind in zip(sentence.log_probabilities, sentence.kinds, strict=True):
            floor[kind] -= value
        floor[sentence.kinds[0]] -= math.log1p(-ending(number))  # the document has not ended before this sentence
    floor[END] = -math.log(ending(len(scored)))
    encoded = loaded.tokenizer(document_text(document), return_offsets_mapping=True)
    ids = torch.tensor([[*encoded["input_ids"], loaded.tokenizer.eos_token_id]])
    if ids.shape[1] > (loaded.context_length or ids.shape[1]):
        raise ValueError(f"document {document.id} has {ids.shape[1]} tokens, more than fit the context")
    losses = cross_entropy(loaded.full(input_ids=ids[:, :-1]).logits[0].float(), ids[0, 1:], reduction="none")
    last = np.array([end - 1 for _, end in encoded["offset_mapping"][1:]])  # without the token of the beginning
    word = np.searchsorted(word_starts(document), last, side="right") - 1
    owner = np.array([KINDS.index(kinds[w]) for w in [*word, -1]])
    each = np.bincount(owner, losses.double().numpy(), minlength=len(KINDS))
    count = np.bincount(owner, minlength=len(KINDS))
    return {kind: (float(each[k]), floor[kind], int(count[k])) for k, kind in enumerate(KINDS)}


def ending(sentences: int) -> float:
    """Probability that a document of so many sentences ends there, its length being uniform."""
    return 0.0 if sentences < grammar.SHORTEST else 1 / (grammar.LONGEST - sentences + 1)


def word_starts(document: Document) -> list[int]:
    """First character of each word in the document's text."""
    starts: list[int] = []
    at = 0
    for sentence in document.sentences:
        starts += [at + start for start in sentence.starts]
        at += len(sentence.text) + 1
    return starts


@torch.inference_mode()
def sample(loaded: models.LoadedModel, documents: int, seed: int) -> Iterable[list[str]]:
    """Sample documents at temperature 1 from their beginning; yield the complete sentences of each."""
    torch.manual_seed(seed)
    tokenizer = loaded.tokenizer
    begin = torch.full((documents, 1), tokenizer.bos_token_id)
    made = loaded.full.generate(  # type: ignore[operator]
        input_ids=begin,
        attention_mask=torch.ones_like(begin),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_length=loaded.context_length,
        pad_token_id=tokenizer.pad_token_id,
    )
    for text in tokenizer.batch_decode(made, skip_special_tokens=True):
        yield [s for s in split_sentences(text) if s[-1] in ".?"]


@dataclass(frozen=True)
class Settings:
    """Keys of this script."""

    documents: int = option(DOCUMENTS, "held-out documents of each model", low=2)
    samples: int = option(SAMPLES, "documents that each model samples", low=1)


def main(arguments: list[str]) -> None:
    """Measure all four and print the table."""
    if asks_for_help(arguments):
        explain("reference_models.py", Settings)
        return
    settings = parse(Settings, key_values(arguments))
    table = Table(title=f"reference models on {settings.documents} held-out documents, nats per token")
    for heading in ("model", "cross-entropy", "grammar", "gap", "gap on repeated names", "accepted", "one topic"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    met = True
    for name, member in track(MEMBERS.items(), "measuring", transient=True):
        q = quality(name, member, settings.documents, settings.samples)
        met = met and q.gap.value <= LARGEST_GAP and q.accepted >= LEAST_ACCEPTED
        table.add_row(
            name,
            f"{q.held_out.value:.3f} ± {q.held_out.error:.3f}",
            f"{q.floor.value:.3f} ± {q.floor.error:.3f}",
            f"{q.gap.value:.3f} ± {q.gap.error:.3f}",
            f"{q.parts['repeated name'].gap:.3f}",
            f"{100 * q.accepted:.1f} % of {q.sampled:,}",
            f"{100 * q.topic_consistent:.1f} %",
        )
    goal = f"gap of at most {LARGEST_GAP:.2f}, {LEAST_ACCEPTED:.0%} accepted"
    Console().print(table, f"goal: {goal}: {'met' if met else 'missed'}")


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether the usage is wanted."""
    return bool({"-h", "--help"} & {*arguments})


def explain(command: str, settings: type) -> None:
    """Print the usage of a script and its keys."""
    print(f"python benchmarks/{command} [key=value ...]")
    for key, kind, default, meaning in help_lines(settings):
        print(f"  {key:<10} {meaning} ({kind}; {default})")


def script(main: Callable[[list[str]], None]) -> None:
    """Run a script: a user's mistake is one sentence and exit code 2, Ctrl-C is exit code 130."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    script(main)
