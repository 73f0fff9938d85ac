"""The main job end to end, on small real checkpoints and through the command line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from equal_runs import same_numbers
from stalling import stalled

import mspgt
from mspgt.cli.main import main
from mspgt.core.errors import Interrupted
from mspgt.core.files import locked
from mspgt.grammar import documents

Run = Callable[..., int]


@pytest.fixture
def mspgt_run(tiny_llama: Path) -> Run:
    """`mspgt run` on the tiny Llama and 300 sentences of the grammar, with further keys."""

    def run(*keys: str) -> int:
        base = {
            "model": str(tiny_llama),
            "limit": "300",
            "bootstrap": "100",
            "accelerator": "cpu",
            "plugins": "cka,attn",
        }
        given = dict(key.split("=", 1) for key in keys)
        return main(["run", *(f"{k}={v}" for k, v in (base | given).items())])

    return run


@pytest.fixture(scope="session")
def reference(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted run of all three signals, for others to be compared with."""
    out = tmp_path_factory.mktemp("runs") / "reference"
    keys = {"model": tiny_llama, "limit": 300, "bootstrap": 100, "accelerator": "cpu", "probe.seeds": 2,
            "batch_tokens": 500, "out": out}  # fmt: skip
    assert main(["run", *(f"{k}={v}" for k, v in keys.items())]) == 0
    return out


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def command(*keys: str) -> list[str]:
    return [sys.executable, "-m", "mspgt.cli.main", "run", *keys]


def test_a_run_leaves_what_the_readme_promises(reference: Path) -> None:
    for name in ("config.yaml", "result.json", "signals.csv", "report.html", "run.log", "state/run.json"):
        assert (reference / name).stat().st_size > 0, name
    assert {p.suffix for p in (reference / "figures").iterdir()} == {".svg", ".png"}
    found = result(reference)
    assert found["model"]["n_layers"] == 12
    assert set(found["signals"]) == {"cka", "probe", "attn"}
    for curve in found["signals"].values():
        assert curve["transition"] == list(range(1, 12))
        assert all(low <= high for low, high in zip(curve["low"], curve["high"], strict=True))
    assert found["data"]["sentences"] == 300
    assert set(found["data"]["labels"]) == {"pos", "dep", "ner", "srl"}
    assert found["left_out"] == []


def test_an_untrained_model_has_no_accepted_boundaries(reference: Path) -> None:
    assert not result(reference)["verdicts"]["mspgt"]["accepted"]


def test_python_and_the_command_line_give_the_same(reference: Path, tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    found = mspgt.run(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(tiny_llama),
        data=list(documents(300, 0)),
        plugins=["cka", "attn"],
        bootstrap=100,
        accelerator="cpu",
    )
    there = mspgt.load(reference)
    for name in ("cka", "attn"):
        np.testing.assert_allclose(found.signals[name].value, there.signals[name].value, rtol=1e-5)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.slow
def test_a_model_in_double_precision_gives_the_same(reference: Path, tiny_llama: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_llama).double()
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    settings = mspgt.load(reference).settings
    keys = {key: settings[key] for key in ("plugins", "limit", "bootstrap", "accelerator")}
    found, there = mspgt.run(model=model, tokenizer=tokenizer, **keys), mspgt.load(reference)
    assert found.model.dtype == "float64"
    for name in ("cka", "attn"):
        np.testing.assert_allclose(found.signals[name].value, there.signals[name].value, rtol=1e-4)


def test_batch_budget_does_not_matter(mspgt_run: Run, reference: Path, tmp_path: Path) -> None:
    assert mspgt_run("batch_tokens=2000", f"out={tmp_path / 'r'}") == 0
    ours, there = mspgt.load(tmp_path / "r"), mspgt.load(reference)
    for name in ("cka", "attn"):
        np.testing.assert_allclose(ours.signals[name].value, there.signals[name].value, rtol=1e-5)


@pytest.mark.slow
def test_evaluate_recomputes_from_states_alone(mspgt_run: Run, tmp_path: Path) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}") == 0
    before = mspgt.load(tmp_path / "r")
    assert main(["evaluate", str(tmp_path / "r")]) == 0
    assert same_numbers(mspgt.load(tmp_path / "r"), before)
    assert main(["evaluate", str(tmp_path / "r"), "weights.cka=0.1", "prominence=0.01", "bootstrap=150"]) == 0
    after = mspgt.load(tmp_path / "r")
    assert after.signals["cka"].weight == pytest.approx(0.1)
    assert after.bootstrap.replicates == 150
    assert after.verdicts["mspgt"].prominence == pytest.approx(0.01)
    np.testing.assert_array_equal(after.signals["attn"].value, before.signals["attn"].value)


