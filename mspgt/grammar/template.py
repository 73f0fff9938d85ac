"""The notation of phrases and schemata, compiled to flat sequences of slots with dependencies and roles.

A template is a line of tokens separated by spaces. A token is ``*name/UPOS^:relation=ROLE,ROLE/k`` in which all
but the name may be left out:

* ``*`` marks the head of the line or of the bracket;
* the name is a word, a lexical symbol (``vt.past``), a mention of an entity (``per.nom``) or, in a schema, a phrase;
  ``name#1`` agrees in number with all that carry the same mark;
* ``^`` attaches a word to whatever the phrase's head attaches to (auxiliaries of a copular predicate);
* ``=ROLE`` makes it an argument of its head, ``=ROLE/k`` of the k-th predicate of the schema;
* ``[ ... ]:relation=ROLE`` groups tokens round a head of their own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mspgt.grammar.lexicon import LITERALS, UPOS
from mspgt.grammar.names import KINDS

OUTSIDE = -1
"""head of a slot that attaches to its phrase's own head"""

_RELATIONS = {"DET": "det", "ADJ": "amod", "NUM": "nummod", "ADP": "case", "AUX": "aux", "PART": "advmod"} | {
    **{"ADV": "advmod", "CCONJ": "cc", "SCONJ": "mark", "PUNCT": "punct", "NOUN": "compound", "PROPN": "compound"}
}
"""relation of a word that is not a head, unless the template gives one"""

_ROLES = {"not": "ARGM-NEG", "modal": "ARGM-MOD", "will": "ARGM-MOD", "adv.freq": "ARGM-TMP"}
"""role that a word has wherever it stands in a verb group"""

_WORD = r"(?P<head>\*?)(?P<name>[^\s*^:=/\[\]]+)(?:/(?P<upos>[A-Z]+))?(?P<outside>\^?)"
_TOKEN = re.compile(rf"(?:\]|{_WORD})(?::(?P<relation>[a-z:]+))?(?:=(?P<roles>\S+))?")


@dataclass(frozen=True)
class Slot:
    """One position of a phrase: a literal word, a word drawn for a symbol, or a mention of an entity."""

    symbol: str
    upos: str
    relation: str
    """empty where the schema's relation of the whole phrase applies"""
    head: int
    """slot number in the phrase, or OUTSIDE"""
    role: str = ""
    """role of this slot alone to the phrase's head"""

    @property
    def literal(self) -> bool:
        """Whether the symbol is the word itself."""
        return self.symbol.startswith("=")

    @property
    def kind(self) -> str:
        """The first part of the symbol: of a mention, the class of its entity."""
        return self.symbol.split(".")[0]

    @property
    def mention(self) -> bool:
        """Whether the slot mentions an entity."""
        return self.kind in KINDS


@dataclass(frozen=True)
class Alternative:
    """One way to expand a phrase."""

    probability: float
    slots: tuple[Slot, ...]
    head: int
    """number of the head slot; OUTSIDE when there are no slots"""

    @cached_property
    def mentioned(self) -> tuple[str, ...]:
        """Classes of the entities that its slots mention, in order."""
        return tuple(slot.kind for slot in self.slots if slot.mention)


Phrase = tuple[Alternative, ...]


@dataclass(frozen=True)
class Constituent:
    """One phrase in a schema."""

    phrase: str
    alternatives: Phrase
    head: int
    """number of the constituent that it attaches to, -1 for the root"""
    relation: str


@dataclass(frozen=True)
class Role:
    """An argument: constituents `first` to `last` fill `name` of the predicate in constituent `predicate`."""

    predicate: int
    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Outline:
    """A schema with its agreement features chosen: constituents in order, and what is an argument of what."""

    schema: str
    probability: float
    """of these features, given the schema"""
    constituents: tuple[Constituent, ...]
    roles: tuple[Role, ...]
    predicates: tuple[int, ...]


@dataclass
class _Node:
    name: str
    upos: str
    relation: str
    roles: tuple[str, ...]
    head: bool
    outside: bool
    children: list[_Node]
    number: int = -1
    """place among the leaves"""
    above: int = OUTSIDE
    """number of the leaf that a leaf attaches to"""


def compile_phrase(text: str) -> Phrase:
    """Compile the alternatives of a phrase, one a line: a weight, then tokens (``-`` for none)."""
    lines = [line.split(maxsplit=1) for line in text.strip().splitlines()]
    total = sum(float(weight) for weight, _ in lines)
    return tuple(_alternative(float(weight) / total, body) for weight, body in lines)


def compile_schema(name: str, text: str, phrases: Mapping[str, Phrase]) -> tuple[Outline, ...]:
    """Compile a schema to one outline for each choice of number (singular 0.6, plural 0.4)."""
    marks = sorted(set(re.findall(r"#\d", text)))
    outlines = []
    for numbers in itertools.product(("sg", "pl"), repeat=len(marks)):
        chosen, probability = text, 1.0
        for mark, number in zip(marks, numbers, strict=True):
            chosen = chosen.replace(mark, f".{number}")
            probability *= 0.6 if number == "sg" else 0.4
        outlines.append(_outline(name, probability, chosen, phrases))
    return tuple(outlines)


