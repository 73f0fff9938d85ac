"""Behaviour: what an intervention experiment gives back. It shows itself, plots, exports, saves and loads again."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mspgt.core.files import read_kept, write_atomically
from mspgt.results.intervention.describe import Described
from mspgt.results.intervention.schema import FILE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Behaviour(Described):
    """An intervention experiment: the contents of its interventions.json are `data`.

    The generated texts and the figures are kept only where `intervene` was given ``out``; `save` and `plot` make the
    figures again from `data`, which holds the texts of a few prompts.

    Parameters
    ----------
    data: the contents; arrays become lists, NaN and infinities null, and the caller's object is left alone.
    where: the file they come from, named in messages.

    Raises
    ------
    UserError: another schema, or a missing part.
    """

    def plot(self, name: str = "changes") -> Figure:
        """Draw a figure: "changes", and where there is something to show "dose-response" and "doses".

        Raises
        ------
        UserError: an unknown figure, or nothing to show in it.
        """
        from mspgt.show.intervention import figures  # matplotlib is paid for when something is drawn

        return figures.draw(self, name)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write interventions.json, interventions.csv, figures/*.svg and *.png and report.html; returns the directory.

        Each file is replaced in one step, so an interrupted save leaves the old one or the new one.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        from mspgt.results.intervention import export
        from mspgt.show.intervention import figures
        from mspgt.show.intervention import page as report

        root = Path(directory)
        text = json.dumps(self.data, indent=1, allow_nan=False, ensure_ascii=False)
        write_atomically(root / FILE, text + "\n")
        export.write_csv(self, root / "interventions.csv")
        figures.save(self, root / "figures")
        report.write(self, root / "report.html")
        return root

    def to_rows(self) -> list[dict[str, Any]]:
        """One row per metric and condition, the baseline first; None where there is no number."""
        from mspgt.results.intervention import export

        return list(export.to_rows(self))

    def to_csv(self) -> str:
        """`to_rows` as the text of interventions.csv, numbers in full precision."""
        from mspgt.results.intervention import export

        return export.to_csv(self)

    def to_dataframe(self) -> Any:
        """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
        from mspgt.results.intervention import export

        return export.to_dataframe(self)

    def __repr__(self) -> str:
        verdicts = "; ".join(f"{answer.title} {answer.verdict}" for answer in self.answers)
        lines = {
            "model": self.describe_model,
            "scales": self.describe_boundaries,
            "done": self.describe_settings,
            "found": self.headline,
            "verdicts": verdicts or "none",
        }
        return "\n".join(["mspgt.Behaviour", *(f"  {name:<8} {text}" for name, text in lines.items())])

    def _repr_html_(self) -> str:
        from mspgt.show.intervention import page_tables

        about = "<br>".join(map(html.escape, (self.describe_model, self.describe_boundaries)))
        headline = html.escape(self.headline)
        return f"<div><p><strong>{headline}</strong><br>{about}</p>{page_tables.changes(self)}</div>"


def load(path: str | os.PathLike[str]) -> Behaviour:
    """Read an experiment back from its directory or its interventions.json.

    Raises
    ------
    UserError: there is none, it is not JSON, or its schema is another.
    """
    data, file = read_kept(path, FILE, "experiment", "`mspgt intervene out=...`")
    return Behaviour(data, where=str(file))
