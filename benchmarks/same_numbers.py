"""Whether another version computes the same numbers: both do the same jobs, and their results are compared.

    python benchmarks/same_numbers.py OLD NEW [--only run,minilm,experiment,doses,drift] [--keep DIR] [--shared DIR]
                                      [--old-results DIR] [--new-results DIR]

OLD and NEW are checkouts, each with its own `.venv`. A number may differ by `TOLERANCE` of the largest in its curve;
texts, whole numbers and truth values must be equal. Where a value stands in its file may differ: `MOVED` says where it
went. Exit code 0: nothing that both write differs; 1: something does, or a job failed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from same_numbers_jobs import JOBS, RESULTS, Side

TOLERANCE = 1e-12
SHOWN = 12  # differences of each kind that are printed

FILES = (*RESULTS, "signals.csv", "interventions.csv", "drift.csv", "boundaries.csv", "generations.jsonl")

# ---------------------------------------------------------------------- where values stand
#
# A path is `signals.cka.value[3]`; a line of a table or of a text file is `signals.csv[cka,3].value`. A pattern is a
# regular expression that must match from the start of a path up to the end of one of its names: what lies below moves
# with it.

NAMED_BY: Mapping[str, tuple[str, ...]] = {
    "effects": ("metric", "condition"),
    "points": ("step",),
    "changes": ("from", "to"),
    "noise": ("layer",),
    "examples": ("sample",),
    "signals.csv": ("signal", "transition"),
    "interventions.csv": ("metric", "condition"),
    "drift.csv": ("step", "signal", "transition"),
    "boundaries.csv": ("step", "rule", "boundary"),
}
"""list -> what names its rows, in place of their numbers, where every row has it"""

MOVED: Sequence[tuple[str, str | Callable[[re.Match[str]], str]]] = (
    (r"conditions\[(\d+)\]", r"conditions[\1].name"),
    (r"(effects\[[^\]]*\])\.n", r"\1.difference.n"),
    (r"settings\.confidence", "bootstrap.confidence"),
    (r"settings", "settings.further"),
    (r"(verdicts\.\w+)\.numbers\.matched\.verdict", r"\1.matched.verdict"),
    (r"(verdicts\.\w+)\.numbers\.matched\.(\w+)\.n", r"\1.matched.numbers.\2.difference.n"),
    (r"(verdicts\.\w+)\.numbers\.matched", r"\1.matched.numbers"),
    (r"(verdicts\.\w+\.numbers\.\w+)\.n", r"\1.difference.n"),
    (r"run\.layers\.local", "run.groups[0].blocks"),
    (r"run\.layers\.intermediate", "run.groups[1].blocks"),
    (r"run\.layers\.global", "run.groups[2].blocks"),
    (
        r"(.*signals\.cka)\.details\.matrix\[(\d+)\]\[(\d+)\]",
        lambda found: f"{found[1]}.series.matrix.values.{int(found[3]) + 1}[{found[2]}]",
    ),
    (r"(.*signals\.cka)\.details\.zscore_sensitivity", r"\1.series.zscore_sensitivity.values"),
    (r"(.*signals\.probe)\.details\.tasks\.(\w+)\.validation_loss_by_epoch", r"\1.series.validation_loss.values.\2"),
    (r"(.*signals\.probe)\.details\.tasks\.(\w+)\.(\w+)", r"\1.series.\3.values.\2"),
    (r"(.*signals\.attn)\.details\.value_by_position", r"\1.series.value_by_position.values"),
    (r"(.*signals\.attn)\.details\.unit", r"\1.unit"),
    (r"(.*signals\.probe)\.details\.noise_share", r"\1.noise_share"),
    (r"(.*signals\.\w+)\.details\.(\w+)", r"\1.series.\2.values.\2"),
)
"""(old pattern, new): the first whose new path exists counts; where none does, the value is looked for where it was"""

REWORDED: Sequence[tuple[str, str]] = (
    ("no peak of the demanded prominence", "no peak of the prominence that the rule needs"),
    ("it cannot be told which boundary it is", "this does not tell which boundary it is"),
    (r"less than (\d+) is demanded", r"the rule needs less than \1"),
    (r"; at most (\d+%) is demanded", r"; the rule needs at most \1"),
    (r"; (\d+%) is demanded", r"; the rule needs \1"),
    (r"(\d) signals are demanded", r"the rule needs \1 signals"),
    (
        "a boundary within two transitions of an end cannot be told from a trend",
        "the test cannot tell a boundary within two transitions of an end from a trend",
    ),
    ("two are needed to part local", "two are needed to separate local"),
    (
        "So few signals at this depth cannot be told from chance",
        "No test can tell so few signals at this depth from chance",
    ),
)
"""(pattern in an old text, what stands there now): sentences whose words were changed, and nothing else of them"""

GONE: Sequence[tuple[str, str]] = ()
"""(old pattern, reason): what is expected to be missing, such as ("overall.share", "no longer written")"""

IGNORED = (
    *("schema", "kind"),
    r"provenance\.(mspgt|git|python|packages|command|started|seconds)",
    *(r"settings\.(out|run|checkpoints)", r"run\.path"),
    *(r"points\[\d+\]\.(seconds|provenance)", r"overhead\.(seconds|share)"),
)
"""patterns of old and new paths that are not compared: times, versions, places"""

CONDITION = r"(?<=\.)(baseline|local|intermediate|global)(-control|-matched)?(@[\d.]*\d)?(?=\.|$)"
"""names that are counted as one where missing values are listed"""


def matching(pattern: str, path: str) -> re.Match[str] | None:
    """Whether a pattern of the table is about a path."""
    return re.match(rf"(?:{pattern})(?=[.\[]|$)", path)


def destination(path: str, new: Mapping[str, Any]) -> str | None:
    """Where the value of an old path stands in the new results; None where nowhere."""
    for pattern, there in MOVED:
        if found := matching(pattern, path):
            moved = (found.expand(there) if isinstance(there, str) else there(found)) + path[found.end() :]
            if moved in new:
                return moved
    return path if path in new else None


def ignored(path: str) -> bool:
    """Whether a path is not compared."""
    return any(matching(pattern, path) for pattern in IGNORED)


def curve_of(path: str) -> str:
    """The path without its last numbers in brackets: what is alike then is one curve."""
    return re.sub(r"(?<=[\[,])\d+(\]\[\d+)*(?=\](?!.*[\[,]\d))", "", path)


def group_of(path: str) -> str:
    """The path under which missing values are counted."""
    return re.sub(CONDITION, "*", re.sub(r"\[[^\]]*\]", "[]", path))


# ---------------------------------------------------------------------- reading results


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of everything that is not a list or a mapping; NaN as None."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from flatten(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for label, item in zip(row_labels(path, value), value, strict=True):
            yield from flatten(item, f"{path}[{label}]")
    else:
        yield path, None if value != value else value


def row_labels(path: str, rows: list[Any]) -> Iterable[Any]:
    """What names the rows of a list: `NAMED_BY`, else their numbers."""
    names = NAMED_BY.get(path)
    if names and all(isinstance(row, Mapping) and row.keys() >= set(names) for row in rows):
        labels = [",".join(str(row[name]) for name in names) for row in rows]
        if len(set(labels)) == len(labels):
            return labels
    return range(len(rows))


def read_results(folder: Path, places: Iterable[str]) -> dict[str, Any]:
    """Every value in the files of a folder, by its path; `places` are taken out of texts, the first one first."""
    contents: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        if file.name not in FILES:
            continue
        text = file.read_text(encoding="utf-8")
        for place in places:
            text = text.replace(f"{place}/", "")
        if file.name in RESULTS:
            contents |= json.loads(text)
        elif file.suffix == ".csv":
            rows = csv.DictReader(text.splitlines(keepends=True))
            contents[file.name] = [{column: cell(value) for column, value in row.items()} for row in rows]
        else:
            contents[file.name] = [json.loads(line) for line in text.split("\n") if line]
    return dict(flatten(contents))


def cell(text: str) -> Any:
    """What a cell of a CSV file says: a number, a text, or nothing."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


