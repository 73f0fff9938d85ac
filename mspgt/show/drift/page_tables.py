"""Tables of the page: every step, the moves from the first to the last, the runs of prediction 3.2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import repeat
from typing import Any

from mspgt.core.phrases import NONE
from mspgt.results.drift.schema import Change, Move, Point, Recorded
from mspgt.results.schema import BOUNDARIES, RULES, Verdict
from mspgt.show import pieces
from mspgt.show.drift import series

SHORT = {name: "-".join(word[0].upper() for word in name.split("-")) for name in BOUNDARIES.values()}
"""name of a boundary -> L-I or I-G"""


def steps(recorded: Recorded, rule: str) -> str:
    """A row per step: loss, both boundaries with intervals, status, and how far each moved since the point before."""
    before: Sequence[Change | None] = (None, *recorded.changes)
    losses = _losses(recorded)
    rows = [
        _step(point, change, rule, loss)
        for point, change, loss in zip(recorded.points, before, losses or repeat(()), strict=False)
    ]
    moved = (f"{short} moved" for short in SHORT.values())
    heads = ("step", *["loss"] * bool(losses), *SHORT.values(), "status", *moved)
    caption = (
        f"By {RULES[rule]}: blocks below each boundary with its {recorded.confidence:.0%} interval; blocks that it "
        "moved since the step before, deeper counted as positive, with the interval of the paired difference."
        + (" Loss: mean of the training loss since the step before." if losses else "")
    )
    return pieces.table(heads, rows, caption)


def overall(recorded: Recorded) -> str:
    """How far each boundary moved from the first step to the last, by both rules; nothing with one step."""
    change = recorded.overall
    if change is None:
        return ""
    span = f"From step {change.start:,} to step {change.stop:,}"
    moves = {(rule, name): change.boundaries[rule].get(name) for rule in series.rules(recorded) for name in SHORT}
    rows = [
        pieces.row(f"{name}, {RULES[rule]}", _whole_move(move))
        for (rule, name), move in moves.items()
        if move is not None
    ]
    if not rows:
        return f'<p class="about">{span}: neither rule places boundaries at both steps.</p>'
    heads = ("boundary", "moved", f"{recorded.confidence:.0%} interval", "samples with both", "read as")
    caption = (
        f"{span}, in blocks, deeper counted as positive. Samples with both: share of the bootstrap samples that have "
        "two peaks at both steps. A boundary that is not at both steps is not here."
    )
    return pieces.table(heads, rows, caption)


def runs(found: Any) -> str:
    """The training runs that a prediction was judged on."""
    listed = [run for run in found or () if isinstance(run, Mapping)] if isinstance(found, list) else []
    rows = [
        pieces.row(
            str(run.get("name")),
            (
                pieces.value_text(run.get("step")),
                pieces.value_text(run.get("layer")),
                percent(run.get("relative")),
                f"[{pieces.value_text(run['ci'])}]" if run.get("ci") else NONE,
                "accepted" if run.get("accepted") else "not accepted",
            ),
        )
        for run in listed
    ]
    heads = ("run", "last step", "I-G after block", "relative depth", "interval", "verdict")
    return pieces.table(heads, rows) if rows else ""


def percent(share: Any) -> str:
    """A share as a percentage; a dash where there is none."""
    return f"{share:.1%}" if isinstance(share, (int, float)) and math.isfinite(share) else NONE


def _losses(recorded: Recorded) -> list[tuple[str]]:
    """Cells of the loss, all with as many decimals as give the largest three digits; empty where none is known."""
    found = [point.loss for point in recorded.points]
    largest = max((abs(loss) for loss in found if math.isfinite(loss)), default=math.nan)
    if math.isnan(largest):
        return []
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 4) if largest else 2
    return [(f"{loss:,.{decimals}f}" if math.isfinite(loss) else NONE,) for loss in found]


def _step(point: Point, since: Change | None, rule: str, loss: Sequence[str]) -> str:
    verdict = series.verdict(point, rule)
    head = f"{point.step:,}" + (" <small>end</small>" if point.end else "")
    moves = since.boundaries[rule] if since is not None else {}
    cells = [
        *loss,
        *(_place(verdict, name) for name in SHORT),
        _status(verdict),
        *(_move(moves.get(name)) for name in SHORT),
    ]
    return pieces.row(head, cells, raw=True)


def _place(verdict: Verdict | None, name: str) -> str:
    found = next((b for b in verdict.boundaries if b.name == name), None) if verdict is not None else None
    if found is None:
        return NONE
    style = name if found.accepted else f"{name} refused"
    return f'<span class="{style}">{found.layer}</span>' + (f"<small>{found.interval}</small>" if found.ci else "")


def _status(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not applied"
    said = "accepted" if verdict.accepted else verdict.status.replace("_", " ")
    return f'<span class="{"yes" if verdict.accepted else "no"}">{escape(said)}</span>'


def _move(move: Move | None) -> str:
    if move is None:
        return NONE
    interval = f"<small>{_interval(move)}</small>" if move.has_interval else ""
    said = signed(move.moved)
    return (f"<strong>{said}</strong> real" if move.real else said) + interval


def _whole_move(move: Move) -> tuple[str, str, str, str]:
    return signed(move.moved), _interval(move) or NONE, percent(move.share), _read(move)


def _interval(move: Move) -> str:
    return move.interval.replace("-", "−")


def _read(move: Move) -> str:
    if move.real:
        return "real"
    if not move.has_interval:
        return "not told from noise: no interval"
    if move.low <= 0 <= move.high:
        return "within noise" if move.moved else "did not move"
    return "too few samples have both"


def signed(blocks: int) -> str:
    """A number of blocks with its sign; zero has none."""
    return f"{'+' if blocks > 0 else '−' if blocks else ''}{abs(blocks)}"
