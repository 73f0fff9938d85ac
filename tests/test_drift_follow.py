"""`mspgt drift`: checkpoints measured one by one, as runs are, and gone on with after whatever happened."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import mspgt
from mspgt.cli import main
from mspgt.dynamics import Drift
from mspgt.errors import UserError

HERE = Path(__file__).resolve().parent
STEPS = (0, 100, 200, 1000)
KEYS = ("plugins=cka,attn", "bootstrap=100", "batch_tokens=60", "accelerator=cpu")


@pytest.fixture(scope="module")
def t() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        return importlib.import_module("drift_training")
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def corpus(t: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "heldout.txt"
    path.write_text("\n\n".join(t.TEXTS))
    return path


@pytest.fixture(scope="module")
def checkpoints(t: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on its way from one set of weights to another."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    model, goal = t.llama(), t.llama()
    for share, step in zip((0.0, 0.2, 0.5, 1.0), STEPS, strict=True):
        with torch.no_grad():
            for mine, other in zip(model.parameters(), goal.parameters(), strict=True):
                mine.lerp_(other, share)
        model.save_pretrained(folder / f"checkpoint-{step}")
        t.TOKENIZER.save_pretrained(folder / f"checkpoint-{step}")
    return folder


@pytest.fixture(scope="module")
def whole(checkpoints: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drift over all of them, made at once."""
    out = tmp_path_factory.mktemp("whole") / "d"
    assert main(["drift", str(checkpoints), f"data={corpus}", f"out={out}", *KEYS]) == 0
    return out


def numbers(drift: Any) -> dict[str, Any]:
    kept = {key: drift.data[key] for key in ("model", "data", "bootstrap", "changes", "overall", "left_out")}
    return kept | {"points": [{k: v for k, v in point.items() if k != "seconds"} for point in drift.data["points"]]}


def some(checkpoints: Path, folder: Path, steps: tuple[int, ...] = STEPS) -> Path:
    """A folder with copies of some checkpoints."""
    folder.mkdir(exist_ok=True)
    for step in steps:
        shutil.copytree(checkpoints / f"checkpoint-{step}", folder / f"checkpoint-{step}", dirs_exist_ok=True)
    return folder


def test_every_point_is_what_a_run_finds(whole: Path, checkpoints: Path, corpus: Path) -> None:
    drift = mspgt.load(whole)
    assert isinstance(drift, Drift)
    assert drift.steps.tolist() == [*STEPS]
    keys = dict(key.split("=") for key in KEYS)
    for point in drift.points:
        result = mspgt.run(model=checkpoints / f"checkpoint-{point.step}", data=corpus, **keys)
        for name, block in result.data["signals"].items():
            mine = point.findings.data["signals"][name]
            assert {**mine, "details": None} == {**block, "details": None}
        for rule, block in result.data["verdicts"].items():
            assert point.findings.data["verdicts"][rule] == {k: v for k, v in block.items() if k != "resampled"}


def test_nothing_is_kept_of_the_states_but_what_goes_on_needs(whole: Path) -> None:
    kept = sorted(path.name for path in (whole / "state").iterdir())
    assert kept == ["history.json", "lock", "replicates-1000.safetensors", "run.json"]
    for name in ("drift.json", "drift.csv", "boundaries.csv", "report.html", "config.yaml", "run.log"):
        assert (whole / name).is_file()


