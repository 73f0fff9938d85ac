"""The command line: `mspgt VERB [key=value ...]`. Verbs are thin; what they do lives elsewhere.

Exit codes: 0 done; 1 internal error or the machine failed; 2 the user's mistake or unusable input; 3 done, but
something was left out; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from mspgt.config.keys import key_values
from mspgt.config.run import build
from mspgt.core.errors import Interrupted, UserError, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from mspgt.results.result import Result

SUMMARY = "mspgt measures how a language model organises its layers."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in arguments
    arguments = [a for a in arguments if a != "--traceback"]
    watched = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, _interrupt) for number in watched}
    try:
        return _dispatch(arguments)
    except UserError as error:
        return _fail(str(error), error.exit_code, traceback)
    except (Interrupted, KeyboardInterrupt) as error:
        return _fail(str(error) or _interrupted(arguments), Interrupted.exit_code, traceback)
    except (OSError, MemoryError) as error:
        return _fail(f"the machine failed: {error or 'out of memory'}; what was saved before is intact.", 1, traceback)
    except Exception as error:
        where = "" if traceback else " (add --traceback to see where)"
        return _fail(f"internal error: {type(error).__name__}: {' '.join(str(error).split())}{where}", 1, traceback)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return _overview()
    if arguments[0] in ("--version", "version"):
        import mspgt

        print(f"mspgt {mspgt.__version__}")  # noqa: T201
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS, "`mspgt --help` says what each does.")
    do, summary = VERBS[verb]
    if "-h" in rest or "--help" in rest:
        from mspgt.cli import listing

        listing.explain(verb, summary, _console(stderr=False))
        return 0
    return do(rest)


def _run(arguments: list[str]) -> int:
    keys: dict[str, Any] = key_values(arguments)
    file = keys.pop("config", None)
    settings = build(keys, file)
    console = _console()
    from mspgt.experiments import start

    result = start(settings, console)
    return _show(result, settings.options.out)


def _intervene(arguments: list[str]) -> int:
    from mspgt.config import intervene as intervene_config

    names, given = _positional(arguments, (0, 1), "mspgt intervene RUN [key=value ...]", "run={}")
    keys: dict[str, Any] = dict(given)
    if names and "run" in keys:
        raise UserError(f"the run is given twice ({names[0]!r} and run={keys['run']}); give it once.")
    if names:
        keys["run"] = names[0]
    settings = intervene_config.build(keys, keys.pop("config", None))
    console = _console()
    from mspgt.experiments import start_intervene

    behaviour = start_intervene(settings, console)
    from mspgt.show.intervention import table

    table.render(behaviour, _console(stderr=False))
    return 3 if behaviour.not_measured else 0


def _drift(arguments: list[str]) -> int:
    from mspgt.config import drift as drift_config

    names = list(takewhile(_is_place, arguments))
    keys: dict[str, Any] = key_values(arguments[len(names) :], "write for example checkpoints={}")
    if names and "checkpoints" in keys:
        raise UserError(
            f"the checkpoints are given twice ({names[0]!r} and checkpoints={keys['checkpoints']}); give them once."
        )
    if names:
        keys["checkpoints"] = ",".join(names)
    settings = drift_config.build(keys, keys.pop("config", None))
    console = _console()
    from mspgt.experiments import start_drift

    drift = start_drift(settings, console)
    drift.show(_console(stderr=False))
    return 3 if drift.left_out or any(point.left_out for point in drift.points) else 0


def _is_place(word: str) -> bool:
    """Whether a word is no key with a value: names of Lightning's checkpoints have equals signs in them."""
    key, equals, _ = word.partition("=")
    return not word.startswith("--") and (not equals or os.sep in key or os.path.exists(word))


def _evaluate(arguments: list[str]) -> int:
    (path,), keys = _positional(arguments, (1,), "mspgt evaluate RUN [key=value ...]")
    from mspgt.experiments.recompute import evaluate_run

    return _show(evaluate_run(path, keys, _say(_console())), path)


def _merge(arguments: list[str]) -> int:
    paths, keys = _positional(arguments, None, "mspgt merge A B out=C")
    out, overwrite = keys.pop("out", None), str(keys.pop("overwrite", "false")).lower() == "true"
    if keys:
        raise unknown("key", next(iter(keys)), ("out", "overwrite"))
    if out is None:
        raise UserError("merge needs out=DIRECTORY for the merged run.")
    from mspgt.experiments.recompute import merge

    return _show(merge(paths, out, overwrite, _say(_console())), out)


def _ls(arguments: list[str]) -> int:
    from mspgt.cli import listing

    names, keys = _positional(arguments, None, "mspgt ls [NAME]")
    if keys:
        raise UserError("ls takes names, no key=value.")
    listing.show(names, _console(stderr=False))
    return 0


def _doctor(arguments: list[str]) -> int:
    if arguments:
        raise UserError("doctor takes no arguments.")
    from mspgt.cli.doctor import examine

    return examine(_console(stderr=False))


VERBS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "run": (_run, "run a corpus through a model and find its boundaries"),
    "evaluate": (
        _evaluate,
        "recompute a result with other weights, prominence or bootstrap; needs no model",
    ),
    "intervene": (_intervene, "disturb one scale of a model at a time while it generates, and measure what breaks"),
    "drift": (_drift, "follow the boundaries over the checkpoints of a training run"),
    "merge": (_merge, "make one run of several over disjoint documents"),
    "ls": (_ls, "list signals, interventions, metrics and built-in models, or the options of one"),
    "doctor": (_doctor, "tell what this machine can do and what is missing"),
}


# ------------------------------------------------------------------------------------------------- showing


def _show(result: Result, where: str | None) -> int:
    from mspgt.show.run.table import render

    render(result, _console(stderr=False))
    return 3 if result.data["left_out"] else 0


def _overview() -> int:
    from rich.table import Table

    console = _console(stderr=False)
    console.print(f"{SUMMARY}\n\nmspgt VERB \\[key=value ...] \\[config=file.yaml]\n", highlight=False)
    table = Table(box=None, show_header=False)
    for verb, (_, summary) in VERBS.items():
        table.add_row(f"  {verb}", summary)
    console.print(table)
    console.print("\n`mspgt VERB --help` lists every key. Example: mspgt run plugins=cka,probe,attn", highlight=False)
    return 0


# ------------------------------------------------------------------------------------------------- helpers


def _positional(
    arguments: list[str], counts: tuple[int, ...] | None, usage: str, example: str = ""
) -> tuple[list[str], dict[str, str]]:
    """Names, which come first, and the keys and values that follow; `counts` says how many names there may be."""
    names: list[str] = []
    while arguments and "=" not in arguments[0] and not arguments[0].startswith("--"):
        names.append(arguments[0])
        arguments = arguments[1:]
    if counts is not None and len(names) not in counts:
        raise UserError(f"expected {usage}; got {len(names)} names.")
    return names, key_values(arguments, f"write for example {example}" if example else f"expected {usage}")


def _console(stderr: bool = True) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def _say(console: Console) -> Callable[[str], None]:
    return lambda sentence: console.print(sentence, highlight=False, markup=False)


def _fail(sentence: str, code: int, traceback: bool) -> int:
    if traceback:
        import traceback as tb

        tb.print_exc()
    sys.stderr.write(f"mspgt: {sentence}\n")
    return code


def _interrupted(arguments: list[str]) -> str:
    computes = arguments[0] in ("run", "intervene", "drift") if arguments else False
    return f"interrupted; {'nothing was computed yet' if computes else 'what was saved before is intact'}."


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN if "LOCAL_RANK" in os.environ else signal.SIG_DFL)
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
