"""Whether two runs found the same."""

from __future__ import annotations

import math
from typing import Any

from mspgt.core.codec import plain
from mspgt.results.run import Run


def same_numbers(one: Run, other: Run, rtol: float = 0.0) -> bool:
    """Whether signals, verdicts and bootstrap are the same; numbers to the relative tolerance `rtol`."""
    parts = ("signals", "verdicts", "bootstrap")
    return all(_same(plain(getattr(one, part)), plain(getattr(other, part)), rtol) for part in parts)


def _same(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k], rtol) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b, rtol) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (one, other))
        return numbers and math.isclose(one, other, rel_tol=rtol)
    return bool(one == other)
