"""BoundaryDrift under DDP, with two real processes: neutral, equal to one process, and never waiting for ever."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import mspgt
from mspgt.core.codec import plain

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
        timeout=270,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return made


def seen(folder: Path, name: str) -> list[dict[str, Any]]:
    """What each rank noted of a training."""
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]


def of_training(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("last", "drift", "skipped", "collectives")}


@pytest.mark.parametrize("name", ["watched", "one_batch", "passes", "plugin", "stops", "clocks"])
def test_both_ranks_train_the_same_to_the_last_bit(folder: Path, name: str) -> None:
    bare, watched = seen(folder, "bare"), seen(folder, name)
    for rank in (0, 1):
        assert of_training(watched[rank]) == of_training(bare[rank])
    assert bare[0]["batches"] != bare[1]["batches"]


def test_the_first_rank_has_the_history_and_both_have_evaluated(folder: Path) -> None:
    first, second = seen(folder, "watched")
    assert first["drift"]
    assert not second["drift"]
    assert first["last"] == second["last"] == 7
    found = mspgt.load(folder / "watched/drift")
    assert found.steps.tolist() == [0, 3, 6, 7]
    assert found.provenance.world_size == 2


@pytest.mark.parametrize("name", ["watched", "one_batch", "plugin", "stops", "passes", "clocks"])
def test_the_training_says_to_its_ranks_what_it_would_have_said(folder: Path, name: str) -> None:
    """Whatever is evaluated, and however often; Lightning once tells all ranks the folder, by two broadcasts."""
    for bare, watched in zip(seen(folder, "bare"), seen(folder, name), strict=True):
        assert watched["collectives"] - bare["collectives"] in (0, 2)


def test_all_trainings_share_one_group_of_processes(folder: Path) -> None:
    assert seen(folder, "groups") == [1, 1]


def test_nothing_is_said_through_the_default_group_which_may_be_of_any_kind(folder: Path) -> None:
    first, second = seen(folder, "silent")
    brought = [{"numbers": [[0, 0], [1, 1], [2, 2]], "none": [], "one": rank} for rank in (0, 1)]
    assert (first["gathered"], second["gathered"]) == (brought, None)
    for found in (first, second):
        assert (found["exchanged"], found["broadcast"]) == (["rank 0", "rank 1"], "rank 0")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the two processes have: sums over more threads are others in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("watched", {"batch_tokens": 60}),
        ("one_batch", {"batch_tokens": 4096}),
        ("passes", {"batch_tokens": 60, "plugins": "cka,probe,attn", "attn": {"heads": "matched"}}),
    ],
)
def test_the_result_is_that_of_one_process(
    t: Any, folder: Path, tmp_path: Path, name: str, given: dict[str, Any]
) -> None:
    """At step 0 the model is the same; where there is one batch the second rank has no data."""
    labelled = {"data": t.LABELLED, "probe": t.PROBE} if name == "passes" else {}
    drift = t.boundary_drift(out=tmp_path / "d", **given, **labelled)
    t.train(tmp_path, drift, steps=1)
    alone, together = plain(drift.drift.points[0]), plain(mspgt.load(folder / name / "drift").points[0])
    for part in ("signals", "verdicts", "replicates", "notes", "left_out"):
        assert together[part] == alone[part], part
    assert drift.drift.data == mspgt.load(folder / name / "drift").data


def test_a_training_that_goes_on_adds_to_the_history(folder: Path) -> None:
    """The second rank, which has none, takes it from the checkpoint with all others."""
    first, second = seen(folder, "resumed")
    assert first["last"] == second["last"] == 7
    assert mspgt.load(folder / "resumed/drift").steps.tolist() == [0, 3, 6, 7]


def test_a_plugin_that_raises_on_one_rank_is_left_out_on_all(folder: Path) -> None:
    found = mspgt.load(folder / "plugin/drift")
    assert found.steps.tolist() == [0, 3, 6, 7]
    for point in found.points:
        assert [*point.signals] == ["cka"]
        assert any("attn" in sentence and "no luck here" in sentence for sentence in point.left_out)


def test_a_rank_that_cannot_observe_stops_no_other(folder: Path) -> None:
    found = mspgt.load(folder / "stops/drift")
    assert found.steps.tolist() == [0]
    told = "".join(found.left_out)
    assert all(f"step {step}" in told for step in (3, 6, 7))
    assert told.count("block 4 gives NaN or infinite activations") == 3


def test_a_first_evaluation_that_fails_on_one_rank_stops_all_with_its_sentence(folder: Path) -> None:
    first, second = seen(folder, "never")
    assert first["error"] == second["error"]
    assert "cannot be followed: block 4 gives NaN or infinite activations" in first["error"]


def test_the_first_ranks_clock_decides_for_all(folder: Path) -> None:
    first, second = seen(folder, "clocks")
    assert first["last"] == second["last"] == 7
    assert first["skipped"] == second["skipped"] > 0


def test_other_documents_on_another_rank_are_refused_on_all(folder: Path) -> None:
    first, second = seen(folder, "differs")
    assert first["error"] == second["error"]
    assert first["error"].startswith("data= gives other batches on rank 1 than on rank 0: give every rank the same")
    assert "weights" not in first


def test_a_corpus_that_is_missing_on_one_rank_stops_all_with_its_sentence(folder: Path) -> None:
    first, second = seen(folder, "missing")
    assert first["error"] == second["error"]
    assert "no such file" in first["error"]
    assert "nowhere.txt" in first["error"]
