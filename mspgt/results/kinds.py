"""Kinds of results: each is declared once; what shows it is named by a string, so that nothing imports upward."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 2
"""of all files of results"""

RECORDS: Mapping[str, str] = {
    "run": "mspgt.results.run:Run",
    "intervention": "mspgt.results.intervention:Behaviour",
    "drift": "mspgt.results.drift:Drift",
}
"""kind -> "module:Class" of its record, which declares the rest"""


@dataclass(frozen=True)
class Kind:
    """What is particular to one kind of result.

    Attributes
    ----------
    name: in the file's field `kind`.
    file: name of the file.
    what: "a run", "an experiment": in sentences.
    maker: what makes it, in sentences.
    shown: "module:OBJECT" of its `mspgt.show.parts.Shown`: figures, tables, sections of the page, terminal.
    verb: of the command line that makes it: `mspgt.config.VERB` has its settings, `mspgt.experiments.VERB` does the
        work; nothing where no verb does.
    """

    name: str
    file: str
    what: str
    maker: str
    shown: str
    verb: str = ""

    @property
    def noun(self) -> str:
        """`what` without its article."""
        return self.what.split()[-1]


def record_class(kind: str) -> type[Any]:
    """The record of a kind of `RECORDS`."""
    return resolve(RECORDS[kind])  # type: ignore[no-any-return]


def resolve(path: str) -> Any:
    """The object at "module:NAME"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
