"""The probability of a text under the grammar, with every latent choice summed out.

All latents can be enumerated: parses and topics of a sentence by the automaton, topics of a text by the forward
algorithm, entities by the predictive law of their urns. Values are therefore exact, and standard errors of a
text's probability are zero; only an average over documents has a sampling error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from grammar_exact.automaton import Mentioned, Parses, add, automaton, split_sentences, split_words
from grammar_exact.counts import mentioned_before, transition
from grammar_exact.urn import Urn
from mspgt.contracts.document import Document, Sentence
from mspgt.core.errors import UserError
from mspgt.grammar.mixture import Array, Mixture, tables
from mspgt.grammar.names import KINDS
from mspgt.grammar.reference import Mention

Text = str | Document | Iterable[Sentence | str | Sequence[str]]
"""a text, a document, or sentences as annotated sentences, texts or words"""


class LogProbability(NamedTuple):
    """A log-probability in nats; the standard error is zero, because nothing is sampled."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class ScoredSentence:
    """A sentence word by word."""

    words: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    """of each word given all words before it in the text, in nats; -inf where the grammar has no such word (or
    where the sentence before was not complete), and nan after it"""
    kinds: tuple[str, ...]
    """``new name``, ``repeated name`` (the text has named the entity before) or ``other``, for each word"""
    complete: bool
    """whether the words are a sentence; else at best its beginning"""


@dataclass(frozen=True)
class CrossEntropy:
    """Mean nats per word over documents, with the standard error of a ratio over documents."""

    nats_per_word: float
    standard_error: float
    words: int
    parts: Mapping[str, tuple[float, int]]
    """by kind of word (``new name``, ``repeated name``, ``other``): nats in all, number of words"""


def log_probability(text: Text, mixture: Mixture | None = None, start: int = 0) -> LogProbability:
    """Give the log-probability of consecutive sentences of one document, given how many there are.

    Parameters
    ----------
    start: number of the first sentence in its document; what came before it is unknown and summed out.

    Returns
    -------
    (value, standard error): nats, exact, so that the error is 0; -inf for a text that the grammar cannot produce.
    """
    scored = score(text, mixture, start)
    if not all(sentence.complete for sentence in scored):
        return LogProbability(-math.inf, 0.0)
    return LogProbability(math.fsum(p for sentence in scored for p in sentence.log_probabilities), 0.0)


def score(text: Text, mixture: Mixture | None = None, start: int = 0) -> list[ScoredSentence]:
    """Give the log-probability of each word given the words before it, as `log_probability` defines the text's.

    Summed up they are the text's log-probability, so this is what the best possible left-to-right model that sees
    the same words can reach, word by word.
    """
    if start < 0:
        raise UserError(f"start={start}: give the number of a sentence, at least 0.")
    mixture = mixture or Mixture()
    belief: _Belief | None = _Belief.begin(mixture, start)
    scored = []
    for words in _sentences(text):
        one, belief = _score(belief, words, mixture)
        scored.append(one)
    return scored


def cross_entropy(
    documents: Iterable[Document],
    mixture: Mixture | None = None,
    windows: Callable[[Document], Sequence[int]] | None = None,
) -> CrossEntropy:
    """Give the grammar's prequential cross-entropy on documents: the floor for a language model.

    Parameters
    ----------
    windows: gives for a document the numbers of the sentences at which a new context begins (0 is implied), for a
        model that sees a document in pieces; the sentences before are then unknown, not impossible.

    Raises
    ------
    UserError: no words, or a sentence that the grammar cannot produce.
    """
    rows: list[tuple[float, int]] = []
    parts = dict.fromkeys(("new name", "repeated name", "other"), (0.0, 0))
    for document in documents:
        cuts = sorted({0, *(windows(document) if windows else ()), len(document.sentences)})
        scored = [
            sentence
            for first, end in pairwise(cuts)
            for sentence in score(document.sentences[first:end], mixture, first)
        ]
        for sentence in scored:
            for value, kind in zip(sentence.log_probabilities, sentence.kinds, strict=True):
                parts[kind] = (parts[kind][0] - value, parts[kind][1] + 1)
        nats = -sum(p for s in scored for p in s.log_probabilities)
        if not all(sentence.complete for sentence in scored):
            raise UserError(f"document {document.id!r} has a sentence that the grammar cannot produce.")
        rows.append((nats, sum(len(s.words) for s in scored)))
    if not sum(n for _, n in rows):
        raise UserError("there are no words: give at least one document with sentences.")
    mean, error = _ratio(rows)
    return CrossEntropy(mean, error, sum(n for _, n in rows), parts)


