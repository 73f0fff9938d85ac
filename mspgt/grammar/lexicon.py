"""Words by class: the general lexicon, closed classes, and the words that a class has under each topic.

A *symbol* names a slot's distribution of words: a class, or a class and a form such as ``vt.past`` or ``thing.pl``.
Under a topic, a class that the topic knows takes 70 % of its mass from the topic's words and 30 % from the
general ones; inside a list, frequency falls with rank.
"""

from __future__ import annotations

import math
from functools import cache

from mspgt.grammar.morphology import noun_forms, verb_forms
from mspgt.grammar.topics import TOPICS

TOPIC_SHARE = 0.7
"""mass of the topic's own words in a class that has both"""

NOUNS = {
    "agent": "man woman friend child neighbour visitor manager worker",
    "thing": "letter book key box report picture plan tool machine car house message",
    "place": "room street town village garden building",
    "event": "meeting party ceremony holiday",
}
VERBS = {
    "vt": "find keep need buy move use carry finish choose hide notice mention",
    "vi": "smile wait laugh work sleep arrive talk hesitate",
    "vu": "fail change disappear improve break fall",
    "vh": "help thank meet greet visit follow trust warn invite praise avoid recognise",
    "vd": "give send show offer bring lend hand sell",
    "vs": "say think claim report believe announce admit insist",
    "vq": "ask wonder doubt check",
    "vc": "want plan try hope decide refuse agree promise",
    "vo": "ask persuade tell allow force urge encourage order",
    "vg": "start stop enjoy avoid finish keep",
    "vk": "seem become remain look",
    "vm": "go return travel walk move fly",
    "vfor": "wait search pay apply ask",
    "von": "rely focus work depend comment",
}
OTHER = {
    "adj": "new old small large heavy useful expensive strange",
    "adj.human": "young old tired happy angry famous careful kind brave honest clever elderly",
    "adj.more": "older newer larger smaller cheaper heavier stronger lighter better worse",
    "adv.mnr": "carefully slowly quickly quietly gently well badly eagerly patiently secretly",
    "adv.freq": "often always usually rarely sometimes",
    "adv.time": "today again here",
    "adv.sent": "fortunately surprisingly unfortunately apparently finally suddenly",
    "degree": "very rather quite extremely",
    "num": "two three four five six seven eight nine ten twelve twenty",
    "modal": "can could should must may might",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April June July August September October November December",
    "prep.place": "in near at behind inside",
    "prep.time": "after before during",
    "prep.noun": "of from near with",
    "be.sg": "was is",
    "be.pl": "were are",
    "do.sg": "did does",
    "do.pl": "did do",
    "exist.sg": "was is",
    "exist.pl": "were are",
}
UPOS = {
    **dict.fromkeys(NOUNS, "NOUN"),
    **dict.fromkeys(VERBS, "VERB"),
    **{"adj": "ADJ", "adv": "ADV", "degree": "ADV", "num": "NUM", "modal": "AUX", "weekday": "PROPN"},
    **{"month": "PROPN", "prep": "ADP", "be": "AUX", "do": "AUX", "exist": "VERB"},
}
"""part of speech by the first part of a symbol"""

LITERALS = {
    **dict.fromkeys(("the", "a", "this", "that", "these", "every", "no", "some", "many", "several"), "DET"),
    **dict.fromkeys(("in", "on", "at", "by", "to", "for", "of", "with", "than", "from"), "ADP"),
    **dict.fromkeys(
        ("will", "has", "have", "had", "be", "been", "is", "are", "was", "were", "did", "does", "do"), "AUX"
    ),
    **dict.fromkeys(("and", "or", "but"), "CCONJ"),
    **dict.fromkeys(("because", "although", "if", "whether", "while"), "SCONJ"),
    **dict.fromkeys(("when", "where", "why", "how"), "ADV"),
    **dict.fromkeys(("who", "what", "which", "there"), "PRON"),
    **dict.fromkeys((",", ".", "?"), "PUNCT"),
    "not": "PART",
}
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
    own = getattr(TOPICS[topic], symbol, "") if symbol == "adj" else getattr(TOPICS[topic], name, "")
    if symbol in OTHER and symbol != "adj":
        own = ""
    forms = noun_forms if name in NOUNS else verb_forms
    mass: dict[str, float] = {}
    for lemmas, share in ((own, TOPIC_SHARE if own else 0.0), (general, 1 - TOPIC_SHARE if own else 1.0)):
        weights = {lemma: 1.0 / (rank + 6) for rank, lemma in enumerate(lemmas.split())}
        total = math.fsum(weights.values())  # correctly rounded: the same on every machine
        for lemma, weight in weights.items():
            word = forms(lemma)[inflect[form]] if inflect else lemma
            mass[word] = mass.get(word, 0.0) + share * weight / total
    return mass
