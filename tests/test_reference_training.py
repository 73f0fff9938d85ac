"""Training of the reference models, on a small scale: the same bits every time, whatever interrupts it."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import reference_models as measure
import reference_recipe as recipe
import torch
import train_reference as training
from rich.console import Console
from torch import Tensor

from mspgt import grammar
from mspgt.core.errors import UserError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NAME = "tiny-qwen-b"
SMALL = {"TOKENIZER_DOCUMENTS": 40, "BATCH_TOKENS": 500, "CHUNK": 16}

Train = Callable[..., dict[str, Tensor]]


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lightning leaves Ctrl-C ignored, and its seed in the environment."""
    handler, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started without one
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    yield
    signal.signal(signal.SIGINT, handler)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def train() -> Train:
    """Train a small recipe through the command; give the weights in float32, as they were before they were written."""
    part = measure.Part(10, 1.5, 1.0)
    one = measure.Estimate(1.5, 0.1)
    planted = measure.Quality(2, 7, one, one, one, 0.25, dict.fromkeys(measure.KINDS, part), 5, 0.8, 0.5)

    def run(out: Path, *keys: str, **patched: Any) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = {}
        write = training.save

        def save(module: Any, folder: Path) -> None:
            weights.update({name: value.clone() for name, value in module.model.state_dict().items()})
            write(module, folder)

        with pytest.MonkeyPatch.context() as patch:
            for name, value in SMALL.items():
                patch.setattr(recipe, name, value)
            patch.setattr(training, "save", save)
            patch.setattr(training, "quality", lambda *_: planted)
            for name, value in patched.items():
                patch.setattr(training.Training if name == "training_step" else training, name, value)
            training.main([NAME, "threads=1", f"out={out}", *keys])
        return weights

    return run


