"""The lexicons of the topics: which nouns, verbs and adjectives each topic adds to the general words."""

from __future__ import annotations

from dataclasses import dataclass, field

from mspgt.grammar.english import table


@dataclass(frozen=True)
class Topic:
    """The words of one discourse topic, each a text of lemmas separated by spaces, most frequent first."""

    agent: str
    """people, as nouns"""
    thing: str
    """countable things"""
    place: str
    """countable places"""
    event: str
    """countable events, used in expressions of time"""
    vt: str
    """verbs: a person does it to a thing"""
    vi: str
    """verbs: a person does it"""
    vu: str
    """verbs: it happens to a thing"""
    adj: str
    """adjectives of things"""
    style: dict[str, float] = field(default_factory=dict)
    """factor on the weight of the schemata that carry a tag"""


TOPICS: dict[str, Topic] = {name: Topic(**words) for name, words in table("topics").items()}
