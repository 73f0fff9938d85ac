"""Which tokens a word or sentence has, from the character offsets of a fast tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Offsets:
    """The character offsets of one tokenised text.

    Parameters
    ----------
    offsets: (token, 2) first character and one past the last, as `return_offsets_mapping` gives them. Whether a token
        holds the space before its word does not matter. A character of several bytes may be shared by tokens.
    special: (token,) bool, tokens that the tokenizer added; their offsets mean nothing.
    """

    def __init__(self, offsets: Sequence[tuple[int, int]], special: NDArray[np.bool_]) -> None:
        pairs = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        covers = (pairs[:, 1] > pairs[:, 0]) & ~special
        self._token = np.flatnonzero(covers)
        self._starts, self._ends = pairs[covers].T
        self._of_text = ~special
        # A token of nothing but a trimmed space has no characters of its own.
        self._last = np.maximum(pairs[:, 1] - 1, pairs[:, 0])

    def ranges(self, starts: Ints, ends: Ints) -> Ints:
        """Find the tokens of words.

        Parameters
        ----------
        starts, ends: (word,) characters of each word.

        Returns
        -------
        (word, 2) half-open token ranges; (-1, -1) for a word that the tokenizer dropped.
        """
        if len(self._token) == 0:
            return np.full((len(starts), 2), -1, dtype=np.int64)
        first = np.searchsorted(self._ends, starts, side="right")
        last = np.searchsorted(self._starts, ends, side="left") - 1
        covered = last >= first
        bounds = [np.where(covered, self._token[np.clip(at, 0, len(self._token) - 1)], -1) for at in (first, last)]
        return np.stack([bounds[0], np.where(covered, bounds[1] + 1, -1)], axis=1)

    def sentences(self, starts: Ints) -> Ints:
        """Number the tokens by sentence.

        Parameters
        ----------
        starts: (sentence,) first character of each sentence, ascending.

        Returns
        -------
        (token,) number from 0 of the sentence that holds the token's last character; -1 for tokens that the tokenizer
        added.
        """
        return np.where(self._of_text, np.searchsorted(starts, self._last, side="right") - 1, -1)
