"""What stands beside the file of a result: CSV tables, figures and the page."""

from __future__ import annotations

from pathlib import Path

from mspgt.core.files import write_atomically
from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show.figures import figures, png, svg
from mspgt.show.html import page
from mspgt.show.tables import table


def save(result: Result, root: Path) -> None:
    """Write all of it; MachineError if the directory cannot be written."""
    save_tables(result, root)
    drawn = figures(result)
    for name, drawing in drawn.items():
        write_atomically(root / "figures" / f"{name}.svg", svg(drawing.figure, name))
        write_atomically(root / "figures" / f"{name}.png", png(drawing.figure))
    write_atomically(root / "report.html", page(result, drawn))


def save_tables(result: Result, root: Path) -> None:
    """Write the CSV tables alone; MachineError if the directory cannot be written."""
    for name, part in resolve(result.kind.shown).tables.items():
        write_atomically(root / part.file, table(result, name).to_csv())
