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
from mspgt import figures
from mspgt.behaviour import Behaviour
from mspgt.behaviour import figures as behaviour_figures
from mspgt.built_in import MODELS
from mspgt.schema import RULES

DOCS = Path(__file__).resolve().parent.parent / "docs" / "figures"
NAMES = [name for name in MODELS if name != "minilm"]
SCALES = ("local", "intermediate", "global")


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
    write(behaviour_figures.figures(found[NAMES[0]])["changes"], "changes")
    print(change_table(found))


def write(figure: Figure, name: str) -> None:
    """Put a figure among those of the README."""
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / f"{name}.svg").write_text(figures.svg(figure, name), encoding="utf-8")


def curves(results: dict[str, mspgt.Result]) -> Figure:
    """Signals and evidence of all models, two by two."""
    with mpl.rc_context(figures.STYLE):
        figure = Figure(figsize=(12.5, 9.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 2).ravel()
    for ax, result in zip(axes, results.values(), strict=True):
        figures.evidence(result, ax=ax)
    return figure


def verdict_table(results: dict[str, mspgt.Result]) -> str:
    """Boundaries and verdicts of both rules, with the reasons."""
    lines = ["| model | rule | local-intermediate | intermediate-global | verdict | why |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        for verdict in result.rules:
            cuts = {b.name: f"{b.layer} {b.interval}" for b in verdict.boundaries}
            places = [cuts.get(key, "–") for key in ("local-intermediate", "intermediate-global")]
            status = "accepted" if verdict.accepted else f"not accepted: `{verdict.status}`"
            why = "; ".join(reason.rstrip(".") for reason in verdict.reasons) or "–"
            lines.append(f"| `{name}` | {RULES[verdict.rule]} | {places[0]} | {places[1]} | {status} | {why} |")
    return "\n".join(lines) + "\n"


def change_table(found: dict[str, Behaviour]) -> str:
    """Change of each metric by scale, in the manner of the paper's Table 2."""
    lines = [f"| model | metric | baseline | {' | '.join(SCALES)} |", "|---|---|---|---|---|---|"]
    for name, behaviour in found.items():
        for metric in behaviour.metrics.values():
            cells = []
            for scale in SCALES:
                effect = behaviour.effect(metric.name, scale)
                change = effect.percent
                shown = f"{change.value:+.1f} %" if change.value == change.value else f"{effect.difference.value:+.3g}"
                cells.append(f"{shown}{effect.stars}")
            baseline = behaviour.data["metrics"][metric.name]["values"]["baseline"]["mean"]
            shown = "–" if baseline is None else f"{baseline:.3g}"
            lines.append(f"| `{name}` | {metric.name} | {shown} | {' | '.join(cells)} |")
        for metric_name, reason in behaviour.not_measured.items():
            lines.append(f"| `{name}` | {metric_name} | not measured: {reason} | | | |")
        verdicts = "; ".join(f"{answer.name.replace('_', ' ')}: {answer.verdict}" for answer in behaviour.answers)
        lines.append(f"| `{name}` | verdicts | {verdicts} | | | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
