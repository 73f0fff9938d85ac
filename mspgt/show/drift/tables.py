"""Tables of a drift: curves and boundaries for CSV files; every step, all moves and compared runs for people.

"curves" (drift.csv) has a row per step, signal and transition, then the evidence of each rule, as `evidence.mspgt`:

=============================================  =====================================================================
``step``, ``signal``, ``transition``           optimizer steps; transition l lies between block l and block l+1
``relative``                                   transition / blocks
``value``, ``low``, ``high``                   the signal with its interval, in its own unit
``difference``, ``..._low``, ``..._high``      the change since the step before, paired; none for the evidence
``loss``                                       mean training loss since the step before
=============================================  =====================================================================

"boundaries" (boundaries.csv) has a row per step, rule and boundary, those that were not found too:

=============================================  =====================================================================
``step``, ``rule``, ``boundary``               rule: mspgt or paper; boundary: local-intermediate, intermediate-global
``layer``, ``relative``                        blocks below the boundary, and the same by all blocks
``ci_low``, ``ci_high``                        interval of the layer
``accepted``, ``status``                       the verdict of the rule at this step
``moved``, ``moved_low``, ``moved_high``       layers moved since the step before, paired
``real``                                       whether the move is more than noise
``loss``                                       as above
=============================================  =====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from mspgt.core.phrases import in_words
from mspgt.measure.history import Point
from mspgt.results.drift import Drift
from mspgt.show import wording
from mspgt.show.drift import prose
from mspgt.show.grid import Cell, Column, Grid, Number, Row, grid, missing, share
from mspgt.stats.boundaries import BOUNDARIES, OUTCOME, SHORT, Verdict
from mspgt.stats.boundaries.phrasing import I_G
from mspgt.stats.changes import Change, Move, Moves
from mspgt.stats.curve import Curve
from mspgt.stats.distance import Apart

FIRST, EVENTS, LAST = 6, 8, 10
"""steps that a terminal shows of a long training: at its start, in between where something happens, at its end"""


# ------------------------------------------------------------------------------------------------ for CSV files


def curves(drift: Drift) -> Grid:
    """Every curve in full, with what changed."""
    value, difference = Column("value", ends=("low", "high")), Column("difference", ends=_ends("difference"))
    heads = ("step", "signal", "transition", "relative", value, difference, "loss")
    return grid(heads, [row for point, since in _points(drift) for row in _curves(drift, point, since)], heads=3)


def _curves(drift: Drift, point: Point, since: Change | None) -> Iterator[tuple[Any, ...]]:
    evidence = {f"evidence.{rule}": point.verdicts[rule].evidence for rule in drift.rules if rule in point.verdicts}
    for name, curve in {**point.signals, **evidence}.items():
        changed = since.signals.get(name) if since else None
        for i, at in enumerate(curve.transition.tolist()):
            yield point.step, name, at, at / drift.n_layers, _at(curve, i), _at(changed, i), Number(value=point.loss)


def _at(curve: Curve | None, i: int) -> Number:
    if curve is None:
        return Number()
    return Number(value=float(curve.value[i]), low=float(curve.low[i]), high=float(curve.high[i]))


def boundaries(drift: Drift) -> Grid:
    """Both boundaries by each rule at every step, with their moves."""
    moved = Column("moved", ends=_ends("moved"))
    heads = ("step", "rule", "boundary", "layer", "relative", "ci_low", "ci_high", "accepted", "status", moved)
    rows = [row for point, since in _points(drift) for row in _boundaries(drift, point, since)]
    return grid((*heads, "real", "loss"), rows, heads=3)


def _boundaries(drift: Drift, point: Point, since: Change | None) -> Iterator[tuple[Any, ...]]:
    for rule in (rule for rule in drift.rules if rule in point.verdicts):
        verdict = point.verdicts[rule]
        for name in BOUNDARIES.values():
            placed, move = verdict.places.get(name), since.by(rule).known.get(name) if since else None
            place = (placed.layer, placed.relative, *(placed.ci or (None, None))) if placed else (None,) * 4
            real = move.real if move else None
            head, outcome = (point.step, rule, name), (verdict.accepted, verdict.status)
            yield *head, *place, *outcome, _moved(move), real, Number(value=point.loss)


# ------------------------------------------------------------------------------------------------- for people


def steps(drift: Drift, rule: str, *, brief: bool = False) -> Grid:
    """A row per step: loss, both boundaries, verdict, and how far each moved since the step before.

    Parameters
    ----------
    rule: whose boundaries, "mspgt" or "paper".
    brief: for a terminal: of many steps those at which something happens, moves without intervals, the other rule
        beside.
    """
    every = list(zip(drift.points, (None, *(change.by(rule) for change in drift.changes)), strict=True))
    listed = _listed(drift) if brief else range(len(every))
    loss, beside = _losses(drift), "paper" if brief and rule != "paper" and "paper" in drift.rules else ""
    cells: dict[Column, Callable[[Point, Moves | None], Cell]] = {
        Column("step"): lambda p, _: Cell(f"{p.step:,}{' end' if p.end and not brief else ''}"),
        **({Column("loss", gives_way=1): lambda p, _: loss[p.step]} if loss else {}),
        **_of_rule(rule, brief),
    }
    if brief:
        cells[Column("moved", left=True)] = lambda _, moves: _moves(moves)
    else:
        for name, short in SHORT.items():
            cells[Column(f"{short} moved")] = partial(_moved_of, name)
    if beside:
        cells |= _of_rule(beside, brief, " (paper)")
        cells[Column("paper", left=True, stands_in=True)] = lambda p, _: _both(p.verdicts.get(beside))
    rows: list[Row] = []
    for before, i in zip((-1, *listed), listed, strict=False):
        if i > before + 1:
            gap = {"step": "…", "verdict": f"{i - before - 1} hidden"}
            rows.append(Row(tuple(Cell(gap.get(column.key, "")) for column in cells), "faint"))
        rows.append(Row(tuple(cell(*every[i]) for cell in cells.values())))
    return Grid(tuple(cells), tuple(rows), tuple(_caption(drift, rule, brief, len(listed))), elsewhere="boundaries.csv")


def _of_rule(rule: str, brief: bool, beside: str = "") -> dict[Column, Callable[[Point, Moves | None], Cell]]:
    """Columns of both boundaries and the outcome; those of a rule that stands beside another give way."""
    column = partial(Column, gives_way=2 if beside else 0)
    return {
        **{column(s + beside, left=brief): partial(_place, rule, name, not brief) for name, s in SHORT.items()},
        column(f"verdict{beside}", left=True): lambda point, _: _outcome(point.verdicts.get(rule)),
    }


def _caption(drift: Drift, rule: str, brief: bool, rows: int) -> Iterator[str]:
    """What a reader must know of the table of steps."""
    yield f"{' and '.join(SHORT.values())}: blocks below the boundary by {wording.title(rule)}"
    every = len(drift.points)
    if not brief:
        yield (
            "moved: blocks since the step before, deeper counted as positive, with the interval of the paired "
            "difference"
        )
        if np.isfinite([point.loss for point in drift.points]).any():
            yield "loss: mean of the training loss since the step before"
        return
    yield "moved: blocks since the step before" + (", shown or not" if rows < every else "")
    yield "* more than noise"
    if "paper" in drift.rules:
        yield f"paper: by the paper's rule, ? {OUTCOME[False]}"
    yield wording.describe_intervals(drift.bootstrap)
    if rows < every:
        yield (
            f"{every - rows} of {every} steps are hidden, in between are shown some at which the verdict changed or a "
            "boundary moved"
        )


def _place(rule: str, name: str, stacked: bool, point: Point, _: Moves | None) -> Cell:
    verdict = point.verdicts.get(rule)
    placed = verdict.places.get(name) if verdict else None
    if verdict is None or placed is None:
        return missing()
    return _layer(placed.layer, placed.ci, name if verdict.accepted else "faint", stacked)


def _layer(layer: int | None, ci: tuple[int, int] | None, style: str = "", stacked: bool = False) -> Cell:
    """Blocks below a boundary, with the interval."""
    low, high = ci or (math.nan, math.nan)
    place = math.nan if layer is None else layer
    return Number(style=style, value=place, low=low, high=high, show="{:.0f}".format, stacked=stacked)


def _outcome(verdict: Verdict | None) -> Cell:
    if verdict is None:
        return Cell("not applied", "faint")
    outcome = OUTCOME[True] if verdict.accepted else in_words(verdict.status)
    return Cell(outcome, wording.outcome_style(verdict.accepted))


def _both(verdict: Verdict | None) -> Cell:
    """Both boundaries as short as can be."""
    if verdict is None or verdict.layers is None:
        return missing()
    return Cell(f"{', '.join(map(str, verdict.layers))}{'' if verdict.accepted else ' ?'}", "faint")


def _moves(moves: Moves | None) -> Cell:
    """Moves other than 0, with a star where they are real; 0 where there are none."""
    each = moves.known.items() if moves else ()
    parts = [f"{SHORT[name]} {move.moved:+d}{'*' * move.real}" for name, move in each if move.moved]
    return Cell(", ".join(parts) or "0", "strong" if any(m.real for _, m in each) else "faint") if each else missing()


def _moved_of(name: str, _: Point, moves: Moves | None) -> Cell:
    return replace(_moved(moves.known.get(name) if moves else None), stacked=True)


def _moved(move: Move | None) -> Number:
    """Blocks with their sign, and whether that is real."""
    if move is None:
        return Number()
    low, high = (math.nan if end is None else end for end in (move.low, move.high))
    number = Number(value=move.moved, low=low, high=high, show=_signed, ends=_minus)
    return replace(number, style="strong", after=((" real", ""),)) if move.real else number


def _losses(drift: Drift) -> dict[int, Cell]:
    """Step -> its loss, all with the decimals that give the largest three digits; empty where none is known."""
    largest = max((abs(point.loss) for point in drift.points if math.isfinite(point.loss)), default=math.nan)
    if math.isnan(largest):
        return {}
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 4) if largest else 2
    return {point.step: Number(value=point.loss, show=f"{{:,.{decimals}f}}".format) for point in drift.points}


def _listed(drift: Drift) -> list[int]:
    """Which points have a row: all, or of many the first, the last, and some in between where something happens."""
    count = len(drift.points)
    if count <= FIRST + EVENTS + LAST:
        return list(range(count))
    events = [i for i in range(FIRST, count - LAST) if _is_event(drift, i)]
    if len(events) > EVENTS:
        events = [events[i] for i in np.linspace(0, len(events) - 1, EVENTS).astype(int)]
    rows = {*range(FIRST), *events, *range(count - LAST, count)}
    return [i for i in range(count) if i in rows or {i - 1, i + 1} <= rows]  # "1 hidden" takes a row too


def _is_event(drift: Drift, i: int) -> bool:
    """Whether the verdict differs from that of the point before, or a boundary moved by more than noise."""
    before, now = (drift.points[j].verdicts["mspgt"].status for j in (i - 1, i))
    return before != now or any(move.real for move in drift.changes[i - 1].boundaries.known.values())


def overall(drift: Drift) -> Grid | None:
    """How far each boundary moved from the first step to the last, by both rules; None with one step."""
    if drift.overall is None:
        return None
    columns = (
        *(Column("boundary", left=True), Column("moved", f"moved, {drift.confidence:.0%} interval")),
        *(Column("share", "samples with both"), Column("read_as", left=True)),
    )
    rows = [
        (Cell(f"{name}, {wording.title(rule)}", name), _moved(move), share(move.share), prose.interpretation(move))
        for rule in drift.rules
        for name, move in drift.overall.by(rule).known.items()
    ]
    caption = (
        f"From step {drift.overall.start:,} to step {drift.overall.stop:,}, in blocks, deeper counted as positive; "
        "samples with both: share of the bootstrap samples that have two peaks at both steps; a boundary that is not "
        "at both steps is not here"
    )
    return grid(columns, rows, caption)


def runs(apart: Apart) -> Grid:
    """The training runs that prediction 3.2 was judged on."""
    columns = (
        *(
            Column("run", left=True),
            Column("step", "last step"),
            Column("layer", f"{I_G} after block"),
        ),
        *(Column("relative", "relative depth"), Column("verdict", left=True)),
    )
    rows = []
    for run in apart.runs:
        outcome = Cell(OUTCOME[run.accepted], wording.outcome_style(run.accepted))
        rows.append((run.name, run.step, _layer(run.layer, run.ci), share(run.relative), outcome))
    return grid(columns, rows)


def _points(drift: Drift) -> list[tuple[Point, Change | None]]:
    """Each point and what changed since the one before."""
    return list(zip(drift.points, (None, *drift.changes), strict=True))


def _ends(name: str) -> tuple[str, str]:
    return f"{name}_low", f"{name}_high"


def _signed(blocks: float) -> str:
    """A number of blocks with its sign; zero has none."""
    return f"{'+' if blocks > 0 else ''}{_minus(blocks)}"


def _minus(blocks: float) -> str:
    return f"{blocks:.0f}".replace("-", "−")
