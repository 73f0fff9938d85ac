"""Typed options: one mechanism for the keys of a command and the options of a plugin. Knows no torch.

A set of options is a frozen dataclass whose fields are made by `option`; `parse` turns text or Python values
into that dataclass and answers a wrong name or value with one sentence.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from mspgt.core.errors import UserError, unknown

T = TypeVar("T")
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    decides: bool = True,
) -> Any:
    """Declare one option: its default, one sentence of meaning, and what values are allowed.

    Parameters
    ----------
    choices: the allowed words, for a text option.
    low, high: the inclusive range, for a number.
    decides: whether what is measured depends on it; otherwise it may be another when work goes on.
    """
    metadata = {"help": help, "choices": tuple(choices), "low": low, "high": high, "decides": decides}
    if isinstance(default, (list, dict, set)):
        raise TypeError("give tuples, not mutable values, as defaults of options")
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a plugin that has none."""


@dataclasses.dataclass(frozen=True)
class Described:
    """One option as `--help` and `mspgt ls NAME` show it."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[str, ...]


def describe(options: type) -> list[Described]:
    """List the options of a dataclass in the order in which they are declared, those that it inherits last."""
    hints = typing.get_type_hints(options)
    depth = {
        name: i for i, one in reversed([*enumerate(options.__mro__)]) for name in vars(one).get("__annotations__", ())
    }
    return [
        Described(f.name, _type_name(hints[f.name]), f.default, f.metadata["help"], f.metadata["choices"])
        for f in sorted(dataclasses.fields(options), key=lambda field: depth[field.name])
    ]


def parse(options: type[T], given: Mapping[str, Any], where: str = "") -> T:
    """Make the options from given values, texts or Python objects.

    Parameters
    ----------
    where: prefix of the keys in messages, such as ``"cka."``.

    Raises
    ------
    UserError: an unknown key (with a suggestion), or a value of the wrong type or out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(options)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(options)
    values = {}
    for name, value in given.items():
        if name not in fields:
            raise unknown("key", where + name, [where + n for n in fields])
        meta = fields[name].metadata
        values[name] = _check(where + name, _convert(where + name, value, hints[name]), meta)
    return options(**values)


def parse_some(declared: type[T], keys: Mapping[str, Any], *names: str) -> T:
    """A command's options, of which only some are looked at, the others at their defaults."""
    return parse(declared, {key: value for key, value in keys.items() if key in names})


def _type_name(hint: Any) -> str:
    args = typing.get_args(hint)
    if hint is Any:
        return "text or object"
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join("none" if a is type(None) else _type_name(a) for a in args)
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_name(args[0])}"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        getattr(hint, "__name__", ""), str(hint)
    )


def _convert(key: str, value: Any, hint: Any) -> Any:
    args = typing.get_args(hint)
    if hint is Any:
        return value
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if type(None) in args and (value is None or value in ("null", "none", "None")):
            return None
        for arg in (a for a in args if a is not type(None)):
            try:
                return _convert(key, value, arg)
            except UserError:
                continue
        raise _wrong(key, value, hint)
    if typing.get_origin(hint) is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, Sequence) and not hasattr(items, "__iter__"):
            items = [items]
        return tuple(_convert(key, v.strip() if isinstance(v, str) else v, args[0]) for v in items if v != "")
    if hint is bool:
        if isinstance(value, (str, int)) and str(value).lower() in _TRUE | _FALSE:
            return str(value).lower() in _TRUE
        raise _wrong(key, value, hint)
    if hint in (int, float):
        if isinstance(value, bool):
            raise _wrong(key, value, hint)
        try:
            number = float(value)
            if hint is int and number != int(number):
                raise _wrong(key, value, hint)
            return (
                int(value) if hint is int and isinstance(value, (int, str)) and "e" not in str(value) else hint(number)
            )
        except (TypeError, ValueError, OverflowError):
            raise _wrong(key, value, hint) from None
    if hint is str:
        if isinstance(value, (str, int, float, bool)):
            return str(value)
        if hasattr(value, "__fspath__"):
            return str(value.__fspath__())
        raise _wrong(key, value, hint)
    return value


def _wrong(key: str, value: Any, hint: Any) -> UserError:
    return UserError(f"{key}={value!r}: expected {_type_name(hint)}.")


def _check(key: str, value: Any, meta: Mapping[str, Any]) -> Any:
    for item in value if isinstance(value, tuple) else (value,):
        if meta.get("choices") and isinstance(item, str) and item not in meta["choices"]:
            raise unknown(f"value for {key}:", item, meta["choices"])
        if isinstance(item, (int, float)) and not isinstance(item, bool):
            low, high = meta.get("low"), meta.get("high")
            if not ((low is None or item >= low) and (high is None or item <= high)):
                span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
                raise UserError(f"{key}={item}: allowed is {span}.")
    return value
