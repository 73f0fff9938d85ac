"""Settings of `mspgt drift`: which checkpoints, the keys of a run, and what is refused before anything is read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mspgt.cli.main import main
from mspgt.config import drift as drift_config
from mspgt.config.drift import DriftOptions, build
from mspgt.config.keys import write_yaml
from mspgt.config.run import RunOptions
from mspgt.core.errors import UserError


@pytest.mark.parametrize("given", ["runs/a,runs/b", "runs/a, runs/b", ["runs/a", "runs/b"], (Path("runs/a"), "runs/b")])
def test_checkpoints_are_given_as_text_or_places(given: Any) -> None:
    assert build({"checkpoints": given}).options.checkpoints == ("runs/a", "runs/b")
    assert build({"checkpoints": Path("runs/a")}).options.checkpoints == ("runs/a",)


def test_every_other_key_is_one_of_a_run() -> None:
    config = build({"checkpoints": "a", "limit": "50", "plugins": "cka", "cka.estimator": "biased", "weights.cka": 2})
    assert (config.run.options.limit, config.run.options.plugins) == (50, ("cka",))
    assert config.run.signals["cka"] == {"estimator": "biased"}
    assert config.run.weights == {"cka": 2.0}


def test_a_model_that_was_not_given_is_none() -> None:
    assert RunOptions().model is not None
    assert build({"checkpoints": "a"}).run.options.model is None
    assert build({"checkpoints": "a", "model": "minilm"}).run.options.model == "minilm"


def test_a_preset_sets_what_it_sets_for_a_run() -> None:
    run = build({"checkpoints": "a", "preset": "paper"}).run
    assert (run.options.context, run.signals["cka"]["estimator"]) == ("sentence", "biased")


@pytest.mark.parametrize(
    "given",
    [
        {"checkpoints": "a,b", "against": "c,d", "weights.cka": 2, "probe": {"seeds": 3}, "preset": "paper"},
        {"revisions": "step1000,step2000", "model": "org/name", "offline": "true"},
    ],
)
def test_what_is_written_down_can_be_given_again(given: dict[str, Any], tmp_path: Path) -> None:
    config = build(given)
    write_yaml(config.as_dict(), tmp_path / "config.yaml")
    assert build({}, tmp_path / "config.yaml") == build(config.as_dict())
    assert build(config.as_dict()).as_dict() == config.as_dict()


def test_keys_go_before_a_file(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text("checkpoints: [a, b]\nlimit: 5\nbootstrap: 200\n")
    config = build({"limit": 7}, file)
    assert config.options.checkpoints == ("a", "b")
    assert (config.run.options.limit, config.run.options.bootstrap) == (7, 200)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "no checkpoints are named: give checkpoints="),
        ({"model": "org/name"}, "no checkpoints are named"),
        ({"checkpoints": "a", "revisions": "b", "model": "org/name"}, "both given"),
        ({"checkpoints": ""}, "checkpoints= names nothing"),
        ({"checkpoints": "a,a"}, "checkpoints=a,a names one twice"),
        ({"checkpoints": 3j}, "checkpoints=3j: expected list of text"),
        ({"revisions": "a,b"}, "revisions=a,b needs model="),
        ({"revisions": "a,a", "model": "org/name"}, "names one twice"),
        ({"checkpoints": "a", "revision": "b"}, "give revisions="),
        ({"checkpoints": "a", "out": "./r", "against": "s,r/../r"}, "out=./r is one of against=s,r/../r"),
        ({"checkpoints": "a", "limit": 0}, "limit=0: allowed is at least 1"),
        ({"checkpoints": "a", "plugins": "cka,atn"}, "unknown signal 'atn'. Did you mean 'attn'?"),
        ({"chekpoints": "a"}, "unknown key 'chekpoints'. Did you mean 'checkpoints'? `mspgt drift --help`"),
        ({"checkpoints": "a", "revison": "b"}, "unknown key 'revison'. Did you mean 'revisions'?"),
        ({"checkpoints": "a", "bootstap": 5}, "Did you mean 'bootstrap'? `mspgt drift --help` lists all."),
        ({"checkpoints": "a", "cka.estimater": 5}, "Did you mean 'cka.estimator'?"),
        ({"checkpoints": "a", "plugins": "attn", "cka.scale": 5}, "cka is not among the plugins"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        build(keys)
    assert said in str(raised.value)


def test_help_lists_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "--help"]) == 0
    said = capsys.readouterr().out
    listed = {line.split()[0] for line in said.splitlines() if line.strip()}
    wanted = {f.name for f in (*dataclasses.fields(DriftOptions), *dataclasses.fields(RunOptions))} - {"revision"}
    assert wanted | {"config", "cka.estimator", "probe.seeds", "attn.heads", "weights.<signal>"} <= listed
    assert "revision" not in listed
    keys = " ".join(said.partition("meaning")[2].split())
    assert drift_config.MODEL.partition(";")[0] in keys
    assert "tiny-llama-a" not in keys  # what a run measures where no model is given
