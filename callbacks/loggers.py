"""Where a training shows what was logged: its loggers, and its progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from mspgt.core.errors import sentence
from mspgt.measure.history import Point
from mspgt.stats.boundaries import SEVERITY, SHORT


def scalars(point: Point, name: str = "mspgt", rule: str = "mspgt") -> dict[str, float]:
    """What loggers are given of a point, by mspgt's rule; all names begin with that of the callback.

    * ``mspgt/li``, ``mspgt/ig``: blocks below the local-intermediate and the intermediate-global boundary, accepted
      or not; not logged where none is placed. ``..._relative``: the same over the number of blocks. ``..._ci_width``:
      width of its interval in blocks.
    * ``mspgt/accepted``: 1 or 0. ``mspgt/status``: 0 for ok, else the number of the status in `SEVERITY`.
    * ``mspgt/max/<signal>``: the largest value of the signal over depth, in its own unit.
    """
    verdict = point.verdicts[rule]
    logged = {"accepted": float(verdict.accepted), "status": float(SEVERITY.index(verdict.status))}
    for boundary_name, boundary in verdict.places.items():
        short = SHORT[boundary_name].replace("-", "").lower()
        logged[short], logged[f"{short}_relative"] = float(boundary.layer), float(boundary.relative)
        if boundary.ci_width is not None:
            logged[f"{short}_ci_width"] = float(boundary.ci_width)
    for signal, curve in point.signals.items():
        logged[f"max/{signal}"] = float(np.nanmax(curve.value))
    return {f"{name}/{key}": value for key, value in logged.items()}


def in_brief(point: Point, rule: str = "mspgt") -> str:
    """The verdict in as few words as a progress bar has room for: "3|8 ok", "one_peak"."""
    verdict = point.verdicts[rule]
    return " ".join(["|".join(str(boundary.layer) for boundary in verdict.boundaries), verdict.status]).strip()


def log_scalars(trainer: L.Trainer, point: Point, name: str) -> None:
    """Give a point to every logger; the Trainer's own metrics stay as they are."""
    for logger in trainer.loggers:
        with attempted(f"{type(logger).__name__} did not take {name} of step {point.step:,}"):
            logger.log_metrics(scalars(point, name), step=point.step)


def log_figure(trainer: L.Trainer, figure: Any, name: str, step: int) -> None:
    """Draw a figure to the loggers that take them, as TensorBoard's or Weights & Biases' do."""
    for logger in trainer.loggers:
        with attempted(f"{type(logger).__name__} did not take figure {name} of step {step:,}"):
            if callable(add := getattr(logger.experiment, "add_figure", None)):
                add(name, figure, global_step=step)
            elif callable(image := getattr(logger, "log_image", None)):
                image(key=name, images=[figure], step=step)


@contextmanager
def attempted(failed: str) -> Iterator[None]:
    """What fails in here becomes a warning, so that it neither ends a training nor hides how it ended.

    Parameters
    ----------
    failed: what did not happen then, the beginning of a sentence.
    """
    try:
        yield
    except Exception as error:
        rank_zero_warn(f"{failed}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(sentence(error).split())


class OnBar:
    """Puts a few words beside the other metrics of a Trainer's progress bar, until it is closed.

    Parameters
    ----------
    name: what the words stand under.
    text: gives them whenever the bar is drawn; empty for none.
    """

    def __init__(self, trainer: L.Trainer, name: str, text: Callable[[], str]) -> None:
        self._name = name
        self._on: _Metrics | None = None
        bar: Any = trainer.progress_bar_callback
        if bar is not None:
            self._on = bar.get_metrics if isinstance(bar.get_metrics, _Metrics) else _Metrics(bar)
            self._on.texts[name] = text

    def close(self) -> None:
        """Take the words away; after the last ones the bar is as it was."""
        if self._on is not None:
            self._on.remove(self._name)
            self._on = None


class _Metrics:
    """Stands in for a bar's `get_metrics` while some callback has words on it."""

    def __init__(self, bar: Any) -> None:
        self.texts: dict[str, Callable[[], str]] = {}
        self._bar, self._own = bar, "get_metrics" in vars(bar)
        self._metrics = bar.get_metrics
        bar.get_metrics = self

    def __call__(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        added = {name: words for name, text in self.texts.items() if (words := text())}
        return {**self._metrics(*arguments, **named), **added}

    def remove(self, name: str) -> None:
        del self.texts[name]
        if not self.texts:
            del self._bar.get_metrics
            if self._own:
                self._bar.get_metrics = self._metrics
