"""Small trainings for the tests of `BoundaryDrift`: a model, a corpus, and all that a training leaves behind."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from small_tokenizers import byte_bpe
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mspgt.callbacks import BoundaryDrift
from mspgt.contracts.document import Document
from mspgt.grammar import documents

VOCABULARY = 300
WORDS = (
    ("fox", "dog", "cat", "owl", "hen", "cow", "pig", "ant", "bee", "elk", "ram", "eel"),
    ("two", "six", "ten", "no", "many", "few", "some", "all", "nine", "both", "five", "most"),
    ("hills", "boats", "stars", "roads", "trees", "cups", "birds", "hats", "lakes", "doors", "songs", "fires"),
)
TEXTS = [
    f"The {animal} saw {many} {things}. Then it went away, slowly." for animal, many, things in zip(*WORDS, strict=True)
]
"""twelve documents: intervals need ten"""
LABELLED = [Document(d.id, d.sentences[:4]) for d in documents(300, 0)][:12]
"""twelve documents with labels for the probes"""
PROBE = {"seeds": 1, "epochs": 1, "control": False, "debias": False}
"""as little as a probe can do"""
TOKENIZER = byte_bpe(TEXTS, VOCABULARY)


def boundary_drift(**given: Any) -> BoundaryDrift:
    """The callback with a small corpus, every third step."""
    return BoundaryDrift(**{"data": TEXTS, "tokenizer": TOKENIZER, "every_n_steps": 3, "bootstrap": 100} | given)


def llama(blocks: int = 12, **config: Any) -> Any:
    """A decoder with dropout in its attention, which is sharp as in a trained model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "max_position_embeddings": 128}
    made = LlamaConfig(
        vocab_size=VOCABULARY, num_hidden_layers=blocks, attention_dropout=0.1, initializer_range=0.3, **shape, **config
    )
    return LlamaForCausalLM(made)


def bert(blocks: int = 12) -> Any:
    """An encoder for masked tokens, with dropout everywhere."""
    from transformers import BertConfig, BertForMaskedLM

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "max_position_embeddings": 128}
    return BertForMaskedLM(BertConfig(vocab_size=VOCABULARY, num_hidden_layers=blocks, initializer_range=0.3, **shape))


