"""Options of the metrics that need texts alone, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.options import option

RUN_ON = 60
"""words beyond which a sentence is a run-on, unless an option says otherwise"""


@dataclass(frozen=True)
class SelfBLEUOptions:
    """Options of `self_bleu`."""

    order: int = option(4, "longest n-gram that counts; each order weighs the same", low=1)


@dataclass(frozen=True)
class LengthVarianceOptions:
    """Options of `length_variance`."""

    cut: str = option(
        "drop",
        "a last sentence without closing punctuation, cut by the token limit: drop it unless it is a run-on already, "
        "or keep it as if it were whole",
        choices=("drop", "keep"),
    )
    run_on: int = option(RUN_ON, "words beyond which a sentence is a run-on", low=1)


@dataclass(frozen=True)
class TTROptions:
    """Options of `ttr`."""

    variant: str = option(
        "plain",
        "plain: distinct words over words, which falls with length; mattr: its mean over windows of equal length",
        choices=("plain", "mattr"),
    )
    window: int = option(50, "words in a window of mattr; a shorter text has none", low=1)
    first: int = option(50, "words of each text that `ttr_first_n` looks at; a shorter text is left out of it", low=1)


@dataclass(frozen=True)
class RepetitionOptions:
    """Options of `repetition`."""

    n: int = option(4, "tokens of an n-gram", low=1)
