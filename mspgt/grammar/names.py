"""Named entities: persons, families, organisations and places, and the pronouns that agree with them."""

from __future__ import annotations

from mspgt.grammar.english import table


def _names(*groups: str) -> tuple[tuple[str, ...], ...]:
    """The words of each name."""
    lines = "\n".join(table("names")[group] for group in groups).splitlines()
    return tuple(tuple(name.split()) for line in lines for name in line.split("|"))


PERSONS = _names("women", "men")
FAMILIES = tuple(("the", *name) for name in _names("families"))
ORGANISATIONS, PLACES = _names("organisations"), _names("places")

NAMES = {"per": PERSONS, "fam": FAMILIES, "org": ORGANISATIONS, "loc": PLACES}
"""names by class; every first word, and every family name, names one entity alone"""

KINDS = tuple(NAMES)

TAGS = {"per": "PER", "fam": "PER", "org": "ORG", "loc": "LOC"}
"""entity tag by class"""

PRONOUNS: dict[str, dict[str, tuple[str, ...]]] = {
    "per": {"nom": ("she", "he"), "acc": ("her", "him"), "poss": ("her", "his"), "rfx": ("herself", "himself")},
    "fam": {"nom": ("they",), "acc": ("them",), "poss": ("their",), "rfx": ("themselves",)},
    "org": {"nom": ("it",), "acc": ("it",), "poss": ("its",), "rfx": ("itself",)},
    "loc": {},
}
"""pronouns by class and case, one for each gender"""


def gender(kind: str, entity: int) -> int:
    """Give the gender of an entity as an index into its class's pronouns: 0 female, 1 male for persons, else 0."""
    return int(kind == "per" and entity >= len(PERSONS) // 2)
