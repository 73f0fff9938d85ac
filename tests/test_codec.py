"""The codec: whatever is a record reads back as it was, and what is no record is refused by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mspgt.core.codec import dumps, kept_as, plain, structure
from mspgt.core.errors import UserError

numbers = st.floats() | st.just(math.nan)
names = st.text(max_size=8)
free = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True, eq=False)
class Leaf:
    start: Annotated[int, kept_as("from")]
    value: float = math.nan
    values: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, math.nan]))
    layers: NDArray[np.int64] = field(default_factory=lambda: np.array([1, 2]))


@dataclass(frozen=True, eq=False)
class Other:
    text: str


@dataclass(frozen=True, eq=False)
class Tree:
    leaves: Mapping[str, Leaf]
    pairs: tuple[tuple[int, int], ...]
    either: Leaf | Other
    maybe: Leaf | None
    ends: tuple[float, float] | None
    free: Mapping[str, Any]
    firm: bool


def arrays(kind: type, elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(elements, max_size=5).map(lambda items: np.array(items, dtype=kind))


whole = st.integers(-(2**53), 2**53)
leaves = st.builds(Leaf, whole, numbers, arrays(np.float64, numbers), arrays(np.int64, whole))
trees = st.builds(
    Tree,
    st.dictionaries(names, leaves, max_size=3),
    st.lists(st.tuples(whole, whole), max_size=3).map(tuple),
    leaves | st.builds(Other, st.text()),
    st.none() | leaves,
    st.none() | st.tuples(numbers, numbers),
    st.dictionaries(st.text(), free, max_size=3),
    st.booleans(),
)


def tree() -> Tree:
    return Tree({"a": Leaf(1)}, ((1, 2),), Other("text"), None, (0.0, math.nan), {"any": [1, {"b": None}]}, True)


@given(trees)
def test_any_tree_of_records_reads_back_as_it_was(made: Tree) -> None:
    text = dumps(plain(made))
    read = structure(json.loads(text), Tree, "file.json")
    assert dumps(plain(read)) == text
    assert type(read.either) is type(made.either)
    for name, leaf in made.leaves.items():
        finite = np.isfinite(leaf.values)
        np.testing.assert_array_equal(read.leaves[name].values, np.where(finite, leaf.values, np.nan))
        np.testing.assert_array_equal(read.leaves[name].layers, leaf.layers)
        assert read.leaves[name].values.dtype == np.float64
        assert read.leaves[name].layers.dtype == np.int64


@given(trees)
def test_the_text_is_strict_json_and_the_layout_changes_nothing(made: Tree) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(dumps(plain(made)), parse_constant=refuse) == plain(made)


@given(st.recursive(free | st.floats(), lambda inner: st.lists(inner) | st.tuples(inner), max_leaves=8))
def test_plain_is_always_json_and_doing_it_twice_changes_nothing(value: object) -> None:
    once = plain(value)
    assert plain(once) == once
    assert json.loads(json.dumps(once, allow_nan=False)) == once


def test_what_is_no_number_is_null_and_reads_back_as_no_number() -> None:
    made = plain(Leaf(1, math.inf, np.array([1.5, -math.inf, math.nan])))
    assert made == {"from": 1, "value": None, "values": [1.5, None, None], "layers": [1, 2]}
    read = structure(made, Leaf, "file.json")
    assert math.isnan(read.value)
    assert np.isnan(read.values[1:]).all()


def test_numbers_of_a_plugin_become_plain_ones() -> None:
    details = {"scalar": np.float32(0.5), "array": np.arange(2), "set": {2, 1}, "key": {1: np.bool_(True)}, "odd": 1j}
    made = plain(replace(tree(), free=details))["free"]
    assert made == {"scalar": 0.5, "array": [0, 1], "set": [1, 2], "key": {"1": True}, "odd": "1j"}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("leaves.a.extra", 1, r"leaves\['a'\]: unknown field 'extra'"),
        ("leaves.a.from", ..., r"leaves\['a'\]: the field 'from' is missing"),
        ("leaves.a.from", 1.5, r"leaves\['a'\].start: it is 1.5, not a whole number"),
        ("leaves.a.from", True, "it is True, not a whole number"),
        ("leaves.a.values", "text", "it is str, not a list of numbers"),
        ("leaves.a.values", ["text"], "it is no list of numbers"),
        ("leaves.a.layers", [None], "it is no list of whole numbers"),
        ("leaves.a", [1], r"leaves\['a'\]: it is list, not a mapping"),
        ("either.record", "Third", "record is 'Third', not one of Leaf, Other"),
        ("either.record", ..., "record is None, not one of Leaf, Other"),
        ("either.text", 5, "either.text: it is 5, not a text"),
        ("free", [1], "free: it is list, not a mapping"),
        ("firm", "yes", "firm: it is 'yes', not true or false"),
        ("maybe", ..., "the field 'maybe' is missing"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(path: str, value: Any, said: str) -> None:
    data = plain(tree())
    *way, last = path.split(".")
    place = data
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(UserError, match=said) as caught:
        structure(data, Tree, "some/file.json", "make it again")
    assert str(caught.value).startswith("some/file.json is damaged: ")
    assert str(caught.value).endswith("; make it again.")
    assert "\n" not in str(caught.value)


def test_lists_of_numbers_stand_on_one_line_each() -> None:
    text = dumps({"a": [1, 2, None], "b": [[1, 2], [3]], "c": {}, "d": []})
    assert text == '{\n "a": [1, 2, null],\n "b": [\n  [1, 2],\n  [3]\n ],\n "c": {},\n "d": []\n}'
