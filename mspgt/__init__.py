"""Measure how a language model organises its layers.

`mspgt.run` runs a corpus through a model and returns a `Run`; `mspgt.intervene` disturbs a model while it generates
and returns a `Behaviour`; `mspgt.callbacks.BoundaryDrift` follows a training and gives a `Drift`; `mspgt.load` reads
them back. Authors of plugins import all they need from here, too. Heavy imports happen when a name is first used, so
that importing the package and `mspgt --help` are instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "mspgt.experiments.entry": ("drift", "intervene", "run"),
    "mspgt.results.drift": ("Drift",),
    "mspgt.results.intervention": ("Behaviour",),
    "mspgt.results.loading": ("load",),
    "mspgt.results.prediction_3_1": ("prediction_3_1",),
    "mspgt.results.prediction_3_2": ("prediction_3_2",),
    "mspgt.results.result": ("Result",),
    "mspgt.results.run": ("Run",),
    "mspgt.contracts.batch": ("Batch", "Labels", "Layer"),
    "mspgt.contracts.intervention": ("Block", "Intervention", "LayerStatistics"),
    "mspgt.contracts.metric": ("Generated", "Metric"),
    "mspgt.contracts.series": ("HeatMap", "Lines", "Series"),
    "mspgt.contracts.signal": ("Fitted", "Recorder", "Report", "Signal", "SumSignal"),
    "mspgt.core.errors": ("UserError",),
    "mspgt.core.key": ("Key",),
    "mspgt.core.options": ("option",),
    "mspgt.core.random": ("gaussian", "integers"),
    "mspgt.core.state": ("State", "Table", "Units", "stable_code"),
}
"""module -> what it exports here; the contracts and `core` are for authors of plugins"""
_HOME = {name: module for module, names in _NAMES.items() for name in names}

if TYPE_CHECKING:
    from mspgt.contracts.batch import Batch as Batch
    from mspgt.contracts.batch import Labels as Labels
    from mspgt.contracts.batch import Layer as Layer
    from mspgt.contracts.intervention import Block as Block
    from mspgt.contracts.intervention import Intervention as Intervention
    from mspgt.contracts.intervention import LayerStatistics as LayerStatistics
    from mspgt.contracts.metric import Generated as Generated
    from mspgt.contracts.metric import Metric as Metric
    from mspgt.contracts.series import HeatMap as HeatMap
    from mspgt.contracts.series import Lines as Lines
    from mspgt.contracts.series import Series as Series
    from mspgt.contracts.signal import Fitted as Fitted
    from mspgt.contracts.signal import Recorder as Recorder
    from mspgt.contracts.signal import Report as Report
    from mspgt.contracts.signal import Signal as Signal
    from mspgt.contracts.signal import SumSignal as SumSignal
    from mspgt.core.errors import UserError as UserError
    from mspgt.core.key import Key as Key
    from mspgt.core.options import option as option
    from mspgt.core.random import gaussian as gaussian
    from mspgt.core.random import integers as integers
    from mspgt.core.state import State as State
    from mspgt.core.state import Table as Table
    from mspgt.core.state import Units as Units
    from mspgt.core.state import stable_code as stable_code
    from mspgt.experiments.entry import drift as drift
    from mspgt.experiments.entry import intervene as intervene
    from mspgt.experiments.entry import run as run
    from mspgt.results.drift import Drift as Drift
    from mspgt.results.intervention import Behaviour as Behaviour
    from mspgt.results.loading import load as load
    from mspgt.results.prediction_3_1 import prediction_3_1 as prediction_3_1
    from mspgt.results.prediction_3_2 import prediction_3_2 as prediction_3_2
    from mspgt.results.result import Result as Result
    from mspgt.results.run import Run as Run

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mspgt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
