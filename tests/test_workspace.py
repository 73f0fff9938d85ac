"""The workspace: never half a file, never somebody else's folder, never two processes in one directory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mspgt.config.shared import Place
from mspgt.core.codec import plain
from mspgt.core.errors import Interrupted, MachineError, UserError
from mspgt.core.files import write_json, writing
from mspgt.core.key import Key
from mspgt.core.state import State, Table
from mspgt.experiments.directory import CONFIG, kind_of
from mspgt.experiments.workspace import Workspace, existing, workspace
from mspgt.measure.collector import CENSUS
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.shards import write_shard
from mspgt.measure.store import Manifest, Store
from mspgt.results.intervention import Behaviour
from mspgt.results.kinds import Kind, record_class, resolve
from mspgt.results.run import Run

MANIFEST = Manifest("run", {"seed": 0})


def work(
    out: Path | None, *, overwrite: bool = False, resume: bool = False, kind: Kind = Run.kind, begins: bool = True
) -> Workspace:
    """Enter a workspace, begin there if all is checked, and leave it again."""
    place = Place(None if out is None else str(out), overwrite, resume)
    with workspace(place, kind, "m-d", None, temporary=False) as w:
        if begins:
            w.log("loading")
            w.begin()
    return w


def files(folder: Path) -> set[str]:
    """All files and folders but the lock."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.name != "lock"}


def sequence(number: int, sentences: int) -> State:
    """What was read of one sequence."""
    table = Table(torch.tensor([0]), {"sentences": torch.tensor([sentences])})
    return State((Key("data", "d", number),), {"sequences": table})


@pytest.mark.parametrize("theirs", ["thesis.txt", "config.yaml", "state/precious.bin"])
def test_a_folder_that_is_no_run_is_never_cleared(tmp_path: Path, theirs: str) -> None:
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match="no run directory"):
        work(tmp_path, overwrite=True)
    assert (tmp_path / theirs).read_text(encoding="utf-8") == "precious"


def test_work_that_stopped_before_its_manifest_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "r"
    work(out)
    assert len((out / "run.log").read_text(encoding="utf-8").splitlines()) == 1
    w = work(out)  # nothing was computed
    assert len((out / "run.log").read_text(encoding="utf-8").splitlines()) == 1
    w.store.write_manifest(MANIFEST)
    with pytest.raises(UserError, match="unfinished"):
        work(out)
    work(out, resume=True)
    work(out, overwrite=True)


