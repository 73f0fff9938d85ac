"""`mspgt drift`: checkpoints measured one by one, as runs are, and gone on with after whatever happened."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import drift_training as t
import pytest
import torch
from stalling import stalled

import mspgt
from mspgt.cli.main import main
from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.results.drift import Drift

STEPS = (0, 100, 1000)
KEYS = {"plugins": "cka,attn", "bootstrap": "100", "batch_tokens": "400", "accelerator": "cpu"}
NOTHING = b"nothing"

Follow = Callable[..., int]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve documents with labels for the probes."""
    from conllu_writer import write

    path = tmp_path_factory.mktemp("corpus") / "heldout.conllup"
    with open(path, "w", encoding="utf-8") as file:
        write(t.LABELLED, file)
    return path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on its way from one set of weights to another."""
    folder = tmp_path_factory.mktemp("training")
    torch.manual_seed(0)
    model, goal = t.llama(), t.llama()
    for share, step in zip((0.0, 0.3, 1.0), STEPS, strict=True):
        with torch.no_grad():
            for mine, other in zip(model.parameters(), goal.parameters(), strict=True):
                mine.lerp_(other, share)
        save(model, folder / f"checkpoint-{step}")
    return folder


@pytest.fixture(scope="module")
def whole(checkpoints: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drift over all of them, made at once."""
    out = tmp_path_factory.mktemp("whole") / "d"
    assert main(["drift", str(checkpoints), *words(data=corpus, out=out)]) == 0
    return out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing in this process."""
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})
    monkeypatch.setattr("mspgt.show.saving.page", lambda *_: "")


@pytest.fixture
def follow(checkpoints: Path, corpus: Path, tmp_path: Path, undrawn: None) -> Follow:
    """`mspgt drift` into `tmp_path / "d"`, over `tmp_path / "c"` where some checkpoints were copied there."""

    def call(**keys: Any) -> int:
        folder = tmp_path / "c"
        given = {"checkpoints": folder if folder.exists() else checkpoints, "data": corpus, "out": tmp_path / "d"}
        return main(["drift", *words(**given | keys)])

    return call


def words(**keys: Any) -> list[str]:
    return [f"{key}={value}" for key, value in (KEYS | keys).items()]


def save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    t.TOKENIZER.save_pretrained(folder)


def some(checkpoints: Path, tmp_path: Path, *steps: int) -> Path:
    """Copies of some checkpoints."""
    for step in steps:
        shutil.copytree(checkpoints / f"checkpoint-{step}", tmp_path / f"c/checkpoint-{step}", dirs_exist_ok=True)
    return tmp_path / "c"


def load(folder: Path) -> Drift:
    found = mspgt.load(folder)
    assert isinstance(found, Drift)
    return found


def numbers(drift: Drift) -> dict[str, Any]:
    """All but when, where and from which folder it was made."""
    whole = drift.as_dict()
    kept = {k: v for k, v in whole.items() if k not in ("provenance", "settings", "overhead")}
    points = [{k: v for k, v in point.items() if k != "seconds"} for point in whole["points"]]
    return kept | {"points": points, "model": {**whole["model"], "name": None}}


def agree(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; numbers but for what the order of float32 sums does to them."""
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(agree(one[k], other[k]) for k in one)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6)
    return bool(one == other)


