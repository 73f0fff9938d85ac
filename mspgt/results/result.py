"""Result: the base of everything that a verb finds. It saves, loads, plots, exports and shows itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mspgt.core.codec import dumps, plain, structure
from mspgt.core.errors import UserError
from mspgt.core.files import write_atomically
from mspgt.models.facts import ModelFacts
from mspgt.results.kinds import SCHEMA, Kind, resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

SAVING, NOTEBOOK, TERMINAL, TABLES, FIGURES = (
    "mspgt.show.saving:save",
    "mspgt.show.html:notebook",
    "mspgt.show.terminal:render",
    "mspgt.show.tables:table",
    "mspgt.show.figures:draw",
)
"""what shows a result of any kind; matplotlib, Jinja2 and rich are paid for when something is shown"""


class Result:
    """Base of all results: frozen dataclasses, one for each kind; the fields are what its file holds.

    Attributes
    ----------
    kind: what is declared of it once.
    model: that it is about.
    directory: where it was loaded from, or is kept; None for one that is in memory alone.
    """

    kind: ClassVar[Kind]
    directory: ClassVar[Path | None] = None
    model: ModelFacts

    def as_dict(self) -> dict[str, Any]:
        """The contents of its file as plain JSON values, None for what is not a finite number."""
        return {"kind": self.kind.name, "schema": SCHEMA, **plain(self)}

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write its file, CSV tables, figures/*.svg and *.png and report.html; returns the directory.

        Each file is replaced in one step, so an interrupted save leaves the old one or the new one.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        root = self.save_data(directory)
        resolve(SAVING)(self, root)
        return root

    def save_data(self, directory: str | os.PathLike[str]) -> Path:
        """Write its file alone; returns the directory.

        Raises
        ------
        MachineError: the directory cannot be written.
        """
        root = Path(directory)
        write_atomically(root / self.kind.file, dumps(self.as_dict()) + "\n")
        return root

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result of this kind back from its directory or its file.

        Raises
        ------
        UserError: there is none, it is not JSON, of another kind or schema, or damaged.
        """
        file = Path(path)
        file = file / cls.kind.file if file.is_dir() else file
        data = read_json(file, cls.kind.what, f"give a directory that holds {cls.kind.file}, made by {cls.kind.maker}")
        return cls.of(data, file)

    @classmethod
    def of(cls, data: Mapping[str, Any], file: Path) -> Self:
        """A result from the contents of its file.

        Raises
        ------
        UserError: another kind or schema, or a field that is unknown, missing or of another type.
        """
        again = f"make it again by {cls.kind.maker}"
        if data.get("schema") != SCHEMA:
            raise UserError(
                f"{file} has schema {data.get('schema')!r}; this version of mspgt reads schema {SCHEMA}: {again}."
            )
        if data.get("kind") != cls.kind.name:
            raise UserError(
                f"{file} holds {data.get('kind')!r}, not {cls.kind.what}: give one made by {cls.kind.maker}."
            )
        fields = {key: value for key, value in data.items() if key not in ("kind", "schema")}
        result = structure(fields, cls, str(file), again)
        return result.kept_in(file.parent)

    def kept_in(self, directory: Path | None) -> Self:
        """The same, known to be kept in a directory."""
        object.__setattr__(self, "directory", directory)
        return self

    @property
    def incomplete(self) -> bool:
        """Whether something was left out."""
        return bool(getattr(self, "left_out", ()))

    # ------------------------------------------------------------------ showing

    @property
    def headline(self) -> str:
        """The answer in one plain sentence."""
        text: str = resolve(self.kind.shown).headline(self)
        return text

    def plot(self, name: str | None = None, **options: Any) -> Figure:
        """Draw one of its figures.

        Parameters
        ----------
        name: of the figure; the first that the kind declares where None.
        options: of that figure, such as ``ax``.

        Raises
        ------
        UserError: an unknown figure, or nothing to show in it.
        """
        figure: Figure = resolve(FIGURES)(self, name, **options)
        return figure

    def to_rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """The rows of one of its tables, the first where `table` is None; None where there is no number."""
        rows: list[dict[str, Any]] = resolve(TABLES)(self, table).to_rows()
        return rows

    def to_csv(self, table: str | None = None) -> str:
        """`to_rows` as the text of a CSV file, numbers in full precision."""
        text: str = resolve(TABLES)(self, table).to_csv()
        return text

    def to_markdown(self, table: str | None = None) -> str:
        """One of its tables as people read it, in Markdown."""
        text: str = resolve(TABLES)(self, table).to_markdown()
        return text

    def to_latex(self, table: str | None = None) -> str:
        """One of its tables as people read it, for a LaTeX document that uses the package booktabs."""
        text: str = resolve(TABLES)(self, table).to_latex()
        return text

    def to_dataframe(self, table: str | None = None) -> Any:
        """`to_rows` as a pandas DataFrame; UserError if pandas is not installed."""
        return resolve(TABLES)(self, table).to_dataframe()

    def show(self, console: Console | None = None) -> None:
        """Print what the verb that made it printed, to the console that is given or to standard output."""
        resolve(TERMINAL)(self, console)

    def __repr__(self) -> str:
        shown = resolve(self.kind.shown)
        lines = {**shown.subjects(self), **shown.answers(self), "found": self.headline}
        return "\n".join([f"mspgt.{type(self).__name__}", *(f"  {name:<9} {text}" for name, text in lines.items())])

    def _repr_html_(self) -> str:
        text: str = resolve(NOTEBOOK)(self)
        return text


def read_json(file: Path, what: str, give: str) -> Mapping[str, Any]:
    """The contents of a JSON file that holds a mapping.

    Parameters
    ----------
    what: what it should hold, such as "a run".
    give: what to do where it is not there, the rest of a sentence.

    Raises
    ------
    UserError: there is none, it cannot be read, or it is not a JSON mapping.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise UserError(f"{what} is not at {file}; {give}.") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is not JSON (line {error.lineno}: {error.msg}); {give}.") from None
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}); {give}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{file} holds a {type(data).__name__}, not {what}; {give}.")
    return data


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} stands in it, which JSON does not have")
