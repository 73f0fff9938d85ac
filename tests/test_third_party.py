"""A signal from another package: found by its entry point, held to the same laws, and named when it fails."""

import json
import os
import re
import subprocess
import sys

import drift_training
import numpy as np
import pytest
import torch
from third_party import BROKEN, TURN, lay_out

import mspgt
from mspgt.contracts import registry
from mspgt.core.errors import PluginError, UserError
from mspgt.measure.evaluate import Measured, Rule, evaluate
from mspgt.testing import SignalConformance, measure, planted_corpus

pytest_plugins = ["pytester"]


def test_an_entry_point_makes_a_signal_known(installed):
    assert "mine" not in registry.signals()
    installed({"mine": "mine_package:Turn"})
    entry = registry.signals()["mine"]
    assert entry.distribution == "mine-package 0.3"
    assert entry.load().summary == "mean cosine distance between neighbouring blocks"
    assert type(registry.create_signal("mine", {}, seed=1)).__name__ == "Turn"
    assert entry.option_class().__name__ == "NoOptions"
    assert entry.load().weight == 0.5


def test_it_is_known_in_another_process_too(tmp_path):
    lay_out(tmp_path, {"mine": "mine_package:Turn"})
    code = "import json; from mspgt.contracts import registry; print(json.dumps(list(registry.signals())))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mine" in json.loads(done.stdout)


def test_a_plugin_is_not_imported_before_it_is_used(installed):
    installed({"mine": "mine_package:Turn"})
    registry.signals()
    assert "mine_package" not in sys.modules


def test_a_clash_with_a_built_in_names_both(installed):
    installed({"cka": "mine_package:Turn"})
    with pytest.raises(
        UserError, match=r"'cka': mspgt\.plugins\.signals\.cka\.cka:CKA of mspgt and mine_package:Turn of mine-package"
    ):
        registry.signals()


def test_a_clash_of_two_packages_names_both(installed):
    installed({"mine": "mine_package:Turn"})
    installed({"mine": "other:Turn"}, module="other", name="other-package", version="2.0")
    with pytest.raises(UserError, match=r"(?=.*mine-package 0\.3)(?=.*other-package 2\.0)"):
        registry.signals()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "AttributeError.*Turn"),
    ],
)
def test_a_plugin_that_does_not_import_is_named_with_its_version(installed, source, said):
    installed({"mine": "mine_package:Turn"}, source=source)
    entry = registry.signal("mine")  # the listing and the other plugins are not affected
    assert registry.signal("attn").load()
    with pytest.raises(PluginError, match=rf"plugin 'mine' of mine-package 0\.3 could not be imported \({said}"):
        entry.load()


def test_a_plugin_that_cannot_be_built_is_named_with_its_version(installed):
    source = TURN + "\n    def __init__(self, **_):\n        raise ValueError('no weights file')\n"
    installed({"mine": "mine_package:Turn"}, source=source)
    with pytest.raises(PluginError, match=r"'mine' of mine-package 0\.3 could not be built \(ValueError: no weights"):
        registry.create_signal("mine", {})


@pytest.mark.parametrize(
    ("need", "sentence"),
    [
        ("gradient", r"it needs gradient \(gradients .*\), which this version does not give; leave the signal out"),
        ("own_passes", r"it needs own_passes \(forward passes .*\), which this version does not give"),
        ("head", r"it needs head \(.*logits.*\), which this version does not give"),
        ("atention", r"unknown need 'atention'\. Did you mean 'attention'\? Available: attention, gradient, head"),
    ],
)
def test_a_need_that_is_not_met_is_refused_before_anything_is_done(installed, need, sentence):
    installed({"mine": "mine_package:Turn"}, source=TURN + f"\n    needs = frozenset({{'labels', {need!r}}})\n")
    with pytest.raises(PluginError, match=rf"^plugin 'mine' of mine-package 0\.3: {sentence}"):
        registry.create_signal("mine", {})


