"""English inflection: plurals, verb forms, and which words take the article "an"."""

from __future__ import annotations

_PLURAL = {
    "man": "men", "woman": "women", "child": "children", "fisherman": "fishermen", "helmsman": "helmsmen",
    "ploughman": "ploughmen", "sheep": "sheep", "deer": "deer", "calf": "calves", "wolf": "wolves",
    "knife": "knives", "loaf": "loaves", "potato": "potatoes", "fresco": "frescoes", "manifesto": "manifestos",
    "spectrum": "spectra", "nebula": "nebulae", "roof": "roofs", "crisis": "crises",
}  # fmt: skip
"""nouns whose plural the rules would get wrong"""

_PAST = {
    "find": "found", "keep": "kept", "buy": "bought", "hide": "hid hidden", "choose": "chose chosen",
    "sleep": "slept", "break": "broke broken", "fall": "fell fallen", "meet": "met", "give": "gave given",
    "send": "sent", "show": "showed shown", "bring": "brought", "lend": "lent", "sell": "sold", "say": "said",
    "think": "thought", "tell": "told", "become": "became become", "go": "went gone", "fly": "flew flown",
    "pay": "paid", "spread": "spread", "uphold": "upheld", "win": "won", "lose": "lost",
    "catch": "caught", "throw": "threw thrown", "sing": "sang sung", "feed": "fed", "sow": "sowed sown",
    "shear": "sheared shorn", "dig": "dug", "grow": "grew grown", "swim": "swam swum", "sink": "sank sunk",
    "teach": "taught", "learn": "learned", "read": "read", "withdraw": "withdrew withdrawn", "repay": "repaid",
    "forecast": "forecast", "freeze": "froze frozen", "build": "built", "draw": "drew drawn", "drive": "drove driven",
    "burn": "burned", "daydream": "daydreamed",
}  # fmt: skip
"""irregular past tense, and past participle where it differs"""

_DOUBLING = "stop plan hum strum dig chop stir win swim scan rig tag travel transfer debug admit map cancel marvel"
"""verbs that double their last letter before -ed and -ing"""

_A_BEFORE_VOWEL = ("uni", "use", "user", "euro", "one")
_AN_BEFORE_CONSONANT = ("hour", "honest", "heir")


def noun_forms(lemma: str) -> tuple[str, str]:
    """Give singular and plural of a countable noun."""
    if lemma in _PLURAL:
        return lemma, _PLURAL[lemma]
    return lemma, _add_s(lemma)


def verb_forms(lemma: str) -> tuple[str, str, str, str, str]:
    """Give base, third person singular, past, past participle and present participle of a verb."""
    past, _, participle = _PAST.get(lemma, _add_ed(lemma)).partition(" ")
    return lemma, _add_s(lemma), past, participle or past, _add_ing(lemma)


def takes_an(word: str) -> bool:
    """Tell whether the indefinite article before `word` is "an"."""
    lower = word.lower()
    if lower.startswith(_A_BEFORE_VOWEL):
        return False
    return lower.startswith(_AN_BEFORE_CONSONANT) or lower[0] in "aeiou"


def _add_s(lemma: str) -> str:
    if lemma.endswith(("s", "x", "z", "ch", "sh")) or lemma in ("go", "veto", "echo"):
        return lemma + "es"
    if lemma[-1] == "y" and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ies"
    return lemma + "s"


def _add_ed(lemma: str) -> str:
    if lemma[-1] == "e":
        return lemma + "d"
    if lemma[-1] == "y" and lemma[-2] not in "aeiou":
        return lemma[:-1] + "ied"
    return _doubled(lemma) + "ed"


def _add_ing(lemma: str) -> str:
    if lemma[-1] == "e" and not lemma.endswith(("ee", "oe")):
        return lemma[:-1] + "ing"
    return _doubled(lemma) + "ing"


def _doubled(lemma: str) -> str:
    return lemma + lemma[-1] if lemma in _DOUBLING.split() else lemma
