"""Exact quantities of the built-in grammar, by which models that were trained on it are judged.

`entropies` gives the entropies of the latent choices, `log_probability`, `score` and `cross_entropy` what a text is
worth under the grammar, `recognise` whether a sentence belongs to it.
"""

from grammar_exact.entropy import Levels, entropies, log_probabilities
from grammar_exact.probability import (
    CrossEntropy,
    LogProbability,
    ScoredSentence,
    cross_entropy,
    log_probability,
    score,
)
from grammar_exact.recognise import Recognition, recognise

__all__ = [
    "CrossEntropy",
    "Levels",
    "LogProbability",
    "Recognition",
    "ScoredSentence",
    "cross_entropy",
    "entropies",
    "log_probabilities",
    "log_probability",
    "recognise",
    "score",
]
