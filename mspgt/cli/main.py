"""The command line: `mspgt VERB [key=value ...]`. Verbs are thin; what they do lives elsewhere.

Exit codes: 0 done; 1 internal error or the machine failed; 2 the user's mistake or unusable input; 3 done, but
something was left out; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from mspgt.cli.verbs import VERBS, Computes
from mspgt.core.errors import Interrupted, UserError, unknown

if TYPE_CHECKING:
    from rich.console import Console

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
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        raise unknown("verb", name, VERBS, "`mspgt --help` says what each does.")
    if "-h" in rest or "--help" in rest:
        from mspgt.cli import listing

        listing.explain(name, VERBS[name].usage, VERBS[name].summary, _console(stderr=False))
        return 0
    return VERBS[name].do(rest, _console(), _console(stderr=False))


def _overview() -> int:
    from rich.table import Table

    console = _console(stderr=False)
    console.print(f"{SUMMARY}\n\nmspgt VERB \\[key=value ...] \\[config=file.yaml]\n", highlight=False)
    table = Table(box=None, show_header=False)
    for name, verb in VERBS.items():
        table.add_row(f"  {name}", verb.summary)
    console.print(table)
    console.print("\n`mspgt VERB --help` lists every key. Example: mspgt run plugins=cka,probe,attn", highlight=False)
    return 0


def _console(stderr: bool = True) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)


def _fail(sentence: str, code: int, traceback: bool) -> int:
    if traceback:
        import traceback as tb

        tb.print_exc()
    sys.stderr.write(f"mspgt: {sentence}\n")
    return code


def _interrupted(arguments: list[str]) -> str:
    computes = bool(arguments) and arguments[0] in VERBS and isinstance(VERBS[arguments[0]].do, Computes)
    return f"interrupted; {'nothing was computed yet' if computes else 'what was saved before is intact'}."


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN if "LOCAL_RANK" in os.environ else signal.SIG_DFL)
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
