"""The parts that a page or a terminal shows, and what a kind of result declares of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure

from mspgt.contracts.series import Plot, SeriesValues
from mspgt.show.grid import Grid, Piece
from mspgt.stats.boundaries import Verdict

R = TypeVar("R")


# ------------------------------------------------------------------------------------------- parts


@dataclass(frozen=True)
class Line:
    """A line of text, perhaps of differently styled pieces."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, text: str, style: str = "") -> Line:
        """A line of one style."""
        return cls(((text, style),))

    @classmethod
    def labelled(cls, label: str, text: str, style: str = "strong") -> Line:
        """``label: text``."""
        return cls(((f"{label}: ", style), (text, "")))


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for; nested mappings become names with points between."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Sentences:
    """A list of sentences; warnings have another look."""

    items: tuple[str, ...]
    warn: bool = False


@dataclass(frozen=True)
class BoundaryMark:
    """A boundary on a verdict's card."""

    name: str
    """also its style"""
    place: str
    details: tuple[str, ...]
    firm: bool


@dataclass(frozen=True)
class VerdictCard:
    """A verdict: its title, badge, sentence, reasons and numbers.

    Attributes
    ----------
    good: True for accepted or supported, False for contradicted, None otherwise.
    """

    title: str
    badge: str
    good: bool | None
    text: str = ""
    marks: tuple[BoundaryMark, ...] = ()
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Card:
    """Parts on a card of their own, with a title unless that is empty."""

    title: str
    parts: tuple[Any, ...]
    wide: bool = False
    subtitle: str = ""


@dataclass(frozen=True)
class Cards:
    """Cards side by side."""

    cards: tuple[Card | VerdictCard | Drawing, ...]


@dataclass(frozen=True)
class Folded:
    """What a reader opens when it is wanted."""

    title: str
    parts: tuple[Any, ...]
    open: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption, by the name under which the kind declares it."""

    name: str
    figure: Figure
    caption: str
    description: str = ""
    """for those who do not see it; the caption where empty"""


@dataclass(frozen=True)
class Continuations:
    """A prompt and what followed it under each condition."""

    prompt: str
    texts: Mapping[str, str]
    beside: Mapping[str, str] = field(default_factory=dict)
    """further ones, folded away"""


Part = Grid | Line | Facts | Sentences | VerdictCard | Card | Cards | Folded | Drawing | Continuations


@dataclass(frozen=True)
class Section:
    """A section of a page; one without parts is not shown."""

    name: str
    """id of its title"""
    title: str
    parts: tuple[Part, ...]


# ------------------------------------------------------------------------------------------- what a kind declares


@dataclass(frozen=True)
class PlotOf:
    """A figure as a description with its series, for the shipped renderers to draw.

    Attributes
    ----------
    verdict: whose boundaries are marked in it; none where None.
    """

    plot: Plot
    series: Mapping[str, SeriesValues]
    verdict: Verdict | None = None


@dataclass(frozen=True)
class FigureOf(Generic[R]):
    """How a kind draws a figure: a description, or a figure of its own; None where there is nothing to show."""

    draw: Callable[[R], PlotOf | Figure | None]
    caption: str = ""
    needs: str = ""
    """what it takes to have something to show, for the message that there is nothing"""


@dataclass(frozen=True)
class TableOf(Generic[R]):
    """A table that a kind exports: `to_rows`, `to_csv` and `to_dataframe` give it."""

    make: Callable[[R], Grid]
    file: str
    """name of its CSV file"""


@dataclass(frozen=True)
class Shown(Generic[R]):
    """All that a kind of result shows.

    Attributes
    ----------
    kicker: what a page of this kind is about, in one phrase.
    headline: the answer in one plain sentence.
    subjects: what was looked at and how, label -> text; below the headline and in `repr`.
    answers: what else was found, label -> text; in `repr`.
    figures: name -> figure; the first is what `plot` draws.
    tables: name -> table; the first is what `to_rows` gives.
    sections: of the page; `drawn` holds the figures there are, by name.
    terminal: what a terminal shows.
    notebook: parts that a notebook shows below the headline; the first figure where None.
    """

    kicker: str
    headline: Callable[[R], str]
    subjects: Callable[[R], Mapping[str, str]]
    figures: Mapping[str, FigureOf[R]]
    tables: Mapping[str, TableOf[R]]
    sections: Callable[[R, Mapping[str, Drawing]], Iterable[Section]]
    terminal: Callable[[R], Iterable[Line | Grid]]
    notebook: Callable[[R], Iterable[Part]] | None = None
    answers: Callable[[R], Mapping[str, str]] = lambda _: {}
    more_figures: Callable[[R], Mapping[str, FigureOf[R]]] | None = None
    """further figures that depend on the result, such as those that its signals declare"""
