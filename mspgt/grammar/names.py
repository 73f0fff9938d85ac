"""Named entities: persons, families, organisations and places, and the pronouns that agree with them."""

from __future__ import annotations

_WOMEN = """Anna Weber|Maria Lopez|Julia Novak|Emma Larsen|Sofia Rossi|Laura Becker|Nina Petrov|Clara Jensen
Amina Diallo|Yuki Tanaka|Helen Carter|Irene Costa|Fatima Rahman|Olga Ivanov|Priya Sharma|Ruth Adler"""
_MEN = """Peter Hansen|Thomas Keller|David Cohen|Pablo Garcia|Simon Dubois|Omar Farouk|Henry Walsh|Jonas Lindberg
Victor Moreau|Samuel Osei|Daniel Kovacs|Kenji Mori|Felix Brandt|Arthur Hughes|Ivan Sokolov|Rahul Gupta"""

_FAMILIES = """Abbotts Bakers Crawfords Dawsons Ellisons Fletchers Gibsons Harrisons Ingrams Jacksons Kellys Lawsons
Mitchells Nortons Parkers Richardsons"""
_ORGANISATIONS = """Northgate Group|Halden Institute|Silverton Council|Meridian Trust|Aurora Foundation
Bluewater Company|Castor Industries|Delphi Society|Eastbrook College|Fairmont Agency|Granite Partners|Horizon Union"""
_PLACES = """Lisbon|Oslo|Nairobi|Kyoto|Toronto|Vienna|Lima|Dublin|Warsaw|Cairo|Boston|Sydney|Cape Town|New York
Buenos Aires|San Diego"""


def _lines(text: str) -> list[tuple[str, ...]]:
    return [tuple(name.split()) for line in text.splitlines() for name in line.split("|")]


PERSONS: tuple[tuple[str, ...], ...] = (*_lines(_WOMEN), *_lines(_MEN))
FAMILIES: tuple[tuple[str, ...], ...] = tuple(("the", name) for name in _FAMILIES.split())
ORGANISATIONS: tuple[tuple[str, ...], ...] = (*_lines(_ORGANISATIONS),)
PLACES: tuple[tuple[str, ...], ...] = (*_lines(_PLACES),)

NAMES = {"per": PERSONS, "fam": FAMILIES, "org": ORGANISATIONS, "loc": PLACES}
"""names by class; every first word, and every family name, names one entity alone"""

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
