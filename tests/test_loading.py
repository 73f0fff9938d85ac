"""Loading: by what a file says, one or several, refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from example_run import MODEL, example_run

import mspgt
from mspgt.core.errors import UserError
from mspgt.models.facts import ModelFacts
from mspgt.results import kinds, loading
from mspgt.results.kinds import Kind
from mspgt.results.loading import load, load_several
from mspgt.results.result import Result
from mspgt.results.run import Run


@dataclass(frozen=True, eq=False, repr=False)
class Count(Result):
    """A kind of result that is made for these tests."""

    kind: ClassVar[Kind] = Kind("count", "count.json", "a count", "`mspgt count`", "nowhere:SHOWN")

    model: ModelFacts
    value: int


@pytest.fixture(autouse=True)
def two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, and a kind that is a class and an entry and nothing else."""
    records = {"run": "mspgt.results.run:Run", "count": "count:Count"}
    monkeypatch.setattr(loading, "RECORDS", records)
    monkeypatch.setattr(loading, "record_class", {"run": Run, "count": Count}.get)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return example_run(12).save_data(tmp_path / "r")


def test_the_file_says_which_kind_it_is(tmp_path: Path, run_folder: Path) -> None:
    Count(MODEL, 3).save_data(tmp_path / "c")
    assert isinstance(mspgt.load(run_folder), Run)
    (tmp_path / "c" / "count.json").rename(tmp_path / "c" / "other.json")
    found = load(tmp_path / "c" / "other.json")
    assert isinstance(found, Count)
    assert (found.value, found.directory) == (3, tmp_path / "c")


def test_a_directory_that_holds_several_is_refused(run_folder: Path) -> None:
    Count(MODEL, 3).save_data(run_folder)
    with pytest.raises(UserError, match=r"holds result.json and count.json; give the path of one of them"):
        load(run_folder)
    assert isinstance(load(run_folder / "count.json"), Count)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no result is in .*give a directory that holds result.json .* or count.json"),
        ("{", r"is not JSON \(line 1"),
        ('{"model": NaN}', "NaN stands in it, which JSON does not have"),
        ("[" * 100_000, "cannot read .*recursion"),
        ("[1]", "holds a list, not a result"),
        ("{}", "has schema None; this version of mspgt reads schema 2: make it again by `mspgt run"),
        (
            '{"schema": 1, "model": {}}',
            "has schema 1; this version of mspgt reads schema 2: make it again by `mspgt run",
        ),
        ('{"kind": "run", "schema": 3}', "has schema 3"),
        ('{"kind": "sum", "schema": 2}', "holds 'sum', which is none of run, count"),
        ('{"kind": "run", "schema": 2}', "is damaged: the field 'model' is missing"),
    ],
)
def test_what_is_no_result_is_one_sentence(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_bytes_that_are_not_text_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read"):
        load(tmp_path)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a result is not at .*none\.json; give result\.json"):
        load(tmp_path / "none.json")


def test_a_kind_reads_its_own_files_alone(tmp_path: Path) -> None:
    folder = Count(MODEL, 3).save_data(tmp_path)
    with pytest.raises(UserError, match="holds 'count', not a run: give one made by `mspgt run"):
        Run.load(folder / "count.json")
    with pytest.raises(UserError, match=r"a run is not at .*give a directory that holds result.json"):
        Run.load(folder)


# ------------------------------------------------------------------------------------------------- several


def test_several_are_named_after_their_paths_or_models(tmp_path: Path, run_folder: Path) -> None:
    other = example_run(12, seed=1)
    assert list(load_several([run_folder, other])) == [str(run_folder), "example-7b"]
    assert list(load_several([example_run(12), other])) == ["example-7b (1)", "example-7b (2)"]
    assert list(load_several([run_folder, other], names=["a", "b"])) == ["a", "b"]
    assert list(load_several([run_folder, other], names=["a", "a"])) == ["a (1)", "a (2)"]


def test_several_of_different_kinds_are_refused(run_folder: Path) -> None:
    count = Count(MODEL, 3)
    with pytest.raises(UserError, match="example-7b is a count, not a run; give results of one kind"):
        load_several([run_folder, count])
    with pytest.raises(UserError, match="is a run, not a count"):
        load_several([example_run(12), count], kind=Count)


def test_the_same_result_twice_is_refused(run_folder: Path) -> None:
    run = load(run_folder)
    for twice in ([run, run], [run_folder, run_folder / "result.json"]):
        with pytest.raises(UserError, match="are the same result; give two that were made apart"):
            load_several(twice)
    assert len(load_several([run, replace(run, notes=("another",))])) == 2


def test_too_few_and_wrong_names_are_refused(run_folder: Path) -> None:
    with pytest.raises(UserError, match="a comparison needs 2 or more; got 1"):
        load_several(run_folder)
    with pytest.raises(UserError, match="2 results have 1 names"):
        load_several([example_run(12), example_run(12, seed=1)], names=["a"])
    assert list(load_several(run_folder, least=1)) == [str(run_folder)]


def test_every_kind_there_is_declares_a_file_of_its_own() -> None:
    found = [kinds.record_class(name).kind for name in kinds.RECORDS]
    assert [kind.name for kind in found] == list(kinds.RECORDS)
    assert len({kind.file for kind in found}) == len(found)
    assert json.dumps([kind.maker for kind in found])


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(UserError, match="load\\(\\) was given None; give the path of a result"):
        load(None)  # type: ignore[arg-type]
