"""The figures of a result, by name: drawn, as SVG and PNG, and inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.text import Text

from mspgt.core.errors import UserError, unknown
from mspgt.core.phrases import well_formed
from mspgt.results.kinds import resolve
from mspgt.results.result import Result
from mspgt.show import plots
from mspgt.show.drawing import BACKGROUND, BOUNDARY_COLOURS, GRID, INK, MUTED, SIGNAL_COLOURS
from mspgt.show.parts import Drawing, FigureOf, PlotOf

COLOURS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BACKGROUND: "--card",
    **{colour: f"--signal-{i}" for i, colour in enumerate(SIGNAL_COLOURS, start=1)},
    **{colour: f"--cut-{i}" for i, colour in enumerate(BOUNDARY_COLOURS.values(), start=1)},
}
"""colour of a figure -> the page's own"""
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def figures(result: Result) -> dict[str, Drawing]:
    """Every figure that this result can show, by file name."""
    headline = resolve(result.kind.shown).headline(result)
    drawn = {name: (part, _drawn(part, result)) for name, part in _declared(result).items()}
    return {
        name: Drawing(name, figure, part.caption, f"{part.caption} {headline}".strip())
        for name, (part, figure) in drawn.items()
        if figure is not None
    }


def draw(result: Result, name: str | None = None, **options: Any) -> Figure:
    """One figure by its name; the first that the kind declares where that is None.

    Raises
    ------
    UserError: an unknown figure, or nothing to show in it.
    """
    declared = _declared(result)
    name = next(iter(declared)) if name is None else name
    if name not in declared:
        raise unknown("figure", name, declared)
    figure = _drawn(declared[name], result, **options)
    if figure is None:
        needs = declared[name].needs
        raise UserError(f"there is nothing to show in the figure {name!r}{f': it needs {needs}' if needs else ''}.")
    return figure


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element, the same for the same figure; `name` keeps its ids apart from others'."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        _write(figure, text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def png(figure: Figure) -> bytes:
    """The figure as a PNG of 200 dots per inch."""
    raw = io.BytesIO()
    _write(figure, raw, format="png", metadata={"Software": None})
    return raw.getvalue()


def _write(figure: Figure, file: Any, **options: Any) -> None:
    for text in figure.findobj(Text):
        text.set_text(well_formed(text.get_text()))
    figure.savefig(file, dpi=200, **options)


def inline(drawing: Drawing) -> Markup:
    """The figure as an SVG element for a page: the page's colours and font, ids of its own, an alternative text."""
    head, body = svg(drawing.figure, drawing.name).split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{drawing.name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{drawing.name}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", body)
    for colour, variable in COLOURS.items():
        body = body.replace(colour, f"var({variable})")
    label = escape(drawing.description or drawing.caption)
    view = box[1] if box else ""  # matplotlib always writes one
    inches = f"--inches: {drawing.figure.get_figwidth():.1f}"  # so that texts of all figures are of one size
    return Markup(  # the text of the figure was escaped by matplotlib
        f'<svg {NAMESPACES} viewBox="{view}" style="{inches}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{body}"
    )


def _declared(result: Result) -> Mapping[str, FigureOf[Any]]:
    shown = resolve(result.kind.shown)
    return shown.figures if shown.more_figures is None else {**shown.figures, **shown.more_figures(result)}


def _drawn(part: FigureOf[Any], result: Result, **options: Any) -> Figure | None:
    made = part.draw(result, **options)
    return plots.draw(made) if isinstance(made, PlotOf) else made
