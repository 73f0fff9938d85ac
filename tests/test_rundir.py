"""The run directory: never half a file, never somebody else's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mspgt.experiments.rundir import CONFIG, RESULTS, RunDir, existing, fresh, kind_of, require_kind

from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_json, writing
from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.measure.collector import READING
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.shards import write_shard


def test_a_folder_that_is_no_run_is_never_cleared(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match="no run directory"):
        fresh(str(tmp_path), overwrite=True, stem="x")
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("theirs", ["config.yaml", "state/precious.bin"])
def test_a_name_like_ours_makes_no_run(tmp_path: Path, theirs: str) -> None:
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match="no run directory"):
        fresh(str(tmp_path), overwrite=True, stem="x")
    assert (tmp_path / theirs).is_file()


def test_a_run_that_stopped_before_its_manifest_is_replaced(tmp_path: Path) -> None:
    run = fresh(str(tmp_path / "r"), overwrite=False, stem="x")
    run.begin()
    run.log("loading")
    fresh(str(run.path), overwrite=False, stem="x").begin()  # nothing was computed
    assert not (run.path / "run.log").exists()
    run.write_manifest({})
    with pytest.raises(UserError, match="unfinished"):
        fresh(str(run.path), overwrite=False, stem="x")
    fresh(str(run.path), overwrite=True, stem="x")


def test_a_finished_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    run = fresh(str(tmp_path / "r"), overwrite=False, stem="x")
    for name in (CONFIG, RESULTS["run"]):
        (run.path / name).write_text("{}", encoding="utf-8")
    (run.path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="overwrite=true"):
        fresh(str(run.path), overwrite=False, stem="x")
    (run.path / "state" / "data-0").mkdir()
    before = sorted(run.path.rglob("*"))
    replaced = fresh(str(run.path), overwrite=True, stem="x")
    replaced.log("loading")
    assert sorted(run.path.rglob("*")) == before  # not until all is checked
    with replaced.locked():
        replaced.begin()
        assert {str(p.relative_to(run.path)) for p in run.path.rglob("*")} == {
            "notes.txt", "run.log", "state", "state/lock",
        }  # fmt: skip
    assert "loading" in (run.path / "run.log").read_text(encoding="utf-8")


def test_without_a_name_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [fresh(None, overwrite=False, stem="m-d").path.name for _ in range(3)] == ["m-d-1", "m-d-2", "m-d-3"]


def test_out_may_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        fresh(str(tmp_path / "f"), overwrite=False, stem="x")


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no states"):
        existing(tmp_path)
    with pytest.raises(UserError, match="no such run directory"):
        existing(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})

    def fill_the_disk() -> None:
        with writing(target) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise OSError(28, "No space left on device")

    with pytest.raises(MachineError, match="No space left"):
        fill_the_disk()
    assert target.read_text(encoding="utf-8") == '{\n "a": 1\n}'
    assert list(tmp_path.iterdir()) == [target]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_a_fingerprint_that_differs_names_the_keys() -> None:
    with pytest.raises(UserError, match=r"max_length \(128 there, 256 here\)"):
        check_fingerprint({"max_length": 128, "seed": 0}, {"max_length": 256, "seed": 0}, "the run")


def test_of_many_keys_that_differ_five_are_named() -> None:
    with pytest.raises(UserError, match=r"k4 \(4 there, 5 here\); and 3 more\. Give") as caught:
        check_fingerprint({f"k{i}": i for i in range(8)}, {f"k{i}": i + 1 for i in range(8)}, "the run")
    assert "k5" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"config.yaml": "model: a"}, None),
        ({"result.json": "{}"}, "run"),
        ({"interventions.json": "{}"}, "experiment"),
        ({"state/run.json": '{"fingerprint": {}, "signals": {}}'}, "run"),
        ({"state/run.json": '{"fingerprint": {}}'}, "experiment"),
        ({"state/run.json": "{dama", "interventions.json": "{}"}, "experiment"),
        ({"state/run.json": "{dama"}, None),
    ],
)
def test_run_and_experiment_are_told_apart(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    (tmp_path / "state").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert kind_of(tmp_path) == kind
    other = "run" if kind == "experiment" else "experiment"
    if kind is None:
        require_kind(tmp_path, other)
    else:
        with pytest.raises(UserError, match=f"holds an? {kind}, not an? {other}: name another directory"):
            require_kind(tmp_path, other)


def test_states_that_are_to_be_replaced_count_as_none(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    table = Table(torch.tensor([0]), {"sentences": torch.tensor([3])})
    state = State((Key("data", "d", 0),), {"sequences": table})
    write_shard(run.pass_folder("data", 0) / "0000-000000.safetensors", {READING: state})
    run.write_manifest({})
    replaced = fresh(str(tmp_path), overwrite=True, stem="x")
    assert (run.sentences_done("data", 0), replaced.sentences_done("data", 0)) == (3, 0)
    assert (len(run.done("data", 0)), len(replaced.done("data", 0))) == (1, 0)


def test_a_folder_that_was_made_in_vain_is_removed(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for out in ("here/a/b", "here"):
        run = fresh(str(tmp_path / out), overwrite=False, stem="x")
        with run.locked():
            run.discard()
        assert list(tmp_path.rglob("*")) == [tmp_path / "here"]
    run = fresh(str(tmp_path / "here/a/b"), overwrite=False, stem="x")
    (tmp_path / "here/a/notes.txt").write_text("mine", encoding="utf-8")
    with run.locked():
        run.discard()
    assert [p.name for p in (tmp_path / "here/a").iterdir()] == ["notes.txt"]
    run = fresh(str(tmp_path / "there"), overwrite=False, stem="x")
    run.begin()
    run.discard()  # work has begun
    assert run.path.is_dir()


def test_done_and_sentences_come_from_every_shard(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for number in range(3):
        table = Table(torch.tensor([0]), {"sentences": torch.tensor([number + 1])})
        state = State((Key("data", "d", number),), {"sequences": table})
        write_shard(run.pass_folder("data", 0) / f"0000-{number:06d}.safetensors", {READING: state})
    assert run.done("data", 0) == {Key("data", "d", n) for n in range(3)}
    assert run.sentences_done("data", 0) == 6
    assert len(run.reading("data").keys) == 3


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    path = run.pass_folder("data", 0) / "0000-000001.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a tensor file")
    with pytest.raises(UserError, match="damaged"):
        run.done("data", 0)


def test_two_processes_never_work_on_one_run(tmp_path: Path) -> None:
    import subprocess
    import sys

    run = fresh(str(tmp_path / "r"), overwrite=False, stem="x")
    run.write_manifest({})
    code = (
        "import sys; from pathlib import Path; from mspgt.experiments.rundir import RunDir, fresh\n"
        "with RunDir(Path(sys.argv[1])).locked():\n    print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another process is at work"):
        run.locked().__enter__()
    with pytest.raises(UserError, match="another process is at work"):
        fresh(str(run.path), overwrite=True, stem="x").locked().__enter__()
    other.kill()
    other.wait()
    with run.locked():  # the lock died with its holder
        pass
