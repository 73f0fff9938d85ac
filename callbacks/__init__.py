"""What hangs on a Lightning Trainer: boundary drift of a training, accumulation of states, progress of an analysis."""

from typing import Any

if __name__ != "mspgt.callbacks":
    raise ImportError("import mspgt.callbacks instead of callbacks")

__all__ = ["BoundaryDrift"]


def __getattr__(name: str) -> Any:
    if name == "BoundaryDrift":
        from mspgt.callbacks.boundary_drift import BoundaryDrift

        return BoundaryDrift
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
