"""Words by class: the general lexicon, closed classes, and the words that a class has under each topic.

A *symbol* names a slot's distribution of words: a class, or a class and a form such as ``vt.past`` or ``thing.pl``.
Under a topic, a class that the topic knows takes 70 % of its mass from the topic's words and 30 % from the
general ones; inside a list, frequency falls with rank.
"""

from __future__ import annotations

import math
from functools import cache

from mspgt.grammar.english import table
from mspgt.grammar.morphology import noun_forms, verb_forms
from mspgt.grammar.topics import TOPICS

TOPIC_SHARE = 0.7
"""mass of the topic's own words in a class that has both"""

NOUNS, VERBS, OTHER = (table("words")[part] for part in ("nouns", "verbs", "other"))
"""class -> words, most frequent first"""
UPOS = {
    **dict.fromkeys(NOUNS, "NOUN"),
    **dict.fromkeys(VERBS, "VERB"),
    **{"adj": "ADJ", "adv": "ADV", "degree": "ADV", "num": "NUM", "modal": "AUX", "weekday": "PROPN"},
    **{"month": "PROPN", "prep": "ADP", "be": "AUX", "do": "AUX", "exist": "VERB"},
}
"""part of speech by the first part of a symbol"""

LITERALS = {word: upos for upos, words in table("words")["literals"].items() for word in words.split()}
"""closed-class words that stand for themselves in a template, with their part of speech"""


@cache
def symbols() -> tuple[str, ...]:
    """Name every lexical symbol, in a fixed order."""
    nouns = [f"{c}.{n}" for c in NOUNS for n in ("sg", "pl")]
    verbs = [f"{c}.{f}" for c in VERBS for f in ("base", "s", "past", "part", "ing")]
    return (*nouns, *verbs, *OTHER)


@cache
def distribution(symbol: str, topic: str) -> dict[str, float]:
    """Give the probability of each word in a slot of `symbol` under `topic`; sums to one."""
    name, _, form = symbol.partition(".")
    if symbol in OTHER:
        general, inflect = OTHER[symbol], {}
    elif name in NOUNS:
        general, inflect = NOUNS[name], {"sg": 0, "pl": 1}
    else:
        general, inflect = VERBS[name], {"base": 0, "s": 1, "past": 2, "part": 3, "ing": 4}
    own = "" if symbol in OTHER and symbol != "adj" else getattr(TOPICS[topic], name, "")
    forms = noun_forms if name in NOUNS else verb_forms
    mass: dict[str, float] = {}
    for lemmas, share in ((own, TOPIC_SHARE if own else 0.0), (general, 1 - TOPIC_SHARE if own else 1.0)):
        weights = {lemma: 1.0 / (rank + 6) for rank, lemma in enumerate(lemmas.split())}
        total = math.fsum(weights.values())  # correctly rounded: the same on every machine
        for lemma, weight in weights.items():
            word = forms(lemma)[inflect[form]] if inflect else lemma
            mass[word] = mass.get(word, 0.0) + share * weight / total
    return mass
