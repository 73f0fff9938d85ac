"""Where a training shows what was found: its loggers, and its progress bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import numpy as np

from mspgt.boundaries import SEVERITY
from mspgt.schema import BOUNDARIES

PREFIX = "mspgt/"
SHORT = dict(zip(BOUNDARIES, ("li", "ig"), strict=True))
"""key of a boundary -> what its scalars are called"""


def scalars(point: Mapping[str, Any], rule: str = "mspgt") -> dict[str, float]:
    """What loggers are given of a point, by mspgt's rule.

    * ``mspgt/li``, ``mspgt/ig``: blocks below the local-intermediate and the intermediate-global boundary, accepted
      or not; not logged where none is placed. ``..._relative``: the same over the number of blocks. ``..._ci_width``:
      width of its interval in blocks.
    * ``mspgt/accepted``: 1 or 0. ``mspgt/status``: 0 for ok, else the number of the status in `SEVERITY`.
    * ``mspgt/max/<signal>``: the largest value of the signal over depth, in its own unit.
    """
    verdict = point["verdicts"][rule]
    found = {"accepted": float(verdict["accepted"]), "status": float(SEVERITY.index(verdict["status"]))}
    for key, short in SHORT.items():
        if (boundary := verdict[key]) is not None:
            found[short] = float(boundary["layer"])
            found[f"{short}_relative"] = float(boundary["relative"])
            if boundary["ci_width"] is not None:
                found[f"{short}_ci_width"] = float(boundary["ci_width"])
    for name, block in point["signals"].items():
        known = [value for value in block["value"] if value is not None]
        found[f"max/{name}"] = float(np.max(known))
    return {PREFIX + name: value for name, value in found.items()}


def words(point: Mapping[str, Any], rule: str = "mspgt") -> str:
    """The verdict in as few words as a progress bar has room for: "3|8 ok", "one_peak"."""
    verdict = point["verdicts"][rule]
    placed = [str(verdict[key]["layer"]) for key in BOUNDARIES if verdict[key] is not None]
    return " ".join(["|".join(placed), verdict["status"]]).strip()


def log_scalars(trainer: L.Trainer, point: Mapping[str, Any]) -> None:
    """Give a point to every logger; the Trainer's own metrics stay as they are."""
    for logger in trainer.loggers:
        logger.log_metrics(scalars(point), step=point["step"])


def log_figures(trainer: L.Trainer, figures: Mapping[str, Any], step: int) -> None:
    """Draw figures to the loggers that take them, as TensorBoard's or Weights & Biases' do."""
    for logger in trainer.loggers:
        for name, figure in figures.items():
            if callable(add := getattr(logger.experiment, "add_figure", None)):
                add(PREFIX + name, figure, global_step=step)
            elif callable(image := getattr(logger, "log_image", None)):
                image(key=PREFIX + name, images=[figure], step=step)


class OnBar:
    """Puts a few words beside the other metrics of a Trainer's progress bar, until it is closed."""

    def __init__(self, trainer: L.Trainer, said: Callable[[], str]) -> None:
        self._bar: Any = trainer.progress_bar_callback
        if self._bar is None:
            return
        metrics = self._bar.get_metrics

        def with_words(*arguments: Any, **named: Any) -> dict[str, Any]:
            return {**metrics(*arguments, **named), **({"mspgt": text} if (text := said()) else {})}

        self._bar.get_metrics = with_words

    def close(self) -> None:
        """Leave the bar as it was."""
        if self._bar is not None:
            self._bar.__dict__.pop("get_metrics", None)
            self._bar = None
