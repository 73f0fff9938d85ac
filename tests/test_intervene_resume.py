"""Experiments of several processes, interrupted ones, and ones that are gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from equal_runs import same_numbers
from stalling import stalled

import mspgt
from mspgt.cli.main import main
from mspgt.results.intervention import Behaviour

Intervene = Callable[..., int]


@pytest.fixture(scope="module")
def base(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys of an experiment on a run over 60 sentences of the grammar."""
    run = tmp_path_factory.mktemp("runs") / "run"
    mspgt.run(model=str(tiny_llama), limit=60, bootstrap=100, accelerator="cpu", plugins=("attn",), out=run)
    keys = {"run": run, "boundaries": "4,8", "samples": 10, "new_tokens": 8, "bootstrap": 100, "swaps": 99,
            "batch_size": 8, "accelerator": "cpu", "metrics": "ttr,self_bleu,divergence"}  # fmt: skip
    return {key: str(value) for key, value in keys.items()}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing in this process."""
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})
    monkeypatch.setattr("mspgt.show.saving.page", lambda *_: "")


@pytest.fixture
def intervene(base: dict[str, str], tmp_path: Path) -> Intervene:
    """`mspgt intervene` into `tmp_path / "e"`, with further keys."""

    def call(*keys: str) -> int:
        given = base | {"out": str(tmp_path / "e")} | dict(key.split("=", 1) for key in keys)
        return main(["intervene", *(f"{k}={v}" for k, v in given.items())])

    return call


@pytest.fixture(scope="module")
def reference(base: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted experiment of one process."""
    out = tmp_path_factory.mktemp("experiments") / "reference"
    mspgt.intervene(**base, out=out)
    return out


def numbers(folder: Path) -> dict[str, Any]:
    """interventions.json without what depends on when and where it was made, and on the order of sums."""
    data = json.loads((folder / "interventions.json").read_text(encoding="utf-8"))
    for row in data["noise"]:
        row["added"] = round(row["added"], 9)
    return {key: value for key, value in data.items() if key not in ("provenance", "settings")}


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("this was done already")


