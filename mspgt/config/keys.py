"""Keys of a command: read from words or YAML, divided among the command and its plugins, checked, written back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mspgt.contracts import registry
from mspgt.contracts.registry import Entry
from mspgt.core.errors import UserError, unknown
from mspgt.core.options import describe, parse

T = TypeVar("T")
FEW = 12
"""as many keys are listed even where one of them is suggested"""


def divided(
    declared: type[T], entries: Mapping[str, Entry], keys: Mapping[str, Any], verb: str, further: Sequence[str] = ()
) -> tuple[T, dict[str, dict[str, Any]]]:
    """Divide the keys of a command into its own options and those of its plugins, and check every one.

    Parameters
    ----------
    declared: the command's own options.
    entries: the plugins that are used.
    verb: the command, for messages.
    further: keys that are allowed too, for messages.

    Raises
    ------
    UserError: an unknown key (with a suggestion), or a value of the wrong type or out of range.
    """
    top = {f.name for f in dataclasses.fields(declared)}  # type: ignore[arg-type]
    options: dict[str, Any] = {}
    plugins: dict[str, dict[str, Any]] = {name: {} for name in entries}
    classes = {name: entry.option_class() for name, entry in entries.items()}
    for key, value in keys.items():
        head, _, rest = key.partition(".")
        if not rest and head in top:
            options[key] = value
        elif rest and head in entries:
            plugins[head][rest] = value
        else:
            raise _unknown_key(key, {*top, *further}, classes, verb)
    for name, values in plugins.items():
        parse(classes[name], values, f"{name}.")
    return parse(declared, options), plugins


def gathered(given: Mapping[str, Any], file: str | Path | None) -> dict[str, Any]:
    """Dotted keys of a YAML file, if there is one, under those that were given."""
    return {**(read_yaml(file) if file else {}), **flat(given)}


def names_once(key: str, names: Sequence[str], example: str) -> None:
    """Refuse a list of plugins that is empty or names one twice."""
    if not names:
        raise UserError(f"{key}= names nothing; give at least one, such as {key}={example}.")
    if len(set(names)) != len(names):
        raise UserError(f"{key}={','.join(names)} names one twice; name each once.")


def plain_fields(options: Any) -> dict[str, Any]:
    """Options by name, as plain values."""
    return {f.name: plain_value(getattr(options, f.name)) for f in dataclasses.fields(options)}


def plain_options(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a plugin, those that were not given at their defaults, as plain values."""
    return plain_fields(parse(entry.option_class(), given, f"{entry.name}."))


def deciding_options(entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `plain_options` on which what is measured depends."""
    deciding = {f.name for f in dataclasses.fields(entry.option_class()) if f.metadata["decides"]}
    return {key: value for key, value in plain_options(entry, given).items() if key in deciding}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Dotted keys of a YAML file.

    Raises
    ------
    UserError: the file is missing, or no YAML mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except FileNotFoundError:
        raise UserError(f"config={path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"config={path} is no readable YAML file ({' '.join(str(error).split())}).") from error
    if not isinstance(loaded, dict):
        raise UserError(f"config={path}: expected `key: value` lines, found {type(loaded).__name__}.")
    return flat({str(k): v for k, v in loaded.items()})


def write_yaml(plain: Mapping[str, Any], path: Path) -> None:
    """Write settings as YAML."""
    from omegaconf import OmegaConf

    OmegaConf.save(OmegaConf.create(dict(plain)), path)


def key_values(arguments: Sequence[str], advice: str = "write for example data={}") -> dict[str, str]:
    """Keys and texts of a command line: `key=value`, `--key value`, `--key=value`, `--flag`.

    Parameters
    ----------
    advice: what to do about a word that is none of these; it stands in place of ``{}``.

    Raises
    ------
    UserError: an argument that is none of these, or a key given twice.
    """
    keys: dict[str, str] = {}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        key, equals, value = argument.partition("=")
        if argument.startswith("--"):
            key = key[2:].replace("-", "_")
            if not equals:
                follows = queue and not queue[0].startswith("--") and "=" not in queue[0]
                value = queue.pop(0) if follows else "true"
        elif not equals:
            raise UserError(f"{argument!r} is no key=value; {advice.replace('{}', argument)}.")
        if key in keys:
            raise given_twice(key, keys[key], value)
        keys[key] = value
    return keys


def given_twice(key: str, one: str, other: str) -> UserError:
    """The sentence about a key that has two values."""
    return UserError(f"key {key!r} is given twice ({one!r} and {other!r}); give it once.")


def help_lines(options: type, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """(key, type, default, meaning) of every option, for `--help` and `mspgt ls NAME`."""
    lines = []
    for o in describe(options):
        kind = " | ".join(o.choices) if o.choices else o.type.removesuffix(" or object")
        default = ",".join(map(str, o.default)) if isinstance(o.default, tuple) else o.default
        lines.append((prefix + o.name, kind, "–" if default is None else str(default).lower(), o.help))
    return lines


def _unknown_key(key: str, top: set[str], declared: Mapping[str, type], verb: str) -> UserError:
    allowed = {*top}
    for name, options in declared.items():
        allowed |= {f"{name}.{f.name}" for f in dataclasses.fields(options)}
    head = key.partition(".")[0]
    known = {name for kind in registry.KINDS for name in registry.plugins(kind)}
    hint = f"{head} is not among the plugins that are asked for." if head in known - {*declared} else ""
    error = unknown("key", key, allowed, hint)
    sentence = str(error).partition(" Available: ")[0]
    if len(allowed) <= FEW or "Did you mean" not in sentence:
        return error
    return UserError(f"{sentence} `mspgt {verb} --help` lists all.")


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to dotted keys; what a model or corpus is given as stays whole."""
    dotted: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and (prefix or key not in ("model", "data", "labels", "tokenizer", "prompts")):
            dotted |= flat(value, f"{prefix}{key}.")
        else:
            dotted[prefix + key] = value
    return dotted


def plain_value(value: Any) -> Any:
    """A value as YAML and JSON can hold it; a live object is named by its class."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [plain_value(v) for v in value]
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    return f"<{type(value).__name__}>"
