"""Metrics of the texts of an experiment: each under every condition, kept on disk as soon as it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.config.intervene import InterveneConfig
from mspgt.config.keys import deciding_options
from mspgt.contracts import registry
from mspgt.contracts.metric import Generated, Metric, Swapped, Values
from mspgt.core.codec import plain, structure
from mspgt.core.errors import MachineError, UserError
from mspgt.core.files import write_atomically
from mspgt.stats.paired.conditions import BASELINE
from mspgt.stats.paired.samples import Samples

Texts = Mapping[str, Sequence[Generated]]
"""condition -> texts, one per prompt, in the order of the prompts"""
Progress = Callable[[str, int, int], None]
"""told which metric is measured, how many conditions are done, and of how many"""


class NotMeasured(Exception):
    """A metric that cannot be measured; the sentence says why."""

    def __init__(self, metric: str, reason: str) -> None:
        super().__init__(reason)
        self.metric = metric


@dataclass
class TextMetrics:
    """Metrics while they are needed: their values under every condition, and the plugins behind them.

    Parameters
    ----------
    texts: what is measured.
    folder: where values are kept; a metric whose values are there with the same options is not measured again.
    device: where metrics with models of their own may put them.
    """

    config: InterveneConfig
    texts: Texts
    folder: Path
    device: str
    metrics: dict[str, Metric] = field(default_factory=dict)
    values: dict[str, dict[str, Values]] = field(default_factory=dict)
    companions: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    """metric -> why"""

    def run(self, progress: Progress) -> None:
        """Measure everything that is asked for; what fails is left out with its reason."""
        for name in self.config.options.metrics:
            try:
                with guarded(name):
                    self._one(name, progress)
            except NotMeasured as error:
                self.leave_out(error)

    def leave_out(self, error: NotMeasured) -> None:
        """Take a metric out, and say why."""
        self.not_measured[error.metric] = str(error)
        for measured in (self.values, self.companions):
            measured.pop(error.metric, None)

    def close(self) -> None:
        """Let go of what the metrics hold."""
        for metric in self.metrics.values():
            with suppress(Exception):  # its numbers are there
                metric.close()
        self.metrics.clear()

    def samples(self, name: str) -> Samples:
        """What the statistics need; a corpus-level metric can be measured anew on other sets of texts."""
        metric, values, texts = self.metrics[name], self.values[name], self.texts
        if metric.level == "sample":
            return Samples(name, metric.level, metric.direction, values)

        def swapped(condition: str) -> Swapped:
            with guarded(name):
                anew = metric.swapped(texts[BASELINE], texts[condition])

            def values(swap: NDArray[np.bool_]) -> tuple[float, float]:
                with guarded(name):
                    one, other = anew(swap)
                    return float(one), float(other)

            return values

        def without(left_out: NDArray[np.bool_]) -> dict[str, float]:
            kept = np.flatnonzero(~left_out).tolist()
            with guarded(name):
                chosen = {c: [those[i] for i in kept] for c, those in texts.items()}
                return {c: _mean(_checked(metric.measure(t), len(kept))) for c, t in chosen.items()}

        return Samples(name, metric.level, metric.direction, values, swapped, without)

    # ------------------------------------------------------------------ one metric

    def _one(self, name: str, progress: Progress) -> None:
        o, entry = self.config.options, registry.metric(name)
        options = self.config.plugins[name]
        self.metrics[name] = metric = registry.create_metric(
            name, options, seed=o.seed, device=self.device, offline=o.offline
        )
        fingerprint = {"plugin": entry.distribution, "options": deciding_options(entry, options)}
        path = self.folder / f"{name}.json"
        kept = _read(path, fingerprint)
        if kept is not None and set(kept.values) == set(self.texts):
            self.values[name], self.companions[name] = dict(kept.values), dict(kept.companions)
            return
        values, companions = {}, {}
        for number, (condition, texts) in enumerate(self.texts.items()):
            progress(name, number, len(self.texts))
            values[condition] = _checked(metric.measure(texts), len(texts))
            companions[condition] = {key: float(value) for key, value in metric.companions(texts).items()}
        progress(name, len(self.texts), len(self.texts))
        if not any(np.isfinite(column).any() for column in values.values()):
            raise NotMeasured(name, self._undefined())
        self.values[name], self.companions[name] = values, companions
        write_atomically(path, json.dumps(plain(_Stored(fingerprint, values, companions)), allow_nan=False))

    def _undefined(self) -> str:
        """Why a metric may have no value for any text."""
        texts = [text.text for condition in self.texts.values() for text in condition]
        empty = sum(not text.strip() for text in texts)
        return f"it has no value for any of the {len(texts):,} texts, {empty:,} of which are empty."


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Turn what a metric raises into the sentence that says so.

    Raises
    ------
    NotMeasured: whatever the metric raised; a full disk or an interrupt is passed on.
    """
    try:
        yield
    except (MachineError, NotMeasured):
        raise
    except UserError as error:
        raise NotMeasured(name, " ".join(str(error).removeprefix(f"{name}: ").split())) from error
    except (Exception, SystemExit) as error:
        what = " ".join(str(error).split())
        whose = registry.metric(name).distribution
        raise NotMeasured(name, f"the metric of {whose} raised {type(error).__name__}: {what}") from error


def _checked(values: Any, count: int) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise ValueError(f"measure() gave values of shape {array.shape} for {count} texts")
    return np.where(np.isfinite(array), array, np.nan)


@dataclass(frozen=True, eq=False)
class _Stored:
    """What a metric measured under every condition, and by which options."""

    fingerprint: Mapping[str, Any]
    values: Mapping[str, Values]
    companions: Mapping[str, dict[str, float]]


def _read(path: Path, fingerprint: Mapping[str, Any]) -> _Stored | None:
    """Values that are kept already, if they were measured in the same way."""
    try:
        kept = structure(json.loads(path.read_text(encoding="utf-8")), _Stored, str(path))
    except (OSError, ValueError, UserError):
        return None
    return kept if kept.fingerprint == plain(fingerprint) else None


def _mean(values: Values) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
