"""The page: one self-contained HTML file with verdicts, figures, tables, settings and provenance.

No scripts and nothing loaded from elsewhere. Figures stand inside as SVG whose colours are those of the page, so
they follow light, dark and print. Every text that comes from a model, a corpus or a command is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

from mspgt.core.files import write_atomically
from mspgt.core.phrases import NONE, runs, words
from mspgt.results.schema import RULES, Boundary, Curve, Findings, Verdict
from mspgt.show import pieces
from mspgt.show.details import Curves, sort_details
from mspgt.show.run import figures

COLOURS = {
    figures.INK: "--ink",
    figures.MUTED: "--muted",
    figures.GRID: "--grid",
    figures.PAPER: "--card",
    **{colour: f"--signal-{i}" for i, colour in enumerate(figures.SIGNAL_COLOURS, start=1)},
    **{colour: f"--cut-{i}" for i, colour in enumerate(figures.BOUNDARY_COLOURS.values(), start=1)},
}
"""colour of a figure -> the page's own"""
CAPTIONS = {
    "evidence": "Signals on the scale on which they are fused, the combined evidence in bold, and boundaries with "
    "their intervals, by mspgt's rule. A transition is counted by the blocks below it.",
    "evidence-paper": "The same by the paper's rule: each signal is divided by its maximum.",
    "signals": "Each signal in its own unit, with its intervals.",
    "cka-matrix": "Debiased CKA between the outputs of every two blocks.",
    "probe-f1": "F1 of the probes on documents that they were not trained on.",
}


def write(result: Findings, path: Path | str) -> None:
    """Write the page; MachineError if it cannot be written."""
    write_atomically(Path(path), page(result))


