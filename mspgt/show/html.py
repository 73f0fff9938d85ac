"""Pages: one self-contained HTML file for a result of any kind, made of the parts that the kind declares.

No scripts, and nothing is loaded from elsewhere. Figures stand inside as SVG whose colours are those of the page, so
they follow light, dark and print. Jinja2 escapes every text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mspgt.core.phrases import NONE, amount, in_words, listed, well_formed
from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show.figures import COLOURS, figures, inline
from mspgt.show.grid import Cell, Grid, Number, Piece
from mspgt.show.parts import Drawing


def page(result: Result, drawn: Mapping[str, Drawing] | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    drawn: the figures of the result, where they are drawn already.
    """
    shown = resolve(result.kind.shown)
    sections = shown.sections(result, figures(result) if drawn is None else drawn)
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=f"{shown.headline(result)} · mspgt",
            style=Markup((files("mspgt.show") / "templates" / "page.css").read_text(encoding="utf-8")),
            kicker=shown.kicker,
            headline=shown.headline(result),
            subjects={in_words(label).capitalize(): text for label, text in shown.subjects(result).items()},
            sections=[section for section in sections if section.parts],
            footer=_footer(result),
        )
    )
    return well_formed(text)


def notebook(result: Result) -> str:
    """What a notebook shows of a result: the headline, what was looked at, and a part or a figure."""
    shown = resolve(result.kind.shown)
    parts = list(figures(result).values())[:1] if shown.notebook is None else list(shown.notebook(result))
    text: str = (
        _environment()
        .get_template("notebook.html")
        .render(headline=shown.headline(result), subjects=shown.subjects(result), parts=parts, colours=COLOURS)
    )
    return well_formed(text)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("mspgt.show"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters.update(cell=_cell, inline=inline, pieces=_pieces, together=_together)
    made.tests["grid"] = lambda part: isinstance(part, Grid)
    made.globals.update(facts=flat, value_text=value_text, kind_of=lambda part: type(part).__name__)
    return made


def _footer(result: Result) -> str:
    made = getattr(result, "provenance", None)
    by = "" if made is None else f" {made.mspgt} on {made.started}"
    tables = [part.file for part in resolve(result.kind.shown).tables.values()]
    return f"Made by mspgt{by}. The numbers are in {listed([result.kind.file, *tables])}."


# ------------------------------------------------------------------------------------------- pieces of text


def _cell(cell: Cell) -> Markup:
    """A cell: its text, and in small its interval and what stands below."""
    first, *below = cell.pieces("none")
    interval = cell.interval("ends") if isinstance(cell, Number) else ""
    style = "below" if isinstance(cell, Number) and cell.stacked else ""
    small = Markup('<small class="{}">{}</small>')
    parts = [_pieces(first), *([small.format(style, interval)] if interval else [])]
    return Markup("").join([*parts, *(small.format("below", _pieces(line)) for line in below)])


def _pieces(pieces: list[Piece]) -> Markup:
    return Markup("").join(
        Markup('<span class="{}">{}</span>').format(style, text) if style else escape(text) for text, style in pieces
    )


def _together(text: str) -> Markup:
    """A sentence in which no line breaks within a range such as 3–6."""
    return Markup(str(escape(text)).replace("–", "&#8288;–&#8288;"))


def value_text(value: Any) -> str:
    """A plain value as text; a number with its ends as `1.2 [0.9, 1.5]`."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        separator = "; " if any(isinstance(v, Mapping) for v in value) else ", "
        return separator.join(map(value_text, value)) or "none"
    if isinstance(value, Mapping):
        if _is_estimate(value):
            ends = [value.get("low"), value.get("high")]
            interval = "" if None in ends else f" [{amount(ends[0])}, {amount(ends[1])}]"
            return amount(value["value"]) + interval
        return ", ".join(f"{in_words(str(k))} {value_text(v)}" for k, v in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else amount(value) if isinstance(value, float) else str(value)


def flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names in words with points between, and what they stand for; a number with its ends stays whole."""
    for key, value in block.items():
        name = f"{prefix}{in_words(str(key))}"
        if isinstance(value, Mapping) and not _is_estimate(value):
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys()
