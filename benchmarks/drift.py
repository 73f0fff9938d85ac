"""How boundaries form while small decoders learn: the recipe of the reference models, watched as it goes.

    python benchmarks/drift.py [key=value ...]        (--help lists the keys)

Two data mixtures times two seeds, each trained from nothing with `BoundaryDrift` attached. Writes a drift directory
for each training, the figure of the README, and prints the README's table and the paper's prediction 3.2. A training
that was interrupted goes on when the same command is given again; one that is done is not repeated.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from drift_multiples import compare
from reference_models import asks_for_help, explain, script
from reference_recipe import EVERYDAY, PROFESSIONAL, Member, make_tokenizer
from rich.console import Console
from train_reference import Training, fit, hardware
from transformers.utils import logging

from mspgt.callbacks import BoundaryDrift
from mspgt.config.keys import key_values
from mspgt.core.errors import unknown
from mspgt.core.files import write_atomically
from mspgt.core.options import option, parse
from mspgt.experiments.loop import quiet_libraries
from mspgt.results.drift import Drift
from mspgt.results.prediction_3_2 import prediction_3_2
from mspgt.show import wording
from mspgt.show.figures import svg

TRAININGS = {
    "everyday-1": Member("llama", EVERYDAY, 1001),
    "everyday-2": Member("llama", EVERYDAY, 2001),
    "professional-1": Member("llama", PROFESSIONAL, 1002),
    "professional-2": Member("llama", PROFESSIONAL, 2002),
}
"""mixture and number of the seed -> what is trained"""


@dataclass(frozen=True)
class Settings:
    """Keys of this script."""

    trainings: tuple[str, ...] = option(tuple(TRAININGS), "which trainings to make; those that are done stay")
    steps: int = option(1_000, "training steps", low=1)
    every: int = option(100, "steps between evaluations", low=1)
    limit: int = option(1_000, "sentences of the held-out corpus", low=1)
    threads: int = option(2, "processor cores", low=1)
    out: str = option("runs/drift", "folder of the drift directories")
    figure: str = option("docs/figures/drift.svg", "figure of all trainings, once all are done")


def main(arguments: list[str]) -> None:
    """Train what is not trained, then compare."""
    if asks_for_help(arguments):
        explain("drift.py", Settings)
        return
    settings = parse(Settings, key_values(arguments))
    for name in settings.trainings:
        if name not in TRAININGS:
            raise unknown("training", name, TRAININGS)
        if not done(Path(settings.out) / name):
            train(name, settings)
    if all(done(Path(settings.out) / name) for name in TRAININGS):
        show(settings)


def done(folder: Path) -> bool:
    """Whether a training has ended: the page is written at its end."""
    return (folder / "report.html").is_file() and not working(folder).exists()


def working(folder: Path) -> Path:
    """Where the checkpoint of an unfinished training is."""
    return folder.with_name(f".{folder.name}-training")


def train(name: str, settings: Settings) -> None:
    """Train one model, and keep its drift."""
    member, folder = TRAININGS[name], Path(settings.out) / name
    quiet_libraries()
    logging.disable_progress_bar()
    torch.set_num_threads(settings.threads)
    L.seed_everything(member.seed, verbose=False)
    tokenizer = make_tokenizer(member.family)
    drift = BoundaryDrift(
        "grammar",
        tokenizer=tokenizer,
        plugins=("cka", "probe", "attn"),
        every_n_steps=settings.every,
        limit=settings.limit,
        out=folder,
    )
    latest = working(folder) / "last.ckpt"
    latest.parent.mkdir(parents=True, exist_ok=True)
    fit(Training(member, tokenizer, settings.steps), name, latest, settings.every, [drift])
    shutil.rmtree(latest.parent)


def show(settings: Settings) -> None:
    """Print and draw all trainings side by side."""
    found = {name: Drift.load(Path(settings.out) / name) for name in TRAININGS}
    for drift in found.values():
        drift.show(Console(width=120))
    write_atomically(Path(settings.figure), svg(compare(found), "drift"))
    print(f"\n| training | steps | evaluations | share of the time | at the end |\n{'|---' * 5}|")
    for name, drift in found.items():
        share, last = drift.overhead.share, drift.points[-1]
        took, answer = "-" if share is None else f"{share:.0%}", wording.headline(last.verdicts["mspgt"])
        print(f"| `{name}` | {last.step:,} | {len(drift.points)} | {took} | {answer} |")
    print(f"\n{hardware(settings.threads)}")
    for mixture in ("everyday", "professional", ""):
        runs = {name: drift for name, drift in found.items() if name.startswith(mixture)}
        for rule in ("mspgt", "paper"):
            answer = prediction_3_2([*runs.values()], rule, [*runs])
            print(f"\nprediction 3.2 over {', '.join(runs)}: {answer}")


if __name__ == "__main__":
    script(main)