def _parse(text: str) -> list[_Node]:
    stack: list[list[_Node]] = [[]]
    for token in text.split():
        if token == "[":
            stack.append([])
            continue
        part = _TOKEN.fullmatch(token)
        if part is None:
            raise ValueError(f"bad token {token!r} in template {text!r}")
        name, upos, relation = (part[group] or "" for group in ("name", "upos", "relation"))
        roles = tuple(part["roles"].split(",")) if part["roles"] else ()
        children = [] if name else stack.pop()
        stack[-1].append(_Node(name, upos, relation, roles, bool(part["head"]), bool(part["outside"]), children))
    if len(stack) != 1:
        raise ValueError(f"brackets do not match in template {text!r}")
    return stack[0]


def _layout(text: str, relation: str) -> tuple[list[_Node], list[_Node]]:
    """Parse a template: its nodes, and their leaves in order, each attached to its head."""
    nodes = _parse(text)
    leaves = _leaves(nodes)
    for number, leaf in enumerate(leaves):
        leaf.number = number
    if len(nodes) == 1:
        nodes[0].head = True
    _attach(nodes, OUTSIDE, relation)
    return nodes, leaves


def _leaves(nodes: Sequence[_Node]) -> list[_Node]:
    return [leaf for node in nodes for leaf in (_leaves(node.children) if node.children else [node])]


def _attach(nodes: Sequence[_Node], above: int, relation: str) -> None:
    """Fill in the head of every leaf; a bracket's head leaf takes the bracket's relation."""
    centre = next((n for n in nodes if n.head), None) or (nodes[0] if len(nodes) == 1 else None)
    if centre is None:
        raise ValueError(f"no head among {[n.name for n in nodes]}")
    inner = _head_leaf(centre).number
    for node in nodes:
        target = above if node is centre or node.outside else inner
        if node is centre and not node.children:
            node.relation = node.relation or relation
        if node.children:
            _attach(node.children, target, relation if node is centre else node.relation)
        else:
            node.above = target


def _head_leaf(node: _Node) -> _Node:
    while node.children:
        children = node.children
        node = next((c for c in children if c.head), children[0])
    return node


def _slot(leaf: _Node, head: int) -> Slot:
    name, kind = leaf.name, leaf.name.split(".")[0]
    if leaf.upos or name in LITERALS:
        symbol, upos = f"={name}", leaf.upos or LITERALS[name]
    elif kind in KINDS:
        symbol, upos = name, "PROPN"
    else:
        symbol, upos = name, UPOS[kind]
    relation = leaf.relation or ("" if leaf.head else _RELATIONS.get(upos, ""))
    return Slot(symbol, upos, relation, head, leaf.roles[0] if leaf.roles else _ROLES.get(name, ""))


def _alternative(probability: float, body: str) -> Alternative:
    if body.strip() == "-":
        return Alternative(probability, (), OUTSIDE)
    nodes, leaves = _layout(body, "")
    centre = next(n for n in nodes if n.head)
    slots = tuple(_slot(leaf, leaf.above) for leaf in leaves)
    return Alternative(probability, slots, _head_leaf(centre).number)


def _outline(name: str, probability: float, text: str, phrases: Mapping[str, Phrase]) -> Outline:
    nodes, leaves = _layout(text, "root")
    constituents = [_constituent(leaf, phrases) for leaf in leaves]
    predicates = tuple(i for i, c in enumerate(constituents) if _is_predicate(c))
    roles: list[Role] = []
    _collect_roles(nodes, predicates, roles)
    return Outline(name, probability, tuple(constituents), tuple(roles), predicates)


def _constituent(leaf: _Node, phrases: Mapping[str, Phrase]) -> Constituent:
    if leaf.name in phrases:
        return Constituent(leaf.name, phrases[leaf.name], leaf.above, leaf.relation)
    slot = replace(_slot(leaf, OUTSIDE), relation="", role="")
    relation = leaf.relation or _RELATIONS.get(slot.upos, "")
    key = f"{slot.symbol}/{slot.upos}"
    return Constituent(key, (Alternative(1.0, (slot,), 0),), leaf.above, relation)


def _is_predicate(constituent: Constituent) -> bool:
    if constituent.relation == "cop":
        return True
    return all(a.slots and a.slots[a.head].upos == "VERB" for a in constituent.alternatives)


def _collect_roles(nodes: Sequence[_Node], predicates: Sequence[int], roles: list[Role]) -> None:
    for node in nodes:
        leaves = _leaves([node])
        first, last = leaves[0].number, leaves[-1].number
        for text in node.roles:
            name, _, index = text.partition("/")
            predicate = predicates[int(index) - 1] if index else _head_leaf(node).above
            if predicate not in predicates:
                raise ValueError(f"role {text!r} of {node.name!r} has no predicate")
            roles.append(Role(predicate, name, first, last))
        _collect_roles(node.children, predicates, roles)
