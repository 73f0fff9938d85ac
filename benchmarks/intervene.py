"""What an intervention experiment takes: 1,000 prompts under four conditions, every metric that needs no server.

    python benchmarks/intervene.py [samples=1000] [new_tokens=100] [model=tiny-llama-a]

The parts are timed by the experiment's own log; the goal for 1,000 prompts on two cores is less than 5 minutes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

import mspgt
from mspgt.contracts import registry

GOAL = 300
"""seconds that 1,000 prompts may take on two cores"""
METRICS = [name for name in registry.BUILT_IN[registry.METRIC] if name != "grammaticality"]


def main(arguments: list[str]) -> None:
    """Run the experiment and print the time that each part took."""
    given = dict(a.split("=", 1) for a in arguments)
    model, samples = given.get("model", "tiny-llama-a"), int(given.get("samples", "1000"))
    new_tokens = int(given.get("new_tokens", "100"))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        found = mspgt.intervene(
            model=model,
            boundaries="thirds",
            samples=samples,
            new_tokens=new_tokens,
            metrics=METRICS,
            out=str(Path(folder) / "experiment"),
        )
        seconds = time.perf_counter() - started
        log = (Path(folder) / "experiment" / "run.log").read_text(encoding="utf-8").splitlines()
    title = f"{model}: {samples:,} prompts × {len(found.conditions)} conditions × {new_tokens} tokens"
    table = Table("from", "to", "seconds", title=title)
    marks = [(datetime.fromisoformat(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in log]
    for (at, what), (then, following) in pairwise(marks):
        table.add_row(what[:48], following[:48], f"{(then - at).total_seconds():.0f}")
    table.add_row("all", f"{samples * len(found.conditions):,} texts", f"{seconds:.0f}", style="bold")
    verdict = "met" if seconds < GOAL else "missed"
    goal = f"goal: less than {GOAL} s: {verdict}" if (samples, new_tokens) == (1000, 100) else ""
    Console().print(table, goal)


if __name__ == "__main__":
    main(sys.argv[1:])