def kept(folder: Path) -> list[str]:
    """What is left of the states."""
    return sorted(path.name for path in (folder / "state").iterdir())


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed since the last time, lines joined."""
    out, err = capsys.readouterr()
    return " ".join((out + err).split())


# ---------------------------------------------------------------------------------------- what is found


def test_every_point_is_what_a_run_finds(whole: Path, checkpoints: Path, corpus: Path, undrawn: None) -> None:
    drift = load(whole)
    assert drift.steps.tolist() == [*STEPS]
    for point in drift.points:
        run = mspgt.run(model=checkpoints / f"checkpoint-{point.step}", data=corpus, **KEYS)
        for mine, curve in zip(point.signals.values(), run.signals.values(), strict=True):
            assert agree(plain(mine), plain(replace(curve, details=mine.details, series={}, figures=())))
            assert mine.details.items() <= curve.details.items()
        for rule, verdict in run.verdicts.items():
            assert agree(plain(point.verdicts[rule]), plain(replace(verdict, resampled=None)))
        assert drift.bootstrap == run.bootstrap
        assert drift.data == run.data


def test_python_gives_what_the_command_gives(whole: Path, checkpoints: Path, corpus: Path, undrawn: None) -> None:
    found = mspgt.drift(checkpoints=str(checkpoints), data=str(corpus), **KEYS)
    assert agree(numbers(found), numbers(load(whole)))


def test_all_files_are_there_and_of_the_states_what_goes_on_needs(whole: Path) -> None:
    assert kept(whole) == ["history.json", "lock", "replicates-1000.safetensors", "run.json"]
    for name in ("drift.json", "drift.csv", "boundaries.csv", "report.html", "config.yaml", "run.log"):
        assert (whole / name).is_file()
    assert {path.suffix for path in (whole / "figures").iterdir()} == {".svg", ".png"}


def test_the_settings_that_were_kept_make_the_same_again(whole: Path, tmp_path: Path, undrawn: None) -> None:
    assert main(["drift", f"config={whole / 'config.yaml'}", f"out={tmp_path / 'd'}"]) == 0
    assert agree(numbers(load(tmp_path / "d")), numbers(load(whole)))


def test_signals_of_two_passes_and_a_corpus_of_labels(
    checkpoints: Path, corpus: Path, tmp_path: Path, follow: Follow, undrawn: None
) -> None:
    text = tmp_path / "heldout.txt"
    text.write_text("\n\n".join(t.TEXTS))
    keys = {
        "plugins": "cka,probe,attn",
        "cka.estimator": "full",
        "attn.heads": "matched",
        "labels": corpus,
        "data": text,
    }
    keys |= {f"probe.{name}": value for name, value in t.PROBE.items()}
    some(checkpoints, tmp_path, 0, 1000)
    assert follow(**keys) in (0, 3)
    found = plain(load(tmp_path / "d").points[-1].signals)
    there = plain(mspgt.run(model=checkpoints / "checkpoint-1000", **KEYS | keys).signals)
    assert agree({n: b["value"] for n, b in found.items()}, {n: b["value"] for n, b in there.items()})
    assert agree({n: b["low"] for n, b in found.items()}, {n: b["low"] for n, b in there.items()})


def test_one_checkpoint_is_a_drift_without_changes(
    follow: Follow, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(checkpoints=checkpoints / "checkpoint-100") == 0
    assert "1 checkpoint, step 100; out:" in said(capsys)
    found = load(tmp_path / "d")
    assert found.steps.tolist() == [100]
    assert not found.changes
    assert found.overall is None


def test_lightnings_checkpoints_give_what_was_seen_in_training(
    checkpoints: Path, corpus: Path, tmp_path: Path, undrawn: None
) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    saving = ModelCheckpoint(tmp_path / "saved", every_n_train_steps=2, save_top_k=-1)
    watching = t.boundary_drift(data=str(corpus), every_n_steps=2, out=tmp_path / "live", batch_tokens=400)
    t.train(tmp_path, watching, saving, steps=4, enable_checkpointing=True)
    model = str(checkpoints / "checkpoint-0")
    found = mspgt.drift(checkpoints=str(tmp_path / "saved"), model=model, data=str(corpus), **KEYS)
    assert found.steps.tolist() == [2, 4]
    live = watching.drift
    for point, seen in zip(found.points, live.points[1:], strict=True):
        assert agree(plain(point.signals), plain(seen.signals))
        assert agree(plain(point.verdicts), plain(seen.verdicts))
    assert agree(plain(found.changes), plain(live.changes[1:]))


def test_one_model_is_in_memory_at_a_time(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    from mspgt.models import checkpoints

    loaded: list[weakref.ref[Any]] = []
    real = checkpoints.load

    def watched(*given: Any) -> Any:
        gc.collect()
        assert [one() for one in loaded if one() is not None] == []
        found = real(*given)
        loaded.append(weakref.ref(found.full))
        return found

    monkeypatch.setattr(checkpoints, "load", watched)
    assert follow() == 0
    assert len(loaded) == len(STEPS)


# ---------------------------------------------------------------------------------------- interrupted


class Killed(BaseException):
    """Stands for a kill: nothing is written after it."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "file",
    [
        "d/state/run.json",
        "d/config.yaml",
        "step-100/state/run.json",
        "step-100/state/data-0/0000-000002.safetensors",
        "d/state/replicates-100.safetensors",
        "d/state/history.json",
        "d/drift.json",
    ],
)
def test_a_kill_at_any_moment_costs_nothing(
    whole: Path, follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, late: bool
) -> None:
    real, dead = os.replace, False

    def replace(source: Path, target: Path) -> None:
        nonlocal dead
        dying = not dead and str(target).endswith(file)
        if not dead and (late or not dying):
            real(source, target)
        dead = dead or dying
        if dead:
            raise Killed

    with monkeypatch.context() as killing:
        killing.setattr("mspgt.callbacks.accumulate.FLUSH_SECONDS", 0.0)
        killing.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            follow()
    assert follow(resume="true") == 0
    assert agree(numbers(load(tmp_path / "d")), numbers(load(whole)))
    assert kept(tmp_path / "d") == kept(whole)


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["drift", str(checkpoints), *words(data=corpus, out=tmp_path / "d")]
    process = stalled(*command, folder="step-100/state/data-0", shards=2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(json.loads((tmp_path / "d/state/history.json").read_text())["history"]["points"]) == 1
    assert main(command) == 2
    assert "holds an unfinished drift; give resume=true to go on with it" in said(capsys)
    assert follow(resume="true") == 0
    assert "going on: 1 of 3 are done already" in said(capsys)
    ours = load(tmp_path / "d")
    assert agree(numbers(ours), numbers(load(whole)))
    assert ours.provenance.sequences_resumed > ours.data.sequences


def test_ctrl_c_is_told_with_how_to_go_on(
    whole: Path, follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mspgt.measure.collector import Collector

    real = Collector.observe

    def interrupted(*given: Any) -> Any:
        if (tmp_path / "d/state/step-100/state/run.json").exists():
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    with monkeypatch.context() as pressing:
        pressing.setattr(Collector, "observe", interrupted)
        assert follow() == 130
    assert f"interrupted; what was computed is saved: run the same command with out={tmp_path}/d resume=true" in said(
        capsys
    )
    assert follow(resume="true") == 0
    assert agree(numbers(load(tmp_path / "d")), numbers(load(whole)))


def test_ctrl_c_before_anything_is_measured_leaves_nothing(
    follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("mspgt.models.checkpoints.load", pressed)
    assert follow() == 130
    assert "nothing was computed yet" in said(capsys)
    assert not (tmp_path / "d").exists()


# ---------------------------------------------------------------------------------------- gone on with


def test_of_a_training_that_has_gone_on_only_the_new_is_measured(
    whole: Path, checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    some(checkpoints, tmp_path, 0, 100)
    assert follow() == 0
    before = load(tmp_path / "d")
    some(checkpoints, tmp_path, 1000)
    capsys.readouterr()
    assert follow(resume="true") == 0
    told = said(capsys)
    assert "going on: 2 of 3 are done already" in told
    assert "checkpoint 3 of 3: checkpoint-1000, step 1,000" in told
    assert "checkpoint 2 of" not in told
    found = load(tmp_path / "d")
    assert agree(numbers(found), numbers(load(whole)))
    assert plain(found.points[:2]) == plain(before.points)


def test_to_go_on_with_what_is_finished_changes_nothing(whole: Path, tmp_path: Path, follow: Follow) -> None:
    shutil.copytree(whole, tmp_path / "d")
    assert follow(resume="true") == 0
    assert numbers(load(tmp_path / "d")) == numbers(load(whole))


def test_a_checkpoint_older_than_the_last_measured_is_refused(
    checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    some(checkpoints, tmp_path, 100)
    assert follow() == 0
    some(checkpoints, tmp_path, 0)
    before = (tmp_path / "d/drift.json").read_bytes()
    assert follow(resume="true") == 2
    assert "checkpoint-0 is of step 0, before step 100 that was measured last" in said(capsys)
    assert (tmp_path / "d/drift.json").read_bytes() == before


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"seed": 3}, "seed (0 there, 3 here)"),
        ({"cka.estimator": "biased"}, "cka.estimator ('debiased' there, 'biased' here)"),
        ({"weights.cka": 0.5}, "weights.cka (None there, 0.5 here)"),
        ({"dtype": "bfloat16"}, "dtype ('auto' there, 'bfloat16' here)"),
        ({"plugins": "cka"}, "plugin attn ("),
        ({"limit": 40}, "limit (None there, 40 here)"),
        ({"data": "grammar"}, "corpus data ("),
    ],
)
def test_other_settings_are_refused_by_name(
    whole: Path, follow: Follow, tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, Any], named: str
) -> None:
    shutil.copytree(whole, tmp_path / "d")
    assert follow(resume="true", **keys) == 2
    assert named in said(capsys)


