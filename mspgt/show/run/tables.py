"""Tables of a run: curves for a CSV file, declared series for another, transitions and details for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mspgt.core.phrases import in_words
from mspgt.measure.evaluate import SignalCurve
from mspgt.results.run import Run
from mspgt.show import wording
from mspgt.show.grid import Cell, Column, Grid, Number, Row, grid, missing
from mspgt.stats.boundaries import SHORT
from mspgt.stats.curve import Curve

FEW = 12
"""longest list shown as one value; longer ones are left to the file"""


def curves(run: Run) -> Grid:
    """Every curve in full: a row per signal and transition, then the evidence of each rule."""
    weights = {name: curve.weight for name, curve in run.signals.items()}
    every = {**run.signals, **{f"evidence.{verdict.rule}": verdict.evidence for verdict in run.rules}}
    rows = [
        (name, at, at / run.n_layers, _estimate(curve, i), weights.get(name, math.nan))
        for name, curve in every.items()
        for i, at in enumerate(curve.transition.tolist())
    ]
    value = Column("value", ends=("low", "high"))
    return grid(("signal", "transition", "relative", value, "weight"), rows, heads=2)


def series(run: Run) -> Grid:
    """Everything that signals report beside their curves: a row per value."""
    rows = [
        (signal, name, values.axis, row, column, float(number))
        for signal, curve in run.signals.items()
        for name, values in curve.series.items()
        for column, numbers in values.values.items()
        for row, number in zip(values.labels, numbers, strict=True)
    ]
    return grid(("signal", "series", "axis", "row", "column", "value"), rows, heads=2)


def transitions(run: Run) -> Grid:
    """A row per transition with every curve and both rules' evidence; where a boundary lies, it is marked."""
    verdict, paper = run.verdict(), run.verdicts.get("paper")
    curves: dict[Column, Curve] = {Column(name): curve for name, curve in run.signals.items()}
    if paper is not None:
        curves[Column("paper", "paper's", gives_way=1)] = paper.evidence
    curves[Column("evidence", strong=True)] = verdict.evidence
    marks = {boundary.layer: name for name, boundary in verdict.places.items()}
    rows = []
    for i, at in enumerate(verdict.evidence.transition.tolist()):
        name = marks.get(at, "")
        mark = f"◀ {SHORT[name]}{'' if verdict.accepted else '?'}" if name else ""
        cells = (
            Cell(str(at), "strong"),
            Cell(f"{at / run.n_layers:.0%}", "faint"),
            *(_estimate(curve, i) for curve in curves.values()),
            Cell(mark, name),
        )
        rows.append(Row(cells, name if verdict.accepted else ""))
    columns = (Column("transition", "l"), Column("depth", gives_way=2), *curves, Column("boundary", " ", left=True))
    caption = (
        wording.describe_intervals(run.bootstrap),
        "transition l lies between block l and block l + 1",
        "evidence is that of mspgt's rule, what stands out of its surroundings, beside the paper's",
    )
    return Grid(columns, tuple(rows), caption, elsewhere="signals.csv")


def facts(curve: SignalCurve) -> dict[str, Any]:
    """The single values among the details of a signal, and its flags."""
    flags = {"flags": ", ".join(curve.flags)} if curve.flags else {}
    noise = {} if curve.noise_share is None else {"noise_share": curve.noise_share}
    return {**flags, **noise, **_singles({k: v for k, v in curve.details.items() if not _holds_records(v)})}


def records(curve: SignalCurve) -> Iterator[Grid]:
    """A table for each mapping of mappings among the details, such as a probe's tasks: a row for each of them."""
    for name, detail in curve.details.items():
        if _holds_records(detail):
            rows = {record: _singles(fields) for record, fields in detail.items()}
            fields = list(dict.fromkeys(field for row in rows.values() for field in row))
            cells = [[Cell(record), *(_cell(row.get(field)) for field in fields)] for record, row in rows.items()]
            yield grid([Column(in_words(name), left=True), *(in_words(field) for field in fields)], cells)


def _estimate(curve: Curve, i: int) -> Number:
    """One value with its interval, with as many decimals as the interval warrants."""
    decimals = curve.decimals
    ends = float(curve.value[i]), float(curve.low[i]), float(curve.high[i])
    return Number("", "", (), *ends, show=lambda number: f"{number:.{decimals}f}")


def _singles(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Single values and short lists, nested names with spaces between."""
    singles: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            singles |= _singles(value, f"{prefix}{key} ")
        elif not isinstance(value, list) or (len(value) <= FEW and not any(map(_is_nested, value))):
            singles[f"{prefix}{key}"] = value
    return singles


def _cell(value: Any) -> Any:
    return missing() if value is None else ", ".join(map(str, value)) if isinstance(value, list) else value


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, Mapping))


def _holds_records(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Mapping) for v in value.values())
