"""How far apart boundaries lie by chance: what prediction 3.2 must be held against.

If the position of a boundary said nothing about a model, two runs would still put it at different depths, and often
more than 30 % of the depth apart. These probabilities are exact: sums over all positions, in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

THRESHOLD = Fraction(3, 10)
"""of the depth, by which the I-G boundaries of two runs differ more (prediction 3.2, section 3.3.2, equation 2)"""


def exceeds(layers: int, n_layers: int) -> bool:
    """Whether a distance of so many layers is more than 30 % of the depth; in whole numbers, so 3 of 10 is not more."""
    return layers > THRESHOLD * n_layers


def chance(n_layers: int, runs: int = 2) -> dict[str, float]:
    """P(the positions in `runs` runs lie more than 30 % of the depth apart) if positions mean nothing.

    Positions are the transitions 2..L-2, where alone a peak can be. Of more than two runs, the farthest two count.

    Parameters
    ----------
    n_layers: blocks L.
    runs: independent runs, at least 2.

    Returns
    -------
    uniform: every position is as likely. For two runs and L towards infinity it tends to (1 - 0.3)² = 0.49.
    two_peaks: the upper of two different peaks, which are never neighbours, every such pair being as likely. It tends
        to 1 - 8 d / 3 + 2 d² - d⁴ / 3 with d = 0.3, that is 0.377.
    NaN where the model is too shallow to have such a position: L < 4, or L < 6.

    What models without structure would give is not known: trends over depth that all runs of an architecture share make
    their peaks neither uniform nor independent.
    """
    positions = max(n_layers - 3, 0)
    uniform = [1] * positions
    upper_of_two = [max(i - 1, 0) for i in range(positions)]  # how many lower peaks leave one transition between
    return {
        "uniform": _apart(uniform, n_layers, runs),
        "two_peaks": _apart(upper_of_two, n_layers, runs),
    }


def _apart(weights: Sequence[int], n_layers: int, runs: int) -> float:
    """P(largest - smallest > 30 % of L) of independent draws of positions with these weights.

    All draws lie within a window of near positions; summed over the position of the smallest, which is in the window
    but not in its rest.
    """
    total = sum(weights)
    if not total:
        return math.nan
    below = [0, *accumulate(weights)]
    last = len(weights)
    reach = next(d for d in range(n_layers, -1, -1) if not exceeds(d, n_layers))
    ends = [min(i + reach + 1, last) for i in range(last)]
    near = sum((below[e] - below[i]) ** runs - (below[e] - below[i + 1]) ** runs for i, e in enumerate(ends))
    return float(1 - Fraction(near, total**runs))
