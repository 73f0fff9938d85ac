"""The README is executed: its Python blocks run as they stand, its commands exist, its signal is a real plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mspgt.cli.main import VERBS
from mspgt.config import drift as drift_config
from mspgt.config import intervene as intervene_config
from mspgt.config.keys import key_values
from mspgt.config.run import build
from mspgt.contracts import registry

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_first_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in blocks("sh")[0].splitlines():
        assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line


def test_every_command_has_a_verb_and_keys_that_exist() -> None:
    lines = [line.partition("#")[0].split() for block in blocks("sh")[1:] for line in block.splitlines()]
    commands = [line for line in lines if line and line[0] == "mspgt"]
    assert len(commands) > 5
    for _, verb, *arguments in commands:
        assert verb in VERBS
        check = {"run": build, "intervene": intervene_config.build, "drift": drift_config.build}.get(verb)
        if check is not None:
            check(key_values([a for a in arguments if a != "..."]))


def test_every_plugin_and_figure_is_there() -> None:
    for name in registry.BUILT_IN[registry.SIGNAL]:
        assert f"| `{name}`" in README
    for kind in (registry.INTERVENTION, registry.METRIC):
        for name in registry.BUILT_IN[kind]:
            assert f"`{name}`" in README
    for figure in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / figure).is_file(), figure


@pytest.mark.slow
def test_python_blocks_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert "Turn" in scope
    assert [path.name for path in tmp_path.iterdir()] == ["drift"]  # of the training; no run directory was left behind


def install(folder: Path) -> None:
    """Lay the README's package out as an installer does."""
    source = next(block for block in blocks("python") if "SumSignal" in block)
    (folder / "my_package.py").write_text(source, encoding="utf-8")
    info = folder / "my_package-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1\n", encoding="utf-8")
    points = blocks("toml")[0].replace("[project.entry-points.", "[").replace('"', "")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")


def test_the_signal_of_another_package_obeys_the_laws_that_ship_for_it(tmp_path: Path) -> None:
    """The README's own test of its own signal, run as its reader would."""
    install(tmp_path)
    laws = next(block for block in blocks("python") if "SignalConformance" in block)
    (tmp_path / "test_turn.py").write_text("from my_package import Turn\n" + laws, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "test_turn.py",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.slow
def test_the_signal_of_another_package_runs_and_gets_intervals(tiny_llama: Path, tmp_path: Path) -> None:
    install(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}

    def mspgt(*arguments: str) -> str:
        command = [sys.executable, "-m", "mspgt.cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "turn" in mspgt("ls")
    keys = (f"model={tiny_llama}", "limit=300", "bootstrap=100", "accelerator=cpu", "out=r")
    mspgt("run", "plugins=cka,turn", *keys)
    found = json.loads((tmp_path / "r" / "result.json").read_text(encoding="utf-8"))
    turn = found["signals"]["turn"]
    assert turn["weight"] == 0.5
    assert all(low < high for low, high in zip(turn["low"], turn["high"], strict=True))