# ---------------------------------------------------------------------- comparing


@dataclass
class Comparison:
    """What two results have in common, and what not."""

    compared: Counter[str] = field(default_factory=Counter)
    largest: tuple[float, str] = (0.0, "")
    """largest relative difference of a number, and where"""
    beyond: list[str] = field(default_factory=list)
    """numbers that differ by more than the tolerance"""
    differing: list[str] = field(default_factory=list)
    """texts, whole numbers, truth values and nulls that differ"""
    missing: dict[str, Counter[str]] = field(default_factory=dict)
    """where values are missing -> group of paths -> how many"""

    @property
    def same(self) -> bool:
        """Whether something was compared, and nothing differs."""
        return bool(self.compared) and not self.beyond and not self.differing

    def judge(self, path: str, old: Any, new: Any, scale: float) -> None:
        """Compare two values; `scale` is the largest of the curve."""
        if is_number(old) and is_number(new) and float in (type(old), type(new)):
            gap = 0.0 if old == new else abs(old - new) / scale
            self.compared["numbers"] += 1
            self.largest = max(self.largest, (gap, path if gap else ""))
            if not gap <= TOLERANCE:
                self.beyond.append(f"{path}: {old!r} -> {new!r} ({gap:.1e})")
            return
        self.compared["texts" if isinstance(old, str) else "others"] += 1
        if isinstance(old, str):
            for words, now in REWORDED:
                old = re.sub(words, now, old)
        if old != new or isinstance(old, bool) != isinstance(new, bool):
            self.differing.append(f"{path}: {old!r}\n      -> {new!r}")

    def miss(self, where: str, path: str) -> None:
        """Count a value that only one of the two writes."""
        self.missing.setdefault(where, Counter())[group_of(path)] += 1