class Training(L.LightningModule):
    """Trains a transformer that stands among other modules, some of them frozen, some in evaluation mode."""

    def __init__(self, model: nn.Module, masked: bool = False) -> None:
        super().__init__()
        self.model, self.masked = model, masked
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.norm, self.dropout = nn.BatchNorm1d(8), nn.Dropout(0.3)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.frozen.eval()
        next(part for name, part in model.named_modules() if name.endswith("1")).eval()

    def loss(self, ids: Tensor) -> Tensor:
        labels = ids
        if self.masked:
            hidden = torch.rand(ids.shape) < 0.3
            hidden[:, 1] = True
            labels, ids = ids.masked_fill(~hidden, -100), ids.masked_fill(hidden, 4)
        beside = self.frozen(self.norm(self.dropout(self.embedding(ids).mean(1))))
        return self.model(input_ids=ids, labels=labels).loss + 0.1 * beside.square().mean()

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = self.loss(batch[0])
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("draws", torch.rand(()) + np.random.random() + random.random())
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val_loss", self.loss(batch[0]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), 1e-2)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.7)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class ByHand(Training):
    """Optimizes by hand, with two optimizers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = super().training_step(batch, index)
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            self.clip_gradients(optimizer, 0.5, "norm")
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def configure_optimizers(self) -> Any:
        rest = chain(self.embedding.parameters(), self.norm.parameters())
        return [torch.optim.AdamW(self.model.parameters(), 1e-2), torch.optim.SGD(rest, 1e-1)]


class ByStep(Training):
    """Does at each step what the step says, so that a resumed training can be the same as an uninterrupted one."""

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        torch.manual_seed(100 * self.global_step + index)
        return super().training_step([torch.randint(5, VOCABULARY, (4, 12))], index)


def loader(batches: int = 12, seed: int = 0, **how: Any) -> DataLoader[Any]:
    """Shuffled batches of four sequences of twelve tokens."""
    ids = torch.randint(5, VOCABULARY, (4 * batches, 12), generator=torch.Generator().manual_seed(seed))
    return DataLoader(TensorDataset(ids), 4, **{"shuffle": True} | how)


@dataclass
class Seen(L.Callback):
    """What can be seen of a training from outside, step by step and at its end."""

    batches: list[Any] = field(default_factory=list)
    modes: list[Any] = field(default_factory=list)
    gradients: list[Any] = field(default_factory=list)
    requires: list[Any] = field(default_factory=list)
    rates: list[Any] = field(default_factory=list)
    attention: list[Any] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    randomness: list[Any] = field(default_factory=list)
    weights: Any = None
    optimizers: Any = None
    metrics: Any = None
    logged: Any = None

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        self.batches.append(batch[0].clone())
        self.modes.append({name: part.training for name, part in module.named_modules()})
        self.requires.append({name: p.requires_grad for name, p in module.named_parameters()})
        configs = [part.config for part in module.modules() if hasattr(part, "config")]
        self.attention.append([getattr(config, "_attn_implementation", None) for config in configs])
        self.randomness.append(randomness())

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
        self.gradients.append({n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()})

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self.steps.append(trainer.global_step)
        self.rates.append([group["lr"] for o in trainer.optimizers for group in o.param_groups])
        self.gradients.append({n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()})

    def at_end(self, trainer: L.Trainer, module: nn.Module) -> None:
        self.weights = {name: value.clone() for name, value in module.state_dict().items()}
        self.optimizers = [optimizer.state_dict() for optimizer in trainer.optimizers]
        self.metrics = {k: v.clone() for k, v in trainer.callback_metrics.items()}
        self.randomness.append(randomness())
        self.modes.append({name: part.training for name, part in module.named_modules()})
        if trainer.is_global_zero:  # which writes the file: another process would read it at some moment of that
            self.logged = [rows_of(logger) for logger in trainer.loggers if isinstance(logger, CSVLogger)]


def randomness() -> list[Any]:
    """The state of the three generators."""
    return [torch.get_rng_state(), random.getstate(), list(np.random.get_state(legacy=False)["state"].values())]


def rows_of(logger: CSVLogger, ours: bool = False) -> list[dict[str, str]]:
    """The rows that a logger wrote, of the training's own metrics or of ours."""
    file = Path(logger.log_dir) / "metrics.csv"
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.exists() else []
    kept = [{k: v for k, v in row.items() if v and (k == "step" or k.startswith("mspgt/") == ours)} for row in rows]
    return [row for row in kept if len(row) > 1]


def train(
    folder: Path,
    *callbacks: L.Callback,
    module: Callable[[], L.LightningModule] = lambda: Training(llama()),
    steps: int = 7,
    batches: Mapping[str, Any] | None = None,
    validate: bool = False,
    ckpt_path: Any = None,
    seed: int = 0,
    **trainer: Any,
) -> tuple[Seen, L.Trainer]:
    """Train a fresh model; everything random follows from the seed."""
    L.seed_everything(seed, verbose=False)
    seen = Seen()
    given = {
        "max_steps": steps,
        "callbacks": [*callbacks, seen],
        "logger": CSVLogger(folder),
        "log_every_n_steps": 1,
        "default_root_dir": folder,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    made = L.Trainer(**given | trainer)
    built = module()
    made.fit(built, loader(**batches or {}), *([loader(2, 1, shuffle=False)] if validate else []), ckpt_path=ckpt_path)
    seen.at_end(made, built)
    return seen, made


def numbers(drift: Any) -> dict[str, Any]:
    """What drift.json says, but for how long things took."""
    whole = drift.as_dict()
    kept = {key: whole[key] for key in ("model", "data", "bootstrap", "changes", "overall", "left_out")}
    return kept | {"points": [{k: v for k, v in point.items() if k != "seconds"} for point in whole["points"]]}


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two things differ in the least."""
    if is_dataclass(one) and type(one) is type(other):
        one, other = ({f.name: getattr(record, f.name) for f in fields(record)} for record in (one, other))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or not torch.equal(one.nan_to_num(), other.nan_to_num()):
            yield where
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            yield f"{where}: {sorted(set(map(str, one)) ^ set(map(str, other)))}"
        for key in one.keys() & other.keys():
            yield from differences(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        if len(one) != len(other):
            yield f"{where}: {len(one)} and {len(other)}"
        for i, (a, b) in enumerate(zip(one, other, strict=False)):
            yield from differences(a, b, f"{where}[{i}]")
    elif isinstance(one, np.ndarray):
        if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            yield where
    elif type(one) is not type(other) or one != other:
        yield f"{where}: {one!r} and {other!r}"
