"""Whether states belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mspgt.core.errors import UserError

NAMED = 5
"""differing keys that a message names"""


def check_fingerprint(old: Mapping[str, Any], new: Mapping[str, Any], what: str) -> None:
    """Refuse states that do not belong together, and name the first keys that differ.

    Raises
    ------
    UserError: any key differs.
    """
    different = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
    if different:
        listed = "; ".join(f"{k} ({old.get(k)!r} there, {new.get(k)!r} here)" for k in different[:NAMED])
        more = f"; and {len(different) - NAMED} more" if len(different) > NAMED else ""
        raise UserError(f"{what} does not match: {listed}{more}. Give the same settings, or another out.")
