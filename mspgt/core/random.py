"""Counter-based noise: a value is a function of its keys, not of how many values were drawn before it.

Noise for (seed, sample, layer, position, dimension) is therefore the same on any batch layout, with a key-value cache
or without, on any rank and device; two conditions that share keys share noise (Salmon et al. 2011, Parallel random
numbers: as easy as 1, 2, 3). Integers agree bit by bit, floats to the rounding of a device's logarithm and cosine.

The keys are hashed once per (sample, position). The hash is the state from which SplitMix64 (Steele, Lea & Flood
2014) then counts: one 64-bit word gives two values. Samples, positions and steps lie below 2^31; padding (-1) gets
noise that means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

GAUSSIAN, GUMBEL, INTEGERS = 1, 2, 3
"""streams: one per function, so that equal keys do not give related values"""

_GAMMA = 0x9E3779B97F4A7C15
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""(shift, multiplier) of SplitMix64's mixing"""
_WORD = (1 << 64) - 1
_LOW = (1 << 32) - 1
_CACHED_WORDS, _DEVICE_WORDS = 1 << 16, 1 << 23
"""words at a time: what a core's cache holds, and what bounds the memory of an accelerator"""


def gaussian(seed: int, samples: Tensor, layer: int, positions: Tensor, dim: int) -> Tensor:
    """Standard normal noise (Box & Muller 1958), within 6.8 of zero.

    Parameters
    ----------
    samples: (row,) int64.
    layer: number of the block.
    positions: (row, token) int64, absolute positions.

    Returns
    -------
    (row, token, dim) float32, on the device of `positions`.
    """
    keys = _keys(_fold(GAUSSIAN, seed, layer), samples[:, None], positions)
    half = (dim + 1) // 2
    noise = torch.empty(keys.numel(), dim, dtype=torch.float32, device=keys.device)
    for rows, words in _words(keys, half):
        angle = (words >> 32).float().mul_(math.pi / 2**31)  # in [-pi, pi)
        radius = words.bitwise_and_(_LOW).float().mul_(2.0**-32).add_(2.0**-33).log_().mul_(-2).sqrt_()
        torch.mul(torch.cos(angle), radius, out=noise[rows, :half])
        torch.mul(angle.sin_()[:, : dim - half], radius[:, : dim - half], out=noise[rows, half:])
    return noise.view(*positions.shape, dim)


def gumbel(seed: int, samples: Tensor, step: int | Tensor, vocabulary: int) -> Tensor:
    """Standard Gumbel noise: the argmax of logits plus this noise is a draw from their softmax.

    A value above g has the probability 1 - exp(-exp(-g)) to within 2^-33, which reaches rare tokens; values lie
    between -2.9 and 22.9.

    Parameters
    ----------
    samples: (row,) int64.
    step: number of the decoding step, one for all rows or (row,) int64 on the device of `samples`.

    Returns
    -------
    (row, vocabulary) float32, on the device of `samples`.
    """
    keys = _keys(_fold(GUMBEL, seed), samples, step)
    half = (vocabulary + 1) // 2
    noise = torch.empty(keys.numel(), vocabulary, dtype=torch.float32, device=keys.device)
    for rows, words in _words(keys, half):
        high = (words >> 32).bitwise_and_(_LOW)
        for part, bits in ((noise[rows, :half], words.bitwise_and_(_LOW)), (noise[rows, half:], high)):
            negative = bits[:, : part.shape[1]].float().mul_(-(1 - 2.0**-24) * 2.0**-32).sub_(2.0**-33)  # > -1
            torch.neg(negative.log1p_().neg_().log_(), out=part)
    return noise


def integers(seed: int, samples: Tensor, positions: Tensor, n: int) -> Tensor:
    """Uniform draws from 0, ..., n - 1, to within n / 2^31.

    Parameters
    ----------
    samples: (row,) int64.
    positions: (row, token) int64, absolute positions.
    n: below 2^31.

    Returns
    -------
    (row, token) int64, on the device of `positions`.
    """
    keys = _keys(_fold(INTEGERS, seed), samples[:, None], positions)
    return (_shifted(keys, 33) * n) >> 31


def _fold(*numbers: int) -> int:
    """One 64-bit word from numbers that all rows share."""
    word = 0
    for number in numbers:
        word = ((word ^ number) + _GAMMA) & _WORD
        for shift, multiplier in _STEPS:
            word = (word ^ (word >> shift)) * multiplier & _WORD
    return word


def _keys(shared: int, samples: Tensor, counters: int | Tensor) -> Tensor:
    """A word per (sample, counter): the two stand side by side in 64 bits, so no two pairs share one."""
    device = counters.device if isinstance(counters, Tensor) else samples.device
    return mix(((samples.to(device) << 32) + counters) ^ _signed(shared))


def _words(keys: Tensor, count: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, (row, count) int64): `count` words of SplitMix64 from each key."""
    keys = keys.reshape(-1, 1)
    counters = torch.arange(1, count + 1, device=keys.device) * _signed(_GAMMA)
    together = max(1, (_CACHED_WORDS if keys.device.type == "cpu" else _DEVICE_WORDS) // max(1, count))
    for start in range(0, len(keys), together):
        rows = slice(start, start + together)
        yield rows, mix(keys[rows] + counters)


def mix(words: Tensor) -> Tensor:
    """SplitMix64's mixing, in place: int64 arithmetic wraps around."""
    for shift, multiplier in _STEPS:
        words.bitwise_xor_(_shifted(words, shift))
        if multiplier != 1:
            words.mul_(_signed(multiplier))
    return words


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; that of int64 repeats the sign."""
    return (words >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
