"""The verbs of the command line: what each takes, and who does it. Nothing heavy is imported before a verb is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from mspgt.config.keys import given_twice, key_values
from mspgt.core.errors import UserError, unknown
from mspgt.results.kinds import record_class

if TYPE_CHECKING:
    from rich.console import Console

    from mspgt.results.result import Result


@dataclass(frozen=True)
class Verb:
    """A verb.

    Attributes
    ----------
    do: takes the words after the verb, and consoles for progress and for the answer; returns the exit code.
    """

    summary: str
    usage: str
    do: Callable[[list[str], Console, Console], int]


@dataclass(frozen=True)
class Computes:
    """A verb that makes a result from checked settings.

    Attributes
    ----------
    kind: of the result, which names the verb.
    words: key of the words that may stand before the keys; none where empty.
    several: whether there may be several of these words, which become a list.
    """

    kind: str
    words: str = ""
    several: bool = False

    def __call__(self, arguments: list[str], progress: Console, answer: Console) -> int:
        """Check the settings, do the work, show the result."""
        from mspgt.experiments.entry import begin

        given = self._keys(arguments)
        return show(begin(self.kind, given, given.pop("config", None), progress, temporary=False), answer)

    def _keys(self, arguments: list[str]) -> dict[str, Any]:
        names = list(takewhile(_is_place if self.several else _is_word, arguments)) if self.words else []
        if len(names) > 1 and not self.several:
            verb = record_class(self.kind).kind.verb
            raise UserError(f"expected mspgt {verb} {self.words.upper()} [key=value ...]; got {len(names)} names.")
        keys: dict[str, Any] = key_values(arguments[len(names) :], f"write for example {self.words or 'data'}={{}}")
        if names and self.words in keys:
            raise given_twice(self.words, names[0], keys[self.words])
        return keys | ({self.words: ",".join(names)} if names else {})


def show(result: Result, console: Console) -> int:
    """Show a result; the exit code says whether something was left out."""
    result.show(console)
    return 3 if result.incomplete else 0


def _evaluate(arguments: list[str], progress: Console, answer: Console) -> int:
    (path,), keys = _names(arguments, "mspgt evaluate RUN [key=value ...]", 1)
    from mspgt.experiments.evaluate import evaluate

    return show(evaluate(path, keys, progress), answer)


def _merge(arguments: list[str], progress: Console, answer: Console) -> int:
    paths, keys = _names(arguments, "mspgt merge A B out=C")
    out, overwrite = keys.pop("out", None), str(keys.pop("overwrite", "false")).lower() == "true"
    if keys:
        raise unknown("key", next(iter(keys)), ("out", "overwrite"))
    if out is None:
        raise UserError("merge needs out=DIRECTORY for the merged run.")
    from mspgt.experiments.merge import merge

    return show(merge(paths, out, overwrite, progress), answer)


def _ls(arguments: list[str], progress: Console, answer: Console) -> int:
    from mspgt.cli import listing

    names, keys = _names(arguments, "mspgt ls [NAME]")
    if keys:
        raise UserError("ls takes names, no key=value.")
    listing.show(names, answer)
    return 0


def _doctor(arguments: list[str], progress: Console, answer: Console) -> int:
    if arguments:
        raise UserError("doctor takes no arguments.")
    from mspgt.cli.doctor import examine

    return examine(answer)


VERBS: Mapping[str, Verb] = {
    "run": Verb(
        "run a corpus through a model and find its boundaries",
        "mspgt run [key=value ...] [config=file.yaml]",
        Computes("run"),
    ),
    "evaluate": Verb(
        "recompute a result with other weights, prominence or bootstrap; needs no model",
        "mspgt evaluate RUN [prominence=...] [bootstrap=...] [weights.<signal>=...]",
        _evaluate,
    ),
    "intervene": Verb(
        "disturb one scale of a model at a time while it generates, and measure what breaks",
        "mspgt intervene run=RUN [key=value ...] [config=file.yaml]\n"
        "mspgt intervene model=MODEL boundaries=5,9|paper|thirds [key=value ...] [config=file.yaml]\n"
        "  such as: mspgt intervene run=runs/a sigma=0.1,0.2 samples=200 out=runs/a-gaussian",
        Computes("intervention", "run"),
    ),
    "drift": Verb(
        "follow the boundaries over the checkpoints of a training run",
        "mspgt drift CHECKPOINTS [key=value ...] [config=file.yaml]\n"
        "mspgt drift model=MODEL revisions=A,B,... [key=value ...] [config=file.yaml]\n"
        "  such as: mspgt drift runs/trainer out=runs/drift\n"
        "           mspgt drift 'lightning_logs/version_0/checkpoints/*.ckpt' model=tiny-llama-a out=runs/drift\n"
        "           mspgt drift model=EleutherAI/pythia-70m revisions=step512,step1000,step143000",
        Computes("drift", "checkpoints", several=True),
    ),
    "merge": Verb(
        "make one run of several over disjoint documents", "mspgt merge A B ... out=C [overwrite=true]", _merge
    ),
    "ls": Verb(
        "list signals, interventions, metrics and built-in models, or the options of one",
        "mspgt ls [NAME ...]",
        _ls,
    ),
    "doctor": Verb("tell what this machine can do and what is missing", "mspgt doctor", _doctor),
}


def _is_word(argument: str) -> bool:
    return "=" not in argument and not argument.startswith("--")


def _is_place(word: str) -> bool:
    """Whether a word is no key with a value: names of Lightning's checkpoints have equals signs in them."""
    key, equals, _ = word.partition("=")
    return not word.startswith("--") and (not equals or os.sep in key or os.path.exists(word))


def _names(arguments: list[str], usage: str, count: int | None = None) -> tuple[list[str], dict[str, str]]:
    """Names, which come first, and the keys and values that follow; `count` says how many names there must be."""
    names = list(takewhile(_is_word, arguments))
    if count is not None and len(names) != count:
        raise UserError(f"expected {usage}; got {len(names)} names.")
    return names, key_values(arguments[len(names) :], f"expected {usage}")
