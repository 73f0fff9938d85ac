"""A signal of another package over the checkpoints of a training: by the command, with no further code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mspgt
from mspgt.cli.main import main
from mspgt.contracts import registry
from mspgt.results.drift import Drift

PACKAGE = '''
import torch
from mspgt import Lines, Report, Series, SumSignal


class Turn(SumSignal):
    """How far a block turns the residual stream: mean cosine distance between neighbouring blocks."""

    summary = "mean cosine distance between neighbouring blocks"
    series = (Series("growth", summary="norm of a block's output over that of the block before"),)
    figures = (Lines("turn-growth", ("growth",), "Growth of the residual stream", "ratio of norms"),)

    def sums(self, lower, upper, content):
        distance = 1 - torch.cosine_similarity(lower, upper, dim=-1)  # (sequence, token)
        growth = upper.norm(dim=-1) / lower.norm(dim=-1)
        return torch.stack([(distance * content).sum(1), (growth * content).sum(1), content.sum(1)], dim=1)

    def value(self, sums):
        return sums[..., 0] / sums[..., -1]

    def report(self, prepared):
        sums = prepared.sum(0)  # (transition, field)
        return Report(details={"tokens": int(sums[0, -1])}, series={"growth": sums[:, 1] / sums[:, 2]})


class Stumbles(Turn):
    """A signal with a fault."""

    def sums(self, lower, upper, content):
        return self.no_such_thing
'''
"""a whole third-party package"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lay the package out as an installer does, visible during one test."""
    info = tmp_path / "site" / "turns-0.3.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site/turns_package.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: turns\nVersion: 0.3\n")
    points = "turn = turns_package:Turn\nstumbles = turns_package:Stumbles\n"
    (info / "entry_points.txt").write_text(f"[{registry.SIGNAL.group}]\n{points}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(Path(__file__).resolve().parent)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("turns_package", None)


@pytest.mark.usefixtures("installed")
def test_it_is_tracked_by_the_command_and_a_faulty_one_is_left_out_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t = importlib.import_module("drift_training")
    for step in (1, 2, 3):
        t.llama().save_pretrained(tmp_path / f"c/step{step}")
        t.TOKENIZER.save_pretrained(tmp_path / f"c/step{step}")
    (tmp_path / "heldout.txt").write_text("\n\n".join(t.TEXTS))
    keys = ["bootstrap=100", "accelerator=cpu", f"data={tmp_path / 'heldout.txt'}", f"out={tmp_path / 'd'}"]
    assert main(["drift", str(tmp_path / "c"), "plugins=cka,turn,stumbles", "weights.turn=0.7", *keys]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "Left out (steps 1, 2, 3): plugin 'stumbles' raised while it observed a batch (AttributeError" in said
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