def page(result: Findings) -> str:
    """The page as text."""
    templates = files("mspgt.show")
    drawn = figures.figures(result)
    return Template((templates / "run" / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{result.model} · mspgt"),
        style=(templates / "report.css").read_text(encoding="utf-8"),
        headline=escape(result.headline).replace("–", "&#8288;–&#8288;"),  # no line break within a range
        model=escape(result.describe_model),
        data=escape(result.describe_data),
        verdicts="".join(_verdict(verdict, result) for verdict in result.rules),
        left_out=_sentences("Left out", result.data.get("left_out"), "warn"),
        evidence=_evidence(result, drawn),
        boundaries=_boundaries(result),
        signals=_signals(result, drawn),
        transitions=_transitions(result),
        how=_how(result),
        notes=_sentences("Notes", result.data.get("notes"), ""),
        footer=_footer(result),
    )


# ---------------------------------------------------------------------------------------------------- verdicts


def _verdict(verdict: Verdict, result: Findings) -> str:
    cuts = "".join(
        f'<li class="{b.name}{"" if b.accepted else " refused"}"><span>{b.name}</span>'
        f"<b>after block {b.layer}</b><span>{b.relative:.1%} of the depth{_interval(b, result)}"
        f"{'' if b.accepted else '<br>not accepted'}</span></li>"
        for b in verdict.boundaries
    )
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    weights = ", ".join(f"{name} {weight:g}" for name, weight in verdict.weights.items())
    facts = {
        "Two peaks in": _share(verdict.p_two_peaks, "of the bootstrap samples"),
        "Chance (null test)": NONE if verdict.null_p is None else f"p = {verdict.null_p:.3g}",
        "Normalisation": verdict.normalisation or NONE,
        "Weights": weights or NONE,
        "Prominence": f"at least {verdict.threshold:g}",
    }
    accepted = verdict.accepted
    return (
        f'<article class="card verdict{" accepted" if accepted else ""}"><header><h3>{escape(RULES[verdict.rule])}</h3>'
        f'<span class="badge">{"accepted" if accepted else f"not accepted: {escape(verdict.status)}"}</span></header>'
        f"<p>{escape(verdict.meaning or _sentence(verdict.title))}</p>"
        + (f'<ul class="cuts">{cuts}</ul>' if cuts else "")
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + f"{pieces.facts(facts)}</article>"
    )


def _boundaries(result: Findings) -> str:
    rows = [
        pieces.row(
            (RULES[verdict.rule], b.name),
            (
                str(b.layer),
                f"{b.relative:.1%}",
                b.interval,
                runs(b.hpd),
                _share(b.support, ""),
                NONE if b.prominence is None else f"{b.prominence:.2f}",
                "accepted" if b.accepted else "not accepted",
            ),
            f"{b.name}{'' if b.accepted else ' refused'}",
        )
        for verdict in result.rules
        for b in verdict.boundaries
    ]
    if not rows:
        return "<p>Neither rule places boundaries in this model.</p>"
    heads = (
        *("rule", "boundary", "blocks below", "relative", f"{result.confidence:.0%} interval"),
        *("likely layers", "support", "prominence", "verdict"),
    )
    caption = (
        "Support is the share of bootstrap samples in which the layer is one of the two chosen; the likely layers are "
        f"the smallest set that holds {result.confidence:.0%} of them."
    )
    return pieces.table(heads, rows, caption)


# ----------------------------------------------------------------------------------------------------- figures


def _evidence(result: Findings, drawn: Mapping[str, Figure]) -> str:
    names = [name for name in drawn if name.startswith("evidence")]
    return "".join(_figure(result, name, drawn[name]) for name in names)


def _figure(result: Findings, name: str, figure: Figure) -> str:
    rule = "paper" if name.endswith("paper") else "mspgt"
    found = "; ".join(map(str, result.verdict(rule).boundaries)) or "no boundaries found"
    caption = CAPTIONS[name]
    return (
        f'<figure class="card"><div class="plot">{inline(figure, name, f"{caption} {found}.")}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def inline(figure: Figure, name: str, description: str) -> str:
    """The figure as an SVG element for a page: the page's colours and font, ids of its own, an alternative text."""
    text = figures.svg(figure, name)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None  # noqa: S101 - matplotlib always writes one
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    body = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", body)
    for colour, variable in COLOURS.items():
        body = body.replace(colour, f"var({variable})")
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    label = escape(description)
    return f'<svg {namespaces} viewBox="{box[1]}" role="img" aria-label="{label}"><title>{label}</title>{body}'


# ----------------------------------------------------------------------------------------------------- signals


def _signals(result: Findings, drawn: Mapping[str, Figure]) -> str:
    beside = [name for name in drawn if not name.startswith(("evidence", "signals"))]
    text = _figure(result, "signals", drawn["signals"])
    if beside:
        text += f'<div class="grid signal">{"".join(_figure(result, n, drawn[n]) for n in beside)}</div>'
    return text + "".join(_signal(result, curve) for curve in result.signals.values())


def _signal(result: Findings, curve: Curve) -> str:
    """What a signal reports beside its curve; nothing if it reports nothing."""
    details = sort_details(curve.details, result.n_layers)
    facts = {"flags": ", ".join(curve.flags)} if curve.flags else {}
    facts |= {words(name): _value(value) for name, value in details.values.items()}
    tables = [_records(name, records) for name, records in details.records.items()]
    tables += [_columns(curve.name, curves) for curves in details.curves]
    if not facts and not tables:
        return ""
    return (
        f'<section class="card signal"><h3>{escape(curve.name)} <span>weight {curve.weight:g}</span></h3>'
        f"{pieces.facts(facts)}{''.join(tables)}</section>"
    )


def _records(name: str, records: Mapping[str, Mapping[str, Any]]) -> str:
    """A table with one row per record, such as a probe's tasks."""
    fields = list(dict.fromkeys(field for record in records.values() for field in record))
    rows = [pieces.row((key,), [_value(record.get(f)) for f in fields]) for key, record in records.items()]
    return pieces.table((name, *map(words, fields)), rows, "")


def _columns(signal: str, curves: Curves) -> str:
    """A table with one row per transition or block, folded away: there may be many."""
    rows = [
        pieces.row((str(curves.first + i),), map(_fixed, cells))
        for i, cells in enumerate(zip(*curves.columns.values(), strict=True))
    ]
    title = f"{words(curves.title) or signal} by {curves.place}"
    table = pieces.table((curves.place, *map(words, curves.columns)), rows, "")
    shown = " open" if curves.title == "f1" else ""  # the one that readers look for
    return f"<details{shown}><summary>{escape(title)}</summary>{table}</details>"


def _transitions(result: Findings) -> str:
    shown = [*result.signals.values(), *(verdict.evidence for verdict in result.rules)]
    names = [*result.signals, *(f"evidence ({verdict.rule})" for verdict in result.rules)]
    marks = {b.layer: b for b in result.boundaries}
    rows = []
    for i, transition in enumerate(result.rules[0].evidence.transition.tolist()):
        mark = marks.get(transition)
        style = "" if mark is None else f"{mark.name}{'' if mark.accepted else ' refused'}"
        heads = escape(f"{transition}{f' · {mark.short}' if mark else ''}")
        cells = [f"{transition / result.n_layers:.0%}", *(_cell(curve, i) for curve in shown)]
        rows.append(pieces.row(heads, cells, style, raw=True))
    return pieces.table(("transition", "depth", *names), rows, f"With {result.describe_intervals}.")


def _cell(curve: Curve, i: int) -> str:
    value, low, high = (float(part[i]) for part in (curve.value, curve.low, curve.high))
    if not math.isfinite(value):
        return NONE
    ends = f"{low:.{curve.decimals}f}, {high:.{curve.decimals}f}"
    interval = f"<small>[{ends}]</small>" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{value:.{curve.decimals}f}{interval}"


# ------------------------------------------------------------------------------------------- how it was made


def _how(result: Findings) -> str:
    data = result.data
    cards = (
        _card("Model", data["model"], _counted),
        _card("Corpus", data["data"], _counted),
        _card("Settings", data.get("settings") or {}, _value),
        _card("Intervals", data["bootstrap"], _value),
        _card("Provenance", data["provenance"], _value, wide=True),
    )
    return "".join(cards)


def _card(title: str, block: Mapping[str, Any], show: Callable[[Any], str], *, wide: bool = False) -> str:
    shown = {name: show(value) for name, value in pieces.flat(block)}
    return pieces.card(title, pieces.facts(shown), wide=wide)


def _footer(result: Findings) -> str:
    made = result.data["provenance"]
    started = f" on {made['started']}" if made.get("started") else ""
    sentence = f"Made by mspgt {made.get('mspgt', '')}{started}. The numbers are in result.json and signals.csv."
    return escape(sentence)


def _sentences(title: str, sentences: Iterable[str] | None, style: str) -> str:
    listed = pieces.sentences(sentences or (), style)
    return f"<section><h2>{title}</h2>{listed}</section>" if listed else ""


# -------------------------------------------------------------------------------------------------- pieces


def _value(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    return str(value)


def _counted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _value(value)


def _fixed(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else _value(value)


def _interval(boundary: Boundary, result: Findings) -> str:
    return "" if boundary.ci is None else f"<br>{result.confidence:.0%} interval {boundary.interval}"


def _share(share: float | None, of: str) -> str:
    return NONE if share is None else f"{share:.1%} {of}".rstrip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
