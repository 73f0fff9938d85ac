"""From states to what a run finds: curves with intervals, bootstrap, the two verdicts. No model, no hooks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.contracts import registry
from mspgt.contracts.series import Plot, SeriesValues
from mspgt.contracts.signal import Fitted, Report, Signal
from mspgt.core.errors import UserError, left_out
from mspgt.core.state import State, Units, stable_code
from mspgt.stats.bootstrap import (
    MINIMUM_DOCUMENTS,
    Floats,
    evaluate_curves,
    multinomial_weights,
    ones,
    percentile_interval,
)
from mspgt.stats.boundaries import RULES, Curves, Decision, Verdict, decide, verdict_of
from mspgt.stats.boundaries.fusion import contribution, peaks_at_an_end
from mspgt.stats.curve import Curve

Say = Callable[[str], None]
STEPS = ("prepare", "replicates", "boundaries")
"""the steps whose time is kept"""


@dataclass(frozen=True)
class Measured:
    """A signal and what it measured."""

    signal: Signal
    state: State
    fitted: Fitted | None
    corpus: str


@dataclass(frozen=True)
class Rule:
    """What can be changed without measuring again.

    Attributes
    ----------
    weights: signal -> weight in the fusion; a signal that is not named has its own default.
    prominence: of a peak, on the scale of the fused evidence; 0.125 x the sum of weights where None.
    bootstrap: replicates; 0 gives curves without intervals, and nothing is accepted.
    seed: of the bootstrap.
    confidence: level of all intervals.
    """

    weights: Mapping[str, float]
    prominence: float | None
    bootstrap: int
    seed: int
    confidence: float = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class SignalCurve(Curve):
    """A signal at each transition, in its own unit.

    Attributes
    ----------
    weight: in the fusion.
    flags: what a reader must know of it, in a word each.
    details: plain JSON values that the signal reports.
    series, figures: what it shows beside the curve.
    noise_share: the largest standard error of its estimates over the curve's maximum; None where it gives none.
    """

    weight: float
    unit: str = ""
    flags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, SeriesValues] = field(default_factory=dict)
    figures: tuple[Plot, ...] = ()
    noise_share: float | None = None


@dataclass(frozen=True)
class Bootstrap:
    """How intervals were made.

    Attributes
    ----------
    replicates: 0 where there are no intervals.
    unit: what is drawn; units: corpus -> how many there are.
    confidence: level of all intervals, 0 to 1.
    """

    replicates: int
    unit: str
    units: Mapping[str, int]
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence:g}, not a share between 0 and 1")


@dataclass(frozen=True)
class Replicates:
    """What the bootstrap drew, by which two evaluations on the same documents are compared pair by pair."""

    curves: Mapping[str, Floats]
    """signal with document intervals -> (replicate, transition)"""
    pairs: Mapping[str, NDArray[np.int64]]
    """rule -> (replicate, 2) layers of the two peaks, both 0 where there are fewer; empty where a fused signal has no
    document intervals"""


@dataclass(frozen=True)
class Evaluation:
    """What follows from states."""

    signals: Mapping[str, SignalCurve]
    verdicts: Mapping[str, Verdict]
    bootstrap: Bootstrap
    notes: list[str]
    left_out: list[str]
    """what failed or was refused, one sentence each; any makes the exit code 3"""
    seconds: dict[str, float]
    """where the time went: prepare, replicates, boundaries"""
    replicates: Replicates


@dataclass(frozen=True)
class _Evaluated:
    """One signal, evaluated."""

    point: Floats
    """(transition,)"""
    replicates: Floats | None
    """(replicate, transition)"""
    report: Report
    series: Mapping[str, SeriesValues]
    refused: str
    """why there are no replicates, a sentence"""


@dataclass
class _Log:
    say: Say
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))

    def spent(self, what: str, since: float) -> None:
        self.seconds[what] += time.perf_counter() - since


def evaluate(measured: Mapping[str, Measured], n_layers: int, rule: Rule, progress: Say | None = None) -> Evaluation:
    """Evaluate every signal, its intervals, and both rules for boundaries.

    Signals on one corpus share the weights of each replicate. A signal that raises, or returns something other than
    curves, is reported in `left_out` and the others go on.

    Parameters
    ----------
    measured: signal's name -> what it measured.
    n_layers: blocks of the model; curves have n_layers - 1 transitions.
    progress: told what is being done, in short phrases.

    Raises
    ------
    UserError: fewer than two blocks, a negative weight, or no signal could be evaluated.
    """
    _check(measured, n_layers, rule)
    log = _Log(progress or (lambda _: None))
    units = _units(measured)
    refused = _refusals(units, rule, log)
    curves: dict[str, _Evaluated] = {}
    for name, entry in measured.items():
        try:
            curves[name] = _curve(name, entry, units[entry.corpus], refused[entry.corpus], n_layers, rule, log)
        except UserError as error:
            log.left_out.append(left_out(name, error))
        except Exception as error:  # a plugin's own fault must not take the others down
            log.left_out.append(f"{_plugin(name)} raised {type(error).__name__} ({error}) and was left out.")
    if not curves:
        raise UserError(f"no signal could be evaluated. {' '.join(log.left_out)}")
    weights = {n: float(rule.weights.get(n, measured[n].signal.weight)) for n in curves}
    log.say("boundaries")
    start = time.perf_counter()
    decisions = _decisions(curves, weights, rule)
    verdicts = {name: verdict_of(decision, weights) for name, decision in decisions.items()}
    log.spent("boundaries", start)
    signals = {n: _signal_curve(c, measured[n], weights[n], rule.confidence) for n, c in curves.items()}
    drawn = any(c.replicates is not None for c in curves.values())
    counted = {corpus: len(set(u.of_document.values())) for corpus, u in units.items() if not refused[corpus]}
    bootstrap = Bootstrap(rule.bootstrap if drawn else 0, "document", counted, rule.seed, rule.confidence)
    replicates = _replicates(curves, decisions)
    return Evaluation(signals, verdicts, bootstrap, log.notes, log.left_out, log.seconds, replicates)


# ----------------------------------------------------------------------------------------------------- signals


def _check(measured: Mapping[str, Measured], n_layers: int, rule: Rule) -> None:
    if not measured:
        raise UserError("there is no signal to evaluate: give plugins=cka,attn or others; `mspgt ls` lists them.")
    if n_layers < 2:
        raise UserError(f"the model has {n_layers} blocks; a transition needs at least 2.")
    for name, weight in rule.weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"weights.{name}={weight}: a weight is a number from 0 up.")


def _plugin(name: str) -> str:
    """The plugin by name and, where it is registered, version."""
    known = registry.signals()
    return f"plugin {name!r} of {known[name].distribution}" if name in known else f"signal {name!r}"


def _units(measured: Mapping[str, Measured]) -> dict[str, Units]:
    """The resampling units of each corpus: documents that any of its signals has seen."""
    corpora = dict.fromkeys(entry.corpus for entry in measured.values())
    return {c: Units.of(k for m in measured.values() if m.corpus == c for k in m.state.keys) for c in corpora}


def _refusals(units: Mapping[str, Units], rule: Rule, log: _Log) -> dict[str, str]:
    """Why a corpus gives no intervals: a sentence, or nothing."""
    reasons = {}
    for corpus, unit in units.items():
        documents = len(unit.of_document)
        reasons[corpus] = ""
        if rule.bootstrap < 1:
            reasons[corpus] = "no bootstrap replicates were asked for, so there are no intervals."
        elif documents < MINIMUM_DOCUMENTS:
            reasons[corpus] = (
                f"corpus {corpus} has {documents} document{'s' * (documents != 1)}; intervals over documents need at "
                f"least {MINIMUM_DOCUMENTS} and were refused."
            )
            log.left_out.append(reasons[corpus])
        elif documents > Units.LIMIT:
            groups = len(set(unit.of_document.values()))
            log.notes.append(f"the {documents:,} documents of corpus {corpus} are resampled in {groups} groups.")
    return reasons


def _curve(name: str, entry: Measured, units: Units, refused: str, n_layers: int, rule: Rule, log: _Log) -> _Evaluated:
    """Prepare a signal, then evaluate the point estimate and the replicates."""
    signal, transitions = entry.signal, n_layers - 1
    if not entry.state.keys:
        raise UserError("it observed no sequence.")
    log.say(f"{name}: preparing")
    start = time.perf_counter()
    prepared = signal.prepare(entry.state, entry.fitted, units)
    log.spent("prepare", start)
    start = time.perf_counter()
    point = evaluate_curves(signal, prepared, ones(units), None, transitions)[0]
    if not np.isfinite(point).any():
        raise UserError("its curve is undefined at every transition.")
    report = signal.report(prepared)
    series = _series(signal, report, n_layers)
    if not signal.document_intervals:
        refused = f"{name} cannot be resampled by document, so it has no intervals and nothing rests on it."
        log.notes.append(refused)
    replicates = None
    if not refused:
        log.say(f"{name}: {rule.bootstrap:,} bootstrap replicates")
        weights = multinomial_weights(units, rule.bootstrap, rule.seed, entry.corpus)
        rng = np.random.default_rng([rule.seed, stable_code(name)])
        replicates = evaluate_curves(signal, prepared, weights, rng, transitions)
    log.spent("replicates", start)
    undefined = int(np.sum(~np.isfinite(point)))
    if undefined:
        log.notes.append(f"{name} is undefined at {undefined} of {transitions} transitions; they carry no evidence.")
    return _Evaluated(point, replicates, report, series, refused)


def _series(signal: Signal, report: Report, n_layers: int) -> dict[str, SeriesValues]:
    """What the signal reports beside its curve, in the order of its declaration.

    Raises
    ------
    UserError: a series that it does not declare, or one whose rows are not those of its axis.
    """
    for name in report.series:
        if name not in {series.name for series in signal.series}:
            raise UserError(f"it reports the series {name!r}, which it does not declare in `series`.")
    return {s.name: s.of(report.series[s.name], n_layers) for s in signal.series if s.name in report.series}


def _signal_curve(curve: _Evaluated, measured: Measured, weight: float, confidence: float) -> SignalCurve:
    finite = curve.point[np.isfinite(curve.point)]
    flags = list(curve.report.flags)
    if peaks_at_an_end(np.nan_to_num(curve.point, nan=-np.inf, posinf=-np.inf, neginf=-np.inf)):
        flags.append("endpoint_dominated")
    if len(finite) < len(curve.point):
        flags.append("undefined")
    interval = (None, None) if curve.replicates is None else percentile_interval(curve.replicates, confidence)
    band, signal = Curve.of(curve.point, *interval), measured.signal
    contributed = {"corpus": measured.corpus, "contribution": contribution(finite, weight)}
    return SignalCurve(
        *(band.transition, band.value, band.low, band.high),
        weight=weight,
        unit=signal.unit,
        flags=tuple(flags),
        details={**curve.report.details, **contributed},
        series=curve.series,
        figures=tuple(signal.figures),
        noise_share=curve.report.noise_share,
    )


# ---------------------------------------------------------------------------------------------------- verdicts


def _decisions(curves: Mapping[str, _Evaluated], weights: Mapping[str, float], rule: Rule) -> dict[str, Decision]:
    fused = {name: curve for name, curve in curves.items() if weights[name] > 0}
    if not fused:
        raise UserError("every signal has weight 0: give at least one a weight, as weights.<signal>=1.")
    gathered = _gather(fused, weights)
    rules = RULES.items()
    return {name: decide(gathered, p, rule.prominence, rule.confidence, rule.seed) for name, p in rules}


def _replicates(curves: Mapping[str, _Evaluated], decisions: Mapping[str, Decision]) -> Replicates:
    """What was drawn."""
    drawn = {name: curve.replicates for name, curve in curves.items() if curve.replicates is not None}
    pairs = {name: d.pairs * (d.pairs[:, :1] > 0) for name, d in decisions.items() if d.pairs is not None}
    return Replicates(drawn, pairs)


def _gather(fused: Mapping[str, _Evaluated], weights: Mapping[str, float]) -> Curves:
    """Stack the signals.

    If one has no replicates, there are none: holding it constant would make the intervals too narrow.
    """
    drawn = [c.replicates for c in fused.values() if c.replicates is not None]
    replicates = np.stack(drawn) if len(drawn) == len(fused) else None
    shares = {name: c.report.noise_share for name, c in fused.items()}
    return Curves(
        tuple(fused),
        np.array([weights[name] for name in fused]),
        np.stack([c.point for c in fused.values()]),
        replicates,
        tuple(dict.fromkeys(c.refused for c in fused.values() if c.refused)),
        {name: float(share) for name, share in shares.items() if share is not None},
    )
