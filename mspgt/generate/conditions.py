"""Which conditions an experiment has: which blocks are disturbed, how strongly, and what they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from types import MappingProxyType
from typing import NamedTuple

from mspgt.core.errors import UserError, unknown
from mspgt.stats.paired.conditions import BASELINE, MATCHED, WHOLE, Condition, Group

DOSES = (WHOLE, MATCHED, "both")
PAPER_POSITIONS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"llama": (13 / 32, 16 / 32), "qwen": ((2 / 32 + 2 / 28) / 2, (8 / 32 + 20 / 28) / 2)}
)
"""family -> mean relative positions of its two boundaries (paper, Table 1; the means are those of Table 3)"""


def drawn(condition: Condition, sample: int, seed: int) -> tuple[int, ...]:
    """Blocks that a condition disturbs for a sample.

    A window is drawn uniformly from those that lie within one run of its consecutive blocks. The draw depends on seed,
    sample, blocks and window alone, so that it is the same at every strength.
    """
    if condition.window is None:
        return condition.blocks
    windows = _windows(condition.blocks, condition.window)
    key = f"{seed} {sample} {condition.window} {condition.blocks}".encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
    return windows[number % len(windows)]


class ExperimentPlan(NamedTuple):
    """All conditions of an experiment, the baseline first and controls last."""

    conditions: tuple[Condition, ...]
    notes: tuple[str, ...]
    """where a control could not be as large as what it controls; one sentence each"""


def scales(boundaries: tuple[int, int], n_layers: int) -> tuple[Group, ...]:
    """The local, the intermediate and the global scale; a boundary at l has l blocks below it.

    Raises
    ------
    UserError: boundaries that leave a scale without blocks.
    """
    a, b = boundaries
    if not 1 <= a < b <= n_layers - 1:
        raise UserError(
            f"boundaries={a},{b}: with {n_layers} blocks, allowed are two rising numbers from 1 to {n_layers - 1}, "
            "so that each of the three scales has a block."
        )
    edges = {"local": (1, a), "intermediate": (a + 1, b), "global": (b + 1, n_layers)}
    return tuple(Group(name, tuple(range(first, last + 1))) for name, (first, last) in edges.items())


def thirds(n_layers: int) -> tuple[int, int]:
    """Boundaries that cut the blocks into three scales as equal as they can be."""
    return _relative((1 / 3, 2 / 3), n_layers, "thirds")


def paper_boundaries(n_layers: int, family: str = "llama") -> tuple[int, int]:
    """Boundaries at the paper's relative positions, rounded to the nearest block.

    Those of the Qwen family (0.067 and 0.482, means of two models that differ widely) where the model belongs to it,
    else those of the Llama family (0.406 and 0.5 in both of its models).

    Parameters
    ----------
    family: model type, as in `LoadedModel.family`.
    """
    return _relative(PAPER_POSITIONS["qwen" if family.startswith("qwen") else "llama"], n_layers, "paper")


def plan(
    groups: Sequence[Group],
    n_layers: int,
    strengths: Sequence[float],
    *,
    intervention: str,
    dose: str = WHOLE,
    controls: bool = True,
) -> ExperimentPlan:
    """All conditions of an experiment.

    The baseline; for each strength the groups (``local``, and ``local@0.05`` from the second strength on); then the
    controls (``local-control``), each a random window outside the group of as many blocks as its condition disturbs.

    Parameters
    ----------
    intervention: name of what is done to the blocks.
    dose: "paper" disturbs all blocks of a group; "matched" as many in each as the smallest group has, a random window
        for each sample; "both" is the paper's, followed by the matched ones as ``local-matched`` unless all groups are
        equally large, when these would be the same.

    Raises
    ------
    UserError: no strength, one given twice, or an unknown dose.
    """
    if dose not in DOSES:
        raise unknown("value for dose:", dose, DOSES)
    if not strengths or len(set(strengths)) < len(strengths):
        given = ",".join(f"{strength:g}" for strength in strengths)
        raise UserError(f"sigma={given}: give one strength or several different ones.")
    smallest, largest = (size(len(group.blocks) for group in groups) for size in (min, max))
    doses, notes = [WHOLE if dose == "both" else dose], []
    if dose == "both" and smallest == largest:
        notes.append(f"The matched dose is the same as the paper's: every scale has {smallest} blocks.")
    elif dose == "both":
        doses.append(MATCHED)
    disturbed, control = [], []
    for number, sigma in enumerate(strengths):
        suffix = f"@{sigma:g}" if number else ""
        for given, group in product(doses, groups):
            name = group.name if given == doses[0] else f"{group.name}-{given}"
            window = smallest if given == MATCHED else None
            one = Condition(name + suffix, group.name, sigma, intervention, given, "", group.blocks, window)
            outside = tuple(k for k in range(1, n_layers + 1) if k not in group.blocks)
            wanted, fits = window or len(group.blocks), max(map(len, _runs(outside)))
            beside = replace(
                one, name=f"{name}-control{suffix}", control=one.name, blocks=outside, window=min(wanted, fits)
            )
            disturbed.append(one)
            control.append(beside)
            if wanted > fits and not number:
                notes.append(
                    f"{beside.name} disturbs {fits} {'block' if fits == 1 else 'blocks'} where {name} disturbs "
                    f"{wanted}: outside the scale there is no longer run of blocks."
                )
    baseline = Condition(BASELINE)
    return (
        ExperimentPlan((baseline, *disturbed, *control), tuple(notes))
        if controls
        else ExperimentPlan((baseline, *disturbed), ())
    )


def _relative(positions: tuple[float, float], n_layers: int, name: str) -> tuple[int, int]:
    if n_layers < 3:
        raise UserError(f"boundaries={name}: a model of {n_layers} blocks has no three scales; it takes 3 or more.")
    low = min(max(round(positions[0] * n_layers), 1), n_layers - 2)
    return low, min(max(round(positions[1] * n_layers), low + 1), n_layers - 1)


def _runs(layers: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Cut rising block numbers into runs of consecutive ones."""
    cuts = [i for i, (one, other) in enumerate(pairwise(layers), 1) if other != one + 1]
    return [layers[i:j] for i, j in pairwise([0, *cuts, len(layers)])]


def _windows(layers: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    return [run[i : i + size] for run in _runs(layers) for i in range(len(run) - size + 1)]
