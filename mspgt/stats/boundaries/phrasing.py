"""Boundaries and what comes of them in words: the one place for outcomes, statuses and abbreviations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mspgt.stats.boundaries.support import BOUNDARIES

OUTCOME = {True: "accepted", False: "not accepted"}
"""whether boundaries are accepted -> the same in words"""
SHORT = dict(zip(BOUNDARIES.values(), ("L-I", "I-G"), strict=True))
"""name of a boundary -> as in the paper's Table 1"""
I_G = SHORT["intermediate-global"]


class Status(NamedTuple):
    """A status: in a few words, and as the sentence that is its verdict's meaning."""

    brief: str
    meaning: str


STATUS: Mapping[str, Status] = {
    "ok": Status(OUTCOME[True], ""),
    "probe_noise": Status(
        "the noise of a signal's estimates could pass for structure",
        "The jumps of a signal are too noisy to carry boundaries, so none are accepted.",
    ),
    "endpoint_dominated": Status(
        "a curve is largest at an end of the network",
        "The layers change most at an end of the network, where no boundary can be found.",
    ),
    "unstable": Status(
        "positions change with the documents drawn",
        "Another sample of documents could move the boundaries, so they are not accepted.",
    ),
    "not_above_null": Status(
        "the signals agree no more than chance would have it",
        "Layers stand out, but the signals do not agree where by more than chance, so no boundaries are accepted.",
    ),
    "one_peak": Status(
        "only one peak stands out",
        "One place stands out; two are needed to separate local, intermediate and global processing.",
    ),
    "no_peak": Status("no peak stands out", "The layers change gradually: nothing stands out as a boundary."),
    "too_shallow": Status(
        "the model has too few blocks",
        "The model is too shallow for claims about boundaries; its curves and intervals stand.",
    ),
}
"""status of a verdict -> its words, the mildest first"""
