"""Trains a reference model from the generator alone and writes it as a checkpoint with a model card.

    python benchmarks/train_reference.py NAME [key=value ...]        (without arguments: names and keys)

A decoder learns documents that the grammar draws without end, so that no document is seen twice. The matrices inside
its blocks are trained by Muon, which learns faster here than AdamW alone, everything else by AdamW; the step size
rises at first and then falls linearly to zero. A training that was interrupted goes on when the same command is given
again.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from reference_models import HELD_OUT, Quality, asks_for_help, explain, quality, script
from reference_recipe import BATCH_TOKENS, CONTEXT, MEMBERS, VOCABULARY, Documents, Member, make_model, make_tokenizer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers.utils import logging

from mspgt.config.keys import key_values
from mspgt.core.errors import UserError, unknown
from mspgt.core.options import option, parse
from mspgt.experiments.loop import quiet_libraries

STEPS, WARMUP, LEARNING_RATE = 4_000, 60, 5e-3
LOGGED, TABLED = 100, 500
"""steps between losses that are kept, and between those in the model card"""
PLAIN_SECONDS = 60.0
"""between lines of progress where there is no terminal"""


@dataclass(frozen=True)
class Settings:
    """Keys of this script."""

    steps: int = option(STEPS, "training steps", low=1)
    seed: int | None = option(None, "seed of weights and documents; the model's own where none", low=0, high=2**32 - 1)
    every: int = option(200, "steps between checkpoints that an interrupted training goes on from", low=1)
    threads: int = option(2, "processor cores", low=1)
    out: str = option("mspgt/models/reference", "folder that the model's folder is put into")


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
        if self.global_step % LOGGED == 0:
            self.losses.append((self.global_step, round(loss.item(), 4)))
        self.log("loss", loss)

    @property
    def identity(self) -> dict[str, int]:
        """What a training that goes on must have in common with the interrupted one."""
        return {"steps": self.steps, "seed": self.member.seed}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the model card tells."""
        checkpoint["identity"] = self.identity
        checkpoint["told"] = {"tokens": self.tokens, "seconds": self.seconds, "losses": self.losses}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting."""
        told = checkpoint["told"]
        self.tokens, self.seconds, self.losses = told["tokens"], told["seconds"], told["losses"]


class Saving(L.Callback):
    """Keeps the latest checkpoint; the one before is there until the new one is whole."""

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Write every so many steps."""
        if trainer.global_step % self._every == 0:
            part = self._path.with_suffix(".part")
            trainer.save_checkpoint(part)
            part.replace(self._path)


class Progressing(L.Callback):
    """Shows steps, rate, time left and loss: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console, title: str, steps: int) -> None:
        self._console, self._title, self._steps = console, title, steps
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin, perhaps in the middle."""
        self._first = trainer.global_step
        self._started = self._said = time.monotonic()
        self._task = self._bar.add_task(self._title, total=self._steps, completed=self._first, state="")
        self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Advance by a step."""
        step, now = trainer.global_step, time.monotonic()
        rate = (step - self._first) / (now - self._started)
        left = time.strftime("%H:%M:%S", time.gmtime((self._steps - step) / rate))
        state = f"{rate:.2f} steps/s, {left} left, loss {trainer.callback_metrics['loss']:.3f}"
        self._bar.update(self._task, completed=step, state=state)
        if not self._console.is_terminal and now - self._said > PLAIN_SECONDS:
            self._said = now
            self._console.print(f"{self._title}: step {step:,} of {self._steps:,}, {state}", soft_wrap=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar before a message is printed."""
        self._bar.stop()


def main(arguments: list[str]) -> None:
    """Train, measure, write."""
    if not arguments or asks_for_help(arguments):
        explain(f"train_reference.py {{{','.join(MEMBERS)}}}", Settings)
        return
    name, settings = arguments[0], parse(Settings, key_values(arguments[1:]))
    member = choose(name, settings.seed)
    out = Path(settings.out) / name
    latest = out.with_name(f".{name}-training") / "last.ckpt"
    try:
        latest.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={settings.out}: cannot be written to ({error.strerror}): give another folder.") from error
    quiet_libraries()
    logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    L.seed_everything(member.seed, verbose=False)
    module = Training(member, make_tokenizer(member.family), settings.steps)
    fit(module, name, latest, settings.every)
    save(module, out)
    measured = quality(out, member)
    (out / "README.md").write_text(card(name, module, measured, settings.threads))
    shutil.rmtree(latest.parent)
    print(json.dumps(measured.plain(), indent=2))


