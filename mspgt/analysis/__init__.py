"""The analysis: a corpus through a model in Lightning's predict loop, then states to a result."""

from mspgt.analysis.entry import intervene, run, start, start_intervene

__all__ = ["intervene", "run", "start", "start_intervene"]
