"""The contract of an intervention: what is done to a block's output while a model generates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor

from mspgt.core.errors import UserError
from mspgt.core.options import NoOptions, parse


@dataclass(frozen=True)
class LayerStatistics:
    """What the output of one block is like on the corpus; sinks, special and massive tokens are left out.

    All tensors are float32 and on the device of the block.
    """

    mean: Tensor
    """(dim,) over tokens"""
    std_dim: Tensor
    """(dim,) over tokens"""
    std: float
    """root of the mean over dimensions of the variance over tokens: the unit of noise"""
    std_all: float
    """over all tokens and dimensions together, as `hidden.std()` gives it"""
    bank: Tensor
    """(row, dim) outputs at some tokens of the corpus, the same tokens for every block"""


@dataclass(frozen=True)
class Block:
    """The block whose output is disturbed."""

    index: int
    """from 1"""
    incoming: Tensor
    """(row, token, dim) what the block was given"""


class Intervention:
    """Base of all interventions: one method, `apply`.

    Parameters
    ----------
    strength: how much is done; 0 changes nothing, `strength_means` says what 1 is.
    seed: seed of every random choice.
    options: the intervention's own options, checked against `Options`.

    Raises
    ------
    UserError: a strength outside `limits`.
    """

    summary: ClassVar[str] = ""
    """one line for `mspgt ls`"""
    strength_means: ClassVar[str] = ""
    """what a strength of 1 is, in one phrase"""
    limits: ClassVar[tuple[float, float]] = (0.0, inf)
    """smallest and largest strength, both allowed"""
    Options: ClassVar[type] = NoOptions
    """a frozen dataclass of `mspgt.core.options.option` fields"""
    exceptions: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """law of the conformance suite -> the reason why this intervention does not obey it"""

    def __init__(self, *, strength: float, seed: int = 0, **options: Any) -> None:
        low, high = self.limits
        if not low <= strength <= high or strength == inf:
            allowed = f"at least {low:g}" if high == inf else f"from {low:g} to {high:g}"
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
            raise UserError(f"sigma={strength:g}: the strength of {name} is {allowed}.")
        self.strength, self.seed = strength, seed
        self.options: Any = parse(self.Options, options)

    def apply(
        self, hidden: Tensor, layer: Block, positions: Tensor, samples: Tensor, statistics: LayerStatistics
    ) -> Tensor:
        """Disturb the output of a block.

        What happens to a token depends on its sample and position alone, never on the rows or tokens that stand
        beside it: only then are conditions paired, on any batch layout and with or without a cache.

        Parameters
        ----------
        hidden: (row, token, dim) raw output of the block, in the model's precision; not to be changed in place.
        positions: (row, token) int64, absolute positions from 0; -1 for padding, whose result is thrown away.
        samples: (row,) int64, the number of the prompt.

        Returns
        -------
        (row, token, dim), in the precision of `hidden`.
        """
        raise NotImplementedError
