"""Pieces of a page: tables, lists of facts, sentences. Whatever is not marked `raw` is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from mspgt.core.phrases import NONE, amount, words


def table(heads: Iterable[str], rows: Iterable[str], caption: str = "") -> str:
    """A table that scrolls by itself; `rows` are made by `row`."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    about = f'<p class="about">{escape(caption)}</p>' if caption else ""
    return (
        f'{about}<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(heads: str | Iterable[str], cells: Iterable[str], style: str = "", *, raw: bool = False) -> str:
    """A row with its head or heads; `raw` ones and their cells are already HTML."""
    show = str if raw else escape
    first = "".join(f'<th scope="row">{show(head)}</th>' for head in ((heads,) if isinstance(heads, str) else heads))
    marked = f' class="{style}"' if style else ""
    return f"<tr{marked}>{first}{''.join(f'<td>{show(cell)}</td>' for cell in cells)}</tr>"


def card(title: str, body: str, *, wide: bool = False) -> str:
    """A card with a title; nothing without a body."""
    if not body:
        return ""
    return f'<section class="card{" wide" if wide else ""}"><h3>{escape(title)}</h3>{body}</section>'


def section(name: str, title: str, body: str) -> str:
    """A section of the page, with `name` as the id of its title; nothing without a body."""
    if not body:
        return ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{body}</section>'


def folded(title: str, body: str) -> str:
    """What a reader opens when it is wanted."""
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def facts(block: Mapping[str, Any]) -> str:
    """A mapping as a list of names and values, nested names with points between."""
    rows = "".join(f"<dt>{escape(words(name))}</dt><dd>{escape(value_text(value))}</dd>" for name, value in flat(block))
    return f"<dl>{rows}</dl>" if rows else ""


def sentences(items: Iterable[str], style: str = "") -> str:
    """A list of sentences."""
    listed = "".join(f'<li class="{style}">{escape(item)}</li>' for item in items)
    return f'<ul class="notes">{listed}</ul>' if listed else ""


def value_text(value: Any) -> str:
    """A JSON value as text; a number with its ends as `1.2 [0.9, 1.5]`."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        separator = "; " if any(isinstance(v, Mapping) for v in value) else ", "
        return separator.join(map(value_text, value)) or "none"
    if isinstance(value, Mapping):
        if _is_estimate(value):
            ends = [value.get("low"), value.get("high")]
            interval = "" if None in ends else f" [{amount(ends[0])}, {amount(ends[1])}]"
            return amount(value["value"]) + interval
        return ", ".join(f"{words(str(k))} {value_text(v)}" for k, v in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else amount(value) if isinstance(value, float) else str(value)


def _is_estimate(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= value.keys()


def flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names with points between, and what they stand for; a number with its ends stays whole."""
    for key, value in block.items():
        if isinstance(value, Mapping) and not _is_estimate(value):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