@pytest.mark.slow
def test_two_processes_write_what_one_writes(base: dict[str, str], reference: Path, tmp_path: Path) -> None:
    keys = base | {"devices": "2", "strategy": "ddp", "out": str(tmp_path / "e")}
    done = subprocess.run(
        [sys.executable, "-m", "mspgt.cli.main", "intervene", *(f"{k}={v}" for k, v in keys.items())],
        capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {p.name[:4] for p in (tmp_path / "e/state/prompts-0").glob("*.safetensors")} == {"0000", "0001"}
    assert (tmp_path / "e/generations.jsonl").read_bytes() == (reference / "generations.jsonl").read_bytes()
    assert Behaviour.load(tmp_path / "e").provenance.world_size == 2
    for name, metric in Behaviour.load(tmp_path / "e").metrics.items():
        for condition, level in metric.values.items():
            expected = Behaviour.load(reference).metrics[name].values[condition].mean
            assert level.mean == pytest.approx(expected, rel=1e-5, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_experiment_goes_on_where_it_stopped(
    intervene: Intervene, base: dict[str, str], reference: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "e"
    keys = [f"{k}={v}" for k, v in (base | {"out": str(out)}).items()]
    process = stalled("intervene", *keys, folder="prompts-0", shards=2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), said
    if number == signal.SIGINT:
        assert f"out={out} resume=true" in said
        assert "Traceback" not in said
    assert not (out / "interventions.json").exists()
    assert intervene() == 2  # neither resume nor overwrite was asked for
    assert intervene("resume=true") == 0
    assert 0 < Behaviour.load(out).provenance.sequences_resumed < 10
    assert (out / "generations.jsonl").read_bytes() == (reference / "generations.jsonl").read_bytes()
    assert numbers(out) == numbers(reference)


def test_other_metrics_are_measured_without_generating_again(
    intervene: Intervene, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert intervene("metrics=ttr") == 0
    monkeypatch.setattr("mspgt.experiments.generation.generate", refuse)
    monkeypatch.setattr("mspgt.plugins.metrics.ttr.TypeTokenRatio.measure", refuse)
    assert intervene("metrics=ttr,self_bleu,divergence", "resume=true") == 0
    assert numbers(tmp_path / "e") == numbers(reference)


def test_other_options_of_a_metric_are_measured_anew(intervene: Intervene, tmp_path: Path) -> None:
    assert intervene("metrics=ttr,repetition") == 0
    assert Behaviour.load(tmp_path / "e").metrics["ttr"].values["baseline"].n == 10
    assert intervene("metrics=ttr", "ttr.variant=mattr", "ttr.window=5", "resume=true") == 0
    after = Behaviour.load(tmp_path / "e")
    assert [*after.metrics] == ["ttr"]
    assert 0 < after.metrics["ttr"].values["baseline"].n < 10  # those with five words
    assert intervene("metrics=ttr", "ttr.variant=mattr", "ttr.window=50", "resume=true") == 3  # none has 50 words
    assert "no value for any of the" in Behaviour.load(tmp_path / "e").not_measured["ttr"]


def test_a_metric_that_failed_is_measured_when_it_can_be(
    intervene: Intervene, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mspgt.plugins.metrics.ttr.TypeTokenRatio.measure", refuse)
        assert intervene() == 3
    assert [*Behaviour.load(tmp_path / "e").not_measured] == ["ttr"]
    assert intervene("resume=true") == 0
    assert numbers(tmp_path / "e") == numbers(reference)


@pytest.mark.parametrize(
    ("key", "there"),
    [("sigma=0.2", "[0.1]"), ("seed=1", "0"), ("new_tokens=9", "8"), ("boundaries=4,9", "[4, 8]"),
     ("decoding=greedy", "'sample'"), ("gaussian.per_dim=true", "False"), ("samples=9", "10")],
)  # fmt: skip
def test_another_setting_is_refused_and_named(
    intervene: Intervene, reference: Path, capsys: pytest.CaptureFixture[str], key: str, there: str
) -> None:
    before = (reference / "interventions.json").read_bytes()
    assert intervene(f"out={reference}", key, "resume=true") == 2
    assert f"{key.partition('=')[0]} ({there} there" in capsys.readouterr().err
    assert (reference / "interventions.json").read_bytes() == before


def test_a_finished_experiment_is_replaced_only_on_request(
    intervene: Intervene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert intervene() == 0
    before = (tmp_path / "e" / "generations.jsonl").read_bytes()
    assert intervene("seed=1") == 2
    assert "overwrite=true" in capsys.readouterr().err
    assert (tmp_path / "e" / "generations.jsonl").read_bytes() == before
    assert intervene("seed=1", "overwrite=true") == 0
    assert (tmp_path / "e" / "generations.jsonl").read_bytes() != before


def test_a_run_is_never_gone_on_with_or_replaced_by_its_experiment(
    intervene: Intervene, base: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"out={Path(base['run']).parent}/../{Path(base['run']).parent.name}/run"
    for keys in ((), ("overwrite=true",), ("resume=true",)):
        assert intervene(out, *keys) == 2
        assert "the run itself" in capsys.readouterr().err
    assert mspgt.load(base["run"]).n_layers == 12


def test_another_run_is_not_gone_on_with(
    intervene: Intervene, base: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(base["run"], tmp_path / "e")
    assert intervene("resume=true") == 2
    assert "holds a run, not an experiment" in capsys.readouterr().err
    assert same_numbers(mspgt.load(tmp_path / "e"), mspgt.load(base["run"]))


def test_going_on_needs_a_place(base: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["intervene", *(f"{k}={v}" for k, v in base.items()), "resume=true"]) == 2
    assert "resume=true needs out=DIRECTORY" in capsys.readouterr().err
