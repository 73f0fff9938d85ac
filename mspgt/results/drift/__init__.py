"""How layers organise while a model trains: the record of evaluations at many steps, and what follows from it.

Nothing here knows a model or Lightning: a callback or a pass over checkpoints adds the points.
"""

from mspgt.results.drift.drift import Drift, load

__all__ = ["Drift", "load"]