def is_number(value: Any) -> bool:
    """Whether a value is a number; truth values are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Compare all values that both have."""
    found = Comparison()
    pairs = {path: destination(path, new) for path in old if not ignored(path)}
    scales: dict[str, float] = {}
    for path, there in pairs.items():
        values = (old[path], new[there]) if there else (old[path],)
        sizes = [abs(value) for value in values if is_number(value)]
        scales[curve_of(path)] = max(scales.get(curve_of(path), 0.0), *sizes, 0.0)
    for path, there in pairs.items():
        if there is not None:
            found.judge(path, old[path], new[there], scales[curve_of(path)])
        else:
            reason = next((f", as expected: {reason}" for pattern, reason in GONE if matching(pattern, path)), "")
            found.miss(f"only in OLD{reason}", path)
    reached = set(pairs.values())
    for path in new:
        if path not in reached and not ignored(path):
            found.miss("only in NEW", path)
    return found


def show(name: str, found: Comparison) -> None:
    """Print a comparison."""
    counts = ", ".join(f"{count:,} {what}" for what, count in found.compared.items())
    gap, path = found.largest
    print(f"{name}: {counts or 'nothing'} compared: {'the same' if found.same else 'NOT THE SAME'}")
    print(f"  largest relative difference: {f'{gap:.1e} at {path}' if path else 0}")
    for title, lines in (("numbers beyond the tolerance", found.beyond), ("other values differ", found.differing)):
        listed(f"{len(lines):,} {title}", lines[:SHOWN], len(lines) - SHOWN)
    for where, groups in found.missing.items():
        listed(f"{groups.total():,} {where}", [f"{group}  × {count:,}" for group, count in groups.items()])


def listed(title: str, lines: Sequence[str], more: int = 0) -> None:
    """Print lines under a title; nothing where there are none."""
    if lines:
        print("\n    ".join([f"  {title}:", *lines, *([f"... and {more:,} more"] if more > 0 else [])]))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD", help="checkout of the version that is right")
    parser.add_argument("new", type=Path, metavar="NEW", help="checkout of the version that is tried")
    parser.add_argument("--only", default=",".join(JOBS), help="jobs, separated by commas; all where not given")
    parser.add_argument("--keep", type=Path, help="folder in which the results are kept, under old/ and new/")
    parser.add_argument("--shared", type=Path, help="folder with data/ewt; `shared` beside OLD where not given")
    for side in ("old", "new"):
        text = f"results of {side.upper()}, as --keep left them: what is there is not made again, what is not is added"
        parser.add_argument(f"--{side}-results", type=Path, help=text)
    given = parser.parse_args(arguments)
    if unknown := set(given.only.split(",")) - set(JOBS):
        parser.error(f"no job is called {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    return given


def sides(given: argparse.Namespace, keep: Path) -> tuple[Side, Side]:
    """Both versions; `keep` holds the results that no other folder holds."""
    folders = (given.old_results or keep / "old", given.new_results or keep / "new")
    old = Side(given.old.resolve(), folders[0].resolve(), given.old_results is not None)
    return old, Side(given.new.resolve(), folders[1].resolve(), given.new_results is not None)


def same(job: str, old: Side, new: Side, shared: Path) -> bool | None:
    """Do a job with both versions, print how the results differ, and tell whether they are the same; None: skipped."""
    if job == "minilm" and not (shared / "data/ewt/en_ewt-dev.conllup").is_file():
        print(f"minilm: skipped, there is no en_ewt-dev.conllup in {shared / 'data/ewt'} (--shared DIR)")
        return None
    places = {"shared": shared, "checkpoints": old.checkpoints() if job == "drift" else old.root}
    everywhere = sorted({str(place) for side in (old, new) for place in (side.root, side.checkout)}, key=len)[::-1]
    found = compare(*(read_results(side.make(job, places), everywhere) for side in (old, new)))
    show(job, found)
    return found.same


def main(arguments: Sequence[str]) -> int:
    """Do all jobs with both versions, compare, and give the exit code."""
    given = parse(arguments)
    wanted = set(given.only.split(","))
    if wanted & {"experiment", "doses"}:
        wanted.add("run")  # whose model and corpus they take
    with tempfile.TemporaryDirectory() as temporary:
        old, new = sides(given, given.keep or Path(temporary))
        shared = (given.shared or old.checkout.parent / "shared").resolve()
        answers = {same(job, old, new, shared) for job in JOBS if job in wanted} - {None}
    print("the same numbers" if answers == {True} else "NOT the same numbers" if answers else "nothing was compared")
    return 0 if answers == {True} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
