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
    "run": "mspgt.analysis",
    "intervene": "mspgt.analysis",
    "drift": "mspgt.analysis",
    "load": "mspgt.loading",
    "Result": "mspgt.result",
    "Behaviour": "mspgt.behaviour",
    "Drift": "mspgt.dynamics",
    "prediction_3_1": "mspgt.behaviour.prediction",
    "prediction_3_2": "mspgt.dynamics.prediction",
    "Signal": "mspgt.signal",
    "SumSignal": "mspgt.signal",
    "Batch": "mspgt.batch",
    "Layer": "mspgt.batch",
    "Intervention": "mspgt.intervention",
    "Metric": "mspgt.metric",
    "UserError": "mspgt.errors",
}

if TYPE_CHECKING:
    from mspgt.analysis import drift as drift
    from mspgt.analysis import intervene as intervene
    from mspgt.analysis import run as run
    from mspgt.batch import Batch as Batch
    from mspgt.batch import Layer as Layer
    from mspgt.behaviour import Behaviour as Behaviour
    from mspgt.behaviour.prediction import prediction_3_1 as prediction_3_1
    from mspgt.dynamics import Drift as Drift
    from mspgt.dynamics.prediction import prediction_3_2 as prediction_3_2
    from mspgt.errors import UserError as UserError
    from mspgt.intervention import Intervention as Intervention
    from mspgt.loading import load as load
    from mspgt.metric import Metric as Metric
    from mspgt.result import Result as Result
    from mspgt.signal import Signal as Signal
    from mspgt.signal import SumSignal as SumSignal

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
