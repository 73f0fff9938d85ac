"""Statistics of paired comparisons: intervals, tests, effects and verdicts, on arrays alone."""

from mspgt.stats.paired.brittleness import brittleness
from mspgt.stats.paired.conditions import Conditions
from mspgt.stats.paired.effects import effects
from mspgt.stats.paired.intervals import metric_values
from mspgt.stats.paired.notes import notes
from mspgt.stats.paired.paper import PAPER_NOTES
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples
from mspgt.stats.paired.verdicts import verdicts

__all__ = [
    "PAPER_NOTES",
    "Conditions",
    "Resampling",
    "Samples",
    "brittleness",
    "effects",
    "metric_values",
    "notes",
    "verdicts",
]
