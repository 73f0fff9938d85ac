"""The recipe of the reference models: who they are, their tokenizer, their shape, and the documents they learn from.

Everything comes from the grammar and from seeds. `train_reference.py` trains them, `reference_models.py` measures them.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)

from mspgt import grammar
from mspgt.contracts.document import Document

SPECIAL = BEGIN, END, PAD = ("<s>", "</s>", "<pad>")
"""tokens 0, 1 and 2"""
VOCABULARY, CONTEXT = 4_096, 512
BLOCKS, WIDTH, FEED_FORWARD, HEADS = 12, 96, 256, 4
KEY_VALUE_HEADS = {"llama": HEADS, "qwen2": HEADS // 2}
BATCH_TOKENS = 2_048
TOKENIZER_SEED, TOKENIZER_DOCUMENTS = 11, 3_000
CHUNK = 256
"""documents of which batches of like lengths are made"""

EVERYDAY = grammar.Mixture(
    topics=dict.fromkeys(("football", "music", "farming", "sailing", "cooking", "art", "travel", "wildlife"), 5),
    schemata=dict.fromkeys(("transitive", "copula-adjective", "transitive-place", "motion", "and-verbs"), 2),
)
"""the mixture of the first members: leisure and nature, plain sentences"""
PROFESSIONAL = grammar.Mixture(
    topics=dict.fromkeys(
        ("medicine", "law", "education", "banking", "computing", "construction", "astronomy", "politics"), 5
    ),
    schemata=dict.fromkeys(("passive", "passive-agent", "report", "although-clause", "when-clause"), 2),
)
"""the mixture of the second members: the professions, passives and subordinate clauses"""


@dataclass(frozen=True)
class Member:
    """How one reference model differs from the others."""

    family: str
    mixture: grammar.Mixture
    seed: int


MEMBERS = {
    "tiny-llama-a": Member("llama", EVERYDAY, 1001),
    "tiny-llama-b": Member("llama", PROFESSIONAL, 1002),
    "tiny-qwen-a": Member("qwen2", EVERYDAY, 1003),
    "tiny-qwen-b": Member("qwen2", PROFESSIONAL, 1004),
}


def document_text(document: Document) -> str:
    """Join the sentences of a document, as a run reads them."""
    return " ".join(sentence.text for sentence in document.sentences)


def make_tokenizer(family: str) -> Any:
    """Train the tokenizer of all reference models: byte-level BPE on documents of the default mixture.

    transformers gives every Qwen2 model a `Qwen2Tokenizer`, which splits text its own way and composes characters
    (NFC). On the grammar's documents it finds the same tokens.
    """
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = itertools.islice(grammar.documents(None, TOKENIZER_SEED), TOKENIZER_DOCUMENTS)
    made.train_from_iterator(map(document_text, corpus), trainer)
    made.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, SPECIAL.index(BEGIN))]
    )
    options: dict[str, Any] = {
        "unk_token": None,
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    if family == "llama":
        return PreTrainedTokenizerFast(tokenizer_object=made, **options)
    trained = json.loads(made.to_str())["model"]
    merges = [tuple(pair) for pair in trained["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=trained["vocab"], merges=merges, **options)
    tokenizer.backend_tokenizer.post_processor = made.post_processor
    return tokenizer


def make_model(member: Member) -> torch.nn.Module:
    """Build an untrained member."""
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS[member.family],
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": SPECIAL.index(BEGIN),
        "eos_token_id": SPECIAL.index(END),
        "pad_token_id": SPECIAL.index(PAD),
    }
    if member.family == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape))
    return Qwen2ForCausalLM(Qwen2Config(**shape))


class Documents(IterableDataset[Tensor]):
    """Endless batches (document, token) of whole documents of like lengths, the first ones left out after a resume."""

    def __init__(self, tokenizer: Any, member: Member, first: int) -> None:
        self._tokenizer, self._member, self._first = tokenizer, member, first

    def __iter__(self) -> Iterator[Tensor]:
        return itertools.islice(self._all(), self._first, None)

    def _all(self) -> Iterator[Tensor]:
        texts = map(document_text, grammar.documents(None, self._member.seed, self._member.mixture))
        order = random.Random(self._member.seed)
        end, pad = self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        while True:
            rows = [[*ids, end] for ids in self._tokenizer(list(itertools.islice(texts, CHUNK)))["input_ids"]]
            batches = list(batched(sorted(rows, key=len)))
            order.shuffle(batches)
            for batch in batches:
                width = max(map(len, batch))
                yield torch.tensor([row + [pad] * (width - len(row)) for row in batch])


def batched(rows: list[list[int]]) -> Iterator[list[list[int]]]:
    """Put consecutive rows together while they fill at most `BATCH_TOKENS`, padding included."""
    batch: list[list[int]] = []
    for row in rows:
        if batch and max(len(row), len(batch[-1])) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
