"""The object that an experiment gives back: it shows itself, draws, exports, saves and is loaded again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from mspgt.results.intervention.export import to_csv
from mspgt.testing.interventions_example import METRICS, example_interventions
from mspgt.testing.results import example_result

import mspgt
from mspgt.core.errors import UserError
from mspgt.results.intervention import Behaviour
from mspgt.results.result import Result


@pytest.fixture(scope="module")
def behaviour() -> Behaviour:
    return Behaviour(example_interventions(controls=False, without=tuple(METRICS)[3:]))


@pytest.fixture(scope="module")
def saved(behaviour: Behaviour, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return behaviour.save(tmp_path_factory.mktemp("experiment"))


def test_repr_is_six_lines(behaviour: Behaviour) -> None:
    lines = repr(behaviour).splitlines()
    assert [line.split()[0] for line in lines] == ["mspgt.Behaviour", "model", "scales", "done", "found", "verdicts"]
    assert behaviour.headline in lines[4]
    assert "prediction 2.1 supported" in lines[5]


def test_a_notebook_shows_the_table_of_changes(behaviour: Behaviour) -> None:
    shown = behaviour._repr_html_()
    assert "<table>" in shown
    assert all(name in shown for name in behaviour.metrics)


def test_save_writes_everything_and_load_gives_it_back(behaviour: Behaviour, saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    drawn = {"figures/changes.svg", "figures/changes.png"}
    assert names == {"interventions.json", "interventions.csv", "report.html", *drawn}
    for path in (saved, saved / "interventions.json"):
        found = mspgt.load(path)
        assert isinstance(found, mspgt.Behaviour)
        assert found.data == behaviour.data


def test_rows_and_csv_are_those_of_the_export(behaviour: Behaviour, saved: Path) -> None:
    assert len(behaviour.to_rows()) == 3 * 4
    assert behaviour.to_csv() == to_csv(behaviour) == (saved / "interventions.csv").read_text()


def test_without_pandas_a_data_frame_says_how_to_get_it(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        behaviour.to_dataframe()


def test_figures_are_drawn_by_name(behaviour: Behaviour) -> None:
    assert len(behaviour.plot().axes) == 2
    with pytest.raises(UserError, match=r"'change'.*changes"):
        behaviour.plot("change")
    with pytest.raises(UserError, match="nothing to show in the figure 'doses'"):
        behaviour.plot("doses")


def test_load_reads_a_result_as_before(tmp_path: Path) -> None:
    data = example_result(12)
    (tmp_path / "result.json").write_text(json.dumps(data))
    assert isinstance(mspgt.load(tmp_path), Result)
    renamed = (tmp_path / "result.json").rename(tmp_path / "mine.json")
    assert isinstance(mspgt.load(renamed), Result)


def test_load_names_both_kinds_of_file_where_there_is_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"result\.json .*interventions\.json"):
            mspgt.load(path)
    for name in ("result.json", "interventions.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="give the path of one of them"):
        mspgt.load(tmp_path)
    with pytest.raises(UserError, match="make it again with `mspgt intervene`"):
        mspgt.load(tmp_path / "interventions.json")
