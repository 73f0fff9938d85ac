"""English inflection: plurals, verb forms, and which words take the article "an"."""

from __future__ import annotations

from mspgt.grammar.english import table

_PLURAL, _PAST = table("words")["plurals"], table("words")["past"]
"""forms that the rules would get wrong"""
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
