"""`mspgt evaluate`: the result of a run anew from its states, with other weights, prominence or bootstrap."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from mspgt.config.keys import write_yaml
from mspgt.config.run import build, given
from mspgt.core.errors import UserError
from mspgt.core.files import writing
from mspgt.experiments.directory import CONFIG
from mspgt.experiments.run import conclude, config_of
from mspgt.experiments.workspace import existing
from mspgt.results.run import Run

RULE_KEYS = ("prominence", "bootstrap")
"""keys of `mspgt evaluate`, with weights.<signal>: what can change without new states"""


def evaluate(path: str | Path, changes: Mapping[str, Any], console: Console) -> Run:
    """Compute the result of a run anew from its states.

    Raises
    ------
    UserError: no such run, an unfinished one, or a key that would need new states.
    """
    w = existing(path, Run.kind)
    w.console = console
    config = config_of(w.path)
    for key in changes:
        if key not in RULE_KEYS and not key.startswith("weights."):
            raise UserError(
                f"key {key!r} cannot change without new states; `mspgt evaluate` takes {', '.join(RULE_KEYS)} and "
                "weights.<signal>."
            )
    w.store.complete_manifest()
    config = build({**given(config), **changes})
    with w.locked(), writing(w.path / CONFIG) as temporary:
        write_yaml(config.as_dict(), temporary)
        return conclude(w, config, time.time(), "cpu")
