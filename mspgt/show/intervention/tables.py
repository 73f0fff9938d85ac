"""Tables of an experiment: changes in the manner of the paper's Table 2, other variants, tests, and all for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from math import nan

from mspgt.core.phrases import amount, change, in_words, percentage, probability
from mspgt.results.intervention import Behaviour, MetricFacts
from mspgt.show.grid import Cell, Column, Grid, Number, Piece, grid, missing
from mspgt.show.intervention import prose
from mspgt.stats.paired.conditions import BASELINE, Variant
from mspgt.stats.paired.records import Effect, Estimate, MetricValue, Test, stars

JUDGED = {"better": "good", "worse": "bad"}
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
FILE = "interventions.csv"


# ------------------------------------------------------------------------------------------------- changes


def changes(behaviour: Behaviour, brief: bool = False) -> Grid:
    """The paper's Table 2: metrics by groups.

    Parameters
    ----------
    brief: without the notes, which are long, and units.
    """
    mark = "" if behaviour.accepted else " (?)"
    notes = {} if brief else _notes(behaviour)
    rows = [
        [
            _metric(name, metric, [i for i, of in enumerate(notes.values(), start=1) if name in of], brief),
            _mean(metric.values.get(BASELINE)),
            *(_change(behaviour.effect(name, condition), metric) for condition in behaviour.scales.values()),
        ]
        for name, metric in behaviour.metrics.items()
    ]
    not_measured = [missing(), *(missing("not measured") for _ in behaviour.scales)]
    rows += [[Cell(name), *not_measured] for name in behaviour.not_measured]
    columns = [Column("metric", left=True), Column(BASELINE), *(Column(g, g + mark) for g in behaviour.scales)]
    made = grid(columns, rows, elsewhere=FILE, notes=tuple(notes))
    return replace(made, caption=tuple(_caption(behaviour)))


def _caption(behaviour: Behaviour) -> Iterator[str]:
    effects = [e for group in behaviour.scales for e in prose.main_effects(behaviour, group)]
    absolute = any(e.difference and not e.percent for e in effects)
    yield "Change from the baseline in percent, ↑ up or ↓ down" + (
        "; a number without % is an absolute difference, where a percentage is undefined" if absolute else ""
    )
    yield prose.stars(behaviour)
    yield f"below: the {behaviour.confidence:.0%} interval, and what a change means where it is significant"
    if any(e.difference.n < e.samples for e in effects):
        yield "n: pairs of texts that both have a value, if not all have; with fewer than 10 nothing is tested"
    if untested := prose.untested(behaviour):
        yield f"† not tested: {untested}"
    if not behaviour.accepted:
        yield f"(?) {prose.UNACCEPTED}"


def _notes(behaviour: Behaviour) -> dict[str, list[str]]:
    """What must be read with the numbers -> the metrics that it is said of."""
    notes: dict[str, list[str]] = {}
    for name, metric in behaviour.metrics.items():
        reasons: dict[str, list[str]] = {}
        for group, condition in behaviour.scales.items():
            effect = behaviour.effect(name, condition)
            if effect.difference and not effect.percent:
                reasons.setdefault(effect.undefined or "it is undefined", []).append(group)
        for why, groups in reasons.items():
            notes.setdefault(f"No percentage{prose.under(groups, behaviour)}: {why}.", []).append(name)
        if metric.note:
            notes.setdefault(f"{name}: {metric.note}", []).append(name)
    return notes


def _metric(name: str, metric: MetricFacts, notes: list[int], brief: bool) -> Cell:
    """The name of a metric with the numbers of its notes, its unit, its better side and its samples."""
    values = metric.values.get(BASELINE)
    about = [metric.side] if brief else [prose.unit(name, metric), metric.side, f"n = {values.n:,}" if values else ""]
    marks = ",".join(map(str, notes)).translate(SUPERSCRIPT)
    return Cell(name + marks, "strong", tuple((text, "faint") for text in [" · ".join(filter(None, about))] if text))


def _mean(value: MetricValue | None) -> Cell:
    return missing() if value is None else Number(value=value.mean, low=value.low, high=value.high, stacked=True)


def _change(effect: Effect, metric: MetricFacts, brief: bool = False) -> Cell:
    """A change with its stars, its interval, whether that is better, and the pairs if some are missing."""
    estimate, percent = effect.reported, effect.percent is not None
    if not estimate:
        return missing()
    verdict = metric.judge(effect)
    style = JUDGED.get(verdict, "" if effect.significant else "faint")
    pairs = f"n = {effect.difference.n:,}" if effect.difference.n < effect.samples else ""
    below: list[Piece] = [(verdict, style)] if verdict else []
    below += [(" · " if below else "", "faint"), (pairs, "faint")] if pairs else []
    after = [(effect.stars, style), ("†" if effect.why_untested else "", "faint")]
    return _signed(estimate, percent, brief, style, show=partial(change, percent=percent), after=after, below=below)


def _signed(
    estimate: Estimate,
    percent: bool,
    brief: bool,
    style: str,
    *,
    show: Callable[[float], str],
    after: Iterable[Piece],
    below: Iterable[Piece] = (),
) -> Number:
    """A change with what follows it and, unless brief, its interval and what stands below."""
    low, high = (nan, nan) if brief else (estimate.low, estimate.high)
    ends, marks = _percent_end if percent else amount, tuple(piece for piece in after if piece[0])
    return Number("", style, () if brief else tuple(below), estimate.value, low, high, show, ends, marks, stacked=True)


def _percent_end(value: float) -> str:
    return ("-" if value < 0 else "") + percentage(value).removesuffix("%")


# ------------------------------------------------------------------------------------------------- other variants


def others(behaviour: Behaviour, brief: bool = False) -> Grid | None:
    """Further strengths and doses, a row for each metric and variant, and what is left without the control.

    Parameters
    ----------
    brief: numbers alone, no combinations of a strength and a dose, and no control by itself.
    """
    first, *further = behaviour.variants or (None,)
    simple = [v for v in (*behaviour.strengths, *behaviour.doses) if v is not first]
    controlled = any(effect.versus_control for effect in behaviour.effects)
    ways = [v for v in simple if not (controlled and v.kind == "control")] if brief else further
    rows: list[list[Cell]] = []
    for name, metric in behaviour.metrics.items():
        of_metric = [
            (v.label, [_change(behaviour.effect(name, c), metric, brief) for c in v.conditions.values()]) for v in ways
        ]
        if controlled:
            versus = [_less_control(behaviour.effect(name, c), brief) for c in behaviour.scales.values()]
            of_metric.append(("less control", versus))
        heads = [name, *("" for _ in of_metric[1:])]
        rows += [[Cell(h, "strong"), Cell(label), *of] for h, (label, of) in zip(heads, of_metric, strict=False)]
    if not rows:
        return None
    meanings = [f"{kind}: {prose.DOSES[kind]}" for kind in dict.fromkeys(v.kind for v in ways) if kind in prose.DOSES]
    if controlled:
        about = f"less control: the difference from {prose.DOSES['control']}"
        meanings.append(f"{about}, pp: in percent of the baseline")
    if brief and (left := len(further) - len(simple)):
        many = "1 further combination is" if left == 1 else f"{left} further combinations are"
        meanings.append(f"{many} on the page and in the CSV file")
    columns = [Column("metric", left=True), Column("variant", " ", left=True), *map(Column, behaviour.scales)]
    return grid(columns, rows, "; ".join(meanings), heads=2, elsewhere=FILE)


def _less_control(effect: Effect, brief: bool) -> Cell:
    """The difference from the control with its stars, in the unit of the cells above."""
    if not effect.versus_control:
        return missing()
    points, marks = effect.versus_control_percent, stars(effect.versus_control.p_holm)
    less = points or effect.versus_control
    style, show = "" if marks else "faint", _points if points else change
    return _signed(less, points is not None, brief, style, show=show, after=[(marks, style)])


def _points(value: float) -> str:
    return f"{change(value, percent=True)[:-1]} pp"


# ------------------------------------------------------------------------------------------------- beside


def tests(behaviour: Behaviour, variant: Variant) -> Grid | None:
    """Every test of a variant; None where nothing was tested."""
    effects = [behaviour.effect(name, c) for name in behaviour.metrics for c in variant.conditions.values()]
    effects = [effect for effect in effects if effect.tests or effect.versus_control]
    names = list(dict.fromkeys(test for effect in effects for test in effect.tests))
    controlled = ["less control"] if any(effect.versus_control for effect in effects) else []
    rows = [
        [
            Cell(e.metric, "strong"),
            Cell(e.condition),
            _estimate(e.difference),
            _estimate(e.standardised),
            *(_p(e.tests.get(name), "strong" if name == e.primary else "") for name in names),
            *(_versus(e) for _ in controlled),
        ]
        for e in effects
    ]
    heads = ("difference", "d_z", *map(in_words, names), *controlled)
    columns = [Column("metric", left=True), Column("condition", left=True), *map(Column, heads)]
    return grid(columns, rows, heads=2) if rows else None


def _estimate(estimate: Estimate, below: tuple[Piece, ...] = ()) -> Number:
    return Number(below=below, value=estimate.value, low=estimate.low, high=estimate.high, stacked=True)


def _p(test: Test | None, style: str) -> Cell:
    if test is None:
        return missing()
    return Number(style=style, below=((probability(test.p_holm), "faint"),), value=test.p, show=probability)


def _versus(effect: Effect) -> Cell:
    versus = effect.versus_control
    if versus is None:
        return missing()
    return _estimate(versus, ((f"p = {probability(versus.p_holm)}", "faint"),) if versus.p_holm >= 0 else ())


def companions(metric: MetricFacts) -> Grid | None:
    """Numbers beside the means, a row for each condition; None where there are none."""
    names = list(dict.fromkeys(name for values in metric.companions.values() for name in values))
    rows = [[c, *(values.get(name, nan) for name in names)] for c, values in metric.companions.items()]
    columns = [Column("condition", left=True), *(Column(name) for name in names)]
    return grid(columns, rows) if names else None


def noise(behaviour: Behaviour) -> Grid:
    """How large each block's output is, and how much was added to it."""
    fixed = partial(Number, show="{:.4f}".format)
    rows = [
        [Cell(str(s.layer)), *(fixed(value=v) for v in (s.std, s.std_all, s.std_with_sinks, s.added))]
        for s in behaviour.noise
    ]
    caption = (
        "std: of a block's output over tokens, within dimensions, the unit of the strength; std all: over tokens and "
        "dimensions together; std with sinks: the same with special and massive tokens; added: what was added to it"
    )
    return grid(("block", "std", "std_all", "std_with_sinks", "added"), rows, caption)


