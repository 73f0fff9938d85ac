"""Boundary inference: pure functions of curves, from normalised signals to an accepted or refused pair of boundaries.

`fusion` adds the signals up, `peaks` finds peaks, `support` describes them over bootstrap replicates, `null` tests
whether signals coincide by more than chance, `acceptance` puts the clauses together into the paper's rule and ours.
"""

from mspgt.stats.boundaries.acceptance import MSPGT, PAPER, RULES, SEVERITY, Curves, Decision, Procedure, decide
from mspgt.stats.boundaries.phrasing import OUTCOME, SHORT, STATUS
from mspgt.stats.boundaries.support import BOUNDARIES
from mspgt.stats.boundaries.verdict import Boundary, Verdict, verdict_of

__all__ = [
    "BOUNDARIES",
    "MSPGT",
    "OUTCOME",
    "PAPER",
    "RULES",
    "SEVERITY",
    "SHORT",
    "STATUS",
    "Boundary",
    "Curves",
    "Decision",
    "Procedure",
    "Verdict",
    "decide",
    "verdict_of",
]
