"""Result: what a run gives back. It shows itself, plots, exports, saves to a run directory and loads again."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mspgt import rows
from mspgt.files import read_kept, write_atomically
from mspgt.schema import RULES, Curve, Findings, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "result.json"
COLUMNS = ("signal", "transition", "relative", "value", "low", "high", "weight")


class Result(Findings):
    """Curves, boundaries and verdicts of one run; the contents of its result.json are `data`.

    Raises
    ------
    UserError: the contents are not those of a result of schema 1.
    """

    directory: Path | None = None
    """the run directory, of a result that was loaded from one or made in one that stays"""

    def to_rows(self) -> list[dict[str, Any]]:
        """One row per signal and transition, then the evidence of each rule; None where there is no number.

        `relative` is transition / blocks; `value`, `low` and `high` are in the signal's own unit.
        """
        rows = [row for curve in self.signals.values() for row in self._rows(curve.name, curve)]
        for verdict in self.rules:
            rows += self._rows(f"evidence.{verdict.rule}", verdict.evidence)
        return rows

    def to_csv(self) -> str:
        """`to_rows` as the text of signals.csv, numbers in full precision."""
        return rows.to_csv(self.to_rows(), COLUMNS)

    def to_dataframe(self) -> Any:
        """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
        return rows.to_dataframe(self.to_rows(), COLUMNS)

    def plot(self, ax: Any = None, rule: str = "mspgt") -> Figure:
        """Draw signals, evidence and boundaries in the manner of the paper's Figures 3-6.

        Parameters
        ----------
        ax: matplotlib axes to draw into; a new figure without them.
        rule: whose verdict, "mspgt" or "paper".

        Returns
        -------
        The matplotlib Figure.
        """
        from mspgt import figures  # matplotlib is paid for when something is drawn

        return figures.evidence(self, rule=rule, ax=ax)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write result.json, signals.csv, figures/*.svg and *.png and report.html; returns the directory.

        Each file is replaced in one step, so an interrupted save leaves the old one or the new one.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        from mspgt import figures, report

        root = Path(directory)
        text = json.dumps(self.data, indent=1, allow_nan=False, ensure_ascii=False)
        write_atomically(root / FILE, text + "\n")
        write_atomically(root / "signals.csv", self.to_csv())
        figures.save(self, root / "figures")
        report.write(self, root / "report.html")
        return root

    def same_numbers(self, other: Findings, rtol: float = 0.0) -> bool:
        """Whether signals, verdicts and bootstrap are the same; numbers to the relative tolerance `rtol`."""
        blocks = ("signals", "verdicts", "bootstrap")
        return all(_same(self.data[block], other.data[block], rtol) for block in blocks)

    def __repr__(self) -> str:
        signals = ", ".join(f"{c.name} (weight {c.weight:g})" for c in self.signals.values())
        lines = [("model", self.describe_model), ("data", self.describe_data), ("signals", signals or "none")]
        lines += [(verdict.rule, _verdict_line(verdict)) for verdict in self.rules]
        return "\n".join(["mspgt.Result", *(f"  {name:<8} {text}" for name, text in lines)])

    def _repr_html_(self) -> str:
        from mspgt import figures

        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(RULES[verdict.rule])}</th>"
            f"<td style='text-align:left'>{html.escape(_verdict_line(verdict))}</td></tr>"
            for verdict in self.rules
        )
        return (
            f"<div><p><strong>{html.escape(self.headline)}</strong><br>{html.escape(self.describe_model)}<br>"
            f"{html.escape(self.describe_data)}</p><table>{rows}</table>"
            f"{figures.svg(self.plot(), 'notebook')}</div>"
        )

    def _rows(self, name: str, curve: Curve) -> Iterator[dict[str, Any]]:
        weight = _number(curve.weight)
        for i, transition in enumerate(curve.transition.tolist()):
            numbers = (_number(part[i]) for part in (curve.value, curve.low, curve.high))
            row = (name, transition, transition / self.n_layers, *numbers, weight)
            yield dict(zip(COLUMNS, row, strict=True))


def load(path: str | os.PathLike[str]) -> Result:
    """Read a result back from its run directory or its result.json.

    Raises
    ------
    UserError: there is none, it is not JSON, or its schema is another.
    """
    data, file = read_kept(path, FILE, "result", "`mspgt run out=...`")
    result = Result(data, where=str(file))
    result.directory = file.parent
    return result


def _verdict_line(verdict: Verdict) -> str:
    found = "; ".join(f"{b.short} after block {b.layer} {b.interval}" for b in verdict.boundaries)
    return f"{verdict.title} ({found})" if found else verdict.title


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _same(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k], rtol) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b, rtol) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (one, other))
        return numbers and math.isclose(one, other, rel_tol=rtol)
    return bool(one == other)
