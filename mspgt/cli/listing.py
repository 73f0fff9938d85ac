"""What there is to choose from: the keys of each verb, plugins and their options, built-in models. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mspgt.config.drift import MODEL, DriftOptions
from mspgt.config.intervene import InterveneOptions
from mspgt.config.keys import help_lines
from mspgt.config.run import RunOptions
from mspgt.contracts import registry
from mspgt.contracts.registry import Entry, PluginKind
from mspgt.core.errors import UserError, unknown
from mspgt.models.built_in import MODELS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


KeyLines = list[tuple[str, str, str, str]]


def show(names: Sequence[str], console: Console) -> None:
    """Print lists, plugins or models by name; all lists where no name is given.

    Raises
    ------
    UserError: a name that is no list, plugin or model.
    """
    lists: dict[str, Callable[[], Table]] = {
        **{f"{kind.word}s": partial(_plugins, kind) for kind in registry.KINDS},
        "models": _models,
    }
    plugins = [entry for kind in registry.KINDS for entry in registry.plugins(kind).values()]
    for name in names or lists:
        chosen = [entry for entry in plugins if entry.name == name]
        if name not in lists and name not in MODELS and not chosen:
            raise unknown("name", name, [*lists, *MODELS, *(entry.name for entry in plugins)])
        if name in lists:
            console.print(lists[name](), "")
        if name in MODELS:
            _card(name, console)
        for entry in chosen:
            console.print(f"{entry.kind.word} {name}: {_summary(entry)} ({entry.distribution})", highlight=False)
            if entry.kind is registry.INTERVENTION:
                console.print(f"sigma=1 means: {entry.load().strength_means}", highlight=False)
            if lines := help_lines(entry.option_class(), f"{name}."):
                console.print(_options(lines))
    if not names:
        console.print("`mspgt ls NAME` lists a plugin's options, or shows a model's card.", highlight=False)


def explain(name: str, usage: str, summary: str, console: Console) -> None:
    """Print the usage of a verb and all its keys."""
    console.print(f"{usage}\n\n{summary}\n", highlight=False, markup=False, soft_wrap=True)
    if name not in KEYS:
        return
    console.print(_options(KEYS[name]()))
    console.print(
        "--key value is accepted too. `mspgt ls` lists all plugins, `mspgt ls NAME` the options of one.",
        highlight=False,
    )


def _drift_keys() -> KeyLines:
    model = ("model", "text", "–", MODEL)
    of_run = [model if line[0] == "model" else line for line in _run_keys() if line[0] != "revision"]
    return [*help_lines(DriftOptions), *of_run]


def _run_keys() -> KeyLines:
    weights = ("weights.<signal>", "number", "the signal's own", "weight of a signal in the fusion")
    return [*_keys(RunOptions, registry.SIGNAL), weights]


def _keys(options: type, *kinds: PluginKind) -> KeyLines:
    lines = help_lines(options)
    lines.append(("config", "text", "–", "YAML file of these keys; keys on the command line go before it"))
    for kind in kinds:
        for entry in registry.BUILT_IN[kind].values():
            lines += help_lines(entry.option_class(), f"{entry.name}.")
    return lines


KEYS: dict[str, Callable[[], KeyLines]] = {
    "run": _run_keys,
    "intervene": lambda: _keys(InterveneOptions, registry.INTERVENTION, registry.METRIC),
    "drift": _drift_keys,
}
"""verb -> what lists its keys"""


def _options(lines: KeyLines) -> Table:
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table(Column("key", no_wrap=True), "meaning (type; default)", box=None, header_style="bold", pad_edge=False)
    for key, kind, default, meaning in lines:
        default = default.replace(",", ", ") or "–"  # so that a long list is broken between its items
        table.add_row(escape(key), f"{escape(meaning)} [dim]({escape(kind)}; {escape(default)})[/]")
    return table


def _plugins(kind: PluginKind) -> Table:
    from rich.table import Table

    what = "what it does" if kind is registry.INTERVENTION else "what it measures"
    table = Table(kind.word, what, "from", box=None, header_style="bold")
    for entry in registry.plugins(kind).values():
        table.add_row(entry.name, _summary(entry), entry.distribution)
    return table


def _models() -> Table:
    from rich.table import Table

    table = Table("model", "what it is", "on disk", box=None, header_style="bold")
    for name, model in MODELS.items():
        table.add_row(name, model.summary, f"{model.nbytes / 1e6:,.1f} MB" if model.nbytes else "-")
    return table


def _card(name: str, console: Console) -> None:
    """A built-in model: where it lies, and its model card."""
    from rich.markdown import Markdown

    model = MODELS[name]
    console.print(f"model {name}: {model.summary}\n{model.path()}", highlight=False, markup=False, soft_wrap=True)
    card = model.path() / "README.md"
    if card.is_file():
        console.print(Markdown(card.read_text(encoding="utf-8").split("---\n", 2)[-1]))


def _summary(entry: Entry) -> str:
    if entry.summary:
        return entry.summary
    try:
        plugin: Any = entry.load()
    except UserError as error:
        return str(error)
    return registry.summary_of(plugin)
