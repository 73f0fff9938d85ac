"""What the conformance suites share: laws that a plugin may except itself from, and a declaration that can be shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from mspgt.contracts import registry
from mspgt.core.options import describe

Law = Callable[..., None]
T = TypeVar("T")


def law(name: str) -> Callable[[Law], Law]:
    """Mark a test as a law that a plugin may except itself from."""

    def mark(test: Law) -> Law:
        test.law = name  # type: ignore[attr-defined]
        return test

    return mark


def skip_excepted(request: pytest.FixtureRequest, exceptions: Mapping[str, str]) -> None:
    """Skip the law that is being tried where the plugin gives a reason not to obey it."""
    reason = exceptions.get(getattr(request.function, "law", ""))
    if reason:
        pytest.skip(reason)


def once(suite: type, name: str, make: Callable[[], T]) -> T:
    """What is made once for a suite; not an inherited one, since a subclass has another plugin."""
    if name not in suite.__dict__:
        setattr(suite, name, make())
    made: T = suite.__dict__[name]
    return made


def check_declaration(plugin_class: type[Any], laws: Iterable[str], *texts: str) -> None:
    """What a class says of itself can be shown and used; texts: what it says beside its summary."""
    for text in (registry.summary_of(plugin_class), *texts):
        assert 0 < len(text) <= 100, "give a summary, or a docstring that begins with one line"
        assert "\n" not in text
    options: type = plugin_class.Options
    assert dataclasses.is_dataclass(options)
    assert all(option.help for option in describe(options))
    assert set(plugin_class.exceptions) <= set(laws), f"laws are {', '.join(laws)}"
    assert all(plugin_class.exceptions.values()), "give the reason of each exception"


def unchanged(before: list[Tensor], after: list[Tensor]) -> None:
    """Compare inputs with what they were."""
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "an input tensor was changed"
