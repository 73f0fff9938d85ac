"""Settings: defaults <- preset <- file <- keys, and one sentence for everything that is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mspgt.config.keys import key_values, read_yaml, write_yaml
from mspgt.config.run import PRESETS, build
from mspgt.core.errors import UserError


def test_keys_go_before_file_before_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("preset: paper\nlimit: 50\nbootstrap: 200\ncka:\n  rows_per_sentence: 2\n", encoding="utf-8")
    settings = build({"limit": "7"}, file)
    assert settings.options.context == PRESETS["paper"]["context"]
    assert settings.options.bootstrap == 200
    assert settings.options.limit == 7
    assert settings.signals["cka"] == {"estimator": "biased", "rows_per_sentence": 2}


def test_a_preset_skips_options_of_signals_that_are_not_asked_for() -> None:
    assert build({"preset": "paper", "plugins": "attn"}).signals == {"attn": {}}


def test_written_settings_read_back_the_same(tmp_path: Path) -> None:
    settings = build({"plugins": "cka,attn", "cka.estimator": "biased", "weights.cka": 2, "data": "a: b.txt"})
    write_yaml(settings.as_dict(), tmp_path / "c.yaml")
    again = build(read_yaml(tmp_path / "c.yaml"))
    assert again.as_dict() == settings.as_dict()
    assert again.weights == {"cka": 2.0}


def test_a_path_is_written_as_its_text() -> None:
    assert build({"data": Path("corpus.txt")}).as_dict()["data"] == "corpus.txt"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["a=1", "b=x=y"], {"a": "1", "b": "x=y"}),
        (["--max-length", "64", "--resume", "--out=o"], {"max_length": "64", "resume": "true", "out": "o"}),
        (["--resume", "limit=5"], {"resume": "true", "limit": "5"}),
    ],
)
def test_command_lines_are_read(arguments: list[str], found: dict[str, str]) -> None:
    assert key_values(arguments) == found


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"plugin": "cka"}, "Did you mean 'plugins'"),
        ({"plugins": "ckaa"}, "Did you mean 'cka'"),
        ({"plugins": ""}, "names nothing"),
        ({"plugins": "cka,cka"}, "twice"),
        ({"cka.estimatr": "biased"}, "Did you mean 'cka.estimator'"),
        ({"cka.estimator": "biasd"}, "Did you mean 'biased'"),
        ({"plugins": "cka", "probe.seeds": 3}, "probe is not among the plugins"),
        ({"weights.cka": "0"}, "above 0"),
        ({"weights.cka": "nan"}, "above 0"),
        ({"limit": 0}, "at least 1"),
        ({"limit": "many"}, "expected integer"),
        ({"bootstrap": 10}, "at least 100"),
        ({"resume": "perhaps"}, "expected true or false"),
        ({"dtype": "fp8"}, "Available: auto, bfloat16, float16, float32"),
        ({"preset": "papr"}, "Did you mean 'paper'"),
    ],
)
def test_a_bad_key_or_value_is_one_sentence(keys: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        build(keys)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2", "- a\n- b", "just words", "a: ${b}", "\t:", ""])
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    if text == "":
        assert build({}, file).options.model == build({}).options.model
        return
    with pytest.raises(UserError):
        build({}, file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        build({}, tmp_path / "none.yaml")


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_command_line_gives_settings_or_a_user_error(arguments: list[str]) -> None:
    with contextlib.suppress(UserError):
        build(key_values(arguments))
