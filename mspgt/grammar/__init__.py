"""English documents with a known hierarchy: topic and references, sentence structure, inflected words.

`documents` generates them with gold annotations; `entropies` gives the exact entropies of the latent choices,
`log_probability`, `score` and `cross_entropy` what a text is worth under the grammar, `recognise` whether a sentence
belongs to it; a `Mixture` changes the weights of topics and schemata.
"""

from mspgt.grammar.annotate import Derivation, annotate
from mspgt.grammar.entropy import Levels, entropies, log_probabilities
from mspgt.grammar.generate import LONGEST, SHORTEST, derivations, documents
from mspgt.grammar.mixture import Mixture
from mspgt.grammar.probability import (
    CrossEntropy,
    LogProbability,
    ScoredSentence,
    cross_entropy,
    log_probability,
    score,
)
from mspgt.grammar.recognise import Recognition, recognise
from mspgt.grammar.schemata import SCHEMATA
from mspgt.grammar.topics import TOPICS

__all__ = [
    "LONGEST",
    "SCHEMATA",
    "SHORTEST",
    "TOPICS",
    "CrossEntropy",
    "Derivation",
    "Levels",
    "LogProbability",
    "Mixture",
    "Recognition",
    "ScoredSentence",
    "annotate",
    "cross_entropy",
    "derivations",
    "documents",
    "entropies",
    "log_probabilities",
    "log_probability",
    "recognise",
    "score",
]
