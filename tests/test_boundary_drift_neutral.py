"""A training is the same to the last bit with and without `BoundaryDrift`, whatever it is made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drift_training as t
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from mspgt.plugins.signals.attention.attention import AttentionDrift
from mspgt.results.drift import Drift


@pytest.fixture(autouse=True)
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # and removed, or put back, at the end
    monkeypatch.setattr(Drift, "save", Drift.save_data)


@dataclass(frozen=True)
class Case:
    """A training, and what is held against it."""

    module: Callable[[], L.LightningModule] = lambda: t.Training(t.llama(4))
    trainer: dict[str, Any] = field(default_factory=dict)
    batches: dict[str, Any] = field(default_factory=dict)
    validate: bool = False
    beside: Callable[[], list[L.Callback]] = list
    watched: dict[str, Any] = field(default_factory=dict)
    points: int = 4
    steps: int = 7


def compiled(backend: str) -> Callable[[], L.LightningModule]:
    def build() -> L.LightningModule:
        torch.compiler.reset()
        module = t.Training(t.llama(2))
        module.model.compile(backend=backend)
        return module

    return build


def lora() -> L.LightningModule:
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(r=2, lora_dropout=0.2, target_modules=["q_proj", "v_proj"])
    return t.Training(get_peft_model(t.llama(4), adapters))


def checkpointing() -> L.LightningModule:
    module = t.Training(t.llama(4))
    module.model.gradient_checkpointing_enable()
    return module


def two_models() -> L.LightningModule:
    module = t.Training(t.llama(4))
    module.teacher = t.llama(3).requires_grad_(False).eval()
    return module


CASES = {
    "a decoder among other modules": Case(lambda: t.Training(t.llama())),
    "attention alone": Case(watched={"plugins": "attn"}),
    "probes": Case(watched={"plugins": "cka,probe", "data": t.LABELLED, "probe": t.PROBE}),
    "an encoder for masked tokens": Case(lambda: t.Training(t.bert(4), masked=True)),
    "eager attention": Case(lambda: t.Training(t.llama(4, attn_implementation="eager"))),
    "two optimizers by hand": Case(lambda: t.ByHand(t.llama(4))),
    "accumulated and clipped gradients": Case(trainer={"accumulate_grad_batches": 2, "gradient_clip_val": 0.1}),
    "accumulation that changes": Case(beside=lambda: [GradientAccumulationScheduler({0: 1, 1: 3})]),
    "bf16-mixed": Case(trainer={"precision": "bf16-mixed"}),
    "bf16-true": Case(trainer={"precision": "bf16-true"}),
    "validation, first for sanity": Case(validate=True, trainer={"val_check_interval": 2}),
    "two epochs": Case(batches={"batches": 4}, validate=True),
    "workers": Case(batches={"num_workers": 2, "batches": 4, "persistent_workers": True}),
    "compiled, eager": Case(compiled("eager"), steps=3, points=2),
    "compiled, aot_eager": Case(compiled("aot_eager"), steps=3, points=2),
    "LoRA": Case(lora),
    "gradient checkpointing": Case(checkpointing),
    "averaged weights": Case(
        beside=lambda: [EMAWeightAveraging(decay=0.5), LearningRateMonitor("step")],
        validate=True,
        trainer={"val_check_interval": 3},
    ),
    "stochastic weight averaging": Case(
        beside=lambda: [StochasticWeightAveraging(1e-2, swa_epoch_start=1)],
        batches={"batches": 3},
        trainer={"max_epochs": 3},
        steps=-1,
        points=5,
    ),
    "checkpoints": Case(
        beside=lambda: [ModelCheckpoint(every_n_train_steps=2, save_last=True)], trainer={"enable_checkpointing": True}
    ),
    "one of two models": Case(two_models, watched={"model": "teacher"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_training_is_the_same_with_and_without(case: Case, tmp_path: Path) -> None:
    seen, drift = [], t.boundary_drift(**case.watched)
    for name, callbacks in ("without", []), ("with", [drift]):
        found, _ = t.train(
            tmp_path / name,
            *callbacks,
            *case.beside(),
            module=case.module,
            steps=case.steps,
            batches=case.batches,
            validate=case.validate,
            **case.trainer,
        )
        seen.append(found)
    assert list(t.differences(*seen)) == []
    assert drift.drift is not None, "nothing was evaluated"
    assert drift.drift.left_out == ()
    assert len(drift.drift.points) == case.points
    assert all(point.left_out == () for point in drift.drift.points)


def draw_from_all() -> None:
    torch.rand(())
    random.random()
    np.random.random()


class Drawn:
    """A corpus whose documents are drawn at random."""

    def __iter__(self) -> Iterator[str]:
        draw_from_all()
        return iter(t.TEXTS)


def test_a_corpus_and_a_signal_that_draw_random_numbers_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = AttentionDrift.prepare

    def drawing(*given: Any) -> Any:
        draw_from_all()
        return original(*given)

    monkeypatch.setattr(AttentionDrift, "prepare", drawing)
    one, _ = t.train(tmp_path / "one", module=Case().module)
    other, _ = t.train(tmp_path / "other", t.boundary_drift(data=Drawn()), module=Case().module)
    assert list(t.differences(one, other)) == []


class Disturb(L.Callback):
    """Does what a callback must not."""

    def __init__(self, how: Callable[[L.LightningModule], object]) -> None:
        self.how = how

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index == 0:
            self.how(module)


@pytest.mark.parametrize(
    ("how", "where"),
    [
        (lambda module: torch.rand(()), "randomness"),
        (lambda module: random.random(), "randomness"),
        (lambda module: np.random.random(), "randomness"),
        (lambda module: module.model.model.layers[0].mlp.eval(), "modes"),
        (lambda module: module.embedding.weight.requires_grad_(False), "requires"),
        (lambda module: module.embedding.weight.data.mul_(1 + 1e-6), "weights"),
        (lambda module: module.model.set_attn_implementation("eager"), "attention"),
        (lambda module: module.log("draws", 0.5), "logged"),
    ],
    ids=["torch", "random", "numpy", "mode", "requires_grad", "weights", "attention", "metrics"],
)
def test_the_comparison_notices_a_disturbance(how: Any, where: str, tmp_path: Path) -> None:
    def module() -> L.LightningModule:
        return t.Training(t.llama(2))

    one, _ = t.train(tmp_path / "one", module=module, steps=2)
    other, _ = t.train(tmp_path / "other", Disturb(how), module=module, steps=2)
    assert any(found.startswith(f".{where}") for found in t.differences(one, other))
