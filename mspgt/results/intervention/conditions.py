"""Names of conditions: which scale was disturbed, how strongly, and whether it is a control.

A name is the scale (`local`), with `-matched` or `-control` for another dose and with `@0.05` for a further strength.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BASELINE = "baseline"
SCALES = ("local", "intermediate", "global")
DOSES = {
    "matched": "in each scale a random window of as many blocks as the smallest has",
    "control": "a random window of as many blocks outside the scale",
    "matched-control": "the same as control, with as many blocks as matched",
}
"""kind of a condition -> what is disturbed"""
NAME = re.compile(rf"({'|'.join(SCALES)})(?:-([\w-]+))?(?:@(\S+))?")


@dataclass(frozen=True)
class Variant:
    """One way of disturbing, done to each of the scales.

    Attributes
    ----------
    kind: "" for what was asked for, "strength" for the same in another strength, otherwise "matched", "control", ...
    strength: in units of the intervention; None if it is not known.
    label: a few words for legends and tables.
    conditions: scale -> name of the condition.
    """

    kind: str
    strength: float | None
    label: str
    conditions: Mapping[str, str]


def variants(conditions: Sequence[str], sigma: Any) -> tuple[Variant, ...]:
    """Group the disturbed conditions; a name that is not of this form makes a scale of its own.

    Parameters
    ----------
    sigma: the strength or the strengths of the experiment; the first that no name bears is that of the rest.
    """
    grouped: dict[tuple[str, float | None], dict[str, str]] = {("", None): {}}
    for name in conditions:
        if name == BASELINE:
            continue
        match = NAME.fullmatch(name)
        scale, kind, at = match.groups() if match else (name, None, None)
        key = (kind or ("strength" if at else ""), _number(at))
        grouped.setdefault(key, {})[scale] = name
    given = [_number(s) for s in (sigma if isinstance(sigma, list) else [sigma])]
    named = {strength for _, strength in grouped}
    unnamed = next((s for s in given if s is not None and s not in named), None)
    return tuple(
        Variant(kind, unnamed if strength is None else strength, _label(kind, strength, unnamed), group)
        for (kind, strength), group in grouped.items()
        if group
    )


def _label(kind: str, named: float | None, unnamed: float | None) -> str:
    strength = named if kind else unnamed
    parts = [*([kind] if kind not in ("", "strength") else []), *([] if strength is None else [f"sigma {strength:g}"])]
    return ", ".join(parts) or "as asked"


def _number(text: Any) -> float | None:
    try:
        return None if text is None else float(text)
    except (TypeError, ValueError):
        return None
