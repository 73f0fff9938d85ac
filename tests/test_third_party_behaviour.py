"""An intervention and metrics of another package: through the whole command, under the same laws, named on failure."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mspgt.cli.main import main
from mspgt.contracts import registry
from mspgt.results.intervention import Behaviour

pytest_plugins = ["pytester"]

PACKAGE = '''
from dataclasses import dataclass

import numpy as np

from mspgt import Intervention, Metric, option


@dataclass(frozen=True)
class LetterOptions:
    """Options of `letters`."""

    counted: str = option("aeiou", "letters that count")


class Letters(Metric):
    """Share of the letters of a text that are among those that count; NaN for a text without letters."""

    summary = "share of vowels"
    unit = "share"
    Options = LetterOptions

    def measure(self, texts):
        return np.array([self._share(text.text.lower()) for text in texts], dtype=np.float64)

    def _share(self, text):
        letters = [letter for letter in text if letter.isalpha()]
        return sum(letter in self.options.counted for letter in letters) / len(letters) if letters else np.nan


class Raises(Letters):
    """A metric with a fault."""

    def measure(self, texts):
        return self.weights


class Mirror(Intervention):
    """hidden - strength * 2 * (hidden - mean): at strength 1 the output is mirrored at its mean."""

    summary = "mirrors the output at its mean"
    strength_means = "the mirror image"
    limits = (0.0, 1.0)

    def apply(self, hidden, layer, positions, samples, statistics):
        if self.strength == 0:
            return hidden
        return (hidden - 2 * self.strength * (hidden.float() - statistics.mean)).to(hidden.dtype)


class Stumbles(Mirror):
    """An intervention with a fault."""

    def apply(self, hidden, layer, positions, samples, statistics):
        return hidden + self.weights


class Shrinks(Mirror):
    """An intervention that drops a dimension."""

    def apply(self, hidden, layer, positions, samples, statistics):
        return hidden[..., 1:]
'''
"""a whole third-party package"""
POINTS = {
    registry.METRIC: {"letters": "Letters", "raises": "Raises"},
    registry.INTERVENTION: {"mirror": "Mirror", "stumbles": "Stumbles", "shrinks": "Shrinks"},
}
CONFORMANCE = """
from mspgt.testing import InterventionConformance, MetricConformance


class TestLetters(MetricConformance):
    metric = "letters"


class TestMirror(InterventionConformance):
    intervention = "mirror"
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lay the package out as an installer does, visible during one test."""
    site = tmp_path / "site"
    info = site / "mirrors-0.3.dist-info"
    info.mkdir(parents=True)
    (site / "mirrors_package.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mirrors\nVersion: 0.3\n")
    groups = [
        f"[{kind.group}]\n" + "".join(f"{name} = mirrors_package:{target}\n" for name, target in points.items())
        for kind, points in POINTS.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield site
    sys.modules.pop("mirrors_package", None)


@pytest.fixture
def intervene(installed: Path, tiny_llama: Path, tmp_path: Path) -> Callable[..., int]:
    """`mspgt intervene` on a small corpus with further keys, into `tmp_path / "e"`."""
    (tmp_path / "corpus.txt").write_text(
        "\n\n".join(
            f"{who} slept all day. It rained on {who.lower()}." for who in ("A dog", "The cat", "We", "My cow")
        ),
        encoding="utf-8",
    )

    def call(*keys: str) -> int:
        base = {"model": str(tiny_llama), "boundaries": "thirds", "prompts": str(tmp_path / "corpus.txt"),
                "prompt_tokens": "3", "samples": "4", "new_tokens": "6", "bootstrap": "100", "accelerator": "cpu",
                "metrics": "letters", "out": str(tmp_path / "e")}  # fmt: skip
        given = base | dict(key.split("=", 1) for key in keys)
        return main(["intervene", *(f"{k}={v}" for k, v in given.items())])

    return call


def test_an_experiment_with_plugins_of_others(
    intervene: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert intervene("intervention=mirror", "sigma=0.5,0", "metrics=letters,raises,ttr", "letters.counted=e") == 3
    shown = capsys.readouterr().out
    assert "letters" in shown
    found = Behaviour.load(tmp_path / "e")
    assert [*found.metrics] == ["letters", "ttr"]
    assert found.metrics["letters"].unit == "share"
    assert found.not_measured == {
        "raises": "the metric of mirrors 0.3 raised AttributeError: 'Raises' object has no attribute 'weights'"
    }
    written = {}
    for line in (tmp_path / "e" / "generations.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
        entry = json.loads(line)
        written[entry["condition"], entry["sample"]] = entry["text"]
    shares = [
        sum(letter == "e" for letter in text.lower()) / sum(map(str.isalpha, text))
        for (condition, _), text in written.items()
        if condition == "local"
    ]
    assert found.metrics["letters"].values["local"].mean == pytest.approx(sum(shares) / len(shares))
    assert any(written["local", sample] != written["baseline", sample] for sample in range(4))
    assert all(written["local@0", sample] == written["baseline", sample] for sample in range(4))
    assert found.settings.further["letters"] == {"counted": "e"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            ["intervention=stumbles"],
            "the intervention 'stumbles' of mirrors 0.3 raised AttributeError: 'Stumbles' object",
        ),
        (["intervention=shrinks"], "the intervention Shrinks gave"),
        (["intervention=mirror", "sigma=2"], "sigma=2: the strength of mirror is from 0 to 1"),
        (["intervention=miror"], "Did you mean 'mirror'?"),
        (["letters.count=e"], "Did you mean 'letters.counted'?"),
    ],
)
def test_what_goes_wrong_in_a_plugin_is_one_sentence(
    intervene: Callable[..., int], capsys: pytest.CaptureFixture[str], keys: list[str], said: str
) -> None:
    assert intervene(*keys) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_they_are_listed_with_their_options(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "letters", "mirror"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "letters.counted" in shown
    assert "mirrors 0.3" in shown


def test_a_package_that_does_not_import_is_named_before_anything_is_done(
    intervene: Callable[..., int], installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "mirrors_package.py").write_text("import a_module_that_is_not_there")
    assert intervene() == 2
    assert "plugin 'letters' of mirrors 0.3 could not be imported" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


def test_they_obey_the_laws(installed: Path, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mirrors=CONFORMANCE)
    passed, skipped, failed = pytester.inline_run("-p", "no:cacheprovider", "-q").countoutcomes()
    assert passed > 20
    assert (skipped, failed) == (0, 0)
