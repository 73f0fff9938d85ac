"""Plugins by name: built-ins and third parties meet in one lookup and one error.

A plugin is registered by an entry point (`mspgt.signals`); its name is the entry point's name, and its module is
imported when it is used. Built-ins also declare their options where no torch is needed, so that help is instant.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from mspgt.errors import PluginError, UserError, unknown

if TYPE_CHECKING:
    from mspgt.signal import Signal

GROUP = "mspgt.signals"


@dataclass(frozen=True)
class Entry:
    """A registered plugin, not yet imported."""

    name: str
    target: str
    """"module:Class" """
    distribution: str
    """name and version of the package it comes from"""
    options: str | None = None
    """"module:Class" of its options, for plugins that declare them without importing torch"""
    summary: str = ""

    def load(self) -> type[Signal]:
        """Import the plugin's class.

        Raises
        ------
        PluginError: the import failed, or what it gave is no Signal.
        """
        from mspgt.signal import Signal

        try:
            module, _, attribute = self.target.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"plugin {self.name!r} of {self.distribution} could not be imported "
                f"({type(error).__name__}: {error}); mend or uninstall {self.distribution}."
            ) from error
        if not (isinstance(found, type) and issubclass(found, Signal)):
            raise PluginError(
                f"plugin {self.name!r} of {self.distribution}: {self.target} is not a mspgt.Signal class."
            )
        return found

    def option_class(self) -> type:
        """The plugin's options; imports the plugin only where they are not declared apart."""
        if self.options is None:
            return self.load().Options
        module, _, attribute = self.options.partition(":")
        options: type = getattr(importlib.import_module(module), attribute)
        return options


BUILT_IN = {
    e.name: e
    for e in (
        Entry("cka", "mspgt.plugins.cka:CKA", "mspgt", "mspgt.plugins.options:CKAOptions",
              "representation change 1/CKA between neighbouring blocks (S1)"),
        Entry("probe", "mspgt.plugins.probe:Probe", "mspgt", "mspgt.plugins.options:ProbeOptions",
              "jumps of probe F1: POS, dependencies, entities, semantic roles (S2)"),
        Entry("attn", "mspgt.plugins.attn:AttentionDrift", "mspgt", "mspgt.plugins.options:AttentionOptions",
              "Jensen-Shannon drift of attention between neighbouring blocks (S3)"),
    )
}  # fmt: skip


def signals() -> Mapping[str, Entry]:
    """Every registered signal, built-ins first.

    Raises
    ------
    UserError: a third-party name clashes with a built-in's or another's.
    """
    found = dict(BUILT_IN)
    for point in entry_points(group=GROUP):
        if point.value == found.get(point.name, _NONE).target:
            continue  # the built-ins' own entry points
        entry = Entry(point.name, point.value, _distribution(point))
        if point.name in found:
            raise UserError(
                f"two plugins are called {point.name!r}: {found[point.name].target} of "
                f"{found[point.name].distribution} and {entry.target} of {entry.distribution}; uninstall one."
            )
        found[point.name] = entry
    return found


def signal(name: str) -> Entry:
    """The registered signal of that name.

    Raises
    ------
    UserError: there is none; the message lists those there are.
    """
    known = signals()
    if name not in known:
        raise unknown("plugin", name, known, "`mspgt ls` shows each.")
    return known[name]


def create(name: str, options: Mapping[str, Any], **engine: Any) -> Signal:
    """Load a signal and build it; `engine` holds seed and device.

    Raises
    ------
    PluginError: its import or its constructor failed.
    """
    entry = signal(name)
    found = entry.load()
    try:
        return found(**engine, **options)
    except UserError:
        raise
    except Exception as error:
        raise PluginError(
            f"plugin {name!r} of {entry.distribution} could not be built ({type(error).__name__}: {error})."
        ) from error


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


_NONE = Entry("", "", "")
