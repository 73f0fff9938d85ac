"""Planted corpora: sequences whose hidden states, attention and labels have known properties, and no model.

`PlantedCorpus.batches` puts the same sequences into batches of any size, order and padding, so that a test can
change what must not matter and nothing else. Everything is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mspgt.contracts.batch import Batch, Labels, Layer
from mspgt.core.key import Key
from mspgt.core.state import stable_code
from mspgt.testing.attention import PlantedAttention, drifting_attention

CLASSES = {
    "pos": ("NOUN", "VERB", "ADJ"),
    "ner": ("O", "B-PER", "I-PER"),
    "dep": ("nsubj", "obj"),
    "srl": ("ARG0", "ARG1"),
}
"""class names of each probe task"""

Array = npt.NDArray[Any]


class Planted(NamedTuple):
    """A batch and what the layers did on it."""

    batch: Batch
    layers: list[Layer]


class Instance(NamedTuple):
    """A labelled instance of a probe task."""

    slots: tuple[tuple[int, int], ...]
    """half-open token ranges; (-1, -1) for no token"""
    number: int
    """its class, a position in `CLASSES`"""


@dataclass(frozen=True)
class PlantedSequence:
    """One sequence, without padding."""

    key: Key
    input_ids: Tensor
    """(token,) int64"""
    content: Tensor
    """(token,) bool"""
    sentence: Tensor
    """(token,) int64"""
    hidden: Tensor
    """(layer, token, dim); layer 0 is the embedding"""
    attention: Tensor
    """(block, head, query, key)"""
    instances: Mapping[str, list[Instance]] = field(default_factory=dict)
    """probe task -> its labelled instances"""


@dataclass(frozen=True)
class PlantedCorpus:
    """Sequences in canonical order."""

    sequences: tuple[PlantedSequence, ...] = field(repr=False)

    @property
    def blocks(self) -> int:
        """L; there are L-1 transitions."""
        return len(self.sequences[0].attention)

    def documents(self) -> list[str]:
        """The documents, in canonical order."""
        return sorted({s.key.document for s in self.sequences})

    def of(self, documents: Sequence[str]) -> PlantedCorpus:
        """The sequences of some documents."""
        return PlantedCorpus(tuple(s for s in self.sequences if s.key.document in documents))

    def batches(
        self,
        size: int = 4,
        *,
        order: Sequence[int] | None = None,
        side: str = "right",
        extra: int = 0,
        garbage: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> list[Planted]:
        """Put the sequences into batches; every call makes fresh tensors.

        Parameters
        ----------
        size: sequences in a batch.
        order: positions of the sequences in the order wanted; canonical where None.
        side: "right" or "left", where the padding stands.
        extra: padding beyond the longest sequence of a batch.
        garbage: seed of what the padding is filled with.
        dtype: of the hidden states.
        """
        chosen = [self.sequences[i] for i in (range(len(self.sequences)) if order is None else order)]
        groups = [chosen[i : i + size] for i in range(0, len(chosen), size)]
        noise = torch.Generator().manual_seed(garbage)
        return [_collate(group, side, extra, noise, dtype) for group in groups]


def planted_corpus(
    *,
    documents: int = 12,
    sequences: int = 2,
    tokens: tuple[int, int] = (9, 16),
    blocks: int = 5,
    dim: int = 16,
    heads: int = 3,
    steps: Sequence[float] | None = None,
    labels: bool = True,
    seed: int = 0,
) -> PlantedCorpus:
    """Draw a corpus of documents with several sequences of different lengths.

    Parameters
    ----------
    documents, sequences: number of documents, and of sequences in each.
    tokens: the least and the greatest length of a sequence.
    steps: innovation s of each step from layer k to k+1, one per block, in [0, 1): the population CKA of two
        neighbouring layers is 1 - s² (see `planted_cka_layers`); drawn where None.
    labels: whether to label tokens for pos, ner, dep and srl. A token's class then shifts its hidden state, more so
        in later layers, and CKA is no longer exactly 1 - s².
    """
    rng = np.random.default_rng(seed)
    innovations: Array = rng.uniform(0.2, 0.7, blocks) if steps is None else np.asarray(steps)
    if len(innovations) != blocks:
        raise ValueError(f"steps must give one value for each of {blocks} blocks, got {len(innovations)}")
    rotations = [_rotation(rng, dim) for _ in range(blocks)]
    means = rng.standard_normal((3, dim))
    made = []
    for document in range(documents):
        for number in range(sequences):
            length = int(rng.integers(tokens[0], tokens[1] + 1))
            classes = rng.integers(0, 3, length)
            shift = means[classes] if labels else None
            hidden = _hidden(rng, length, dim, innovations, rotations, shift)
            made.append(
                PlantedSequence(
                    key=Key("planted", f"document {document:03d}", number),
                    input_ids=_int(rng.integers(5, 1000, length)),
                    content=_content(rng, length),
                    sentence=_int(2 * number + (np.arange(length) >= length // 2)),
                    hidden=hidden,
                    attention=drifting_attention(rng, blocks, heads, length),
                    instances=_instances(classes) if labels else {},
                )
            )
    return PlantedCorpus(tuple(made))


def planted_batches(size: int = 4, *, seed: int = 0, **shape: int) -> list[Planted]:
    """Batches of a planted corpus, padded on the right; `shape` as in `planted_corpus`."""
    return planted_corpus(seed=seed, **shape).batches(size)  # type: ignore[arg-type]


def planted_cka_layers(
    steps: Sequence[float], *, rows: int = 1500, dim: int = 128, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Layers of independent isotropic rows with known CKA.

    x(k+1) = Q (sqrt(1 - s²) x(k) + s e) with e isotropic, independent of x, and Q a rotation, has a population CKA
    with x(k) of exactly 1 - s², and over several steps the product of these.

    Returns
    -------
    hidden (layer, row, dim) fp32 with len(steps) + 1 layers, and the exact CKA of each step (step,) float64.
    """
    rng = np.random.default_rng(seed)
    s = np.asarray(steps, dtype=np.float64)
    hidden = _hidden(rng, rows, dim, s, [_rotation(rng, dim) for _ in s])
    return hidden, torch.from_numpy(1 - s**2)


