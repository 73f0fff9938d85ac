"""One codec for every record: frozen dataclasses to JSON text and back.

NaN and infinities are null in the file and NaN in a record; arrays are lists; a field may stand under another name
(`kept_as`). An unknown or missing field, or a value of another type, is an error that names the file and the field.
Where a field holds one of several records, the name of its class stands beside its fields as ``record``.
`Mapping[str, Any]` (a plugin's own details, settings) holds any plain JSON values.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from functools import cache
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from cattrs import Converter, transform_error
from cattrs.cols import mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from mspgt.core.errors import UserError

T = TypeVar("T")
TAG = "record"
"""field that tells one of several records"""


@dataclasses.dataclass(frozen=True)
class kept_as:
    """Marks a field that stands in files under another name: ``start: Annotated[int, kept_as("from")]``."""

    name: str


def plain(value: Any) -> Any:
    """A record, or anything in one, as plain JSON values."""
    return _tidy(_converter().unstructure(value))


def dumps(value: Any, indent: str = "") -> str:
    """Plain JSON values as text, indented, with lists of numbers on one line each; it reads back as the same values."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        items = [f"{inner}{_dumps(str(key))}: {dumps(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and not all(isinstance(item, (int, float, type(None))) for item in value):
        return "[\n" + ",\n".join(f"{inner}{dumps(item, inner)}" for item in value) + f"\n{indent}]"
    return _dumps(value)


def structure(value: Any, record: type[T], where: str, again: str = "") -> T:
    """Plain JSON values as a record.

    Parameters
    ----------
    where: the file that they come from, for messages.
    again: what to do about a damaged one, a phrase such as "make it again with `mspgt run`".

    Raises
    ------
    UserError: a field that is unknown, missing or of another type; the message names the first.
    """
    try:
        return _converter().structure(value, record)
    except Exception as error:  # a group of errors, or one that a record's own check raised
        raise UserError(f"{where} is damaged: {_first(error)}{f'; {again}' if again else ''}.") from error


def _first(error: Exception) -> str:
    """The first fault in words: the field and what is wrong with it."""
    fault, _, path = transform_error(error, format_exception=_say)[0].rpartition(" @ $")
    return f"{path.lstrip('.')}: {fault}" if path else fault


def _say(error: BaseException, kind: type | None) -> str:
    extra = getattr(error, "extra_fields", None)
    if extra:
        return f"unknown field {', '.join(map(repr, sorted(extra)))}"
    return " ".join(str(error).split()).rstrip(".")


# ------------------------------------------------------------------------------------------- the converter


@cache
def _converter() -> Converter:
    made = Converter(forbid_extra_keys=True)
    for kind in _WORDS:
        made.register_structure_hook(kind, _scalar)
    made.register_structure_hook_func(_is_array, _array)
    made.register_structure_hook_factory(_is_tuple, lambda kind: _tuple(kind, made))
    made.register_structure_hook_factory(_is_mapping, lambda kind: _mapping(kind, made))
    made.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: value)
    made.register_unstructure_hook_func(lambda kind: isinstance(kind, type) and issubclass(kind, np.ndarray), _listed)
    made.register_structure_hook_factory(dataclasses.is_dataclass, lambda kind: _reader(kind, made))
    made.register_unstructure_hook_factory(dataclasses.is_dataclass, lambda kind: _writer(kind, made))
    made.register_structure_hook_func(lambda kind: getattr(kind, "__origin__", None) is Literal, _word)
    made.register_structure_hook_factory(_is_choice, lambda kind: _chosen(kind, made))
    made.register_unstructure_hook_factory(_is_choice, lambda _: lambda value: _tagged(value, made))
    return made


def _reader(kind: Any, converter: Converter) -> Any:
    renamed = _names(kind)
    read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **renamed)
    names = [renamed[f.name].rename if f.name in renamed else f.name for f in dataclasses.fields(kind)]

    def checked(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            _refuse(value)
        for name in names:
            if name not in value:  # every field is written: a default is for those who make a record
                raise ValueError(f"the field {name!r} is missing")
        return read(value, kind)

    return checked


def _writer(kind: Any, converter: Converter) -> Any:
    return make_dict_unstructure_fn(kind, converter, **_names(kind))


def _is_choice(kind: Any) -> bool:
    """Whether it is one of several records."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return len(set(kinds) - {NoneType}) > 1 and all(dataclasses.is_dataclass(one) or one is NoneType for one in kinds)


def _chosen(kind: Any, converter: Converter) -> Any:
    records = {record.__name__: record for record in get_args(kind) if record is not NoneType}

    def read(value: Any, _: Any) -> Any:
        if value is None and NoneType in get_args(kind):
            return None
        if not isinstance(value, dict):
            _refuse(value)
        if value.get(TAG) not in records:
            raise ValueError(f"{TAG} is {value.get(TAG)!r}, not one of {', '.join(records)}")
        return converter.structure({k: v for k, v in value.items() if k != TAG}, records[value[TAG]])

    return read


def _tagged(value: Any, converter: Converter) -> dict[str, Any] | None:
    return None if value is None else {TAG: type(value).__name__, **converter.unstructure(value)}


def _word(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"it is {value!r}, not one of {', '.join(map(repr, get_args(kind)))}")
    return value


def _names(kind: Any) -> dict[str, Any]:
    marks = {
        name: getattr(hint, "__metadata__", ()) for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    return {name: override(rename=m.name) for name, marked in marks.items() for m in marked if isinstance(m, kept_as)}


def _scalar(value: Any, kind: type) -> Any:
    if kind is float and value is None:
        return math.nan
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"it is {value!r}, not {_WORDS[kind]}")
    return value


_WORDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _tuple(kind: Any, converter: Converter) -> Any:
    """Reads a tuple of one kind of items, or of one item for each kind."""
    kinds = get_args(kind)
    alike: Any = GenericAlias(list, kinds[:1]) if kinds[-1] is Ellipsis else None

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, list) or (alike is None and len(value) != len(kinds)):
            raise ValueError(f"it is {value!r}, not a list{f' of {len(kinds)}' if alike is None else ''}")
        return tuple(map(converter.structure, value, kinds) if alike is None else converter.structure(value, alike))

    return read


def _is_array(kind: Any) -> bool:
    return get_origin(kind) is np.ndarray


def _array(value: Any, kind: Any) -> Any:
    dtype = get_args(get_args(kind)[1])[0]
    floating = issubclass(dtype, np.floating)
    what = "list of numbers" if floating else "list of whole numbers"
    if not isinstance(value, list):
        raise ValueError(f"it is {type(value).__name__}, not a {what}")
    try:
        made = np.array(_filled(value) if floating else value)
    except ValueError as error:
        raise ValueError(f"it is no {what}") from error
    if made.size and made.dtype.kind not in ("iuf" if floating else "iu"):
        raise ValueError(f"it is no {what}")
    return made.astype(dtype)


def _filled(value: list[Any]) -> list[Any]:
    return [_filled(v) if isinstance(v, list) else math.nan if v is None else v for v in value]


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (Mapping, dict)


def _mapping(kind: Any, converter: Converter) -> Any:
    read = mapping_structure_factory(kind, converter)
    return lambda value, _: read(value if isinstance(value, dict) else _refuse(value), kind)


def _refuse(value: Any) -> Any:
    raise ValueError(f"it is {type(value).__name__}, not a mapping")


def _listed(value: Any) -> Any:
    return value.tolist()


def _tidy(value: Any) -> Any:
    """Only plain JSON values: NaN and infinities as None, tuples and sets as lists, keys as text."""
    if isinstance(value, Mapping):
        return {str(key): _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [_tidy(item) for item in sorted(value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch, in a plugin's details
        return _tidy(value.tolist())
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
