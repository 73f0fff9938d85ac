"""Experiments without a model, made by what makes real ones: texts with planted values, measured and compared."""

from __future__ import annotations

from collections.abc import Sequence

from mspgt.generate.conditions import plan, scales
from mspgt.stats.paired.conditions import Conditions


def planned(
    sigmas: Sequence[float] = (0.1,), dose: str = "paper", *, controls: bool = False, sizes: Sequence[int] = (4, 4, 4)
) -> Conditions:
    """Conditions of local, intermediate and global scales of so many blocks."""
    groups = scales((sizes[0], sizes[0] + sizes[1]), sum(sizes))
    return Conditions(
        plan(groups, sum(sizes), sigmas, intervention="gaussian", dose=dose, controls=controls).conditions
    )
