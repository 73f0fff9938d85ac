"""The exact entropies of the generator's latent choices, level by level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import betaln, gammaln

from grammar_exact.counts import outline_counts, transition
from grammar_exact.urn import Urn
from mspgt.grammar.annotate import Derivation
from mspgt.grammar.generate import LONGEST, SHORTEST
from mspgt.grammar.mixture import Array, Mixture, emission, tables
from mspgt.grammar.names import KINDS, NAMES
from mspgt.grammar.reference import CONCENTRATION, FULL_NAME, PRONOUN
from mspgt.grammar.schemata import outlines
from mspgt.grammar.template import Alternative, Outline
from mspgt.grammar.topics import TOPICS


@dataclass(frozen=True)
class Levels:
    """Nats of the latent choices, part by part.

    The latents of a document of n sentences are, in sentence t, the topic G_t (a Markov chain that starts in its
    stationary distribution), the structure I_t (schema, agreement features, the alternative of every phrase), the
    words L_t (one draw for each lexical slot) and the references R_t (entity, and name or pronoun, for each place
    that the structure opens for a mention; these depend on the document's earlier references). Their joint entropy
    given n is the sum of the four parts.
    """

    topic: float
    """H(G_1) + (n - 1) H(G_t | G_{t-1}), averaged"""
    reference: float
    """H(R_t | R_1 .. R_{t-1}, I_1 .. I_t), averaged"""
    structure: float
    """H(I_t | G_t)"""
    words: float
    """H(L_t | I_t, G_t)"""

    @property
    def global_level(self) -> float:
        """H(G): topic and references, which live in the document as a whole."""
        return self.topic + self.reference

    @property
    def intermediate_level(self) -> float:
        """H(I|G)."""
        return self.structure

    @property
    def local_level(self) -> float:
        """H(L|I,G)."""
        return self.words


def entropies(mixture: Mixture | None = None) -> Levels:
    """Compute the entropies per sentence from the distributions themselves; nothing is sampled.

    Per sentence means: the expected total of a document over its expected number of sentences, lengths uniform
    from `SHORTEST` to `LONGEST`.
    """
    return _entropies(mixture or Mixture())


@cache
def _entropies(mixture: Mixture) -> Levels:
    table = tables(mixture)
    lengths = range(SHORTEST, LONGEST + 1)
    sentences = sum(lengths) / len(lengths)
    first, later = _entropy(table.start), float(table.start @ _entropy(transition(table).T))
    structure = _entropy(table.outline) + table.outline.T @ np.array([_choice_entropy(p) for p in outlines()])
    words = np.sum(table.outline * np.array([_word_entropy(p) for p in outlines()]), axis=0)
    references = sum(_class_entropies(mixture, k, kind) for k, kind in enumerate(KINDS))
    alive = np.array([sum(n > t for n in lengths) / len(lengths) for t in range(LONGEST)])
    return Levels(
        topic=float((first + (sentences - 1) * later) / sentences),
        reference=float(alive @ references) / sentences,
        structure=float(table.start @ structure),
        words=float(table.start @ words),
    )


def log_probabilities(derivations: Iterable[Derivation], mixture: Mixture | None = None) -> list[Levels]:
    """Give -log p of the latents that were drawn for each sentence of one document, part by part.

    Over many documents, the sum of a part over the number of sentences tends to `entropies`.
    """
    table = tables(mixture or Mixture())
    urns = {kind: Urn.begin(kind, False) for kind in NAMES}
    before: int | None = None
    surprisals = []
    for d in derivations:
        topic = table.start[d.topic] if before is None else transition(table)[before, d.topic]
        outline = outlines()[d.outline]
        taken = [c.alternatives[i] for c, i in zip(outline.constituents, d.choices, strict=True)]
        structure = math.log(table.outline[d.outline, d.topic]) + sum(math.log(a.probability) for a in taken)
        words = _word_log_probability(taken, d)
        references = 0.0
        for mention in d.mentions:
            urn = urns[mention.kind].observe(mention)
            references += math.log(urn.probability)
            urns[mention.kind] = urn.normalised()
        before = d.topic
        surprisals.append(Levels(-math.log(topic), -references, -structure, -words))
    return surprisals


def _word_log_probability(taken: Sequence[Alternative], d: Derivation) -> float:
    total, mentions = 0.0, iter(d.mentions)
    for alternative, part in zip(taken, d.words, strict=True):
        number = 0
        for slot in alternative.slots:
            if slot.mention:
                number += len(next(mentions).words)
                continue
            if not slot.literal:
                words, matrix = emission()[slot.symbol]
                total += math.log(matrix[words.index(part[number]), d.topic])
            number += 1
    return total


def _entropy(p: Array) -> Array:
    """Sum -p log p over the first axis."""
    entropy: Array = -np.sum(p * np.log(p, out=np.zeros_like(p), where=p > 0), axis=0)
    return entropy


def _choice_entropy(outline: Outline) -> float:
    return sum(float(_entropy(np.array([a.probability for a in c.alternatives]))) for c in outline.constituents)


def _word_entropy(outline: Outline) -> Array:
    """Give the entropy (topic,) of all lexical draws of an outline, averaged over its alternatives."""
    total = np.zeros(len(TOPICS))
    for constituent in outline.constituents:
        for alternative in constituent.alternatives:
            for slot in alternative.slots:
                if not slot.literal and not slot.mention:
                    total += alternative.probability * _symbol_entropy(slot.symbol)
    return total


@cache
def _symbol_entropy(symbol: str) -> Array:
    return _entropy(emission()[symbol][1])


def _class_entropies(mixture: Mixture, k: int, kind: str) -> Array:
    """Give the entropy of the references to a class in each sentence of a document, given those before.

    Followed is the law of (mentions of the class so far, topic) over the sentences.
    """
    table = tables(mixture)
    often = _sentence_counts(table.outline, k)  # (mentions, topic)
    repeated, corrected = _form_entropies(table.outline, kind)
    most = (len(often) - 1) * LONGEST
    entity = np.array([_urn_entropy(kind, n) for n in range(most + 1)])
    law = np.zeros((most + 1, len(table.start)))
    law[0] = table.start
    entropies_of_sentences = np.zeros(LONGEST)
    for sentence in range(LONGEST):
        moved = np.zeros_like(law)
        for n, mass in enumerate(often):
            moved[n:] += law[: most + 1 - n] * mass
            for j in range(n):  # the j-th of n mentions of this sentence
                entropies_of_sentences[sentence] += float(entity[j:] @ (law[: most + 1 - j] @ mass))
        entropies_of_sentences[sentence] += float(law.sum(axis=0) @ repeated + law[0] @ corrected)
        law = moved @ transition(table)
    return entropies_of_sentences


def _sentence_counts(plan_probability: Array, k: int) -> Array:
    """Give (mentions, topic): probability that a sentence has so many mentions of class k."""
    most = max(counts[k] for law in outline_counts() for counts in law)
    law_of_counts = np.zeros((most + 1, plan_probability.shape[1]))
    for probability, law in zip(plan_probability, outline_counts(), strict=True):
        for counts, weight in law.items():
            law_of_counts[counts[k]] += weight * probability
    return law_of_counts


def _urn_entropy(kind: str, n: int) -> float:
    """Give the entropy of the next entity given n earlier ones, averaged over these.

    By symmetry N times that of one entity, whose earlier mentions are beta-binomial.
    """
    size, concentration = len(NAMES[kind]), CONCENTRATION[kind]
    a, b = concentration / size, concentration * (1 - 1 / size)
    m = np.arange(n + 1)
    log_law = gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
    log_law += betaln(m + a, n - m + b) - betaln(a, b)
    p = (a + m) / (concentration + n)
    return float(-size * np.sum(np.exp(log_law) * p * np.log(p)))


def _form_entropies(plan_probability: Array, kind: str) -> tuple[Array, Array]:
    """Give (topic,) the entropy of the forms of a sentence's mentions, and a correction.

    The first holds where the class has a centre at the beginning of the sentence; the second is to be added where
    it has none, since the first mention is then a name for sure.
    """
    pairs = np.array([_plan_form_entropies(outline, kind) for outline in outlines()])
    return plan_probability.T @ pairs[:, 0], plan_probability.T @ pairs[:, 1]


def _plan_form_entropies(outline: Outline, kind: str) -> tuple[float, float]:
    repeated, corrected, none_yet = 0.0, 0.0, 1.0
    for constituent in outline.constituents:
        without = 0.0
        for alternative in constituent.alternatives:
            symbols = [s.symbol for s in alternative.slots if s.kind == kind]
            repeated += alternative.probability * sum(_form_entropy(s, True) for s in symbols)
            if symbols:
                change = _form_entropy(symbols[0], False) - _form_entropy(symbols[0], True)
                corrected += none_yet * alternative.probability * change
            else:
                without += alternative.probability
        none_yet *= without
    return repeated, corrected


def _form_entropy(symbol: str, centre: bool) -> float:
    """Give the entropy of name or pronoun, and of the name's form, given the entity."""
    kind, _, case = symbol.partition(".")
    name = _entropy(np.array([FULL_NAME, 1 - FULL_NAME])) if kind == "per" else 0.0
    if not centre:
        return float(name)
    concentration, used = CONCENTRATION[kind], PRONOUN[case]
    again = (1 + concentration / len(NAMES[kind])) / (1 + concentration)  # by exchangeability, at any time
    return float(again * (_entropy(np.array([used, 1 - used])) + (1 - used) * name) + (1 - again) * name)
