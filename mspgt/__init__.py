"""Measure how a language model organises its layers.

`mspgt.run` runs a corpus through a model and returns a `Result`; `mspgt.intervene` disturbs a model while it generates
and returns a `Behaviour`; `mspgt.callbacks.BoundaryDrift` follows a training and gives a `Drift`; `mspgt.load` reads
them back. Heavy imports happen when a name is first used, so that importing the package and `mspgt --help` are
instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "run": "mspgt.experiments",
    "intervene": "mspgt.experiments",
    "drift": "mspgt.experiments",
    "load": "mspgt.results.loading",
    "Result": "mspgt.results.result",
    "Behaviour": "mspgt.results.intervention",
    "Drift": "mspgt.results.drift",
    "prediction_3_1": "mspgt.results.prediction_3_1",
    "prediction_3_2": "mspgt.results.prediction_3_2",
    "Signal": "mspgt.contracts.signal",
    "SumSignal": "mspgt.contracts.signal",
    "Batch": "mspgt.contracts.batch",
    "Layer": "mspgt.contracts.batch",
    "Intervention": "mspgt.contracts.intervention",
    "Metric": "mspgt.contracts.metric",
    "UserError": "mspgt.core.errors",
}

if TYPE_CHECKING:
    from mspgt.contracts.batch import Batch as Batch
    from mspgt.contracts.batch import Layer as Layer
    from mspgt.contracts.intervention import Intervention as Intervention
    from mspgt.contracts.metric import Metric as Metric
    from mspgt.contracts.signal import Signal as Signal
    from mspgt.contracts.signal import SumSignal as SumSignal
    from mspgt.core.errors import UserError as UserError
    from mspgt.experiments import drift as drift
    from mspgt.experiments import intervene as intervene
    from mspgt.experiments import run as run
    from mspgt.results.drift import Drift as Drift
    from mspgt.results.intervention import Behaviour as Behaviour
    from mspgt.results.loading import load as load
    from mspgt.results.prediction_3_1 import prediction_3_1 as prediction_3_1
    from mspgt.results.prediction_3_2 import prediction_3_2 as prediction_3_2
    from mspgt.results.result import Result as Result

__all__ = [
    "Batch",
    "Behaviour",
    "Drift",
    "Intervention",
    "Layer",
    "Metric",
    "Result",
    "Signal",
    "SumSignal",
    "UserError",
    "drift",
    "intervene",
    "load",
    "prediction_3_1",
    "prediction_3_2",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mspgt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