def test_its_series_and_figure_stand_beside_its_curve(installed):
    installed({"mine": "mine_package:Turn"})
    corpus = planted_corpus(documents=12)
    through = measure(registry.create_signal("mine", {}), corpus.batches())
    measured = {"mine": Measured(through.signal, through.state, None, "planted")}
    found = evaluate(measured, corpus.blocks, Rule({}, None, 10, 0)).signals["mine"]
    tokens = torch.cat([s.hidden[1:, s.content] for s in corpus.sequences], dim=1).norm(dim=-1)  # (block, token)
    growth = found.series["growth"]
    assert (growth.axis, list(growth.rows)) == ("transition", list(range(1, corpus.blocks)))
    np.testing.assert_allclose(growth.values["growth"], (tokens[1:] / tokens[:-1]).mean(1), rtol=1e-5)
    assert [figure.name for figure in found.figures] == ["turn-growth", "turn-stages"]
    assert (found.series["stages"].axis, found.series["stages"].names) == ("stage", ("early", "late"))
    assert found.details["tokens"] == tokens.shape[1]


def test_its_series_and_figure_are_shown_like_those_of_a_built_in_one(installed, tmp_path):
    installed({"mine": "mine_package:Turn"})
    out = tmp_path / "run"
    mspgt.run(model="tiny-llama-a", data="grammar", limit=80, plugins="mine", bootstrap=100, accelerator="cpu", out=out)
    run = mspgt.load(out)
    growth = run.signals["mine"].series["growth"].values["growth"]
    assert [row["value"] for row in run.to_rows("series") if row["series"] == "growth"] == growth.tolist()
    assert "growth" in (out / "series.csv").read_text()
    assert "<svg" in (out / "figures/turn-growth.svg").read_text()
    drawn = (out / "figures/turn-stages.svg").read_text()
    assert ">early<" in drawn
    assert ">late<" in drawn
    stages = [row for row in run.to_rows("series") if row["series"] == "stages"]
    assert [(row["axis"], row["row"]) for row in stages] == [("stage", "early"), ("stage", "late")]
    assert "mine,stages,stage,early," in (out / "series.csv").read_text()
    page = (out / "report.html").read_text()
    assert "Growth of the residual stream" in page
    assert re.search(r"<t[hd][^>]*>\s*(<span[^>]*>)?early", page)
    assert "norm of a block's output over that of the block before" in page.replace("&#39;", "'")


AUTHORS_TEST = """
from mspgt.testing import SignalConformance


class TestMine(SignalConformance):
    signal = "mine"
"""


def test_it_passes_the_conformance_suite(installed, pytester):
    installed({"mine": "mine_package:Turn"})
    pytester.makepyfile(test_mine=AUTHORS_TEST)
    passed, skipped, failed = pytester.inline_run("-p", "no:cacheprovider", "-q").countoutcomes()
    assert (
        passed == len([name for name in dir(SignalConformance) if name.startswith("test_")]) + 2
    )  # two have two cases
    assert (skipped, failed) == (0, 0)


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
def test_a_signal_of_another_package_is_followed_through_a_training(installed, tmp_path):
    installed({"mine": "mine_package:Turn", "broken": "mine_package:Broken"}, source=BROKEN)
    callback = drift_training.boundary_drift(plugins="cka,mine,broken", out=tmp_path / "d", weights={"mine": 0.7})
    _, trainer = drift_training.train(tmp_path, callback, steps=4)
    drift = callback.drift
    assert drift.steps.tolist() == [0, 3, 4]
    for point in drift.points:
        turn = point.signals["mine"]
        assert turn.weight == 0.7
        assert (turn.low < turn.high).all()
        assert point.left_out == (
            "plugin 'broken' raised while it observed a batch (RuntimeError: no luck); it was left out.",
        )
    for change in drift.changes:
        assert (change.signals["mine"].value != 0).all()
        assert (change.signals["mine"].low < change.signals["mine"].high).all()
    rows = drift_training.rows_of(trainer.logger, ours=True)
    assert [float(row["mspgt/max/mine"]) for row in rows] == [p.signals["mine"].value.max() for p in drift.points]
