"""A signal of another package over the checkpoints of a training: by the command, with no further code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import drift_training as t
import pytest
from third_party import BROKEN

import mspgt
from mspgt.cli.main import main
from mspgt.results.drift import Drift


def test_it_is_tracked_by_the_command_and_a_faulty_one_is_left_out_by_name(
    installed: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed({"turn": "mine_package:Turn", "broken": "mine_package:Broken"}, source=BROKEN)
    for step in (1, 2, 3):
        t.llama().save_pretrained(tmp_path / f"c/step{step}")
        t.TOKENIZER.save_pretrained(tmp_path / f"c/step{step}")
    (tmp_path / "heldout.txt").write_text("\n\n".join(t.TEXTS))
    keys = ["bootstrap=100", "accelerator=cpu", f"data={tmp_path / 'heldout.txt'}", f"out={tmp_path / 'd'}"]
    assert main(["drift", str(tmp_path / "c"), "plugins=cka,turn,broken", "weights.turn=0.7", *keys]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "Left out (steps 1, 2, 3): plugin 'broken' raised while it observed a batch (RuntimeError" in said
    drift = mspgt.load(tmp_path / "d")
    assert isinstance(drift, Drift)
    for point in drift.points:
        assert point.signals.keys() == {"cka", "turn"}
        turn = point.signals["turn"]
        assert turn.weight == 0.7
        assert (turn.low <= turn.value).all()
        assert (turn.value <= turn.high).all()
        assert (turn.low < turn.high).all()
        assert point.verdicts["mspgt"].weights["turn"] == 0.7
    before, after = (point.signals["turn"].value for point in drift.points[:2])
    changed = drift.changes[0].signals["turn"]
    assert changed.value == pytest.approx(after - before)
    assert (changed.low < changed.high).all()
    assert "turn" in (tmp_path / "d/report.html").read_text()
    assert {row["signal"] for row in drift.to_rows()} >= {"cka", "turn"}
