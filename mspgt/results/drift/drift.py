"""Drift: how layers organise while a model trains. It shows itself, plots, exports, saves and loads again."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mspgt.core.errors import UserError
from mspgt.core.files import write_atomically
from mspgt.results.drift import export
from mspgt.results.drift.schema import FILE, Recorded, contents
from mspgt.results.schema import RULES, Findings, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mspgt.results.prediction_3_2 import Run
    from mspgt.stats.paired.answers import Prediction


class Drift(Recorded):
    """Curves and boundaries at many steps of a training run, and what changed: the contents of drift.json are `data`.

    Parameters
    ----------
    data: the contents; arrays become lists, NaN and infinities null, and the caller's object is left alone.
    where: the file they come from, named in messages.

    Raises
    ------
    UserError: another schema, or a missing or damaged part.
    """

    def at(self, step: int) -> Findings:
        """Curves and verdicts at a step, as of a result.

        Raises
        ------
        UserError: nothing was evaluated at this step.
        """
        for point in self.points:
            if point.step == step:
                return point.findings
        steps = ", ".join(f"{point.step}" for point in self.points)
        raise UserError(f"nothing was evaluated at step {step}; available: {steps}.")

    def plot(self, name: str = "drift") -> Figure:
        """Draw a figure: "drift" (evidence over depth and steps), "boundaries", "signals" or "drift-paper".

        Raises
        ------
        UserError: an unknown figure, or nothing to show in it.
        """
        from mspgt.show.drift import figures  # matplotlib is paid for when something is drawn

        return figures.draw(self, name)

    def against(self, *others: Run, rule: str = "mspgt") -> Prediction:
        """Answer the paper's prediction 3.2 from the last points of this training and of others.

        Parameters
        ----------
        others: drifts, or folders or files that hold them, of models of the same architecture.
        rule: whose boundaries, "mspgt" or "paper".

        Raises
        ------
        UserError: as `mspgt.prediction_3_2`.
        """
        from mspgt.results.prediction_3_2 import prediction_3_2

        return prediction_3_2([self, *others], rule=rule)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write what `save_data` writes, figures/*.svg and *.png and report.html; returns the directory.

        Each file is replaced in one step, so an interrupted save leaves the old one or the new one.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        from mspgt.show.drift import figures
        from mspgt.show.drift import page as report

        root = self.save_data(directory)
        figures.save(self, root / "figures")
        report.write(self, root / "report.html")
        return root

    def save_data(self, directory: str | os.PathLike[str]) -> Path:
        """Write drift.json, drift.csv and boundaries.csv alone; returns the directory.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        root = Path(directory)
        write_atomically(root / FILE, export.to_json(self.data) + "\n")
        for table, file in export.FILES.items():
            write_atomically(root / file, export.to_csv(self, table))
        return root

    def to_rows(self, table: str = "curves") -> list[dict[str, Any]]:
        """The rows of a table; None where there is no number. Columns: `mspgt.results.drift.export`.

        Parameters
        ----------
        table: "curves", a row per step, signal and transition, then the evidence; or "boundaries", a row per step,
            rule and boundary.

        Raises
        ------
        UserError: an unknown table.
        """
        return export.to_rows(self, table)

    def to_csv(self, table: str = "curves") -> str:
        """`to_rows` as the text of drift.csv or boundaries.csv, numbers in full precision."""
        return export.to_csv(self, table)

    def to_dataframe(self, table: str = "curves") -> Any:
        """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
        return export.to_dataframe(self, table)

    def __repr__(self) -> str:
        lines = {
            "model": self.describe_model,
            "data": self.describe_data,
            "steps": self.describe_steps,
            "signals": ", ".join(self.signals),
            "found": self.headline,
        }
        for rule, moves in self.overall.boundaries.items() if self.overall else ():
            said = "; ".join(f"{name} {move}" for name, move in moves.items() if move)
            lines[rule] = said or "no boundaries at the first and the last step to compare"
        return "\n".join(["mspgt.Drift", *(f"  {name:<8} {text}" for name, text in lines.items())])

    def _repr_html_(self) -> str:
        from mspgt.show.run.figures import svg

        about = "<br>".join(map(html.escape, (self.describe_model, self.describe_data, self.describe_steps)))
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(RULES[verdict.rule])} at the end</th>"
            f"<td style='text-align:left'>{html.escape(_outcome(verdict))}</td></tr>"
            for verdict in self.points[-1].findings.rules
        )
        return (
            f"<div><p><strong>{html.escape(self.headline)}</strong><br>{about}</p><table>{rows}</table>"
            f"{svg(self.plot(), 'notebook')}</div>"
        )


def load(path: str | os.PathLike[str]) -> Drift:
    """Read a drift back from its directory or its drift.json.

    Raises
    ------
    UserError: there is none, it is not JSON, its schema is another, or a part is missing or damaged.
    """
    data, where = contents(path)
    return Drift(data, where)


def _outcome(verdict: Verdict) -> str:
    found = "; ".join(f"{b.short} after block {b.layer} {b.interval}" for b in verdict.boundaries)
    return f"{verdict.title} ({found})" if found else verdict.title
