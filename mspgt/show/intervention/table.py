"""The experiment in a terminal, in the manner of the paper's Table 2: metrics by scales, controls, verdicts, notes."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mspgt.core.phrases import NONE, amount, change, percentage
from mspgt.results.intervention.conditions import BASELINE, DOSES
from mspgt.results.intervention.describe import UNCORRECTED, Described
from mspgt.results.intervention.effects import Answer, Effect, Estimate, Measured, stars

COLOURS = {"better": "green", "worse": "red", "supported": "green", "contradicted": "red"}
ASCII = str.maketrans(
    {"–": "-", "×": "x", "·": "|", "─": "-", "━": "-", "’": "'", "±": "~", "↑": "+", "↓": "-", "†": "#"}
)
ELSEWHERE = "The paper's own numbers and all reasons: report.html."
ABSOLUTE = "a number without % is an absolute difference, where a percentage is undefined"


def render(behaviour: Described, console: Console) -> None:
    """Print the experiment to the console, within its width and in characters that it can show."""
    parts = [
        Text(behaviour.describe_model, style="bold"),
        Text(behaviour.describe_boundaries, style="" if behaviour.accepted else "yellow"),
        Text(behaviour.describe_settings),
        Text(""),
        *_scales(behaviour, console.width),
        Text(""),
        *_variants(behaviour),
        Text(behaviour.headline, style="bold"),
        *map(_answer, behaviour.answers),
        *([Text(f"{UNCORRECTED} {ELSEWHERE}", style="dim")] if behaviour.answers else []),
        *(_line(f"Not measured: {name}", why, "yellow") for name, why in behaviour.not_measured.items()),
        *(_line("Note", note, "cyan") for note in behaviour.notes),
    ]
    if console.encoding.lower().startswith("utf"):
        console.print(Group(*parts))
        return
    with console.capture() as captured:
        console.print(Group(*parts))
    text = captured.get().translate(ASCII)
    console.file.write(text.encode(console.encoding, "replace").decode(console.encoding))


def _scales(behaviour: Described, width: int) -> list[RenderableType]:
    """The main table, as full as the width allows: first marks in the head give way, then words, then intervals."""
    unsure = not behaviour.accepted
    for marked, judged, intervals in ((unsure, True, True), (False, True, True), (False, False, True), (False,) * 3):
        table, needed = _grid(behaviour, marked, judged, intervals)
        if needed <= width:
            break
    caption = [
        "change from the baseline in percent, ↑ up or ↓ down" + ("; " + ABSOLUTE if _absolute(behaviour) else "")
    ]
    caption.append(behaviour.stars)
    if intervals:
        caption.append(f"below: the {behaviour.confidence:.0%} interval")
    if any(behaviour.effect(name, c).pairs for name in behaviour.metrics for c in behaviour.conditions):
        caption.append("n: pairs of texts that both have a value, if not all have")
    if judged:
        caption.append("what a change means is said where it is significant")
    if behaviour.untested:
        caption.append(f"† not tested: {behaviour.untested}")
    if marked:
        caption.append("(?) the boundaries between the scales were not accepted")
    return [table, Text("; ".join(caption), style="dim")]


def _grid(behaviour: Described, marked: bool, judged: bool, intervals: bool) -> tuple[Table, int]:
    """The table and its width in columns."""
    table = _empty("metric")
    table.add_column(BASELINE, justify="right", no_wrap=True)
    main = behaviour.variants[0].conditions if behaviour.variants else {}
    for scale in main:
        table.add_column(Text(f"{scale} (?)" if marked else scale), justify="right", no_wrap=True)
    names = [length for metric in behaviour.metrics.values() for length in _lengths(_name(metric))]
    widths = [min(16, max([10, *names])), *(cell_len(str(column.header)) for column in table.columns[1:])]
    for name, metric in behaviour.metrics.items():
        effects = [behaviour.effect(name, condition) for condition in main.values()]
        cells = [_baseline(metric), *(_cell(effect, metric, judged, intervals) for effect in effects)]
        table.add_row(_name(metric), *cells)
        widths = [widths[0], *(max(w, *_lengths(cell)) for w, cell in zip(widths[1:], cells, strict=True))]
    for name in behaviour.not_measured:
        table.add_row(Text(name), Text(NONE), *(Text("not measured", style="dim") for _ in main))
    return table, sum(widths) + 2 * (len(widths) - 1)


def _name(metric: Measured) -> Text:
    side = f"\n{metric.side}" if metric.side else ""
    return Text.assemble((metric.name, "bold"), (side, "dim"))


def _baseline(metric: Measured) -> Text:
    level = metric.values.get(BASELINE)
    if level is None or not level.mean:
        return Text(NONE)
    half = f"\n±{amount((level.mean.high - level.mean.low) / 2)}" if level.mean.has_interval else ""
    return Text.assemble(amount(level.mean.value), (half, "dim"))


def _cell(effect: Effect, metric: Measured, judged: bool, intervals: bool) -> Text:
    """A change with its stars, whether that is better, and below it the interval and the pairs if some are missing."""
    if not effect.difference and not effect.percent:
        return Text(NONE, style="dim")
    verdict = metric.judge(effect)
    word = f" {verdict}" if judged and verdict else ""
    interval = f"\n{_interval(effect)}" if intervals and _shown(effect).has_interval else ""
    counted = f"\n{effect.pairs}" if intervals and effect.pairs else ""
    style = COLOURS.get(verdict, "" if effect.significant else "dim")
    said, dagger = f"{_change(effect)}{effect.stars}", "†" if effect.untested else ""
    return Text.assemble((said, style), (dagger, "dim"), (word, style), (interval + counted, "dim"))


def _versus_control(effect: Effect) -> Text:
    """The difference from the control with its stars, in the unit of the cells above."""
    points, difference = effect.versus_control_percent, effect.versus_control
    if not difference:
        return Text(NONE, style="dim")
    marks = stars(effect.versus_control_p)
    said = f"{change(points.value, percent=True)[:-1]} pp" if points else change(difference.value)
    return Text(f"{said}{marks}", style="" if marks else "dim")


def _shown(effect: Effect) -> Estimate:
    return effect.percent or effect.difference


def _change(effect: Effect) -> str:
    return change(_shown(effect).value, percent=bool(effect.percent))


def _interval(effect: Effect) -> str:
    def end(value: float) -> str:
        sign = "-" if value < 0 else ""
        return sign + (percentage(value).removesuffix("%") if effect.percent else amount(abs(value)))

    shown = _shown(effect)
    return f"[{end(shown.low)}, {end(shown.high)}]"


def _absolute(behaviour: Described) -> bool:
    effects = (behaviour.effect(name, c) for name in behaviour.metrics for c in behaviour.conditions)
    return any(effect.difference and not effect.percent for effect in effects)


def _variants(behaviour: Described) -> list[RenderableType]:
    """Other strengths and other doses, a row each; the control as what is left without it. Nothing without them."""
    first = behaviour.variants[:1]
    others = [v for v in (*behaviour.strengths, *behaviour.doses) if v not in first]
    if not others:
        return []
    scales = list(dict.fromkeys(scale for variant in (*first, *others) for scale in variant.conditions))
    controlled = any(behaviour.effect(m, c).versus_control for m in behaviour.metrics for c in behaviour.conditions)
    shown = [v for v in others if not (controlled and v.kind == "control")]
    table = _empty("metric")
    table.add_column("", no_wrap=True)
    for scale in scales:
        table.add_column(Text(scale), justify="right", no_wrap=True)
    for name, metric in behaviour.metrics.items():
        head = Text(name, style="bold")
        for variant in shown:
            cells = (
                _cell(behaviour.effect(name, variant.conditions[scale]), metric, judged=False, intervals=False)
                if scale in variant.conditions
                else Text(NONE, style="dim")
                for scale in scales
            )
            table.add_row(head, Text(variant.label), *cells)
            head = Text("")
        if controlled:
            asked = (first[0].conditions.get(scale) for scale in scales)
            effects = (Effect(name, "") if c is None else behaviour.effect(name, c) for c in asked)
            table.add_row(head, Text("less control"), *map(_versus_control, effects))
    meanings = [f"{kind}: {DOSES[kind]}" for kind in dict.fromkeys(v.kind for v in shown) if kind in DOSES]
    if controlled:
        meanings.append(f"less control: the difference from {DOSES['control']}, pp: in percent of the baseline")
    left = len(behaviour.variants) - len(first) - len(others)
    many = "1 further combination is" if left == 1 else f"{left} further combinations are"
    further = [f"{many} on the page and in the CSV file"] if left else []
    about = "Other strengths and doses" if behaviour.strengths else "Other doses"
    return [Text(about, style="bold"), table, Text("; ".join([*meanings, *further]), style="dim"), Text("")]


def _answer(answer: Answer) -> Text:
    style = COLOURS.get(answer.verdict, "yellow")
    reason = f": {answer.reason}" if answer.reason else ""
    matched = answer.at_matched_dose
    other = f" At a matched dose it is {matched}." if matched not in ("", answer.verdict) else ""
    return Text.assemble((f"{answer.title} ", "bold"), (answer.verdict, style), reason, other)


def _line(label: str, sentence: str, style: str) -> Text:
    return Text.assemble((f"{label}: ", style), sentence)


def _empty(first: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(first, min_width=10, overflow="fold")
    return table


def _lengths(cell: Text) -> Sequence[int]:
    return [cell_len(line) for line in cell.plain.split("\n")]
