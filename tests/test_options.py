"""Options: texts and Python values become checked dataclasses; mistakes are answered with one sentence."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.core.options import NoOptions, describe, option, parse


@dataclass(frozen=True)
class Example:
    """One option of each kind."""

    word: str = option("mean", "which word", choices=("mean", "index"))
    count: int = option(5, "how many", low=1, high=10)
    share: float = option(0.5, "how much", low=0)
    flag: bool = option(False, "whether")
    limit: int | None = option(None, "up to", low=1)
    tasks: tuple[str, ...] = option(("pos",), "which tasks", choices=("pos", "dep"))
    numbers: tuple[float, ...] = option((), "some numbers")
    model: Any = option(None, "an object")


def test_nothing_given_is_the_defaults():
    assert parse(Example, {}) == Example()


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("word", "index", "index"),
        ("count", "7", 7),
        ("count", 7, 7),
        ("count", "1e1", 10),
        ("count", 3.0, 3),
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("flag", "true", True),
        ("flag", "No", False),
        ("flag", True, True),
        ("limit", "none", None),
        ("limit", None, None),
        ("limit", "3", 3),
        ("tasks", "pos,dep", ("pos", "dep")),
        ("tasks", "pos, dep", ("pos", "dep")),
        ("tasks", ["dep"], ("dep",)),
        ("tasks", "", ()),
        ("numbers", "1,2.5", (1.0, 2.5)),
        ("numbers", 3, (3.0,)),
    ],
)
def test_texts_and_values_are_converted(key, text, value):
    found = getattr(parse(Example, {key: text}), key)
    assert found == value
    assert type(found) is type(value)


@given(st.integers(1, 10))
def test_an_integer_written_is_the_integer_read(number):
    assert parse(Example, {"count": str(number)}).count == number


@given(st.floats(min_value=0, allow_infinity=False))
def test_a_number_written_is_the_number_read(number):
    assert parse(Example, {"share": repr(number)}).share == number


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"coutn": 3}, r"unknown key 'x\.coutn'\. Did you mean 'x\.count'\?"),
        ({"count": "many"}, r"x\.count='many': expected integer"),
        ({"count": "2.5"}, r"x\.count='2\.5': expected integer"),
        ({"count": True}, "expected integer"),
        ({"count": 11}, r"x\.count=11: allowed is 1 to 10"),
        ({"count": 0}, "allowed is 1 to 10"),
        ({"share": -0.1}, r"x\.share=-0\.1: allowed is at least 0"),
        ({"share": "nan"}, "allowed is at least 0"),
        ({"flag": "perhaps"}, r"x\.flag='perhaps': expected true or false"),
        ({"limit": "all"}, "expected integer or none"),
        ({"limit": 0}, "allowed is at least 1"),
        ({"word": "meen"}, r"unknown value for x\.word: 'meen'\. Did you mean 'mean'\? Available: index, mean"),
        ({"tasks": "pos,ner"}, r"unknown value for x\.tasks: 'ner'.*Available: dep, pos"),
        ({"numbers": "1,two"}, "expected number"),
        ({"word": ["mean"]}, "expected text"),
    ],
)
def test_a_mistake_is_answered_with_what_is_allowed(given_, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(Example, given_, where="x.")
    assert caught.value.exit_code == 2


def test_paths_are_texts_too():
    @dataclass(frozen=True)
    class Paths:
        out: str = option("runs", "where")

    assert parse(Paths, {"out": Path("a/b")}).out == str(Path("a/b"))


def test_objects_pass_as_they_are():
    thing = object()
    assert parse(Example, {"model": thing}).model is thing


def test_the_description_is_what_help_shows():
    shown = {d.name: d for d in describe(Example)}
    assert list(shown) == ["word", "count", "share", "flag", "limit", "tasks", "numbers", "model"]
    assert shown["model"].type == "text or object"
    assert shown["word"].choices == ("mean", "index")
    assert shown["count"].default == 5
    assert [shown[n].type for n in ("count", "share", "flag", "word")] == ["integer", "number", "true or false", "text"]
    assert shown["limit"].type == "integer or none"
    assert shown["tasks"].type == "list of text"
    assert describe(NoOptions) == []


def test_mutable_defaults_are_refused():
    with pytest.raises(TypeError, match="tuples"):
        option([], "a list")


@pytest.mark.parametrize("entry", registry.BUILT_IN[registry.SIGNAL].values(), ids=lambda e: e.name)
def test_built_in_defaults_are_valid_and_each_option_is_explained(entry):
    options = entry.option_class()
    defaults = {f.name: f.default for f in fields(options)}
    assert parse(options, defaults) == options()
    assert all(d.help.strip() for d in describe(options))
