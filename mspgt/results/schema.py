"""What result.json (schema 1) says, checked once and given as typed views: curves, boundaries, verdicts.

Figures, tables and the page read these views and nothing else, so a result read back from disk a year later is
shown exactly as it was on the day of the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.core.errors import UserError
from mspgt.core.phrases import magnitude

SCHEMA = 1
BLOCKS = ("model", "data", "signals", "verdicts", "bootstrap", "provenance")
"""the mappings that a result of schema 1 holds"""
BOUNDARIES = {"local_intermediate": "local-intermediate", "intermediate_global": "intermediate-global"}
"""key of a boundary in a verdict -> its name"""
RULES = {"mspgt": "mspgt's rule", "paper": "the paper's rule"}
"""key of a verdict -> how it is called, in the order in which verdicts are shown"""
STATUS = {
    "ok": "accepted",
    "probe_noise": "probe noise could pass for structure",
    "endpoint_dominated": "a curve is largest at an end of the network",
    "unstable": "positions change with the documents drawn",
    "not_above_null": "the signals agree no more than chance would have it",
    "one_peak": "only one peak stands out",
    "no_peak": "no peak stands out",
    "too_shallow": "the model has too few blocks",
}
"""status of a verdict -> the same in a few words"""


@dataclass(frozen=True, eq=False)
class Curve:
    """A quantity at each transition, with its interval.

    Attributes
    ----------
    transition: (transition,) int, l lies between block l and block l+1, counted from 1.
    value, low, high: (transition,) float, in the signal's own unit; NaN where there is none.
    weight: weight in the fusion; NaN for the evidence itself.
    """

    name: str
    transition: NDArray[np.int64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    weight: float = math.nan
    flags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_intervals(self) -> bool:
        """Whether any transition has an interval."""
        return bool(np.isfinite(self.low).any() and np.isfinite(self.high).any())

    @property
    def decimals(self) -> int:
        """Decimals worth showing, 0 to 4: two digits of the typical interval, or of a tenth of the range."""
        spans = (self.high - self.low)[np.isfinite(self.high - self.low)]
        finite = self.value[np.isfinite(self.value)]
        size = float(np.median(spans)) if len(spans) else float(np.ptp(finite)) / 10 if len(finite) else 1.0
        return min(max(1 - math.floor(math.log10(size)), 0), 4) if size > 0 else 3

    def __repr__(self) -> str:
        span = f"{np.nanmin(self.value):.4g} to {np.nanmax(self.value):.4g}" if self else "no values"
        without = "" if self.has_intervals else ", without intervals"
        return f"<{self.name}: {len(self.transition)} transitions, {span}{without}>"

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.value).any())


@dataclass(frozen=True)
class Boundary:
    """A boundary that a rule found: `layer` blocks lie below it, at `relative` = layer / blocks of the depth."""

    name: str
    layer: int
    relative: float
    ci: tuple[float, float] | None
    accepted: bool
    status: str
    n_layers: int
    prominence: float | None = None
    hpd: tuple[int, ...] = ()
    support: float | None = None

    @property
    def short(self) -> str:
        """L-I or I-G, as in the paper's Table 1."""
        return "-".join(word[0].upper() for word in self.name.split("-"))

    @property
    def interval(self) -> str:
        """The confidence interval of the layer as text, ``[10, 12]``, or a dash."""
        return "–" if self.ci is None else f"[{self.ci[0]:g}, {self.ci[1]:g}]"

    @property
    def verdict(self) -> str:
        """Whether it was accepted, as text, with the status if it was not."""
        return "accepted" if self.accepted else f"not accepted: {self.status}"

    def __str__(self) -> str:
        ci = "" if self.ci is None else f", CI {self.interval}"
        where = f"after block {self.layer} of {self.n_layers} ({self.relative:.0%} of the depth)"
        return f"{self.name} {where}{ci}, {self.verdict}"

    def __repr__(self) -> str:
        return f"<{self}>"


