"""Numbers as text, the same in the terminal, in figures and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

NONE = "–"


def amount(value: Any) -> str:
    """A number in three digits, or more before the point: 0.0312, 41.7, 1,840; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return NONE if value is None or isinstance(value, float) else str(value)
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e6):
        return f"{value:.2g}"
    return f"{value:,.0f}" if size >= 999.5 else f"{value:.3g}"


def magnitude(count: float) -> str:
    """A large count: 57.9 M, 6.74 B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return amount(count)


def percentage(value: float) -> str:
    """A percentage without its sign: 27.4%, 1,840%."""
    if not math.isfinite(value):
        return NONE
    size = abs(value)
    return f"{size:.1e}%" if size >= 1e6 else f"{size:,.0f}%" if size >= 999.5 else f"{size:.1f}%"


def probability(p: float) -> str:
    """A p-value: 0.034, 2e-05; a dash where there is none."""
    if not math.isfinite(p):
        return NONE
    return f"{p:.3f}" if p >= 0.001 or p == 0 else f"{p:.0e}"


def arrow(value: float) -> str:
    """Up, down or neither."""
    return "↑" if value > 0 else "↓" if value < 0 else ""


def change(value: float, *, percent: bool = False) -> str:
    """A change with an arrow, which what is shown as zero does not have: ↑27.4%, ↓0.031, 0.0%."""
    size = percentage(value) if percent else amount(abs(value))
    return f"{arrow(value)}{size}" if any(digit in "123456789" for digit in size) else size


def listed(items: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def some(items: Iterable[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are: a, b and 3 more; nothing, if there are none."""
    names = list(items)
    further = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + further or "nothing"


def in_words(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")


def well_formed(text: str) -> str:
    """The same with a question mark for half a surrogate pair, which a generated text or a file's name may hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def runs(numbers: Sequence[int]) -> str:
    """Numbers as runs: 7–9, 12."""
    consecutive: list[list[int]] = []
    for number in sorted(numbers):
        if consecutive and number == consecutive[-1][-1] + 1:
            consecutive[-1].append(number)
        else:
            consecutive.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in consecutive) or NONE
