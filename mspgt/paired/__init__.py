"""Statistics of paired comparisons: intervals, tests, effects and verdicts, on arrays alone."""

from mspgt.paired.brittleness import brittleness
from mspgt.paired.effects import effects
from mspgt.paired.intervals import metric_values
from mspgt.paired.measured import Measured
from mspgt.paired.notes import notes
from mspgt.paired.paper import PAPER_NOTES
from mspgt.paired.resampling import Resampling
from mspgt.paired.verdicts import verdicts

__all__ = ["PAPER_NOTES", "Measured", "Resampling", "brittleness", "effects", "metric_values", "notes", "verdicts"]
