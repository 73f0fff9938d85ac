"""Conditions: which blocks are disturbed, how strongly, and what they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from mspgt.core.errors import UserError, unknown

BASELINE = "baseline"
DOSES = ("paper", "matched", "both")
PAPER: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"llama": (13 / 32, 16 / 32), "qwen": ((2 / 32 + 2 / 28) / 2, (8 / 32 + 20 / 28) / 2)}
)
"""family -> mean relative positions of its two boundaries (paper, Table 1; the means are those of Table 3)"""


@dataclass(frozen=True)
class Condition:
    """One way in which every prompt is continued."""

    name: str
    strength: float
    layers: tuple[int, ...]
    """blocks, from 1, that may be disturbed; none for the baseline"""
    window: int | None = None
    """disturb this many consecutive blocks of `layers`, drawn anew for each sample; None disturbs them all"""
    scale: str = ""
    """the scale that it belongs to; empty for the baseline"""

    def blocks(self, sample: int, seed: int) -> tuple[int, ...]:
        """Blocks that are disturbed for a sample.

        A window is drawn uniformly from those that lie within one run of consecutive `layers`. The draw depends on
        seed, sample, layers and window alone, so that it is the same at every strength.
        """
        if self.window is None:
            return self.layers
        windows = _windows(self.layers, self.window)
        key = f"{seed} {sample} {self.window} {self.layers}".encode()
        drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        return windows[drawn % len(windows)]


class Plan(NamedTuple):
    """All conditions of an experiment, the baseline first and controls last."""

    conditions: tuple[Condition, ...]
    notes: tuple[str, ...]
    """where a control could not be as large as what it controls; one sentence each"""


def scales(boundaries: tuple[int, int], n_layers: int) -> dict[str, tuple[int, ...]]:
    """Blocks, from 1, of the local, the intermediate and the global scale; a boundary at l has l blocks below it.

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
    return {name: tuple(range(first, last + 1)) for name, (first, last) in edges.items()}


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
    return _relative(PAPER["qwen" if family.startswith("qwen") else "llama"], n_layers, "paper")


def plan(
    boundaries: tuple[int, int], n_layers: int, strengths: Sequence[float], dose: str = "paper", controls: bool = True
) -> Plan:
    """All conditions of an experiment.

    The baseline; for each strength the three scales (``local``, and ``local@0.05`` from the second strength on); then
    the controls (``local-control``), each a random window outside the scale of as many blocks as its condition
    disturbs.

    Parameters
    ----------
    dose: "paper" disturbs all blocks of a scale; "matched" as many in each as the smallest scale has, a random window
        for each sample; "both" is the paper's, followed by the matched ones as ``local-matched`` unless all scales are
        equally large, when these would be the same.

    Raises
    ------
    UserError: no strength, one given twice, an unknown dose, or boundaries that leave a scale without blocks.
    """
    if dose not in DOSES:
        raise unknown("value for dose:", dose, DOSES)
    if not strengths or len(set(strengths)) < len(strengths):
        given = ",".join(f"{strength:g}" for strength in strengths)
        raise UserError(f"sigma={given}: give one strength or several different ones.")
    layers = scales(boundaries, n_layers)
    smallest = min(map(len, layers.values()))
    kinds: list[tuple[str, int | None]] = [("", None)] if dose != "matched" else [("", smallest)]
    disturbed, control, notes = [], [], []
    if dose == "both" and smallest == max(map(len, layers.values())):
        notes.append(f"The matched dose is the same as the paper's: every scale has {smallest} blocks.")
    elif dose == "both":
        kinds.append(("-matched", smallest))
    for number, strength in enumerate(strengths):
        suffix = f"@{strength:g}" if number else ""
        for kind, window in kinds:
            for scale, blocks in layers.items():
                name = f"{scale}{kind}"
                disturbed.append(Condition(name + suffix, strength, blocks, window, scale))
                outside = tuple(k for k in range(1, n_layers + 1) if k not in blocks)
                wanted, fits = window or len(blocks), max(map(len, _runs(outside)))
                control.append(Condition(f"{name}-control{suffix}", strength, outside, min(wanted, fits), scale))
                if wanted > fits and not number:
                    notes.append(
                        f"{name}-control disturbs {fits} {'block' if fits == 1 else 'blocks'} where {name} disturbs "
                        f"{wanted}: outside the scale there is no longer run of blocks."
                    )
    baseline = Condition(BASELINE, 0.0, ())
    return Plan((baseline, *disturbed, *control), tuple(notes)) if controls else Plan((baseline, *disturbed), ())


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