@dataclass(frozen=True)
class Verdict:
    """One rule's answer: were two boundaries accepted, why or why not, and on what evidence."""

    rule: str
    accepted: bool
    status: str
    reasons: tuple[str, ...]
    meaning: str
    normalisation: str
    weights: Mapping[str, float]
    threshold: float
    p_two_peaks: float | None
    null_p: float | None
    evidence: Curve
    boundaries: tuple[Boundary, ...]

    @property
    def title(self) -> str:
        """Accepted or not and the status in words, as one phrase."""
        return "accepted" if self.accepted else f"not accepted: {STATUS.get(self.status, self.status)}"


class Findings:
    """The contents of a result.json of schema 1.

    Parameters
    ----------
    data: the contents; arrays become lists, NaN and infinities null, and the caller's object is left alone.
    where: the file they come from, named in messages.

    Raises
    ------
    UserError: another schema, a missing part, or a curve whose arrays differ in length.
    """

    def __init__(self, data: Mapping[str, Any], where: str = "result") -> None:
        self._data: dict[str, Any] = plain(data)
        _check(self._data, where)

    @property
    def data(self) -> dict[str, Any]:
        """The contents as plain JSON values."""
        return self._data

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self._data["model"].get("name") or "unnamed model")

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self._data["model"]["n_layers"])

    @property
    def confidence(self) -> float:
        """Level of all intervals, 0 to 1."""
        return float(self._data["bootstrap"].get("confidence") or 0.95)

    @property
    def verdicts(self) -> dict[str, Any]:
        """The verdicts block as plain values: `verdicts["mspgt"]["status"]`."""
        return dict(self._data["verdicts"])

    @cached_property
    def signals(self) -> dict[str, Curve]:
        """Each signal's curve by name."""
        return {name: _curve(name, block) for name, block in self._data["signals"].items()}

    @cached_property
    def rules(self) -> tuple[Verdict, ...]:
        """Every verdict of the run, ours first."""
        verdicts = self._data["verdicts"]
        return tuple(_verdict(r, verdicts[r], self.n_layers) for r in RULES if verdicts.get(r))

    def verdict(self, rule: str = "mspgt") -> Verdict:
        """The verdict of one rule; UserError if the run has none."""
        for verdict in self.rules:
            if verdict.rule == rule:
                return verdict
        available = ", ".join(v.rule for v in self.rules)
        raise UserError(f"this result has no verdict of the rule {rule!r}; available: {available or 'none'}.")

    @property
    def boundaries(self) -> tuple[Boundary, ...]:
        """The boundaries found by our rule, accepted or not."""
        return self.verdict().boundaries

    @property
    def headline(self) -> str:
        """The answer in one plain sentence."""
        verdict = self.verdict()
        if verdict.accepted and len(verdict.boundaries) == 2:
            first, second = (b.layer for b in verdict.boundaries)
            middle, last = _span(first + 1, second), _span(second + 1, self.n_layers)
            return f"Blocks {_span(1, first)} of {self.n_layers} are local, {middle} intermediate and {last} global."
        return f"No boundaries are accepted: {STATUS.get(verdict.status, verdict.status)}."

    @property
    def describe_model(self) -> str:
        """The model in one line: name, shape, parameters, dtype."""
        model = self._data["model"]
        shape = f"{self.n_layers} blocks" + (f" × {model['hidden_size']}" if model.get("hidden_size") else "")
        parts = [shape]
        if model.get("n_heads"):
            parts.append(f"{model['n_heads']} heads")
        if model.get("parameters"):
            parts.append(f"{magnitude(model['parameters'])} parameters")
        if model.get("dtype"):
            parts.append(str(model["dtype"]))
        family = f" ({model['family']})" if model.get("family") else ""
        return f"{self.model}{family}: {', '.join(parts)}"

    @property
    def describe_data(self) -> str:
        """The corpus in one line: name and counts."""
        data = self._data["data"]
        kinds = ("documents", "sentences", "sequences", "tokens")
        counts = [_count(data[kind], kind) for kind in kinds if data.get(kind) is not None]
        return f"{data.get('name') or 'corpus'}: {', '.join(counts) or 'not counted'}"

    @property
    def describe_intervals(self) -> str:
        """How the intervals were made, in one phrase."""
        bootstrap = self._data["bootstrap"]
        if not bootstrap.get("replicates"):
            return "no intervals were computed"
        unit, units = bootstrap.get("unit") or "document", bootstrap.get("units") or {}
        counts = [f"{n:,} {unit}s" + (f" ({corpus})" if len(units) > 1 else "") for corpus, n in units.items()]
        drawn = f" of {' and '.join(counts)}" if counts else ""
        return f"{self.confidence:.0%} intervals from {bootstrap['replicates']:,} bootstrap samples{drawn}"