def test_evaluate_waits_for_no_other_process(
    mspgt_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}") == 0
    with locked(tmp_path / "r/state/lock", ""):
        assert main(["evaluate", str(tmp_path / "r"), "bootstrap=150"]) == 2
    assert "another process is at work" in capsys.readouterr().err
    assert mspgt.load(tmp_path / "r").bootstrap.replicates != 150


def test_evaluate_refuses_keys_that_need_new_states(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(reference), "limit=5"]) == 2
    assert "without new states" in capsys.readouterr().err


@pytest.mark.slow
def test_states_that_were_taken_away_are_missed_and_measured_again(
    mspgt_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    assert mspgt_run(f"out={out}", "batch_tokens=1000") == 0
    before = mspgt.load(out)
    shards = sorted((out / "state" / "data-0").glob("*.safetensors"))
    shards[0].unlink()
    written = (out / "result.json").read_bytes()
    assert main(["evaluate", str(out), "bootstrap=150"]) == 2
    assert "of the run's" in capsys.readouterr().err
    assert (out / "result.json").read_bytes() == written
    assert mspgt_run(f"out={out}", "batch_tokens=1000", "resume=true") == 0
    assert mspgt.load(out).data == before.data
    np.testing.assert_allclose(mspgt.load(out).signals["cka"].value, before.signals["cka"].value, rtol=1e-5)


def write_corpus(path: Path, part: slice) -> None:
    from conllu_writer import write

    with open(path, "w", encoding="utf-8") as file:
        write(list(documents(300, 0))[part], file)


@pytest.mark.slow
def test_merged_runs_equal_one_run(mspgt_run: Run, tmp_path: Path) -> None:
    write_corpus(tmp_path / "all.conllup", slice(None))
    write_corpus(tmp_path / "a.conllup", slice(None, 7))
    write_corpus(tmp_path / "b.conllup", slice(7, None))
    for name in ("all", "a", "b"):
        out = f"out={tmp_path / name}"
        keys = (
            f"data={tmp_path / name}.conllup",
            out,
            "plugins=cka,probe,attn",
            "probe.seeds=1",
            "probe.control=false",
        )
        assert mspgt_run(*keys) in (0, 3)
    assert main(["merge", str(tmp_path / "a"), str(tmp_path / "b"), f"out={tmp_path / 'c'}"]) == 0
    whole, merged = mspgt.load(tmp_path / "all"), mspgt.load(tmp_path / "c")
    for name in ("cka", "probe", "attn"):
        np.testing.assert_allclose(merged.signals[name].value, whole.signals[name].value, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(merged.signals[name].low, whole.signals[name].low, rtol=1e-4, atol=1e-6)


def test_a_merge_that_stopped_half_way_is_no_run(
    mspgt_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, part in (("a", slice(None, 7)), ("b", slice(7, None))):
        write_corpus(tmp_path / f"{name}.conllup", part)
        assert mspgt_run(f"data={tmp_path / name}.conllup", f"out={tmp_path / name}", "plugins=attn") in (0, 3)
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if tmp_path / "b" in source.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    arguments = ["merge", str(tmp_path / "a"), str(tmp_path / "b"), f"out={tmp_path / 'c'}"]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        assert main(arguments) == 1
    assert main(["evaluate", str(tmp_path / "c")]) == 2
    assert "is unfinished" in capsys.readouterr().err
    assert main([*arguments, "overwrite=true"]) in (0, 3)


def test_runs_that_share_documents_are_not_merged(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(reference, tmp_path / "copy")
    assert main(["merge", str(reference), str(tmp_path / "copy"), f"out={tmp_path / 'c'}"]) == 2
    assert "disjoint" in capsys.readouterr().err


@pytest.mark.slow
def test_a_second_corpus_that_runs_share_counts_once(mspgt_run: Run, tmp_path: Path) -> None:
    write_corpus(tmp_path / "a.conllup", slice(None, 7))
    write_corpus(tmp_path / "b.conllup", slice(7, None))
    labels = ("plugins=cka,probe", "probe.seeds=1", "probe.control=false", f"labels={tmp_path / 'a.conllup'}")
    for name in ("a", "b"):
        assert mspgt_run(f"data={tmp_path / name}.conllup", f"out={tmp_path / name}", *labels) in (0, 3)
    assert main(["merge", str(tmp_path / "a"), str(tmp_path / "b"), f"out={tmp_path / 'c'}"]) in (0, 3)
    one, merged = mspgt.load(tmp_path / "a"), mspgt.load(tmp_path / "c")
    assert merged.data.labels == one.data.labels
    np.testing.assert_array_equal(merged.signals["probe"].value, one.signals["probe"].value)


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_model_is_as_it_was_after_an_error(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    from mspgt.measure.collector import Collector

    def fail(*_: object) -> None:
        raise error

    model, tokenizer = loaded(tiny_llama)
    model.train()
    model.model.layers[2].eval()

    def look() -> tuple[object, ...]:
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        return [m.training for m in model.modules()], hooks, model.config._attn_implementation

    before, handler = look(), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Collector, "observe", fail)
    with pytest.raises(Interrupted if error is KeyboardInterrupt else error):
        mspgt.run(model=model, tokenizer=tokenizer, plugins=["attn"], limit=50, accelerator="cpu")
    assert look() == before
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tiny_llama: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "ddp"
    keys = (f"model={tiny_llama}", "limit=300", "bootstrap=100", "accelerator=cpu", "devices=2", "strategy=ddp",
            "batch_tokens=500", "probe.seeds=2", f"out={out}")  # fmt: skip
    done = subprocess.run(
        command(*keys), capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    ours, there = mspgt.load(out), mspgt.load(reference)
    assert ours.provenance.world_size == 2
    assert {p.name[:4] for p in (out / "state/data-0").glob("*.safetensors")} == {"0000", "0001"}
    assert ours.data == there.data
    for name in ("cka", "attn"):
        np.testing.assert_allclose(ours.signals[name].value, there.signals[name].value, rtol=1e-5)
        np.testing.assert_allclose(ours.signals[name].low, there.signals[name].low, rtol=1e-5)
    ours_probe, probe = ours.signals["probe"], there.signals["probe"]
    assert np.abs(ours_probe.value - probe.value).max() <= probe.series["standard_error"].values["standard_error"].max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "batch_tokens"), [(signal.SIGKILL, 500), (signal.SIGINT, 500), (signal.SIGTERM, 700)]
)
def test_an_interrupted_run_goes_on_where_it_stopped(
    tiny_llama: Path, reference: Path, tmp_path: Path, number: signal.Signals, batch_tokens: int
) -> None:
    out = tmp_path / "r"
    keys = (f"model={tiny_llama}", "limit=300", "bootstrap=100", "accelerator=cpu", "probe.seeds=2", f"out={out}")
    process = stalled("run", "batch_tokens=500", *keys, folder="data-0", shards=3)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), error
    if number != signal.SIGKILL:
        assert "resume=true" in error
        assert "Traceback" not in error
    assert not (out / "result.json").exists()
    assert main(["run", *keys, "batch_tokens=500"]) == 2  # neither resume nor overwrite was asked for
    assert main(["run", *keys, f"batch_tokens={batch_tokens}", "resume=true"]) == 0
    ours, there = mspgt.load(out), mspgt.load(reference)
    assert ours.provenance.sequences_resumed > 0
    if batch_tokens == 500:  # the same batches: to the last bit
        assert same_numbers(ours, there)
    for name in ("cka", "attn", "probe"):
        np.testing.assert_allclose(ours.signals[name].value, there.signals[name].value, rtol=1e-3, atol=1e-3)
    assert ours.verdicts["mspgt"].status == there.verdicts["mspgt"].status


def test_resume_refuses_other_settings(mspgt_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}") == 0
    assert mspgt_run(f"out={tmp_path / 'r'}", "resume=true", "max_length=64") == 2
    assert "max_length (128 there, 64 here)" in capsys.readouterr().err
    assert mspgt_run(f"out={tmp_path / 'r'}", "resume=true", "limit=200") == 2
    assert "corpus" in capsys.readouterr().err
    assert mspgt_run(f"out={tmp_path / 'r'}", "resume=true", "plugins=cka") == 2
    assert "plugin attn" in capsys.readouterr().err


def test_resume_refuses_another_limit_of_the_same_file(
    mspgt_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path / "all.conllup", slice(None))
    keys = (f"data={tmp_path / 'all.conllup'}", f"out={tmp_path / 'r'}", "plugins=cka")
    assert mspgt_run(*keys, "limit=120") in (0, 3)
    assert mspgt_run(*keys, "limit=150", "resume=true") == 2
    assert "limit of data (120 there, 150 here)" in capsys.readouterr().err


def test_resuming_a_finished_run_changes_nothing(mspgt_run: Run, tmp_path: Path) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}") == 0
    before = mspgt.load(tmp_path / "r")
    assert mspgt_run(f"out={tmp_path / 'r'}", "resume=true") == 0
    assert same_numbers(mspgt.load(tmp_path / "r"), before)


@pytest.mark.parametrize(
    "options",
    [
        ("cka.estimator=biased", "attn.heads=index"),
        ("cka.estimator=full", "attn.heads=matched"),
        ("cka.unit=sentence_mean", "cka.scale=zscore", "attn.sink=drop"),
    ],
)
def test_options_of_signals_run_end_to_end(mspgt_run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}", *options) == 0
    for curve in mspgt.load(tmp_path / "r").signals.values():
        assert np.isfinite(curve.value).all()
        assert (curve.low <= curve.high).all()


@pytest.mark.parametrize("key", ["dtype=bfloat16", "device_map=cpu"])
def test_precision_and_placement_pass_through(mspgt_run: Run, reference: Path, tmp_path: Path, key: str) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}", key, "plugins=cka") == 0
    ours, there = mspgt.load(tmp_path / "r").signals["cka"], mspgt.load(reference).signals["cka"]
    np.testing.assert_allclose(ours.value, there.value, rtol=0.05)


def test_an_estimator_without_document_intervals_says_so(mspgt_run: Run, tmp_path: Path) -> None:
    assert mspgt_run(f"out={tmp_path / 'r'}", "cka.estimator=minibatch") in (0, 3)
    found = result(tmp_path / "r")
    assert set(found["signals"]["cka"]["low"]) == {None}
    assert "no_document_intervals" in found["signals"]["cka"]["flags"]
    assert not found["verdicts"]["mspgt"]["accepted"]


@pytest.mark.slow
def test_a_signal_of_two_passes_resumes_between_them(mspgt_run: Run, tmp_path: Path) -> None:
    options = ("cka.estimator=full", "attn.heads=matched")
    assert mspgt_run(f"out={tmp_path / 'whole'}", *options) == 0
    assert mspgt_run(f"out={tmp_path / 'cut'}", *options) == 0
    for path in (tmp_path / "cut" / "state" / "data-1").iterdir():
        path.unlink()  # as if killed in the second pass
    (tmp_path / "cut" / "result.json").unlink()
    assert mspgt_run(f"out={tmp_path / 'cut'}", *options, "resume=true") == 0
    assert same_numbers(mspgt.load(tmp_path / "cut"), mspgt.load(tmp_path / "whole"), rtol=1e-9)