def choose(name: str, seed: int | None) -> Member:
    """Find a member by name, with another seed where one is given.

    Raises
    ------
    UserError: no such member, or the seed of the held-out documents.
    """
    if name not in MEMBERS:
        raise unknown("model", name, MEMBERS)
    if seed == HELD_OUT:
        raise UserError(f"seed={seed} draws the documents that models are measured on: give another seed.")
    return MEMBERS[name] if seed is None else replace(MEMBERS[name], seed=seed)


def fit(module: Training, name: str, latest: Path, every: int, callbacks: Sequence[L.Callback] = ()) -> None:
    """Train from the latest checkpoint, or from the beginning where there is none.

    Parameters
    ----------
    every: steps between checkpoints.
    callbacks: called before a checkpoint is written.

    Raises
    ------
    UserError: the checkpoint is damaged, or belongs to another training.
    KeyboardInterrupt: Ctrl-C.
    """
    found = latest.is_file()
    if found:
        check(module, latest)
    console = Console(stderr=True)
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=module.steps,
        logger=False,
        callbacks=[*callbacks, Saving(latest, every), Progressing(console, name, module.steps)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, ckpt_path=latest if found else None, weights_only=True)
    except SystemExit:  # what Lightning makes of Ctrl-C
        step = trainer.global_step
        console.print(f"interrupted at step {step:,} of {module.steps:,}: the same command goes on.", soft_wrap=True)
        raise KeyboardInterrupt from None


def check(module: Training, latest: Path) -> None:
    """Refuse a checkpoint that this training cannot go on from."""
    try:
        identity = torch.load(latest, map_location="cpu", weights_only=True)["identity"]
    except Exception as error:
        raise UserError(
            f"{latest}: the checkpoint of the interrupted training cannot be read ({type(error).__name__}); delete it "
            "to begin again."
        ) from error
    if identity != module.identity:
        given, there = (" ".join(f"{k}={v}" for k, v in i.items()) for i in (module.identity, identity))
        raise UserError(
            f"{latest.parent} holds an interrupted training with {there}, not {given}: give {there} to go on with it, "
            "or delete that folder."
        )


def save(module: Training, out: Path) -> None:
    """Write an ordinary Hugging Face checkpoint in bfloat16."""
    out.mkdir(parents=True, exist_ok=True)
    module.model.to("cpu", torch.bfloat16).save_pretrained(out)
    module.tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # safetensors makes it readable to its owner only


def card(name: str, module: Training, measured: Quality, threads: int) -> str:
    """Write the model card."""
    member, config = module.member, module.model.config
    parameters = sum(p.numel() for p in module.model.parameters())
    topics = ", ".join(f"{name} x{factor:g}" for name, factor in member.mixture.topics.items()) or "all x1"
    schemata = ", ".join(f"{name} x{factor:g}" for name, factor in member.mixture.schemata.items()) or "all x1"
    losses = "\n".join(f"| {step:,} | {loss:.3f} |" for step, loss in module.losses if step % TABLED == 0)
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
# {name}

A {member.family.title()} decoder of {config.num_hidden_layers} blocks, width {config.hidden_size}, \
{parameters / 1e6:.2f} M parameters, trained on the built-in
grammar of `mspgt`: English-like documents whose topics, references, sentence structures and words are drawn from known
distributions. It is made for experiments on how layers are organised, not for use as a language model.

## Training

- data: `grammar` documents from seed {member.seed}, each seen once; topics {topics}; schemata {schemata}
- tokens: {module.tokens:,} in {module.steps:,} steps of at most {BATCH_TOKENS:,} (padding included), whole documents
- optimisation: Muon (block matrices) and AdamW (the rest), {LEARNING_RATE:g}, {WARMUP} steps of warm-up, linear decay
- seed: {member.seed}; vocabulary: {VOCABULARY:,} byte-level BPE; context: {CONTEXT} tokens
- hardware: {hardware(threads)}, {module.seconds / 60:.0f} minutes in training steps

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
the uniform number of sentences. What kind a token is of shows only in the token itself, so that the model may be below
the grammar in one row; in the sum of all rows it cannot be, but for chance.
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
    script(main)
