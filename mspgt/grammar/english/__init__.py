"""The words, names, phrases and schemata of the built-in English, as data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """A file of words; changing it changes what is generated."""
    return tomllib.loads(text(f"{name}.toml"))


def text(file: str) -> str:
    """The contents of a file."""
    return (files("mspgt.grammar.english") / file).read_text(encoding="utf-8")
