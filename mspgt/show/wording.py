"""Verdicts, boundaries and what was looked at in words: the same in a terminal, on a page, in figures and notebooks."""

from __future__ import annotations

from mspgt.core.phrases import NONE, magnitude
from mspgt.measure.corpora import CorpusFacts
from mspgt.measure.evaluate import Bootstrap
from mspgt.models.facts import ModelFacts
from mspgt.stats.boundaries import OUTCOME, RULES, SHORT, STATUS, Boundary, Verdict

LOOKS = {"supported": "good", "contradicted": "bad"}
"""verdict on a prediction -> style; "undecided" has none"""
GOOD = {"supported": True, "contradicted": False}
"""verdict on a prediction -> `good` of its card; None for "undecided" """


# ------------------------------------------------------------------------------------------------ verdicts


def title(rule: str) -> str:
    """How a rule is called: "mspgt's rule"."""
    return RULES[rule].title


def outcome(verdict: Verdict) -> str:
    """``accepted``, or ``not accepted: unstable``."""
    return OUTCOME[verdict.accepted] + ("" if verdict.accepted else f": {verdict.status}")


def outcome_in_words(verdict: Verdict) -> str:
    """``accepted``, or ``not accepted: positions change with the documents drawn``."""
    return OUTCOME[verdict.accepted] + ("" if verdict.accepted else f": {STATUS[verdict.status].brief}")


def outcome_style(accepted: bool) -> str:
    """Style of the outcome in tables."""
    return "good" if accepted else "warn"


def headline(verdict: Verdict) -> str:
    """The answer in one plain sentence."""
    if not verdict.accepted or verdict.layers is None:
        return f"No boundaries are accepted: {STATUS[verdict.status].brief}."
    lower, upper = verdict.layers
    depth = n_layers(verdict)
    middle, last = span(lower + 1, upper), span(upper + 1, depth)
    return f"Blocks {span(1, lower)} of {depth} are local, {middle} intermediate and {last} global."


def n_layers(verdict: Verdict) -> int:
    """Blocks of the model that the verdict is about."""
    return len(verdict.evidence.transition) + 1


def span(first: int, last: int) -> str:
    """Blocks from the first to the last: 7–9, or 7."""
    return str(first) if first == last else f"{first}–{last}"


# ---------------------------------------------------------------------------------------------- boundaries


def interval(boundary: Boundary) -> str:
    """The confidence interval of the layer, ``[10, 12]``, or a dash."""
    return NONE if boundary.ci is None else f"[{boundary.ci[0]}, {boundary.ci[1]}]"


def with_interval(boundary: Boundary) -> str:
    """The layer with its interval, where it has one: ``11 [10, 12]``."""
    return str(boundary.layer) if boundary.ci is None else f"{boundary.layer} {interval(boundary)}"


def summary(verdict: Verdict) -> str:
    """The outcome and the boundaries in short: ``accepted (L-I after block 11 [10, 12]; I-G after block 21)``."""
    places = [f"{SHORT[name]} after block {with_interval(boundary)}" for name, boundary in verdict.places.items()]
    return outcome_in_words(verdict) + (f" ({'; '.join(places)})" if places else "")


def in_full(verdict: Verdict) -> str:
    """Each boundary that the rule places: where, how sure, and whether it is accepted."""
    lines = []
    for name, boundary in verdict.places.items():
        ci = "" if boundary.ci is None else f", CI {interval(boundary)}"
        where = f"after block {boundary.layer} of {n_layers(verdict)} ({boundary.relative:.0%} of the depth)"
        lines.append(f"{name} {where}{ci}, {outcome(verdict)}")
    return "; ".join(lines) or "no boundaries"


# ------------------------------------------------------------------------------------ what was looked at, and how


def describe_model(model: ModelFacts) -> str:
    """The model in one line: name, shape, parameters, dtype."""
    parts = [f"{model.n_layers} blocks" + (f" × {model.hidden_size}" if model.hidden_size else "")]
    parts += [f"{model.n_heads} heads"] if model.n_heads else []
    parts += [f"{magnitude(model.parameters)} parameters"] if model.parameters else []
    parts += [model.dtype] if model.dtype else []
    family = f" ({model.family})" if model.family else ""
    return f"{model.name or 'unnamed model'}{family}: {', '.join(parts)}"


def describe_data(data: CorpusFacts) -> str:
    """The corpus in one line: name and counts."""
    kinds = ("documents", "sentences", "sequences", "tokens")
    return f"{data.name or 'corpus'}: {', '.join(_count(getattr(data, kind), kind) for kind in kinds)}"


def describe_intervals(bootstrap: Bootstrap) -> str:
    """How the intervals were made, in one phrase."""
    if not bootstrap.replicates:
        return "no intervals were computed"
    units = bootstrap.units.items()
    counts = [f"{_count(n, f'{bootstrap.unit}s')}{f' ({corpus})' if len(units) > 1 else ''}" for corpus, n in units]
    drawn = f" of {' and '.join(counts)}" if counts else ""
    return f"{bootstrap.confidence:.0%} intervals from {bootstrap.replicates:,} bootstrap samples{drawn}"


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"
