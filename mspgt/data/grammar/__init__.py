"""English documents with a known hierarchy: topic and references, sentence structure, inflected words.

`documents` generates them with gold annotations; `entropies` gives the exact entropies of the latent choices,
`log_probability`, `score` and `cross_entropy` what a text is worth under the grammar, `recognise` whether a sentence
belongs to it; a `Mixture` changes the weights of topics and schemata.
"""

from mspgt.data.grammar.annotate import Derivation, annotate
from mspgt.data.grammar.entropy import Levels, entropies, log_probabilities
from mspgt.data.grammar.generate import LONGEST, SHORTEST, derivations, documents
from mspgt.data.grammar.mixture import Mixture
from mspgt.data.grammar.probability import (
    CrossEntropy,
    LogProbability,
    ScoredSentence,
    cross_entropy,
    log_probability,
    score,
)
from mspgt.data.grammar.recognise import Recognition, recognise
from mspgt.data.grammar.schemata import SCHEMATA
from mspgt.data.grammar.topics import TOPICS

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
