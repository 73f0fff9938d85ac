"""Trains a reference model from the generator alone and writes it as a checkpoint with a model card.

    python benchmarks/train_reference.py tiny-llama-a [steps=4000] [seed=...] [out=mspgt/reference] [threads=2]

A decoder of 12 blocks learns documents that the grammar draws without end, so that no document is seen twice. The
matrices inside the blocks are trained by Muon, which learns faster here than AdamW alone, everything else by AdamW;
the step size rises for 60 steps and falls linearly to zero. The training goes on where it was
interrupted when the same command is given again.
"""

from __future__ import annotations

import itertools
import json
import platform
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from reference_models import MEMBERS, Member, Quality, document_text, quality
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from mspgt.data import grammar

BEGIN, END, PAD = "<s>", "</s>", "<pad>"
VOCABULARY, CONTEXT = 4_096, 512
BATCH_TOKENS = 2_048
STEPS, WARMUP, LEARNING_RATE = 4_000, 60, 5e-3
TOKENIZER_SEED, TOKENIZER_DOCUMENTS = 11, 3_000
CHUNK = 256
"""documents of which batches of like lengths are made"""


def make_tokenizer() -> Any:
    """Train the tokenizer of all reference models: byte-level BPE on documents of the default mixture."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = itertools.islice(grammar.documents(None, TOKENIZER_SEED), TOKENIZER_DOCUMENTS)
    made.train_from_iterator(map(document_text, corpus), trainer)
    made.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def make_model(member: Member) -> torch.nn.Module:
    """Build an untrained member: 12 blocks of width 96."""
    shape: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    if member.family == "llama":
        return LlamaForCausalLM(LlamaConfig(num_key_value_heads=4, **shape))
    return Qwen2ForCausalLM(Qwen2Config(num_key_value_heads=2, **shape))


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


class Training(L.LightningModule):
    """Next-token prediction on documents of a member's mixture."""

    def __init__(self, member: Member, tokenizer: Any, steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False  # two optimizers, one backward pass
        self.model = make_model(member)
        self.member, self.tokenizer, self.steps = member, tokenizer, steps
        self.tokens, self.seconds, self.losses = 0, 0.0, list[tuple[int, float]]()

    def configure_optimizers(self) -> Any:
        """Muon for the matrices inside the blocks, AdamW for embeddings, norms and biases."""
        inside = {p for block in self.model.model.layers for p in block.parameters() if p.ndim == 2}
        matrices = [p for p in self.model.parameters() if p in inside]
        rest = [p for p in self.model.parameters() if p not in inside]
        return [
            torch.optim.Muon(matrices, lr=LEARNING_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
        ]

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Batches from the first that was not trained on."""
        return DataLoader(Documents(self.tokenizer, self.member, self.global_step), batch_size=None)

    def training_step(self, ids: Tensor, number: int) -> None:
        """One step of both optimizers."""
        started = time.perf_counter()
        hidden = self.model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        targets = ids[:, 1:]
        counted = targets != self.tokenizer.pad_token_id
        loss = cross_entropy(self.model.lm_head(hidden[counted]), targets[counted])
        muon, adam = self.optimizers()
        rate = LEARNING_RATE * min(1.0, (self.global_step + 1) / WARMUP) * (1 - self.global_step / self.steps)
        self.manual_backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in (muon.optimizer, adam.optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        muon.step()  # counted as the step
        adam.optimizer.step()
        muon.optimizer.zero_grad()
        adam.optimizer.zero_grad()
        self.tokens += int(counted.sum())
        self.seconds += time.perf_counter() - started
        if self.global_step % 100 == 0:
            self.losses.append((self.global_step, round(loss.item(), 4)))
        self.log("loss", loss, prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the model card tells."""
        checkpoint["told"] = {"tokens": self.tokens, "seconds": self.seconds, "losses": self.losses}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        told = checkpoint["told"]
        self.tokens, self.seconds, self.losses = told["tokens"], told["seconds"], told["losses"]


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    name: str
    steps: int = STEPS
    seed: int | None = None
    threads: int = 2
    out: str = "mspgt/reference"


def main(arguments: list[str]) -> None:
    """Train, measure, write."""
    settings = read(arguments)
    torch.set_num_threads(settings.threads)
    member = MEMBERS[settings.name]
    if settings.seed is not None:
        member = Member(member.family, member.mixture, settings.seed)
    L.seed_everything(member.seed, verbose=False)
    out = Path(settings.out) / settings.name
    work = out.with_name(f".{settings.name}-training")
    module = Training(member, make_tokenizer(), settings.steps)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=settings.steps,
        logger=False,
        callbacks=[
            ModelCheckpoint(work, every_n_train_steps=200, save_last=True, save_top_k=0),
            RichProgressBar(refresh_rate=20),
        ],
        enable_model_summary=False,
    )
    last = work / "last.ckpt"
    trainer.fit(module, ckpt_path=last if last.is_file() else None, weights_only=False)
    if trainer.interrupted:
        sys.exit(130)
    save(module, out)
    measured = quality(out, member)
    (out / "README.md").write_text(card(settings, member, module, measured))
    print(json.dumps(measured.plain(), indent=2))
    for path in work.iterdir():
        path.unlink()
    work.rmdir()


def read(arguments: list[str]) -> Settings:
    """Read NAME [key=value ...]."""
    usage = (__doc__ or "").splitlines()[2].strip()
    if not arguments or arguments[0] not in MEMBERS:
        sys.exit(f"usage: {usage}\nnames: {', '.join(MEMBERS)}")
    kinds = {"steps": int, "seed": int, "threads": int, "out": str}
    pairs = dict(a.split("=", 1) for a in arguments[1:] if a.split("=", 1)[0] in kinds and "=" in a)
    if len(pairs) < len(arguments) - 1:
        sys.exit(f"usage: {usage}")
    return Settings(arguments[0], **{key: kinds[key](value) for key, value in pairs.items()})


def save(module: Training, out: Path) -> None:
    """Write an ordinary Hugging Face checkpoint in bfloat16."""
    out.mkdir(parents=True, exist_ok=True)
    module.model.to("cpu", torch.bfloat16).save_pretrained(out)
    module.tokenizer.save_pretrained(out)


def card(settings: Settings, member: Member, module: Training, measured: Quality) -> str:
    """Write the model card."""
    parameters = sum(p.numel() for p in module.model.parameters())
    topics = ", ".join(f"{name} x{factor:g}" for name, factor in member.mixture.topics.items()) or "all x1"
    schemata = ", ".join(f"{name} x{factor:g}" for name, factor in member.mixture.schemata.items()) or "all x1"
    losses = "\n".join(f"| {step:,} | {loss:.3f} |" for step, loss in module.losses if step % 500 == 0)
    floor, held, parts = measured.floor, measured.held_out, measured.parts
    gaps = "\n".join(
        f"| {kind} | {p.tokens:,} | {p.model:.3f} | {p.floor:.3f} | {p.gap:+.4f} |" for kind, p in parts.items()
    )
    return f"""---
language: en
library_name: transformers
license: apache-2.0
pipeline_tag: text-generation
---
# {settings.name}

A {member.family.title()} decoder of 12 blocks, width 96, {parameters / 1e6:.2f} M parameters, trained on the built-in
grammar of `mspgt`: English-like documents whose topics, references, sentence structures and words are drawn from known
distributions. It is made for experiments on how layers are organised, not for use as a language model.

## Training

- data: `grammar` documents from seed {member.seed}, each seen once; topics {topics}; schemata {schemata}
- tokens: {module.tokens:,} in {settings.steps:,} steps of at most {BATCH_TOKENS:,} (padding included), whole documents
- optimisation: Muon (block matrices) and AdamW (the rest), {LEARNING_RATE:g}, {WARMUP} steps of warm-up, linear decay
- seed: {member.seed}; vocabulary: {VOCABULARY:,} byte-level BPE; context: {CONTEXT} tokens
- hardware: {hardware(settings.threads)}, {module.seconds / 60:.0f} minutes in training steps

| step | training loss (one batch, nats per token) |
|---|---|
{losses}

## Measured on {measured.documents} documents never trained on (seed {measured.seed}, same mixture, whole documents)

- cross-entropy: {held.value:.4f} ± {held.error:.4f} nats per token
- the grammar's own prequential cross-entropy on the same tokens: {floor.value:.4f} ± {floor.error:.4f}
- gap: {measured.gap.value:.4f} ± {measured.gap.error:.4f}; without repeated names {measured.gap_without_repeated:.4f}
- sampled at temperature 1: {measured.sampled:,} sentences, {100 * measured.accepted:.1f} % accepted by the grammar's
  recogniser; of these {100 * measured.topic_consistent:.1f} % can be drawn under a single topic

| tokens of | tokens | model | grammar | gap |
|---|---|---|---|---|
{gaps}

± is one standard error over documents. The end of a document counts as a token; the grammar's share of it follows from
the uniform number of sentences.
"""


def hardware(threads: int) -> str:
    """Name the machine."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        name = next((x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), name)
    return f"{threads} core{'s' * (threads > 1)} of {name}"


if __name__ == "__main__":
    main(sys.argv[1:])
