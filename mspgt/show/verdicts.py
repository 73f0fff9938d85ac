"""A verdict on boundaries on its card, and boundaries as a table: what every kind that has verdicts shows of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from mspgt.core.phrases import NONE, runs
from mspgt.show import wording
from mspgt.show.grid import Cell, Column, Grid, Number, Row, grid, missing, share
from mspgt.show.parts import BoundaryMark, VerdictCard
from mspgt.stats.boundaries import BOUNDARIES, OUTCOME, Boundary, Verdict


def verdict_card(verdict: Verdict, confidence: float) -> VerdictCard:
    """One rule's answer, its reasons and its numbers.

    Parameters
    ----------
    confidence: level of the intervals, 0 to 1.
    """
    two, p = verdict.p_two_peaks, verdict.null_p
    return VerdictCard(
        title=wording.title(verdict.rule),
        badge=wording.outcome(verdict),
        good=True if verdict.accepted else None,
        text=verdict.meaning,
        marks=tuple(_mark(name, boundary, verdict, confidence) for name, boundary in verdict.places.items()),
        reasons=verdict.reasons,
        facts={
            "Two peaks in": NONE if two is None else f"{two:.1%} of the bootstrap samples",
            "Chance (null test)": NONE if p is None else f"p = {p:.3g}",
            "Normalisation": verdict.normalisation,
            "Weights": ", ".join(f"{name} {weight:g}" for name, weight in verdict.weights.items()),
            "Prominence": f"at least {verdict.prominence:g}",
        },
    )


def _mark(name: str, boundary: Boundary, verdict: Verdict, confidence: float) -> BoundaryMark:
    details = [f"{boundary.relative:.1%} of the depth"]
    details += [f"{confidence:.0%} interval {wording.interval(boundary)}"] if boundary.ci else []
    details += [] if verdict.accepted else [OUTCOME[False]]
    return BoundaryMark(name, f"after block {boundary.layer}", tuple(details), verdict.accepted)


def side_by_side(verdicts: Iterable[Verdict]) -> Grid:
    """The boundaries of all rules beside each other, for a terminal: a column per rule."""
    every = tuple(verdicts)
    columns = [Column("boundary", left=True), *(Column(v.rule, wording.title(v.rule), left=True) for v in every)]
    rows = [[name, *(_place(verdict, name) for verdict in every)] for name in BOUNDARIES.values()]
    outcomes = [Cell(wording.outcome(verdict), wording.outcome_style(verdict.accepted)) for verdict in every]
    return grid(columns, [*rows, ["verdict", *outcomes]])


def _place(verdict: Verdict, name: str) -> Cell:
    boundary = verdict.places.get(name)
    if boundary is None:
        return missing()
    text = f"block {wording.with_interval(boundary)} · {boundary.relative:.1%}"
    return Cell(text, name if verdict.accepted else "faint")


def boundaries(verdicts: Iterable[Verdict], confidence: float) -> Grid:
    """A row per boundary and rule with everything that is known of it."""
    columns = (
        Column("rule", left=True),
        Column("boundary", left=True),
        Column("layer", "blocks below", ends=("ci_low", "ci_high")),
        Column("relative"),
        Column("likely_layers"),
        Column("support"),
        Column("prominence"),
        Column("verdict", left=True),
    )
    caption = (
        f"With {confidence:.0%} intervals; support is the share of bootstrap samples in which the layer is one of the "
        f"two chosen; the likely layers are the smallest set that holds {confidence:.0%} of them"
    )
    return grid(columns, [row for verdict in verdicts for row in _rows(verdict)], caption, heads=2)


def _rows(verdict: Verdict) -> Iterator[Row]:
    for name, boundary in verdict.places.items():
        low, high = boundary.ci or (math.nan, math.nan)
        cells = (
            Cell(wording.title(verdict.rule), value=verdict.rule),
            Cell(name),
            Number(value=boundary.layer, low=low, high=high, show="{:.0f}".format),
            share(boundary.relative),
            Cell(runs(boundary.hpd or ())),
            share(boundary.support),
            Number(value=boundary.prominence, show="{:.2f}".format),
            Cell(wording.outcome(verdict), wording.outcome_style(verdict.accepted)),
        )
        yield Row(cells, name if verdict.accepted else "faint")