@pytest.mark.slow
def test_a_killed_drift_goes_on_where_it_stopped(whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    command = [sys.executable, "-m", "mspgt.cli", "drift", str(checkpoints), f"data={corpus}", f"out={out}", *KEYS]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    end = time.monotonic() + 120
    while not (out / "state/history.json").is_file() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(json.loads((out / "state/history.json").read_text())["history"]["points"])
    assert 0 < done < len(STEPS)
    assert main([*command[3:], "resume=true"]) == 0
    assert numbers(mspgt.load(out)) == numbers(mspgt.load(whole))


def test_a_training_that_has_gone_on_is_gone_on_with(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = some(checkpoints, tmp_path / "c", STEPS[:2])
    arguments = ["drift", str(folder), f"data={corpus}", f"out={tmp_path / 'd'}", *KEYS]
    assert main(arguments) == 0
    some(checkpoints, folder)
    capsys.readouterr()
    assert main([*arguments, "resume=true"]) == 0
    said = capsys.readouterr().err
    assert "2 of them are done already" in said
    assert "checkpoint 1 of" not in said
    found, there = numbers(mspgt.load(tmp_path / "d")), numbers(mspgt.load(whole))
    assert found | {"model": None} == there | {"model": None}


def test_an_older_checkpoint_than_the_last_measured_is_refused(
    checkpoints: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = some(checkpoints, tmp_path / "c", (100,))
    arguments = ["drift", str(folder), f"data={corpus}", f"out={tmp_path / 'd'}", *KEYS]
    assert main(arguments) == 0
    some(checkpoints, folder, (0,))
    assert main([*arguments, "resume=true"]) == 2
    assert "before step 100 that was measured last" in capsys.readouterr().err
    assert main([*arguments, "resume=true", "seed=3"]) == 2
    assert "seed (0 there, 3 here)" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_left_out_and_the_others_go_on(
    checkpoints: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = some(checkpoints, tmp_path / "c", STEPS[:3])
    (folder / "checkpoint-100/model.safetensors").write_bytes(b"nothing")
    arguments = ["drift", str(folder), f"data={corpus}", f"out={tmp_path / 'd'}", *KEYS]
    assert main(arguments) == 3
    assert "checkpoint-100 was left out" in " ".join(capsys.readouterr().out.split())
    drift = mspgt.load(tmp_path / "d")
    assert isinstance(drift, Drift)
    assert drift.steps.tolist() == [0, 200]
    assert main([*arguments, "resume=true"]) == 3  # it stays left out
    for step in STEPS[:3]:
        (folder / f"checkpoint-{step}/model.safetensors").write_bytes(b"nothing")
    assert main([*arguments[:-4], *KEYS, "overwrite=true"]) == 2
    assert "no checkpoint could be measured" in capsys.readouterr().err


def test_checkpoints_of_another_shape_are_left_out(t: Any, checkpoints: Path, corpus: Path, tmp_path: Path) -> None:
    folder = some(checkpoints, tmp_path / "c", (0, 100))
    t.llama(13).save_pretrained(folder / "checkpoint-200")
    t.TOKENIZER.save_pretrained(folder / "checkpoint-200")
    drift = mspgt.drift(checkpoints=str(folder), data=str(corpus), **dict(key.split("=") for key in KEYS))
    assert drift.steps.tolist() == [0, 100]
    assert "checkpoint-200" in drift.data["left_out"][0]


def test_lightnings_checkpoints_are_followed(t: Any, checkpoints: Path, corpus: Path, tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    saving = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=2, save_top_k=-1)
    drift = t.boundary_drift(data=str(corpus), every_n_steps=2, out=tmp_path / "live", batch_tokens=60)
    t.train(tmp_path, drift, saving, steps=4, enable_checkpointing=True)
    found = mspgt.drift(
        checkpoints=str(tmp_path / "saved"),
        model=str(checkpoints / "checkpoint-0"),
        data=str(corpus),
        **dict(key.split("=") for key in KEYS),
    )
    assert found.steps.tolist() == [2, 4]
    live = {point["step"]: point for point in drift.drift.data["points"]}
    for point in found.data["points"]:
        assert point["signals"] == live[point["step"]]["signals"]
        assert point["verdicts"] == live[point["step"]]["verdicts"]
    assert found.data["changes"] == drift.drift.data["changes"][1:]


def test_against_another_training_answers_prediction_3_2(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = some(checkpoints, tmp_path / "c", (0, 100))
    out = tmp_path / "d"
    assert main(["drift", str(folder), f"data={corpus}", f"out={out}", f"against={whole}", *KEYS]) == 0
    answer = mspgt.load(out).data["prediction_3_2"]
    assert answer == mspgt.prediction_3_2([out, whole], names=[str(out), str(whole)]).as_dict()
    assert answer["verdict"] in ("supported", "contradicted", "undecided")
    assert "3.2" in capsys.readouterr().out
    assert "3.2" in (out / "report.html").read_text()


def test_a_drift_and_a_run_do_not_replace_each_other(
    whole: Path, checkpoints: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", f"model={checkpoints / 'checkpoint-0'}", f"data={corpus}", f"out={whole}", *KEYS]) == 2
    assert "holds a drift, not a run" in capsys.readouterr().err
    assert main(["drift", str(checkpoints), f"data={corpus}", f"out={whole}", *KEYS]) == 2
    assert "holds a finished drift" in capsys.readouterr().err
    assert main(["evaluate", str(whole)]) == 2
    assert "holds a drift, not a run" in capsys.readouterr().err


def test_without_out_nothing_is_left_behind(
    checkpoints: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    drift = mspgt.drift(
        checkpoints=str(checkpoints / "checkpoint-0"), data=str(corpus), **dict(key.split("=") for key in KEYS)
    )
    assert drift.steps.tolist() == [0]
    assert list(tmp_path.iterdir()) == []


def test_all_signals_that_raise_leave_no_point(
    checkpoints: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mspgt.plugins.cka import CKA

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(CKA, "recorder", fails)
    keys = dict(key.split("=") for key in KEYS) | {"plugins": "cka"}
    with pytest.raises(UserError, match="no luck"):
        mspgt.drift(checkpoints=str(checkpoints), data=str(corpus), **keys)


@pytest.mark.slow
def test_two_processes_find_the_same(whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path) -> None:
    keys = [f"data={corpus}", f"out={tmp_path / 'd'}", *KEYS, "devices=2", "strategy=ddp"]
    done = subprocess.run(
        [sys.executable, "-m", "mspgt.cli", "drift", str(checkpoints), *keys],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours, there = mspgt.load(tmp_path / "d"), mspgt.load(whole)
    assert ours.data["provenance"]["world_size"] == 2
    assert numbers(ours) == numbers(there)
