"""English documents with a known hierarchy: topic and references, sentence structure, inflected words.

`documents` generates them with gold annotations; a `Mixture` changes the weights of topics and schemata.
"""

from mspgt.grammar.annotate import Derivation, annotate
from mspgt.grammar.generate import LONGEST, SHORTEST, derivations, documents
from mspgt.grammar.mixture import Mixture
from mspgt.grammar.schemata import SCHEMATA
from mspgt.grammar.topics import TOPICS

__all__ = [
    "LONGEST",
    "SCHEMATA",
    "SHORTEST",
    "TOPICS",
    "Derivation",
    "Mixture",
    "annotate",
    "derivations",
    "documents",
]