def plain(value: Any) -> Any:
    """The same as plain JSON values: arrays and tuples as lists, NaN and infinities as null, keys as text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, (bool, str, int, type(None))):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch
        return plain(value.tolist())
    return str(value)


def _check(data: dict[str, Any], where: str) -> None:
    if data.get("schema") != SCHEMA:
        raise UserError(
            f"{where} has schema {data.get('schema')!r}; this version of mspgt reads schema {SCHEMA}: "
            "make the result again with `mspgt evaluate`, or install the version that wrote it."
        )
    for block in BLOCKS:
        if not isinstance(data.get(block), dict):
            raise UserError(f"{where} is not a complete result: {block!r} is missing. Make it again.")
    if not isinstance(data["model"].get("n_layers"), int):
        raise UserError(f"{where} is not a complete result: model.n_layers is missing. Make it again.")
    curves = {f"signals.{name}": block for name, block in data["signals"].items()}
    curves |= {f"verdicts.{rule}.evidence": v.get("evidence") for rule, v in data["verdicts"].items() if v}
    for name, curve in curves.items():
        if not isinstance(curve, dict):
            raise UserError(f"{where} is not a complete result: {name} is missing. Make it again.")
        lengths = {part: len(curve.get(part) or ()) for part in ("transition", "value", "low", "high")}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{n} of {part}" for part, n in lengths.items())
            raise UserError(f"{where} is damaged: {name} has {listed}; all must be equally many.")


def _curve(name: str, block: Mapping[str, Any]) -> Curve:
    def numbers(part: str) -> NDArray[np.float64]:
        return np.array([math.nan if v is None else v for v in block[part]], dtype=np.float64)

    weight = block.get("weight")
    return Curve(
        name,
        np.array(block["transition"], dtype=np.int64),
        numbers("value"),
        numbers("low"),
        numbers("high"),
        math.nan if weight is None else float(weight),
        tuple(block.get("flags") or ()),
        block.get("details") or {},
    )


def _verdict(rule: str, block: Mapping[str, Any], n_layers: int) -> Verdict:
    accepted, status = bool(block["accepted"]), str(block["status"])
    boundaries = tuple(
        Boundary(
            name,
            int(found["layer"]),
            float(found["relative"]),
            (found["ci"][0], found["ci"][1]) if _is_pair(found.get("ci")) else None,
            accepted,
            status,
            n_layers,
            found.get("prominence"),
            tuple(found.get("hpd") or ()),
            found.get("support"),
        )
        for key, name in BOUNDARIES.items()
        if (found := block.get(key))
    )
    return Verdict(
        rule,
        accepted,
        status,
        tuple(block.get("reasons") or ()),
        str(block.get("meaning") or ""),
        str(block.get("normalisation") or ""),
        block.get("weights") or {},
        float(block.get("prominence") or 0.0),
        block.get("p_two_peaks"),
        block.get("null_p"),
        _curve("evidence", block["evidence"]),
        boundaries,
    )


def _is_pair(ci: Any) -> bool:
    return bool(ci) and len(ci) == 2 and None not in ci


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def _count(number: int, kind: str) -> str:
    return f"{number:,} {kind.removesuffix('s') if number == 1 else kind}"
