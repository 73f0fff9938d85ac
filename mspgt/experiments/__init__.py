"""The analysis: a corpus through a model in Lightning's predict loop, then states to a result."""

from mspgt.experiments.entry import drift, intervene, run, start, start_drift, start_intervene

__all__ = ["drift", "intervene", "run", "start", "start_drift", "start_intervene"]
