"""What a reader of a comparison must know beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from mspgt.stats.paired.hypothesis_tests import ALPHA
from mspgt.stats.paired.measured import SCALES, Json, Measured
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.selection import selection_notes


def notes(measured: Sequence[Measured], effects: Sequence[Json], resampling: Resampling, *, swaps: int) -> list[str]:
    """Sentences on the unit, on texts without a value, and on what the swap test cannot find.

    Parameters
    ----------
    effects: of the same metrics, from `effects` with the same number of `swaps`.
    """
    found = [unit_note(resampling), *selection_notes(measured)]
    family = [e["tests"][e["primary"]]["p"] for e in effects if e["condition"] in SCALES and e["primary"]]
    size = sum(p is not None for p in family)
    if any(e["primary"] == "swap" for e in effects) and size / (swaps + 1) > ALPHA:
        found.append(
            f"A swap test of {swaps} swaps has p of {1 / (swaps + 1):.3g} or more, which Holm's correction over {size} "
            f"tests can take to {min(1.0, size / (swaps + 1)):.2g}: give swaps={round(size / ALPHA)} or more to find a "
            "change of a corpus-level metric."
        )
    return found


def unit_note(resampling: Resampling) -> str:
    """What is resampled, and which tests take prompts as independent."""
    if resampling.unit == "document":
        return (
            f"Intervals and tests are of whole documents, but for t (the paper's) and wilcoxon, which take prompts as "
            f"independent: {resampling.reason}."
        )
    return f"Intervals and tests take prompts as independent: {resampling.reason}."