def test_a_finished_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "r"
    work(out)
    for name in (CONFIG, "result.json", "signals.csv"):
        (out / name).write_text("{}", encoding="utf-8")
    (out / "state" / "data-0").mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (out / "figures").mkdir()
    before = files(out)
    with pytest.raises(UserError, match="holds a finished run; give overwrite=true"):
        work(out)
    with workspace(Place(str(out), overwrite=True), Run.kind, "m-d", None, temporary=False) as w:
        w.log("starting anew")
        assert files(out) == before  # not until all is checked
        assert "anew" not in (out / "run.log").read_text(encoding="utf-8")
        w.begin()
        assert files(out) == {"notes.txt", "run.log", "state"}
    assert "starting anew" in (out / "run.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["run", "intervention", "drift"])
def test_nothing_that_a_verb_wrote_outlives_what_replaces_it(tmp_path: Path, kind: str) -> None:
    declared = record_class(kind).kind
    written = [declared.file, *(part.file for part in resolve(declared.shown).tables.values())]
    work(tmp_path / "r")
    for name in (CONFIG, "report.html", "generations.jsonl", *written):
        (tmp_path / "r" / name).write_text("{}", encoding="utf-8")
    work(tmp_path / "r", overwrite=True, kind=declared)
    assert files(tmp_path / "r") == {"run.log", "state"}


def test_without_a_name_runs_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [work(None).path.name for _ in range(3)] == ["m-d-1", "m-d-2", "m-d-3"]


def test_out_may_not_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        work(tmp_path / "f")


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no states"):
        existing(tmp_path, Run.kind)
    with pytest.raises(UserError, match="no such run directory"):
        existing(tmp_path / "none", Run.kind)


def test_resume_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resume=true needs out=DIRECTORY"):
        work(None, resume=True)
    with pytest.raises(UserError, match="give one of them"):
        work(tmp_path / "r", resume=True, overwrite=True)


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


def begun(kind: str) -> str:
    """The manifest of work that leads to a kind of result."""
    return json.dumps(plain(Manifest(kind, {})))


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"config.yaml": "model: a"}, None),
        ({"result.json": "{}"}, "run"),
        ({"interventions.json": "{}"}, "intervention"),
        ({"drift.json": "{}"}, "drift"),
        ({"state/run.json": begun("run")}, "run"),
        ({"state/run.json": begun("intervention")}, "intervention"),
        ({"state/run.json": begun("drift"), "result.json": "{}"}, "drift"),
        ({"state/run.json": "{dama", "interventions.json": "{}"}, "intervention"),
        ({"state/run.json": "{dama"}, None),
    ],
)
def test_kinds_are_told_apart(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    (tmp_path / "state").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert kind_of(tmp_path) == kind
    if kind is not None:
        (tmp_path / CONFIG).write_text("model: a", encoding="utf-8")
        other = Run.kind if kind != "run" else Behaviour.kind
        sentence = f"holds {record_class(kind).kind.what}, not {other.what}"
        for resume in (False, True):
            with pytest.raises(UserError, match=sentence):
                work(tmp_path, overwrite=not resume, resume=resume, kind=other)
        with pytest.raises(UserError, match=sentence):
            existing(tmp_path, other)


def test_states_that_are_to_be_replaced_count_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    write_shard(store.folder("data", 0) / "0000-000000.safetensors", {CENSUS: sequence(0, 3)})
    store.write_manifest(MANIFEST)
    assert (store.sentences_done("data", 0), len(store.done("data", 0))) == (3, 1)
    with workspace(Place(str(tmp_path), overwrite=True), Run.kind, "m-d", None, temporary=False) as w:
        assert (w.store.sentences_done("data", 0), len(w.store.done("data", 0))) == (0, 0)


def test_a_folder_that_was_made_in_vain_is_removed(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for out in ("here/a/b", "here"):
        work(tmp_path / out, begins=False)
        assert list(tmp_path.rglob("*")) == [tmp_path / "here"]
    with workspace(Place(str(tmp_path / "here/a/b")), Run.kind, "m-d", None, temporary=False):
        (tmp_path / "here/a/notes.txt").write_text("mine", encoding="utf-8")
    assert [p.name for p in (tmp_path / "here/a").iterdir()] == ["notes.txt"]
    work(tmp_path / "there")  # work has begun
    assert (tmp_path / "there").is_dir()


def test_a_temporary_workspace_is_gone_afterwards_unless_it_was_interrupted() -> None:
    def interrupted() -> None:
        with workspace(Place(), Run.kind, "m-d", None, temporary=True) as w:
            left.append(w.path)
            w.begin()
            raise KeyboardInterrupt

    left: list[Path] = []
    with workspace(Place(), Run.kind, "m-d", None, temporary=True) as w:
        w.begin()
        assert w.path.is_dir()
    assert not w.path.exists()
    with pytest.raises(Interrupted, match="resume=true to go on") as caught:
        interrupted()
    assert f"out={left[0]} " in str(caught.value)
    assert (left[0] / "run.log").read_text(encoding="utf-8").endswith(" interrupted\n")


def test_done_and_sentences_come_from_every_shard(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(3):
        write_shard(store.folder("data", 0) / f"0000-{number:06d}.safetensors", {CENSUS: sequence(number, number + 1)})
    assert store.done("data", 0) == {Key("data", "d", n) for n in range(3)}
    assert store.sentences_done("data", 0) == 6
    assert len(store.census("data").keys) == 3


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.folder("data", 0) / "0000-000001.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a tensor file")
    with pytest.raises(UserError, match="damaged"):
        store.done("data", 0)


@pytest.mark.parametrize("given", [{"overwrite": True}, {"resume": True}, {}])
def test_work_of_an_unknown_kind_is_refused(tmp_path: Path, given: dict[str, bool]) -> None:
    out = tmp_path / "r"
    work(out).store.write_manifest(replace(MANIFEST, kind="sculpture"))
    (out / CONFIG).write_text("")
    with pytest.raises(
        UserError, match="r holds work of the unknown kind 'sculpture', not of run, intervention, drift"
    ):
        work(out, **given)
    with pytest.raises(UserError, match="unknown kind 'sculpture'"):
        existing(out, Run.kind)


def test_a_damaged_manifest_is_named_with_its_field(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    with pytest.raises(UserError, match=r"has no states to work with \(run.json is missing"):
        store.manifest()
    store.path.mkdir()
    for text, reason in (("{dama", "is damaged"), ('{"kind": "run"}', "fingerprint")):
        (store.path / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=f"{reason}.*overwrite=true"):
            store.manifest()


def test_the_first_process_is_believed_where_several_failed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_failures(1, {"cka": "of 1", "attn": "of 1"})
    store.write_failures(0, {"cka": "of 0"})
    assert store.failures() == {"cka": "of 0", "attn": "of 1"}
    store.clear_failures()
    assert store.failures() == {}


def test_two_processes_never_work_in_one_directory(tmp_path: Path) -> None:
    out = tmp_path / "r"
    work(out).store.write_manifest(MANIFEST)
    (out / CONFIG).write_text("{}", encoding="utf-8")
    code = (
        "import sys; from mspgt.config.shared import Place; from mspgt.results.run import Run\n"
        "from mspgt.experiments.workspace import workspace\n"
        "with workspace(Place(sys.argv[1], resume=True), Run.kind, 'x', None, False):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(out)], text=True, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        before = files(out)
        for how in ("resume", "overwrite"):
            with pytest.raises(UserError, match="another process is at work"):
                work(out, **{how: True})
        assert files(out) == before
        other.kill()
    work(out, overwrite=True)  # the lock died with its holder
