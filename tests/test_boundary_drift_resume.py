"""A training that goes on from a checkpoint goes on with the history of its boundaries, and with no other's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import drift_training as t
import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import mspgt
from mspgt.callbacks import BoundaryDrift
from mspgt.results.drift import Drift

Watched = tuple[BoundaryDrift, L.Trainer]


@pytest.fixture(autouse=True)
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # and removed, or put back, at the end
    monkeypatch.setattr(Drift, "save", Drift.save_data)


def followed(folder: Path, *callbacks: L.Callback, steps: int = 12, by_hand: bool = False, **given: Any) -> Watched:
    """Train with the callback, among others."""
    drift = next((c for c in callbacks if isinstance(c, BoundaryDrift)), None) or t.boundary_drift()
    listed = callbacks if drift in callbacks else (*callbacks, drift)

    def module() -> L.LightningModule:
        return t.ByHand(t.llama(4)) if by_hand else t.ByStep(t.llama(4))

    batches = {"shuffle": False, "batches": 24}
    return drift, t.train(folder, *listed, module=module, steps=steps, batches=batches, **given)[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an uninterrupted training to step 12 gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drift, "save", Drift.save_data)
        drift, _ = followed(tmp_path_factory.mktemp("whole"))
    assert [point.step for point in drift.drift.points] == [0, 3, 6, 9, 12]
    assert all(point.loss > 0 for point in drift.drift.points[1:])
    return t.numbers(drift.drift)


class SaveAt(L.Callback):
    """Writes a checkpoint in the hook after a batch."""

    def __init__(self, file: Path, step: int) -> None:
        self.file, self.step = file, step

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.global_step == self.step and not self.file.exists():
            trainer.save_checkpoint(self.file)


def model_checkpoint(every: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        keep = ModelCheckpoint(folder / "kept", every_n_train_steps=every, save_top_k=-1)
        followed(folder, keep, steps=7, enable_checkpointing=True)
        return next((folder / "kept").glob(f"*step={every}.ckpt"))

    return write


def by_a_callback(step: int, before: bool) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save, drift = SaveAt(folder / "saved.ckpt", step), t.boundary_drift()
        followed(folder, *((save, drift) if before else (drift, save)), steps=7)
        return save.file

    return write


def at_the_end(steps: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        drift, trainer = followed(folder, steps=steps)
        assert drift.drift.points[-1].end == (steps % 3 > 0)
        trainer.save_checkpoint(folder / "end.ckpt")
        return folder / "end.ckpt"

    return write


@pytest.mark.parametrize(
    "write",
    [
        model_checkpoint(6),
        model_checkpoint(5),
        by_a_callback(6, before=True),
        by_a_callback(6, before=False),
        by_a_callback(4, before=True),
        at_the_end(6),
        at_the_end(7),
    ],
    ids=[
        "by ModelCheckpoint when due",
        "by ModelCheckpoint between",
        "by a callback before ours when due",
        "by a callback after ours when due",
        "by a callback before ours between",
        "after an end that is due",
        "after an end between",
    ],
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    write: Callable[[Path], Path], whole: dict[str, Any], tmp_path: Path
) -> None:
    checkpoint = write(tmp_path / "one")
    drift, _ = followed(tmp_path / "two", ckpt_path=checkpoint)
    assert list(t.differences(t.numbers(drift.drift), whole)) == []
    assert t.numbers(mspgt.load(tmp_path / "two" / "lightning_logs" / "version_0" / "drift")) == whole


def test_with_accumulated_gradients_too(tmp_path: Path) -> None:
    how = {"accumulate_grad_batches": 2}
    whole, _ = followed(tmp_path / "whole", steps=9, **how)
    keep = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=5)
    followed(tmp_path / "one", keep, steps=5, enable_checkpointing=True, **how)
    drift, _ = followed(tmp_path / "two", steps=9, ckpt_path=next((tmp_path / "kept").iterdir()), **how)
    assert list(t.differences(t.numbers(drift.drift), t.numbers(whole.drift))) == []


def test_with_two_optimizers_too(tmp_path: Path) -> None:
    """Steps are counted in pairs then, and the fourth is the first after the third."""
    save = SaveAt(tmp_path / "saved.ckpt", 4)
    whole, _ = followed(tmp_path / "one", save, steps=8, by_hand=True)
    drift, _ = followed(tmp_path / "two", steps=8, by_hand=True, ckpt_path=save.file)
    steps = [point.step for point in whole.drift.points]
    assert steps == [0, 4, 6, 8]
    assert [point.step for point in drift.drift.points] == steps


def test_a_checkpoint_holds_plain_values_and_tensors(tmp_path: Path) -> None:
    checkpoint = at_the_end(4)(tmp_path)
    kept = torch.load(checkpoint, weights_only=True)["callbacks"]
    assert len(kept) == 1
    (state,) = kept.values()
    assert [point["step"] for point in state["ledger"]["history"]["points"]] == [0, 3, 4]


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other"},
        {"data": "grammar"},
        {"labels": "grammar"},
        {"tokenizer": "elsewhere"},
        {"plugins": "cka"},
        {"every_n_steps": 4},
        {"model": "model"},
        {"loss": "val_loss"},
        {"cka": {"estimator": "biased"}},
        {"weights": {"cka": 0.5}},
        *({key: 101} for key in ("limit", "max_length", "batch_tokens", "bootstrap", "seed")),
        {"context": "sentence"},
        {"prominence": 0.1},
        {"layers_path": "model.layers"},
    ],
    ids=str,
)
def test_a_history_is_known_by_all_settings_that_it_depends_on(other: dict[str, Any]) -> None:
    assert t.boundary_drift(**other).state_key != t.boundary_drift().state_key
    assert t.boundary_drift(**other).state_key == t.boundary_drift(**other).state_key


@pytest.mark.parametrize("same", [{"out": "there"}, {"max_overhead": 0.5}, {"figures": True}], ids=str)
def test_a_history_does_not_depend_on_where_it_goes(same: dict[str, Any]) -> None:
    assert t.boundary_drift(**same).state_key == t.boundary_drift().state_key


def test_other_settings_begin_a_history_of_their_own(tmp_path: Path) -> None:
    checkpoint = at_the_end(6)(tmp_path / "one")
    drift, _ = followed(tmp_path / "two", t.boundary_drift(seed=1), steps=7, ckpt_path=checkpoint)
    assert [point.step for point in drift.drift.points] == [6, 7]


def test_another_corpus_under_the_same_name_begins_a_history_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_text("\n\n".join(t.TEXTS), encoding="utf-8")
    _, trainer = followed(tmp_path / "one", t.boundary_drift(data=str(file)), steps=6)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    file.write_text("\n\n".join(reversed(t.TEXTS)), encoding="utf-8")
    with pytest.warns(UserWarning, match=r"corpus is not the one .* begins anew"):
        drift, _ = followed(
            tmp_path / "two", t.boundary_drift(data=str(file)), steps=7, ckpt_path=tmp_path / "end.ckpt"
        )
    assert [point.step for point in drift.drift.points] == [6, 7]


def test_a_training_without_the_callback_can_be_followed_from_its_checkpoint_on(tmp_path: Path) -> None:
    _, trainer = t.train(tmp_path / "one", module=lambda: t.ByStep(t.llama(4)), steps=4)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    drift, _ = followed(tmp_path / "two", steps=7, ckpt_path=tmp_path / "end.ckpt")
    assert [point.step for point in drift.drift.points] == [4, 6, 7]


def test_each_of_two_callbacks_goes_on_with_its_own_history(tmp_path: Path) -> None:
    def pair() -> list[BoundaryDrift]:
        return [t.boundary_drift(), t.boundary_drift(name="reversed", data=t.TEXTS[::-1], every_n_steps=2)]

    _, trainer = followed(tmp_path / "one", *pair(), steps=6)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    again = pair()
    followed(tmp_path / "two", *again, steps=9, ckpt_path=tmp_path / "end.ckpt")
    assert [[point.step for point in drift.drift.points] for drift in again] == [[0, 3, 6, 9], [0, 2, 4, 6, 8, 9]]
    logs = tmp_path / "two" / "lightning_logs" / "version_0"
    for drift, folder in zip(again, ("drift", "drift-reversed"), strict=True):
        assert t.numbers(mspgt.load(logs / folder)) == t.numbers(drift.drift)


def test_a_second_fit_goes_on(whole: dict[str, Any], tmp_path: Path) -> None:
    module, drift = t.ByStep(t.llama(4)), t.boundary_drift()
    trainer = L.Trainer(
        max_steps=7, callbacks=[drift], logger=False, default_root_dir=tmp_path, enable_progress_bar=False,
        accelerator="cpu", enable_checkpointing=False,
    )  # fmt: skip
    for steps, points in (7, [0, 3, 6, 7]), (12, [0, 3, 6, 9, 12]):
        trainer.fit_loop.epoch_loop.max_steps = steps
        trainer.fit(module, t.loader(24, shuffle=False))
        assert [point.step for point in drift.drift.points] == points
    assert [path.name for path in tmp_path.glob("drift*")] == ["drift"]


def test_a_new_training_begins_a_history_and_a_folder_of_its_own(tmp_path: Path) -> None:
    drift = t.boundary_drift(out=tmp_path / "here")
    followed(tmp_path / "one", drift, steps=4)
    before = t.numbers(drift.drift)
    with pytest.warns(UserWarning, match=r"at step 0, .* to 4 before: their history begins anew"):
        followed(tmp_path / "two", drift, steps=3, seed=1)
    assert [point.step for point in drift.drift.points] == [0, 3]
    assert t.numbers(mspgt.load(tmp_path / "here")) == before
    assert t.numbers(mspgt.load(tmp_path / "here-2")) == t.numbers(drift.drift)


def test_a_training_that_goes_back_drops_what_came_after(whole: dict[str, Any], tmp_path: Path) -> None:
    drift, save = t.boundary_drift(), SaveAt(tmp_path / "saved.ckpt", 6)
    followed(tmp_path / "one", drift, save)
    followed(tmp_path / "two", drift, ckpt_path=save.file)
    assert t.numbers(drift.drift) == whole


def test_resuming_in_the_same_folder_goes_on_there_and_a_branch_of_another_training_does_not(tmp_path: Path) -> None:
    checkpoint = at_the_end(4)(tmp_path / "one")
    out = tmp_path / "one" / "lightning_logs" / "version_0" / "drift"
    drift, _ = followed(tmp_path / "two", t.boundary_drift(out=out), steps=6, ckpt_path=checkpoint)
    assert t.numbers(mspgt.load(out)) == t.numbers(drift.drift)
    other, _ = followed(tmp_path / "three", t.boundary_drift(out=out), steps=3, seed=1)
    assert t.numbers(mspgt.load(out)) == t.numbers(drift.drift)
    assert t.numbers(mspgt.load(f"{out}-2")) == t.numbers(other.drift)
