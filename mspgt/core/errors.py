"""The errors a user can meet: each is one sentence that says what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Unusable input or a mistake in a command; the command line prints it and exits with code 2."""

    exit_code = 2


class MachineError(UserError):
    """The machine failed (full disk, no memory); the command line prints it and exits with code 1."""

    exit_code = 1


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; what was computed is saved. The command line exits with code 130.

    Like KeyboardInterrupt it is no Exception, so that nothing that guards against faulty plugins can swallow it.
    """

    exit_code = 130


class DuplicateSequence(UserError):
    """A sequence was observed twice; counting it twice would be silently wrong."""


class PluginError(UserError):
    """A plugin failed to import, or raised while it worked; names the plugin and its distribution."""


def unknown(kind: str, given: str, allowed: Iterable[str], hint: str = "") -> UserError:
    """Build the error for a name that does not exist, with the nearest name as a suggestion."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) if names else "none"
    return UserError(f"unknown {kind} {given!r}.{guess}{' ' + hint if hint else ''} Available: {listed}.")


def sentence(error: Exception) -> str:
    """What an error says; one that was not written for users is named by its class."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def left_out(name: str, error: Exception) -> str:
    """The sentence about a signal that a user error takes out of a run; its name stands in it once."""
    return f"{name} was left out: {str(error).removeprefix(f'{name}: ')}"


def not_fitted(name: str, error: Exception) -> str:
    """The sentence about a signal that could not be fitted."""
    if isinstance(error, UserError):
        return left_out(name, error)
    return f"plugin {name!r} raised while it was fitted ({type(error).__name__}: {error}); it was left out."


def first_line(error: Exception) -> str:
    """What an error says first, for a message of one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return first[:200].rstrip(". ")
