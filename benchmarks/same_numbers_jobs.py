"""The jobs of `same_numbers.py`: command lines, and a version that does them in its own virtual environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

METRICS = "self_bleu,length_variance,ttr,coherence,repetition,perplexity,divergence"
JOBS = {
    "run": "run plugins=cka,probe,attn",
    "minilm": "run model=minilm data={shared}/data/ewt/en_ewt-dev.conllup plugins=cka,probe,attn",
    "experiment": "intervene run={root}/run boundaries=4,8 sigma=0.1,0.3,1 dose=both controls=true samples=60 "
    f"new_tokens=40 metrics={METRICS} swaps=99",
    "doses": "intervene run={root}/run boundaries=3,8 intervention=resample dose=both apply=generated decoding=greedy "
    f"samples=30 new_tokens=20 metrics={METRICS} swaps=99",
    "drift": "drift checkpoints={checkpoints} limit=600 plugins=cka,probe,attn",
}
"""name -> command line of mspgt, without out="""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
STEPS = (0, 100, 200, 300, 400)
"""of the checkpoints"""
RESULTS = ("result.json", "interventions.json", "drift.json")
"""what a job leaves, one of them each"""


@dataclass
class Side:
    """One of the two versions, and where its results lie."""

    checkout: Path
    root: Path
    reuse: bool
    """whether results that are there are taken"""

    def make(self, job: str, places: Mapping[str, Path]) -> Path:
        """The folder with the results of a job, which is done where it is not yet."""
        out = self.root / job
        if self.reuse and any((out / name).is_file() for name in RESULTS):
            return out
        shutil.rmtree(out, ignore_errors=True)
        words = [word.format(root=self.root, **places) for word in JOBS[job].split()]
        started = time.perf_counter()
        self.call([self.checkout / ".venv/bin/mspgt", *words, f"out={out}"], self.root / f"{job}.log")
        print(f"{job}: {time.perf_counter() - started:.0f} s in {self.checkout}", flush=True)
        return out

    def call(self, command: Sequence[str | Path], log: Path) -> None:
        """Run a command in the checkout; ends the script where it fails."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as said:
            code = subprocess.call(
                command, cwd=self.checkout, env=os.environ | ENVIRONMENT, stdout=said, stderr=subprocess.STDOUT
            )
        if code not in (0, 3):  # 3: done, but something was left out
            last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
            sys.exit(f"{' '.join(map(str, command))}\nended with exit code {code}:\n{last}")

    def checkpoints(self) -> Path:
        """A folder of checkpoints, which this version's Python makes where it is not there yet."""
        folder = self.root / "checkpoints"
        if not (folder / f"checkpoint-{STEPS[-1]}" / "trainer_state.json").is_file():
            model = next((self.checkout / "mspgt").rglob("tiny-llama-a"))
            command = [self.checkout / ".venv/bin/python", Path(__file__).resolve(), model, folder]
            self.call(command, folder.with_suffix(".log"))
        return folder


def save_checkpoints(model: str, folder: str) -> None:
    """Save a model at five steps on the straight line from random weights to its own, as a Trainer would."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trained = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    torch.manual_seed(0)
    moving = AutoModelForCausalLM.from_config(trained.config)
    start, end = ({k: v.clone() for k, v in m.state_dict().items()} for m in (moving, trained))
    for step in STEPS:
        moving.load_state_dict({name: start[name].lerp(end[name], step / STEPS[-1]) for name in end})
        path = Path(folder) / f"checkpoint-{step}"
        moving.save_pretrained(path)
        AutoTokenizer.from_pretrained(model).save_pretrained(path)
        log = [{"step": done, "loss": 8 - done / 100} for done in range(50, step + 1, 50)]
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": log}))


if __name__ == "__main__":
    save_checkpoints(*sys.argv[1:])