def test_a_damaged_history_is_refused(
    whole: Path, follow: Follow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path / "d")
    (tmp_path / "d/state/replicates-1000.safetensors").write_bytes(NOTHING)
    assert follow(resume="true") == 2
    assert "history.json is damaged" in said(capsys)


# ---------------------------------------------------------------------------------------- left out


def test_a_damaged_checkpoint_is_left_out_and_the_others_go_on(
    checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = some(checkpoints, tmp_path, *STEPS) / "checkpoint-100/model.safetensors"
    damaged.write_bytes(NOTHING)
    assert follow() == 3
    assert "Left out: checkpoint-100 was left out: " in said(capsys)
    found = load(tmp_path / "d")
    assert found.steps.tolist() == [0, 1000]
    assert [(change.start, change.stop) for change in found.changes] == [(0, 1000)]
    shutil.copy(checkpoints / "checkpoint-100/model.safetensors", damaged)
    assert follow(resume="true") == 3  # its place in the order is gone
    assert numbers(load(tmp_path / "d")) == numbers(found)


def test_the_newest_checkpoint_gets_another_chance(
    whole: Path, checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = some(checkpoints, tmp_path, *STEPS) / "checkpoint-1000/model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1000])  # as if it were being written
    assert follow() == 3
    shutil.copy(checkpoints / "checkpoint-1000/model.safetensors", newest)
    assert follow(resume="true") == 0
    assert agree(numbers(load(tmp_path / "d")), numbers(load(whole)))


def test_where_all_are_damaged_nothing_is_replaced(
    whole: Path, checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in STEPS:
        (some(checkpoints, tmp_path, step) / f"checkpoint-{step}/model.safetensors").write_bytes(NOTHING)
    assert follow() == 2
    assert "none of the checkpoints could be measured. checkpoint-0 was left out: " in said(capsys)
    assert not (tmp_path / "d").exists()
    shutil.copytree(whole, tmp_path / "d")
    assert follow(overwrite="true") == 2
    assert numbers(load(tmp_path / "d")) == numbers(load(whole))


def test_a_model_that_has_come_to_nothing_is_left_out(
    checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    folder = some(checkpoints, tmp_path, 0)
    model = AutoModelForCausalLM.from_pretrained(folder / "checkpoint-0")
    torch.nn.init.constant_(model.model.layers[3].mlp.up_proj.weight, math.nan)
    save(model, folder / "checkpoint-100")
    assert follow() == 3
    assert "checkpoint-100 was left out" in said(capsys)
    assert [path.name for path in (tmp_path / "d/state").glob("step-*")] == []


@pytest.mark.parametrize("resumed", [False, True], ids=["at once", "gone on with"])
@pytest.mark.parametrize("other", ["blocks", "width", "vocabulary"])
def test_a_checkpoint_of_another_kind_is_left_out(
    checkpoints: Path,
    tmp_path: Path,
    follow: Follow,
    capsys: pytest.CaptureFixture[str],
    other: str,
    resumed: bool,
) -> None:
    from transformers import LlamaForCausalLM

    folder = some(checkpoints, tmp_path, 0)
    if resumed:
        assert follow() == 0
    config = t.llama().config
    config.num_hidden_layers += other == "blocks"
    config.hidden_size *= 2 if other == "width" else 1
    save(LlamaForCausalLM(config), folder / "checkpoint-100")
    if other == "vocabulary":
        path = folder / "checkpoint-100/tokenizer.json"
        kept = json.loads(path.read_text())
        one, another = [token for token in kept["model"]["vocab"] if len(token) == 1][:2]
        vocab = kept["model"]["vocab"]
        vocab[one], vocab[another] = vocab[another], vocab[one]
        path.write_text(json.dumps(kept))
    assert follow(resume=str(resumed).lower()) == 3
    reason = {"blocks": "has 13 blocks", "width": "has 32 as the width", "vocabulary": "another vocabulary"}
    assert reason[other] in said(capsys)
    assert load(tmp_path / "d").steps.tolist() == [0]


def test_signals_that_all_raise_leave_no_point(
    checkpoints: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mspgt.plugins.signals.cka.cka import CKA

    def fails(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("no luck")

    monkeypatch.setattr(CKA, "recorder", fails)
    with pytest.raises(UserError, match="no luck"):
        mspgt.drift(checkpoints=str(checkpoints), data=str(corpus), **KEYS | {"plugins": "cka"})


# ---------------------------------------------------------------------------------------- other trainings


def test_against_another_training_answers_prediction_3_2(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "d"
    assert main(["drift", str(checkpoints / "checkpoint-100"), *words(data=corpus, out=out, against=whole)]) == 0
    answer = load(out).prediction_3_2
    assert answer == mspgt.prediction_3_2([out, whole], names=["this training", str(whole)])
    assert "Prediction 3.2" in said(capsys)
    assert "Prediction 3.2" in (out / "report.html").read_text()


def test_a_training_that_cannot_be_compared_costs_no_drift(
    whole: Path, checkpoints: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(against=tmp_path / "nowhere") == 2
    assert not (tmp_path / "d").exists()
    save(t.llama(13), tmp_path / "c/step5")
    assert follow(against=whole) == 3
    found = load(tmp_path / "d")
    assert found.prediction_3_2 is None
    assert found.left_out[0].startswith("prediction 3.2 was left out: ")
    assert "n_layers is 13 in this training and 12" in found.left_out[0]


# ---------------------------------------------------------------------------------------- places


def test_a_drift_and_a_run_do_not_replace_each_other(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", *words(model=checkpoints / "checkpoint-0", data=corpus)]
    assert main([*run, f"out={whole}", "overwrite=true"]) == 2
    assert "holds a drift, not a run" in said(capsys)
    assert main(["evaluate", str(whole)]) == 2
    assert "holds a drift, not a run" in said(capsys)
    assert follow(out=whole) == 2
    assert "holds a finished drift; give overwrite=true to replace it" in said(capsys)
    assert main([*run, f"out={tmp_path / 'd'}"]) == 0
    for how in ({}, {"overwrite": "true"}, {"resume": "true"}):
        assert follow(**how) == 2
        assert "holds a run, not a drift" in said(capsys)


def test_without_out_nothing_is_left_behind(
    checkpoints: Path, corpus: Path, tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = mspgt.drift(checkpoints=str(checkpoints / "checkpoint-0"), data=str(corpus), **KEYS)
    assert found.steps.tolist() == [0]
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------- several processes


def by_two(checkpoints: Path, **keys: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mspgt.cli.main", "drift", str(checkpoints), *words(devices=2, strategy="ddp", **keys)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_two_processes_find_the_same(
    whole: Path, checkpoints: Path, corpus: Path, tmp_path: Path, follow: Follow
) -> None:
    some(checkpoints, tmp_path, 0)
    assert follow() == 0  # by one process, and gone on with by two
    done = by_two(some(checkpoints, tmp_path, *STEPS), data=corpus, out=tmp_path / "d", resume="true")
    assert done.returncode == 0, done.stderr
    ours = load(tmp_path / "d")
    assert ours.provenance.world_size == 2
    assert agree(numbers(ours), numbers(load(whole)))
    assert kept(tmp_path / "d") == kept(whole)


@pytest.mark.slow
def test_two_processes_stop_together_at_a_damaged_checkpoint(checkpoints: Path, corpus: Path, tmp_path: Path) -> None:
    folder = some(checkpoints, tmp_path, *STEPS)
    (folder / "checkpoint-100/model.safetensors").write_bytes(NOTHING)
    done = by_two(folder, data=corpus, out=tmp_path / "d")
    assert done.returncode == 2
    assert "checkpoint-100" in done.stderr
    assert "internal error" not in done.stderr