def _ratio(rows: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Give sum / sum and its linearised standard error over rows; nan for a single row."""
    top, bottom = np.array(rows).T
    ratio = float(top.sum() / bottom.sum())
    if len(rows) < 2:
        return ratio, math.nan
    residual = top - ratio * bottom
    n = len(rows)
    return ratio, float(np.sqrt(n / (n - 1) * (residual**2).sum()) / bottom.sum())


def _sentences(text: Text) -> Iterable[Sequence[str]]:
    if isinstance(text, Document):
        text = text.sentences
    for item in split_sentences(text) if isinstance(text, str) else text:
        if isinstance(item, Sentence):
            yield item.words or split_words(item.text)
        else:
            yield split_words(item) if isinstance(item, str) else item


@dataclass(frozen=True)
class _Account:
    """One account of the text so far: who was mentioned, and the law of the next sentence's topic.

    A *mask* says which classes of entities the document had mentioned before the text began. For a text from the
    beginning of its document there is only mask 0.
    """

    alpha: Array
    """(mask, topic): probability of the account, relative to the whole text so far"""
    masks: tuple[int, ...]
    urns: tuple[tuple[Urn, Urn], ...]
    """for each class: where it was not mentioned before the text, and where it was"""

    def after(self, mention: Mention) -> _Account:
        """Add a mention; its probability goes into `alpha`."""
        k = KINDS.index(mention.kind)
        used = {mask >> k & 1 for mask in self.masks}
        observed = [urn.observe(mention) if bit in used else urn for bit, urn in enumerate(self.urns[k])]
        factors = [urn.probability for urn in observed]
        alpha = self.alpha * np.array([[factors[mask >> k & 1]] for mask in self.masks])
        pair = (observed[0].normalised(), observed[1].normalised())
        return _Account(alpha, self.masks, (*self.urns[:k], pair, *self.urns[k + 1 :]))


@dataclass(frozen=True)
class _Belief:
    """All accounts of the text so far, usually one; their `alpha` sum to one."""

    accounts: tuple[_Account, ...]
    named: frozenset[tuple[str, int]]
    longer: dict[tuple[int, Mentioned], _Account] = field(default_factory=dict)
    """accounts with the mentions of a sentence that has begun, made as they are needed"""

    @classmethod
    def begin(cls, mixture: Mixture, start: int) -> _Belief:
        alpha = mentioned_before(mixture, start)
        masks = tuple(mask for mask in range(len(alpha)) if alpha[mask].any())
        urns = tuple((Urn.begin(kind, False), Urn.begin(kind, True)) for kind in KINDS)
        return cls((_Account(alpha[list(masks)], masks, urns),), frozenset())

    def account(self, number: int, mentioned: Mentioned) -> _Account:
        """Give an account with what the sentence mentions."""
        if not mentioned:
            return self.accounts[number]
        if (number, mentioned) not in self.longer:
            self.longer[number, mentioned] = self.account(number, mentioned[:-1]).after(mentioned[-1][1])
        return self.longer[number, mentioned]

    def probability(self, parses: Parses) -> float:
        """Give the probability of the words read, given the sentences before."""
        weights: dict[Mentioned, Array] = {}
        for parse, weight in parses.items():
            add(weights, parse.mentioned, weight)
        return math.fsum(
            float(self.account(number, mentioned).alpha.sum(axis=0) @ weight)
            for number in range(len(self.accounts))
            for mentioned, weight in weights.items()
        )

    def after(self, ended: Mapping[Mentioned, Array], transition: Array, total: float) -> _Belief:
        """Add a sentence that has ended, of probability `total`."""
        accounts = []
        for number in range(len(self.accounts)):
            for mentioned, weight in ended.items():
                account = self.account(number, mentioned)
                alpha = (account.alpha * weight) @ transition / total
                if alpha.any():
                    accounts.append(_Account(alpha, account.masks, account.urns))
        named = {(m.kind, m.entity) for _, m in next(iter(ended)) if m.entity >= 0}
        return _Belief(tuple(accounts), self.named | named)


def _score(belief: _Belief | None, words: Sequence[str], mixture: Mixture) -> tuple[ScoredSentence, _Belief | None]:
    """Score one sentence and update the belief; None once the text has become impossible."""
    values: list[float] = []
    kinds = ["other"] * len(words)
    after: _Belief | None = None
    if belief is not None:
        machine = automaton(mixture)
        total, parses = 1.0, Parses()
        for parses in machine.read(words):
            now = belief.probability(parses)
            values.append(math.log(now / total) if now > 0 else -math.inf)
            total = now
            if now <= 0:
                break
        ended = machine.complete(parses) if len(values) == len(words) and total > 0 else {}
        if ended:
            after = belief.after(ended, transition(tables(mixture)), total)
            kinds = _kinds(words, next(iter(ended)), belief.named)
    elif words:
        values.append(-math.inf)
    values += [math.nan] * (len(words) - len(values))
    return ScoredSentence(tuple(words), tuple(values), tuple(kinds), after is not None), after


def _kinds(words: Sequence[str], mentioned: Mentioned, named: frozenset[tuple[str, int]]) -> list[str]:
    kinds = ["other"] * len(words)
    seen = set(named)
    for first, mention in mentioned:
        if mention.entity < 0:
            continue
        kind = "repeated name" if (mention.kind, mention.entity) in seen else "new name"
        for number, word in enumerate(mention.words):
            if word[0].isupper():  # not an article or a possessive ending
                kinds[first + number] = kind
        seen.add((mention.kind, mention.entity))
    return kinds