@pytest.fixture(scope="module")
def whole(train: Train, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Weights after six steps in one go."""
    return train(tmp_path_factory.mktemp("whole"), "steps=6")


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name].view(torch.int32), other[name].view(torch.int32)) for name in one)


def stopping_at(step: int, stop: Callable[[], None]) -> Callable[..., None]:
    original = training.Training.training_step

    def training_step(self: Any, ids: Tensor, number: int) -> None:
        if self.global_step == step:
            stop()
        original(self, ids, number)

    return training_step


def noting(seen: list[int]) -> Callable[..., None]:
    original = training.Training.training_step

    def training_step(self: Any, ids: Tensor, number: int) -> None:
        seen.append(self.global_step)
        original(self, ids, number)

    return training_step


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


# ---------------------------------------------------------------------- the same bits


@pytest.mark.slow
def test_a_seed_gives_the_same_bits_and_another_seed_others(train: Train, tmp_path: Path) -> None:
    one, again = (train(tmp_path / part, "steps=4") for part in "ab")
    assert equal(one, again)
    assert (tmp_path / "a" / NAME / "model.safetensors").read_bytes() == (
        tmp_path / "b" / NAME / "model.safetensors"
    ).read_bytes()
    assert not equal(one, train(tmp_path / "c", "steps=4", "seed=3"))


def test_every_weight_is_trained(train: Train, whole: dict[str, Tensor]) -> None:
    torch.manual_seed(recipe.MEMBERS[NAME].seed)
    before = recipe.make_model(recipe.MEMBERS[NAME]).state_dict()
    unmoved = [name for name in before if torch.equal(before[name], whole[name])]
    assert not unmoved


@pytest.mark.slow
def test_an_interrupted_training_goes_on_to_the_same_bits(
    train: Train, whole: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "steps=6", "every=2"
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, *command, training_step=stopping_at(5, ctrl_c))
    assert capsys.readouterr().err == "interrupted at step 5 of 6: the same command goes on.\n"
    assert not (tmp_path / NAME).exists()
    seen: list[int] = []
    resumed = train(tmp_path, *command, training_step=noting(seen))
    assert seen == [4, 5]
    assert equal(resumed, whole)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.slow
def test_the_card_counts_the_tokens_of_both_parts(train: Train, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        if folder == "b":
            with pytest.raises(KeyboardInterrupt):
                train(tmp_path / folder, "steps=3", "every=1", training_step=stopping_at(2, ctrl_c))
        train(tmp_path / folder, "steps=3", "every=1")
    cards = [(tmp_path / folder / NAME / "README.md").read_text().splitlines() for folder in "ab"]
    (counted,), (again,) = ([line for line in card if line.startswith("- tokens: ")] for card in cards)
    assert counted == again
    assert counted.split()[2] != "0"


KILLED = """
import os, signal, sys
sys.path.insert(0, {benchmarks!r})
import reference_recipe, train_reference
for name, value in {small!r}.items():
    setattr(reference_recipe, name, value)
step = train_reference.Training.training_step
def training_step(self, ids, number):
    step(self, ids, number)
    if self.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
train_reference.Training.training_step = training_step
train_reference.main([{name!r}, "steps=6", "every=2", "threads=1", "out=" + sys.argv[1]])
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(train: Train, whole: dict[str, Tensor], tmp_path: Path) -> None:
    script = KILLED.format(benchmarks=str(BENCHMARKS), small=SMALL, name=NAME)
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    (work,) = tmp_path.iterdir()
    (work / "last.part").write_bytes(b"half a checkpoint")
    seen: list[int] = []
    assert equal(train(tmp_path, "steps=6", "every=2", training_step=noting(seen)), whole)
    assert seen == [4, 5]


@pytest.mark.slow
def test_what_was_interrupted_while_it_was_measured_is_not_trained_again(
    train: Train, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, "steps=6", "every=2", quality=interrupted)
    seen: list[int] = []
    assert equal(train(tmp_path, "steps=6", "every=2", training_step=noting(seen)), whole)
    assert not seen


# ---------------------------------------------------------------------- the documents


def test_batches_hold_every_document_once_and_skip_what_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(recipe, name, value)
    member, tokenizer = recipe.MEMBERS[NAME], recipe.make_tokenizer(recipe.MEMBERS[NAME].family)
    batches = list(itertools.islice(recipe.Documents(tokenizer, member, 0), 40))
    pad, read = tokenizer.pad_token_id, []
    for batch in batches:
        assert batch.numel() <= max(SMALL["BATCH_TOKENS"], batch.shape[1])
        for row in batch:
            content = row[row != pad]
            assert content[0] == tokenizer.bos_token_id
            assert content[-1] == tokenizer.eos_token_id
            assert (row[len(content) :] == pad).all()
            read.append(tokenizer.decode(content, skip_special_tokens=True))
    chunk = SMALL["CHUNK"]
    drawn = [*map(recipe.document_text, itertools.islice(grammar.documents(None, member.seed, member.mixture), chunk))]
    assert read[:chunk] != drawn
    assert sorted(read[:chunk]) == sorted(drawn)
    later = itertools.islice(recipe.Documents(tokenizer, member, 10), 30)
    assert all(torch.equal(one, other) for one, other in zip(later, batches[10:], strict=True))


# ---------------------------------------------------------------------- what the user sees


def test_nothing_but_progress_is_said(train: Train, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(tmp_path, "steps=3", PLAIN_SECONDS=0.0)
    said = capfd.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 3
    for step, line in enumerate(lines, start=1):
        assert line.startswith(f"{NAME}: step {step} of 3, ")
        assert " steps/s, 00:00:0" in line
        assert " left, loss 8." in line, "untrained, over 4,000 tokens"
    assert said.out.startswith("{")


def test_a_terminal_gets_a_bar_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    bar = training.Progressing(Console(file=screen, force_terminal=True, width=120), "a-model", 500)
    clock = iter([0.0, 50.0])
    fake = SimpleNamespace(monotonic=lambda: next(clock), strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(training, "time", fake)
    trainer = SimpleNamespace(global_step=100, callback_metrics={"loss": torch.tensor(2.25)})
    bar.on_train_start(trainer, None)
    trainer.global_step = 200
    bar.on_train_batch_end(trainer)
    bar.on_train_end(trainer, None)
    assert "200/500" in screen.getvalue()
    assert "2.00 steps/s, 00:02:30 left, loss 2.250" in screen.getvalue()


@pytest.mark.parametrize("arguments", [[], ["--help"], [NAME, "-h"]])
def test_without_arguments_the_usage_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    training.main(arguments)
    said = capsys.readouterr().out
    assert all(name in said for name in recipe.MEMBERS)
    assert all(f"\n  {key}" in said for key in ("steps", "seed", "every", "threads", "out"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-lama-a"], "unknown model 'tiny-lama-a'. Did you mean 'tiny-llama-a'?"),
        ([NAME, "step=3"], "unknown key 'step'. Did you mean 'steps'?"),
        ([NAME, "steps=0"], "steps=0: allowed is at least 1"),
        ([NAME, "steps=many"], "steps='many': expected integer"),
        ([NAME, "every=0"], "every=0: allowed is at least 1"),
        ([NAME, "seed=-1"], "seed=-1: allowed is"),
        ([NAME, "seed=7"], "seed=7 draws the documents that models are measured on"),
        ([NAME, "threads"], "'threads' is no key=value"),
        ([NAME, "steps=3", "steps=4"], "'steps' is given twice"),
        ([NAME, f"out={__file__}"], "cannot be written to"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_reference.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        measure.script(training.main)
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        measure.script(interrupted)
    assert stopped.value.code == 130


def test_a_checkpoint_that_does_not_belong_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, "steps=3", "every=1", training_step=stopping_at(1, ctrl_c))
    with pytest.raises(UserError, match=r"interrupted training with steps=3 seed=1004, not steps=5 seed=1004: give st"):
        train(tmp_path, "steps=5", "every=1")
    with pytest.raises(UserError, match=r"with steps=3 seed=1004, not steps=3 seed=9"):
        train(tmp_path, "steps=3", "seed=9")
    latest = tmp_path / f".{NAME}-training" / "last.ckpt"
    latest.write_bytes(latest.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"last\.ckpt: the checkpoint .* cannot be read \(\w+\); delete it to begin"):
        train(tmp_path, "steps=3")
