"""The README's gallery: runs the four reference models, disturbs them, and writes figures and tables as measured.

    LTP_PATH=... python benchmarks/gallery.py [samples=200] [runs=runs/gallery]

Prints Markdown for the README; figures go to docs/figures/. A model whose run accepted no boundaries is disturbed in
thirds.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

import mspgt
from mspgt.core.phrases import NONE, amount, change
from mspgt.models.built_in import MODELS
from mspgt.results.intervention import Behaviour
from mspgt.results.run import Run
from mspgt.show import wording
from mspgt.show.drawing import STYLE
from mspgt.show.figures import svg
from mspgt.show.intervention.prose import spoken
from mspgt.stats.boundaries import SHORT
from mspgt.stats.paired.conditions import SCALES
from mspgt.stats.paired.records import Effect

DOCS = Path(__file__).resolve().parent.parent / "docs" / "figures"
NAMES = [name for name in MODELS if name != "minilm"]
FAMILIES = ("tiny-llama-a", "tiny-qwen-a")
"""models whose local scales are compared: two families, one training mixture"""
SIGMAS = (0.1, 0.3, 1.0)
"""strengths of the dose-response curves of the first model"""


def main(arguments: list[str]) -> None:
    """Run everything and print the Markdown."""
    given = dict(a.split("=", 1) for a in arguments)
    root, samples = Path(given.get("runs", "runs/gallery")), int(given.get("samples", "200"))
    console = Console(stderr=True)
    results = {}
    for name in NAMES:
        out = root / name
        done = (out / "result.json").is_file()
        results[name] = mspgt.load(out) if done else mspgt.run(model=name, out=str(out), resume=True, console=console)
    write(curves(results), "reference")
    shutil.copyfile(root / NAMES[0] / "figures" / "evidence.svg", DOCS / "evidence.svg")
    print(verdict_table(results))
    found = {}
    for name, result in results.items():
        found[name] = mspgt.intervene(
            run=str(root / name),
            boundaries=None if result.verdict().accepted else "thirds",
            samples=samples,
            out=str(root / f"{name}-gaussian"),
            resume=True,
            console=console,
        )
    write(found[NAMES[0]].plot("changes"), "changes")
    print(change_table(found))
    one, other = (found[name] for name in FAMILIES)
    print("\n".join(mspgt.prediction_3_1([one, other]).reasons), "\n")
    doses = mspgt.intervene(
        run=str(root / NAMES[0]),
        boundaries=None if results[NAMES[0]].verdict().accepted else "thirds",
        sigma=SIGMAS,
        samples=samples,
        out=str(root / f"{NAMES[0]}-doses"),
        resume=True,
        console=console,
    )
    write(doses.plot("dose-response"), "dose-response")
    doses.show(Console(width=100))


def write(figure: Figure, name: str) -> None:
    """Put a figure among those of the README."""
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / f"{name}.svg").write_text(svg(figure, name), encoding="utf-8")


def curves(results: dict[str, Run]) -> Figure:
    """Signals and evidence of all models, two by two."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.5, 9.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2).ravel()
    for ax, result in zip(axes, results.values(), strict=True):
        result.plot(ax=ax)
    return figure


def verdict_table(results: dict[str, Run]) -> str:
    """Boundaries and verdicts of both rules, with the reasons."""
    lines = ["| model | rule | local-intermediate | intermediate-global | verdict | why |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        for verdict in result.rules:
            cuts = {place: wording.with_interval(boundary) for place, boundary in verdict.places.items()}
            places = [cuts.get(key, NONE) for key in SHORT]
            status = "accepted" if verdict.accepted else f"not accepted: `{verdict.status}`"
            why = "; ".join(reason.rstrip(".") for reason in verdict.reasons) or NONE
            lines.append(f"| `{name}` | {wording.title(verdict.rule)} | {places[0]} | {places[1]} | {status} | {why} |")
    return "\n".join(lines) + "\n"


def change_table(found: dict[str, Behaviour]) -> str:
    """Change of each metric by scale, in the manner of the paper's Table 2, with intervals; then the verdicts."""
    lines = [f"| model | metric | baseline | {' | '.join(SCALES)} |", "|---|---|---|---|---|---|"]
    for name, behaviour in found.items():
        for metric_name, metric in behaviour.metrics.items():
            cells = [cell(behaviour.effect(metric_name, scale)) for scale in SCALES]
            baseline = amount(metric.values["baseline"].mean)
            lines.append(f"| `{name}` | {metric_name} | {baseline} | {' | '.join(cells)} |")
        for metric_name, reason in behaviour.not_measured.items():
            lines.append(f"| `{name}` | {metric_name} | not measured: {reason} | | | |")
    names = [spoken(name) for name in next(iter(found.values())).verdicts]
    lines += ["", f"| model | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, behaviour in found.items():
        lines.append(f"| `{name}` | {' | '.join(answer.verdict for answer in behaviour.verdicts.values())} |")
    return "\n".join(lines) + "\n"


def cell(effect: Effect) -> str:
    """A change with its interval and stars, in per cent where that is defined."""
    shown = effect.reported
    ends = [f"{end:+.1f}" if effect.percent else f"{end:+.3g}" for end in (shown.low, shown.high)]
    interval = f" [{', '.join(ends)}]" if shown.has_interval else ""
    return f"{change(shown.value, percent=bool(effect.percent))}{effect.stars}{interval}"


if __name__ == "__main__":
    main(sys.argv[1:])