def planted_steps(
    blocks: int = 16, boundaries: tuple[int, ...] = (5, 11), calm: float = 0.2, jump: float = 0.6
) -> list[float]:
    """One innovation per block for `planted_corpus`: a jump from block l to block l+1 at each boundary l.

    The step into block k+1 is number k, so that a boundary l, which has l blocks below it, is step l.
    """
    return [jump if step in boundaries else calm for step in range(blocks)]


def _hidden(
    rng: np.random.Generator,
    rows: int,
    dim: int,
    steps: Sequence[float] | Array,
    rotations: Sequence[Array],
    shift: Array | None = None,
) -> Tensor:
    state = rng.standard_normal((rows, dim))
    layers = [state]
    for number, (s, rotation) in enumerate(zip(steps, rotations, strict=True), start=1):
        state = np.sqrt(1 - s**2) * state + s * rng.standard_normal((rows, dim))
        if shift is not None:
            state = state + shift * (0.5 * number / len(rotations))
        state = state @ rotation
        layers.append(state)
    return torch.from_numpy(np.stack(layers)).float()


def _rotation(rng: np.random.Generator, dim: int) -> Array:
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0]


def _content(rng: np.random.Generator, length: int) -> Tensor:
    content = torch.ones(length, dtype=torch.bool)
    content[0] = False
    content[int(rng.integers(1, length))] = False  # a special or massive token in the middle
    return content


def _instances(classes: Array) -> dict[str, list[Instance]]:
    """A word is one token; token 0 is special. The first word is a root and has no head."""
    words = [(w, w + 1) for w in range(1, len(classes))]
    heads = [(-1, -1), *words]
    number = [int(c) for c in classes[1:]]
    return {
        "pos": [Instance((word,), n) for word, n in zip(words, number, strict=True)],
        "ner": [Instance((word,), n) for word, n in zip(words, number, strict=True)],
        "dep": [Instance((word, head), n % 2) for word, head, n in zip(words, heads[:-1], number, strict=True)],
        "srl": [Instance((word, (word[0] - 1, word[1])), n % 2) for word, n in zip(words, number, strict=True)],
    }


def _int(values: Array) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.int64))


def _collate(
    group: Sequence[PlantedSequence], side: str, extra: int, noise: torch.Generator, dtype: torch.dtype
) -> Planted:
    """Pad to a common length; padding holds large garbage wherever a model might leave some."""
    width = max(len(s.input_ids) for s in group) + extra
    starts = [0 if side == "right" else width - len(s.input_ids) for s in group]
    places = [slice(a, a + len(s.input_ids)) for a, s in zip(starts, group, strict=True)]
    n, first = len(group), group[0]
    input_ids = torch.randint(0, 5, (n, width), generator=noise)
    mask, content = torch.zeros(n, width, dtype=torch.bool), torch.zeros(n, width, dtype=torch.bool)
    sentence = torch.full((n, width), -1)
    blocks, heads = first.attention.shape[:2]
    hidden = 1e3 * torch.randn(blocks + 1, n, width, first.hidden.shape[-1], generator=noise)
    attention = torch.rand(blocks, n, heads, width, width, generator=noise).tril()
    for row, (place, s) in enumerate(zip(places, group, strict=True)):
        input_ids[row, place], mask[row, place] = s.input_ids, True
        content[row, place], sentence[row, place] = s.content, s.sentence
        hidden[:, row, place] = s.hidden
        attention[:, row, :, place] = 0
        attention[:, row, :, place, place] = s.attention
    batch = Batch(
        keys=tuple(s.key for s in group),
        input_ids=input_ids,
        attention_mask=mask,
        content=content,
        sentence=sentence,
        labels={task: _labels(task, group, starts) for task in first.instances},
    )
    layers = [Layer(0, hidden[0].to(dtype))]
    for block in range(blocks):
        view = PlantedAttention(attention[block], attention[block - 1] if block else None)
        layers.append(Layer(block + 1, hidden[block + 1].to(dtype), view))
    return Planted(batch, layers)


def _labels(task: str, group: Sequence[PlantedSequence], starts: Sequence[int]) -> Labels:
    codes = [stable_code(name) for name in CLASSES[task]]
    columns: list[tuple[int, list[list[int]], int, int, int]] = []
    for row, (sequence, start) in enumerate(zip(group, starts, strict=True)):
        for instance in sequence.instances[task]:
            slots = [[edge + start if edge >= 0 else edge for edge in slot] for slot in instance.slots]
            token = instance.slots[0][0]
            word = stable_code(str(int(sequence.input_ids[token])))
            columns.append((row, slots, codes[instance.number], int(sequence.sentence[token]), word))
    rows, places, targets, sentences, words = zip(*columns, strict=True)
    return Labels(
        sequence=torch.tensor(rows),
        slots=torch.tensor(places),
        target=torch.tensor(targets),
        sentence=torch.tensor(sentences),
        word=torch.tensor(words),
        names=dict(zip(codes, CLASSES[task], strict=True)),
    )
