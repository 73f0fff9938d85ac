"""A drift in words: the answer, steps, moves, what it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mspgt.results.drift import Drift, Overhead
from mspgt.stats.boundaries import STATUS
from mspgt.stats.changes import Move, Moves

NOWHERE = "no boundaries at both to compare"


def headline(drift: Drift) -> str:
    """The answer in one plain sentence."""
    accepted = [point for point in drift.points if point.accepted]
    last, depth = drift.points[-1], drift.n_layers
    if not accepted:
        return f"No boundaries are accepted at {'any of ' if len(drift.points) > 1 else ''}{describe_steps(drift)}."
    if not last.accepted:
        span = " to ".join(f"{p.step:,}" for p in dict.fromkeys((accepted[0], accepted[-1])))
        why = STATUS[last.verdicts["mspgt"].status].brief
        steps = f"{len(accepted)} of {len(drift.points)} steps ({span})"
        return f"Boundaries are accepted at {steps}, but not at the end: {why}."
    refused = [i for i, point in enumerate(drift.points) if not point.accepted]
    first = drift.points[refused[-1] + 1 if refused else 0]
    then, now = (" and ".join(str(b.layer) for b in p.verdicts["mspgt"].boundaries) for p in (first, last))
    if first is last:
        return f"Boundaries are accepted at step {last.step:,}: after blocks {now} of {depth}."
    places = f"{now} of {depth} at the end" if then == now else f"{then} of {depth}, at the end {now}"
    return f"Boundaries are accepted from step {first.step:,} on: after blocks {places}."


def describe_steps(drift: Drift) -> str:
    """The steps in one phrase: ``9 steps (0 to 4,000)``."""
    first, last = drift.points[0].step, drift.points[-1].step
    return f"{len(drift.points)} steps ({first:,} to {last:,})" if len(drift.points) > 1 else f"step {first:,}"


def describe_overhead(overhead: Overhead) -> str:
    """What the evaluations took, in one phrase."""
    parts = [f"{overhead.seconds:,.0f} s in all" if overhead.seconds >= 9.95 else f"{overhead.seconds:.1f} s in all"]
    if overhead.share is not None:
        limit = "" if overhead.max_overhead is None else f" ({overhead.max_overhead:.1%} was allowed)"
        parts.append(f"{overhead.share:.1%} of the training's time{limit}")
    if overhead.skipped:
        were = "was" if overhead.skipped == 1 else "were"
        parts.append(f"{overhead.skipped:,} that {were} due skipped to stay within that")
    return ", ".join(parts)


def interval(move: Move) -> str:
    """The interval of a move, ``[1, 4]``; nothing where there is none."""
    return "" if move.low is None else f"[{move.low}, {move.high}]"


def move(move: Move) -> str:
    """A move: ``moved by 3 blocks [1, 4]``, ``moved within noise: 1 [-1, 2]``, ``did not move``."""
    blocks = f"{move.moved} block{'' if abs(move.moved) == 1 else 's'}"
    if move.real:
        return f"moved by {blocks} {interval(move)}"
    if move.low is None or move.high is None:
        return f"moved by {blocks} (no interval)" if move.moved else "did not move (no interval)"
    if move.low <= 0 <= move.high:
        still = "did not move" if move.low == move.high else f"did not move {interval(move)}"
        return f"moved within noise: {move.moved} {interval(move)}" if move.moved else still
    return f"moved by {blocks} {interval(move)}, but not by more than noise for certain"


def interpretation(move: Move) -> str:
    """How to read a move, in a few words."""
    if move.real:
        return "real"
    if move.low is None or move.high is None:
        return "no interval, so it may be noise"
    if move.low <= 0 <= move.high:
        return "within noise" if move.moved else "did not move"
    return "too few samples have both"


def moves(moves: Moves) -> str:
    """Both boundaries in one phrase."""
    return "; ".join(f"{name} {move(one)}" for name, one in moves.known.items()) or NOWHERE


def of_steps(drift: Drift, part: str) -> Iterator[tuple[str, str]]:
    """Each sentence that points have as `part`, "notes" or "left_out", once: the steps that it is about, and it."""
    where: dict[str, list[int]] = {}
    for point in drift.points:
        sentences: Iterable[str] = getattr(point, part)
        for sentence in sentences:
            where.setdefault(sentence, []).append(point.step)
    for sentence, steps in where.items():
        named = ", ".join(f"{step:,}" for step in steps[:4])
        if len(steps) > 4:
            named = f"{steps[0]:,} to {steps[-1]:,}, {len(steps)} in all"
        yield f"step{'s' * (len(steps) > 1)} {named}", sentence