# ------------------------------------------------------------------------------------------------- for a file


def exported(behaviour: Behaviour) -> Grid:
    """A row for each metric and condition, the baseline first.

    n: texts with a value; pairs: those with a value in the baseline too; then p_<test> and p_holm_<test> of each.
    """
    tests = list(dict.fromkeys(test for effect in behaviour.effects for test in effect.tests))
    columns: list[Column | str] = [
        *("metric", "level", "direction", "unit", "condition"),
        Column("mean", ends=("low", "high")),
        *("n", "pairs"),
        *(Column(c, ends=(f"{c}_low", f"{c}_high")) for c in ("difference", "percent", "d_z", "versus_control")),
        *("p_holm_versus_control", "primary"),
        *(f"{kind}_{test}" for test in tests for kind in ("p", "p_holm")),
    ]
    rows = (
        _exported(name, metric, behaviour.effect(name, condition.name), tests)
        for name, metric in behaviour.metrics.items()
        for condition in behaviour.conditions
    )
    return grid(columns, list(rows), heads=2)


def _exported(name: str, metric: MetricFacts, effect: Effect, tests: Iterable[str]) -> list[Cell | str]:
    mean, versus = metric.values.get(effect.condition), effect.versus_control
    made = [effect.tests.get(test, Test()) for test in tests]
    return [
        *(name, metric.level, metric.direction, prose.unit(name, metric), effect.condition),
        _mean(mean),
        *(Number(value=nan if mean is None else mean.n), Number(value=effect.difference.n if effect.samples else nan)),
        *map(_estimate, (effect.difference, effect.percent or Estimate(), effect.standardised, versus or Estimate())),
        *(Number(value=versus.p_holm if versus else nan), missing() if effect.primary is None else effect.primary),
        *(Number(value=p) for test in made for p in (test.p, test.p_holm)),
    ]
