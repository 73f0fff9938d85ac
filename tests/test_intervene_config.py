"""Settings of `mspgt intervene`: defaults, files, keys, and what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mspgt.config.intervene import build
from mspgt.config.keys import deciding_options
from mspgt.contracts import registry
from mspgt.core.errors import UserError


def test_defaults_are_the_papers_experiment() -> None:
    o = build({"run": "somewhere"}).options
    assert (o.intervention, o.sigma, o.apply, o.dose, o.controls) == ("gaussian", (0.1,), "all", "paper", False)
    assert (o.samples, o.prompt_tokens, o.new_tokens, o.decoding) == (1000, 16, 100, "sample")
    assert o.boundaries is None
    assert {*o.metrics} == {*registry.BUILT_IN[registry.METRIC]}


@pytest.mark.parametrize("given", ["5,9", "5, 9", (5, 9), ["5", "9"]])
def test_boundaries_are_given_as_text_or_numbers(given: Any) -> None:
    assert build({"run": "r", "boundaries": given}).options.boundaries == ("5", "9")


def test_keys_go_before_a_file(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("run: r\nboundaries: [5, 9]\nsigma: [0.1, 0.2]\nmetrics: [ttr]\nttr: {window: 7}\nsamples: 50\n")
    config = build({"samples": "20", "ttr.variant": "mattr"}, file)
    assert config.options.boundaries == ("5", "9")
    assert (config.options.sigma, config.options.samples) == ((0.1, 0.2), 20)
    assert config.plugins["ttr"] == {"window": 7, "variant": "mattr"}
    assert config.as_dict()["ttr"].items() >= {"variant": "mattr", "window": 7}.items()


def test_what_is_written_down_can_be_given_again(tmp_path: Path) -> None:
    from mspgt.config.keys import write_yaml

    config = build({"run": "r", "boundaries": "thirds", "sigma": "0.1,0.05", "gaussian.per_dim": "true",
                    "metrics": "ttr,self_bleu", "self_bleu.order": "3"})  # fmt: skip
    write_yaml(config.as_dict(), tmp_path / "config.yaml")
    assert build({}, tmp_path / "config.yaml").as_dict() == config.as_dict()


def test_an_object_is_written_down_by_its_class() -> None:
    assert build({"model": object(), "boundaries": "thirds"}).as_dict()["model"] == "<object>"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "give run=DIRECTORY, or model="),
        ({"model": "tiny-llama-a"}, "model=tiny-llama-a needs boundaries="),
        ({"run": 5.0j}, "run=5j: expected text"),
        ({"run": "r", "out": "./r/../r"}, "is the run itself"),
        ({"run": "r", "boundaries": ""}, "boundaries=: give boundaries=5,9"),
        ({"run": "r", "boundaries": "5,²"}, "boundaries=5,²: give"),
        ({"run": "r", "metrics": ""}, "metrics= names nothing"),
        ({"run": "r", "sigma": ""}, "give one strength"),
        ({"run": "r", "samples": "1e400"}, "samples="),
        ({"run": "r", "new_tokens": 0}, "new_tokens=0: allowed is at least 1"),
        ({"run": "r", "resample.x": 1}, "resample is not among the plugins"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        build(keys)
    assert said in str(raised.value)


def test_a_metric_called_like_the_intervention_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = registry.plugins

    def found(kind: registry.PluginKind) -> dict[str, registry.Entry]:
        return dict(plugins(kind)) | ({"scale": plugins(kind)["ttr"]} if kind == registry.METRIC else {})

    monkeypatch.setattr(registry, "plugins", found)
    with pytest.raises(UserError, match="'scale' names an intervention and a metric"):
        build({"run": "r", "intervention": "scale", "metrics": "scale"})
    assert build({"run": "r", "metrics": "scale"}).options.metrics == ("scale",)


def test_how_a_server_is_reached_does_not_decide_what_is_measured() -> None:
    entry = registry.metric("grammaticality")
    usual = deciding_options(entry, {})
    assert deciding_options(entry, {"server": "localhost:9", "clients": 4, "timeout": 5}) == usual
    assert deciding_options(entry, {"spelling": False}) != usual
