"""What a reader of a comparison must know beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from mspgt.stats.paired.conditions import Conditions
from mspgt.stats.paired.records import ALPHA, Effect
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.selection import selection_notes


def notes(
    metrics: Sequence[Samples], effects: Sequence[Effect], resampling: Resampling, conditions: Conditions, *, swaps: int
) -> list[str]:
    """Sentences on the unit, on texts without a value, and on what the swap test cannot find.

    Parameters
    ----------
    effects: of the same metrics, from `effects` with the same number of `swaps`.
    """
    sentences = [unit_note(resampling), *selection_notes(metrics)]
    main = set(conditions.main.values())
    size = sum(isfinite(e.tests[e.primary].p) for e in effects if e.condition in main and e.primary)
    if any(e.primary == "swap" for e in effects) and size / (swaps + 1) > ALPHA:
        sentences.append(
            f"A swap test of {swaps} swaps has p of {1 / (swaps + 1):.3g} or more, which Holm's correction over {size} "
            f"tests can take to {min(1.0, size / (swaps + 1)):.2g}: give swaps={round(size / ALPHA)} or more to find a "
            "change of a corpus-level metric."
        )
    return sentences


def unit_note(resampling: Resampling) -> str:
    """What is resampled, and which tests take prompts as independent."""
    if resampling.unit == "document":
        return (
            f"Intervals and tests are of whole documents, but for t (the paper's) and wilcoxon, which take prompts as "
            f"independent: {resampling.reason}."
        )
    return f"Intervals and tests take prompts as independent: {resampling.reason}."
