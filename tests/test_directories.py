"""A refused command changes nothing on disk: neither results that stood there nor a folder made in vain."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from equal_runs import same_numbers

import mspgt
from mspgt.cli.main import main
from mspgt.config.intervene import InterveneConfig
from mspgt.config.keys import key_values
from mspgt.config.run import build
from mspgt.core.errors import Interrupted, UserError
from mspgt.experiments import intervene, measuring, run
from mspgt.measure.store import Manifest, Store

Say = Callable[..., str]


@pytest.fixture(scope="module")
def base(tiny_llama: Path) -> dict[str, str]:
    """Settings of a short run."""
    return {"model": str(tiny_llama), "limit": "60", "bootstrap": "100", "accelerator": "cpu", "plugins": "attn"}


@pytest.fixture(scope="module")
def made(base: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, `r`, and what a finished experiment looks like, `e`."""
    folder = tmp_path_factory.mktemp("made")
    mspgt.run(**base, out=folder / "r")
    (folder / "e" / "state").mkdir(parents=True)
    Store(folder / "e" / "state").write_manifest(Manifest("intervention", {"seed": 0}))
    for name in ("config.yaml", "interventions.json"):
        (folder / "e" / name).write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Say:
    """Give a command that is refused; its sentence."""

    def call(*arguments: str) -> str:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return " ".join(error.split())

    return call


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file but locks, and every folder."""
    found = {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
    return {name: content for name, content in found.items() if Path(name).name != "lock"}


def keys(settings: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run {base} out={made}/r overwrite=true data={made}/none.txt", "none.txt"),
        ("run {base} out={made}/r overwrite=true layers_path=model.nothing", "layers_path"),
        ("run {base} out={made}/r overwrite=true accelerator=warp", "accelerator=warp"),
        ("run {base} out={made}/r resume=true limit=70", "limit of data"),
        ("run {base} out={made}/r", "holds a finished run; give overwrite=true"),
        ("run {base} out={made}/e overwrite=true", "holds an experiment, not a run"),
        ("run {base} out={made}/e resume=true", "holds an experiment, not a run"),
        ("intervene {made}/r boundaries=4,8 out={made}/e overwrite=true sigma=-1", "sigma=-1"),
        ("intervene {made}/r boundaries=4,8 out={made}/e overwrite=true samples=2000", "samples"),
        ("intervene {made}/r boundaries=4,8 out={made}/e", "holds a finished experiment; give overwrite=true"),
        ("intervene model={model} boundaries=4,8 out={made}/r overwrite=true", "holds a run, not an experiment"),
        ("intervene model={model} boundaries=4,8 out={made}/r resume=true", "holds a run, not an experiment"),
        ("evaluate {made}/e", "holds an experiment, not a run"),
        ("merge {made}/r {made}/e out={made}/m", "holds an experiment, not a run"),
        ("merge {made}/r out={made}/r overwrite=true", "at least two run directories"),
    ],
)
def test_a_refused_command_changes_nothing(
    made: Path, base: dict[str, str], refused: Say, arguments: str, said: str
) -> None:
    before = contents(made)
    words = arguments.format(base=" ".join(keys(base)), made=made, model=base["model"]).split()
    given = {word.partition("=")[0]: word for word in words}  # a key that is given again replaces that of the base
    assert said in refused(*given.values())
    assert contents(made) == before


def test_an_interrupt_before_anything_was_computed_changes_nothing(
    made: Path, base: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(run, "load_model", interrupted)
    before = contents(made)
    for out in ("r", "new"):
        assert main(["run", *keys(base), f"out={made / out}", "overwrite=true"]) == 130
        assert capsys.readouterr().err.strip().endswith("mspgt: interrupted; nothing was computed yet.")
        assert contents(made) == before


def test_an_interrupt_is_logged(base: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "pass_over", interrupted)
    with pytest.raises(Interrupted, match="resume=true to go on"):
        mspgt.run(**base, out=tmp_path / "r")
    log = (tmp_path / "r" / "run.log").read_text(encoding="utf-8").splitlines()
    assert "loading" in log[1]
    assert log[-1].endswith(" interrupted")


def test_what_is_asked_to_be_replaced_is_replaced(base: dict[str, str], tmp_path: Path) -> None:
    first = mspgt.run(**base, out=tmp_path / "r")
    (tmp_path / "r" / "notes.txt").write_text("mine", encoding="utf-8")
    shards = {p.name for p in (tmp_path / "r" / "state" / "data-0").iterdir()}
    second = mspgt.run(**base | {"limit": "50"}, out=tmp_path / "r", overwrite=True)
    assert not same_numbers(second, first)
    assert second.data.sentences < first.data.sentences
    assert (tmp_path / "r" / "notes.txt").is_file()
    assert len((tmp_path / "r" / "run.log").read_text(encoding="utf-8").split("loading")) == 2
    assert {p.name for p in (tmp_path / "r" / "state" / "data-0").iterdir()} <= shards


def test_a_finished_run_without_settings_is_not_replaced_by_resume(made: Path, base: dict[str, str]) -> None:
    (made / "r" / "config.yaml").rename(made / "kept.yaml")
    try:
        with pytest.raises(UserError, match="holds a finished run; give overwrite=true"):
            mspgt.run(**base, out=made / "r", resume=True)
        assert (made / "r" / "result.json").is_file()
    finally:
        (made / "kept.yaml").rename(made / "r" / "config.yaml")


@pytest.mark.parametrize("verb", ["run", "intervene"])
def test_a_refused_command_leaves_no_folder(
    base: dict[str, str], refused: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = {"run": ["data=none.txt"], "intervene": ["boundaries=4,8", "sigma=-1"]}[verb]
    for out in ([], ["out=a/b"]):
        refused(verb, f"model={base['model']}", "accelerator=cpu", *wrong, *out)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    refused(verb, f"model={base['model']}", "accelerator=cpu", *wrong)
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs", tmp_path / "runs" / "mine"]


# ------------------------------------------------------------------------------------------- words of a command


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were to be disturbed; none of them is."""
    runs = []

    def start(config: InterveneConfig, *_: object, **__: object) -> None:
        runs.append(config.options.run)
        raise UserError("enough")

    monkeypatch.setattr(intervene, "start", start)
    return runs


