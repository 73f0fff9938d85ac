"""Numbers and names as text."""

from __future__ import annotations

import math

from mspgt.core.phrases import amount, change, listed, magnitude, percentage, probability, runs


def test_numbers_are_written_in_three_digits() -> None:
    assert [amount(v) for v in (0.03117, 41.71, 1840.4, -2.5e9, 0, 12, None, math.nan)] == [
        *("0.0312", "41.7", "1,840", "-2.5e+09", "0", "12", "–", "–")
    ]
    assert [percentage(v) for v in (-27.36, 1840.2, 2e6)] == ["27.4%", "1,840%", "2.0e+06%"]
    assert [probability(p) for p in (0.0344, 0.00002, 0.0, math.nan)] == ["0.034", "2e-05", "0.000", "–"]
    assert [magnitude(n) for n in (6_738_415_616, 57_934_848, 4_200, 12)] == ["6.74 B", "57.9 M", "4.2 k", "12"]
    assert runs([9, 7, 8, 12]) == "7–9, 12"
    assert [change(v, percent=True) for v in (0.04, -0.04, -3.0)] == ["0.0%", "0.0%", "↓3.0%"]
    assert [change(v) for v in (0.0, -0.02)] == ["0", "↓0.02"]
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
