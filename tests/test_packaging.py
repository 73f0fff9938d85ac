"""What is shipped: every package, nothing called `plugins` at top level, imports one way, help at once."""

from __future__ import annotations

import resource
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from mspgt.cli.main import VERBS, main
from mspgt.config.intervene import InterveneOptions
from mspgt.config.run import RunOptions
from mspgt.contracts import registry
from mspgt.core.options import describe

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_with_code_is_a_declared_package() -> None:
    found = {"mspgt": ROOT / "mspgt", "mspgt.plugins": ROOT / "plugins", "mspgt.callbacks": ROOT / "callbacks"}
    names = {
        ".".join([name, *p.parent.relative_to(root).parts])
        for name, root in found.items()
        for p in root.rglob("__init__.py")
        if root.name != "mspgt" or not {"plugins", "callbacks"} & {*p.parts}
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names


def test_entry_points_and_built_ins_are_the_same() -> None:
    for kind in registry.KINDS:
        declared = PROJECT["project"]["entry-points"][kind.group]
        assert declared == {e.name: e.target for e in registry.BUILT_IN[kind].values()}
        installed = {p.name: p.value for p in entry_points(group=kind.group)}
        assert installed.items() >= declared.items()


@pytest.mark.parametrize("name", ["plugins", "callbacks"])
def test_root_folders_are_not_importable_by_their_short_names(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"import mspgt.{name} instead of {name}" in done.stderr


def test_imports_run_one_way() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed: pip install 'mspgt[dev]'")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_constraints_pin_every_dependency() -> None:
    pins = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    extras = [r for group in ("dev", "datasets") for r in PROJECT["project"]["optional-dependencies"][group]]
    for requirement in PROJECT["project"]["dependencies"] + extras:
        assert requirement.split(">")[0].lower() in pins, requirement


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["intervene", "--help"], ["ls"], ["ls", "cka"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom mspgt.cli.main import main\n"
        f"code = main({arguments!r})\n"
        "heavy = {'torch', 'transformers', 'lightning', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 5.0  # a hang, not a budget


@pytest.mark.parametrize(
    ("verb", "options", "kinds"),
    [("run", RunOptions, [registry.SIGNAL]), ("intervene", InterveneOptions, [registry.INTERVENTION, registry.METRIC])],
)
def test_help_lists_every_key_and_verb(
    verb: str, options: type, kinds: list[registry.PluginKind], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    keys = [o.name for o in describe(options)]
    entries = [entry for kind in kinds for entry in registry.BUILT_IN[kind].values()]
    keys += [f"{e.name}.{o.name}" for e in entries for o in describe(e.option_class())]
    missing = [key for key in keys if not any(line.split()[:1] == [key] for line in said.splitlines())]
    assert not missing
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in VERBS)


def test_a_wheel_holds_the_three_roots_under_one_name(tmp_path: Path) -> None:
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=_copy(tmp_path), capture_output=True, text=True, check=False
    )
    if "No module named 'setuptools'" in done.stderr:
        pytest.skip("setuptools is not installed here")
    assert done.returncode == 0, done.stderr[-2000:]
    import zipfile

    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {n.split("/")[0] for n in names} == {"mspgt", "mspgt-0.1.0.dist-info"}
    for expected in ("mspgt/plugins/signals/cka/cka.py", "mspgt/callbacks/accumulate.py", "mspgt/py.typed"):
        assert expected in names


def _copy(tmp_path: Path) -> Path:
    import shutil

    target = tmp_path / "source"
    skipped = shutil.ignore_patterns(
        ".git", ".venv", "*.egg-info", "build", "runs", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, target, symlinks=True, ignore=skipped)
    return target
