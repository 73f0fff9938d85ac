"""BoundaryDrift under DDP, with two real processes: neutral, equal to one process, and never waiting for ever."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mspgt

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def t() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        return importlib.import_module("drift_training")
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes made all their trainings."""
    made = tmp_path_factory.mktemp("ddp")
    done = subprocess.run(
        [sys.executable, str(HERE / "drift_ddp.py"), str(made)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return made


def seen(folder: Path, name: str) -> list[dict[str, Any]]:
    """What each rank noted of a training."""
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]


def without_counts(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("last", "drift", "skipped")}


@pytest.mark.parametrize("name", ["watched", "one_batch", "plugin", "stops", "clocks", "again"])
def test_both_ranks_train_the_same_to_the_last_bit(folder: Path, name: str) -> None:
    bare, watched = seen(folder, "bare"), seen(folder, name)
    for rank in (0, 1):
        assert without_counts(watched[rank]) == bare[rank]
    assert bare[0]["batches"] != bare[1]["batches"]


def test_the_first_rank_has_the_history_and_both_have_evaluated(folder: Path) -> None:
    first, second = seen(folder, "watched")
    assert first["drift"]
    assert not second["drift"]
    assert first["last"] == second["last"] == 7
    found = mspgt.load(folder / "watched/drift")
    assert found.steps.tolist() == [0, 3, 6, 7]
    assert found.data["provenance"]["world_size"] == 2


@pytest.mark.parametrize(("name", "tokens"), [("watched", 60), ("one_batch", 4096)])
def test_the_result_is_that_of_one_process(t: Any, folder: Path, tmp_path: Path, name: str, tokens: int) -> None:
    """The start is the same training step 0, evaluated by one process; with one batch the second rank has no data."""
    drift = t.boundary_drift(out=tmp_path / "d", batch_tokens=tokens)
    t.train(tmp_path, drift, steps=1)
    alone, together = drift.drift.data["points"][0], mspgt.load(folder / name / "drift").data["points"][0]
    for part in ("signals", "verdicts", "replicates", "notes", "left_out"):
        assert together[part] == alone[part], part
    assert drift.drift.data["data"] == mspgt.load(folder / name / "drift").data["data"]


def test_a_plugin_that_raises_on_one_rank_is_left_out_on_all(folder: Path) -> None:
    found = mspgt.load(folder / "plugin/drift")
    assert found.steps.tolist() == [0, 3, 6, 7]
    for point in found.points:
        assert [*point.findings.signals] == ["cka"]
        assert any("attn" in sentence and "no luck here" in sentence for sentence in point.left_out)


def test_a_rank_that_cannot_observe_stops_no_other(folder: Path) -> None:
    found = mspgt.load(folder / "stops/drift")
    assert found.steps.tolist() == [0]
    told = "".join(found.data["left_out"])
    assert all(f"step {step}" in told for step in (3, 6, 7))
    assert "this rank has seen enough" in told


def test_the_first_ranks_clock_decides_for_all(folder: Path) -> None:
    first, second = seen(folder, "clocks")
    assert first["last"] == second["last"] == 7
    assert first["skipped"] == second["skipped"] > 0


def test_other_documents_on_another_rank_are_refused_on_all(folder: Path) -> None:
    for found in seen(folder, "differs"):
        assert "other batches on rank" in found["error"]
        assert "weights" not in found


def test_a_corpus_that_is_missing_on_one_rank_stops_all_with_its_sentence(folder: Path) -> None:
    first, second = seen(folder, "missing")
    assert first["error"] == second["error"]
    assert "no such file" in first["error"]
    assert "nowhere.txt" in first["error"]
