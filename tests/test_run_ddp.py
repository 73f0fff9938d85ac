"""A run by two processes, one of which meets a fault: both end, and one sentence says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import drift_training as t
import pytest
import torch
from third_party import TURN, lay_out

import mspgt
from mspgt import data
from mspgt.results.run import Run

pytestmark = pytest.mark.slow
BATCH_TOKENS = 90
"""three batches: two for the first process, one for the second"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "heldout.txt"
    path.write_text("\n\n".join(t.TEXTS), encoding="utf-8")
    return path


def save(model: torch.nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder)  # type: ignore[operator]
    t.TOKENIZER.save_pretrained(folder)
    return folder


def by_two(model: Path, corpus: Path, plugins: str, out: Path) -> subprocess.CompletedProcess[str]:
    """`mspgt run` by two processes; packages beside the corpus are installed."""
    keys = (f"model={model}", f"data={corpus}", f"plugins={plugins}", f"batch_tokens={BATCH_TOKENS}", f"out={out}",
            "bootstrap=100", "accelerator=cpu", "devices=2", "strategy=ddp")  # fmt: skip
    path = os.pathsep.join((str(corpus.parent), *sys.path))
    return subprocess.run(
        [sys.executable, "-m", "mspgt.cli.main", "run", *keys],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_a_fault_in_one_process_ends_both_with_its_sentence(corpus: Path, tmp_path: Path, rank: int) -> None:
    read = data.load(str(corpus), limit=None, seed=0, corpus="data")
    reading = data.Reading(read, t.TOKENIZER, max_length=128, batch_tokens=BATCH_TOKENS, context="document")
    batches = [{*batch.input_ids.flatten().tolist()} for batch in reading.batches(())]
    theirs = set().union(*batches[1 - rank :: 2])
    token = min(set().union(*batches[rank::2]) - theirs)
    model = t.llama(4)
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = torch.nan
    done = by_two(save(model, tmp_path / "model"), corpus, "attn", tmp_path / "r")
    assert done.returncode == 2, done.stderr
    assert "mspgt: block 1 gives NaN or infinite activations in document" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r" / "result.json").exists()


def test_a_plugin_that_raises_in_one_process_is_left_out_by_both(corpus: Path, tmp_path: Path) -> None:
    source = f"import os\n{TURN}" + (
        "\n\nclass Uneven(Turn):\n    passes = ('first', 'second')\n\n"
        "    def recorder(self, name, batch, fitted):\n"
        "        if os.environ.get('LOCAL_RANK') == '1':\n            raise RuntimeError('no luck')\n"
        "        return super().recorder(name, batch, fitted)\n"
    )
    lay_out(tmp_path, {"turn": "mine_package:Turn", "uneven": "mine_package:Uneven"}, source=source)
    model = save(t.llama(4), tmp_path / "model")
    done = by_two(model, corpus, "turn,uneven", tmp_path / "two")
    assert done.returncode == 3, done.stderr
    run = Run.load(tmp_path / "two")
    assert run.signals.keys() == {"turn"}
    assert run.left_out == (
        "plugin 'uneven' raised while it observed a batch (RuntimeError: no luck); it was left out.",
    )
    alone = mspgt.run(model=str(model), data=str(corpus), plugins="attn", bootstrap=100, accelerator="cpu")
    assert (run.provenance.world_size, run.data.tokens) == (2, alone.data.tokens)
