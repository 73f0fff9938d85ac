"""The experiment as a CSV file: a row for each metric and condition, numbers in full precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mspgt.core import rows
from mspgt.core.files import write_atomically
from mspgt.results.intervention.describe import Described
from mspgt.results.intervention.effects import Estimate

COLUMNS = (
    *("metric", "level", "direction", "unit", "condition", "mean", "low", "high", "n", "pairs"),
    *(f"{what}{end}" for what in ("difference", "percent", "d_z", "versus_control") for end in ("", "_low", "_high")),
    *("p_holm_versus_control", "primary"),
)
"""n: texts with a value; pairs: those with a value in the baseline too; then `p_<test>` and `p_holm_<test>` of each"""


def write_csv(behaviour: Described, path: Path | str) -> None:
    """Write `to_csv` to a file; MachineError if it cannot be written."""
    write_atomically(Path(path), to_csv(behaviour))


def to_csv(behaviour: Described) -> str:
    """`to_rows` as text; a number that is not there is an empty field."""
    return rows.to_csv(to_rows(behaviour), _columns(behaviour))


def to_dataframe(behaviour: Described) -> Any:
    """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
    return rows.to_dataframe(to_rows(behaviour), _columns(behaviour))


def to_rows(behaviour: Described) -> Iterator[dict[str, Any]]:
    """One row per metric and condition, the baseline first; None where there is no number."""
    for name, metric in behaviour.metrics.items():
        for condition in behaviour.conditions:
            level, effect = metric.values.get(condition), behaviour.effect(name, condition)
            mean = Estimate() if level is None else level.mean
            yield {
                "metric": name,
                "level": metric.level,
                "direction": metric.direction,
                "unit": metric.unit,
                "condition": condition,
                "mean": _cell(mean.value),
                "low": _cell(mean.low),
                "high": _cell(mean.high),
                "n": None if level is None else level.n,
                "pairs": effect.n,
                **_cells("difference", effect.difference),
                **_cells("percent", effect.percent),
                **_cells("d_z", effect.d_z),
                **_cells("versus_control", effect.versus_control),
                "p_holm_versus_control": _cell(effect.versus_control_p),
                "primary": effect.primary if effect.primary in effect.tests else None,
                **{f"p_{test.name}": _cell(test.p) for test in effect.tests.values()},
                **{f"p_holm_{test.name}": _cell(test.p_holm) for test in effect.tests.values()},
            }


def _columns(behaviour: Described) -> list[str]:
    effects = (behaviour.effect(name, c) for name in behaviour.metrics for c in behaviour.conditions)
    tests = dict.fromkeys(test for effect in effects for test in effect.tests)
    return [*COLUMNS, *(f"{p}_{test}" for test in tests for p in ("p", "p_holm"))]


def _cells(what: str, estimate: Estimate) -> dict[str, float | None]:
    return {what: _cell(estimate.value), f"{what}_low": _cell(estimate.low), f"{what}_high": _cell(estimate.high)}


def _cell(value: float) -> float | None:
    return value if math.isfinite(value) else None