def test_a_first_word_is_the_run_to_disturb(made: Path, refused: Say, asked: list[str]) -> None:
    rest = [f"out={made}/new", "boundaries=4,8"]
    assert refused("intervene", f"{made}/r", *rest) == refused("intervene", f"run={made}/r", *rest) == "mspgt: enough"
    assert asked == [f"{made}/r"] * 2
    assert "key 'run' is given twice ('a' and 'b')" in refused("intervene", "a", "run=b")
    assert "got 2 names" in refused("intervene", "a", "b")


def test_the_example_fits_the_verb(refused: Say) -> None:
    assert "'a.txt' is no key=value; write for example data=a.txt." in refused("run", "a.txt")
    assert "'a' is no key=value; write for example run=a." in refused("intervene", "sigma=1", "a")
    assert "'a' is no key=value; expected mspgt evaluate RUN" in refused("evaluate", "r", "bootstrap=100", "a")
    with pytest.raises(UserError, match=re.escape("'{x}' is no key=value; write for example data={x}.")):
        key_values(["{x}"])


def test_many_keys_are_listed_only_where_none_is_near() -> None:
    with pytest.raises(UserError, match=r"unknown key 'limt'\. Did you mean 'limit'\? `mspgt run --help` lists all\.$"):
        build({"limt": 5})
    with pytest.raises(UserError, match=r"unknown key 'zzzzzz'\. Available: accelerator, .*trust_remote_code"):
        build({"zzzzzz": 5})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sigma=abc", "sigma='abc': give a number, such as 0.1; several as 0.1,0.2."),
        ("sigma=nan", "sigma=nan: give a finite number"),
        ("sigma=0.1,inf", "sigma=inf: give a finite number"),
        ("temperature=0", "temperature=0.0: allowed is at least 0.001; or give decoding=greedy."),
    ],
)
def test_a_wrong_number_is_told_what_to_give(refused: Say, word: str, said: str) -> None:
    assert said in refused("intervene", "r", word)


def test_a_result_stands_for_its_directory(made: Path, asked: list[str]) -> None:
    result = mspgt.load(made / "r")
    with pytest.raises(UserError, match="enough"):
        mspgt.intervene(run=result, boundaries="4,8")
    assert asked == [str(made / "r")]
    result.kept_in(None)  # that of a temporary run
    for given in (result, object()):
        with pytest.raises(UserError, match=r"^run=: give the run's directory"):
            mspgt.intervene(run=given, boundaries="4,8")


def test_help_shows_lists_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["intervene", "--help"]) == 0
    said = capsys.readouterr().out
    assert "run=RUN" in said
    assert "model=MODEL boundaries=5,9|paper|thirds" in said
    assert "or object" not in said
    words = set(re.findall(r"\w+", said))
    assert {"self_bleu", "length_variance", "perplexity", "grammaticality"} <= words
