"""The analysis: a corpus through a model in Lightning's predict loop, then states to a result."""

from mspgt.analysis.entry import run, start

__all__ = ["run", "start"]
