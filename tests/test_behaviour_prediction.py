"""Prediction 3.1: the brittleness of two models from their experiments, in Python and by `against=`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from example_behaviour import METRICS, example_behaviour

import mspgt
from mspgt.core.errors import UserError
from mspgt.results.intervention import Behaviour
from mspgt.results.prediction_3_1 import NAME, prediction_3_1
from mspgt.stats.paired.kappa import Brittleness, Slope, SlopeAt
from mspgt.stats.paired.numbers import Coefficients
from mspgt.stats.paired.records import Estimate

example = cache(example_behaviour)


def experiment(name: str, gamma: float, *, se: float = 1.0, kappa: float | None = None, **model: Any) -> Behaviour:
    """The example with another model and planted coefficients of length_variance."""

    def found(value: float) -> Estimate:
        return Estimate(value, value - 2 * se, value + 2 * se, se, 200)

    planted = Brittleness(
        gamma=(SlopeAt(found(gamma), found(gamma), 0.1),),
        per_square=(),
        kappa=None if kappa is None else Slope(found(kappa), found(kappa)),
        kappa_reason="needs 3 strengths or more; there is 1" if kappa is None else None,
        lack_of_fit=None,
    )
    behaviour = example(controls=False, without=tuple(METRICS)[2:])
    answer = replace(behaviour.verdicts[NAME], numbers=Coefficients({"length_variance": planted}))
    known = replace(behaviour.model, **({"name": name, "family": name} | model))
    return replace(behaviour, model=known, verdicts={**behaviour.verdicts, NAME: answer})


@pytest.mark.parametrize(
    ("one", "other", "verdict"), [(-400, 20, "supported"), (30, 20, "contradicted"), (50, 10, "undecided")]
)
def test_the_verdict_follows_the_planted_factor(one: float, other: float, verdict: str) -> None:
    found = prediction_3_1([experiment("llama", one), experiment("qwen2", other)])
    assert found.verdict == verdict
    assert str(found).startswith(f"{verdict}: ")
    ratio = found.numbers.gamma.ratio
    assert ratio.value == pytest.approx(one / other)
    assert ratio.low < one / other < ratio.high
    assert found.numbers.kappa is None


def test_kappa_is_judged_beside_gamma() -> None:
    found = prediction_3_1([experiment("llama", 30, kappa=400), experiment("qwen2", 20, kappa=20)])
    assert (found.verdict, found.numbers.kappa.verdict) == ("contradicted", "supported")
    assert any(reason.startswith("By kappa, llama over qwen2: 20 (") for reason in found.reasons)


def test_what_limits_the_comparison_is_said() -> None:
    one, other = (
        replace(each, run=replace(each.run, accepted=False))
        for each in (experiment("llama", 40), experiment("llama", 4))
    )
    other = replace(other, settings=replace(other.settings, new_tokens=7))
    said = " ".join(prediction_3_1([one, other], names=["a", "b"]).reasons)
    assert "Both models are of the family llama" in said
    assert "The boundaries of a and b were not accepted." in said
    assert "The experiments differ in new_tokens." in said
    assert "llama (1) over llama (2)" in " ".join(prediction_3_1([one, other]).reasons)


def test_what_cannot_be_compared_is_one_sentence(tmp_path: Path) -> None:
    one, other = experiment("llama", 40), experiment("qwen2", 4)
    with pytest.raises(UserError, match="needs 2 or more; got 1"):
        prediction_3_1([one])
    with pytest.raises(UserError, match="are the same result"):
        prediction_3_1([one, one])
    with pytest.raises(UserError, match="have 1 names"):
        prediction_3_1([one, other], names=["a"])
    with pytest.raises(UserError, match="nowhere"):
        prediction_3_1([one, tmp_path / "nowhere"])
    with pytest.raises(UserError, match="compares two experiments; got 3"):
        prediction_3_1([one, other, experiment("gpt2", 1)])
    for changed, message in (
        ({"sigma": 0.7}, r"a common sigma; this one has 0\.1, that on qwen2 0\.7\."),
        ({"intervention": "skip"}, "with one intervention; this one has gaussian, that on qwen2 skip"),
    ):
        conditions = (other.conditions[0], *(replace(c, **changed) for c in other.conditions[1:]))
        with pytest.raises(UserError, match=message):
            prediction_3_1([one, replace(other, conditions=conditions)])
    bare = replace(experiment("qwen2", 4), verdicts={})
    with pytest.raises(UserError, match="the experiment on qwen2 holds no prediction_3_1"):
        prediction_3_1([one, bare])
    assert "no percentage of coherence" in str(prediction_3_1([one, experiment("qwen2", 4)], metric="coherence"))


@pytest.fixture
def keys(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keys of a small experiment; nothing is drawn."""
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})
    return {"model": str(tiny_llama), "boundaries": "4,8", "samples": 12, "new_tokens": 12, "bootstrap": 100,
            "metrics": "ttr,length_variance", "accelerator": "cpu", "prompts": "grammar"}  # fmt: skip


@pytest.mark.slow
def test_an_experiment_answers_against_another_and_keeps_its_own_coefficients(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    other = mspgt.intervene(**keys, seed=1, sigma=0.3, out=tmp_path / "other")
    alone = mspgt.intervene(**keys, sigma=(0.3, 0.5), out=tmp_path / "e")
    before = (tmp_path / "e" / "generations.jsonl").read_bytes()
    found = mspgt.intervene(**keys, sigma=(0.3, 0.5), out=tmp_path / "e", resume=True, against=str(tmp_path / "other"))
    assert (tmp_path / "e" / "generations.jsonl").read_bytes() == before
    expected = prediction_3_1([alone, other])
    answer, mine = (each.verdicts[NAME] for each in (found, alone))
    assert answer.numbers == Coefficients(mine.numbers.metrics, expected.numbers)
    assert answer.reasons == expected.reasons
    assert answer.note == mine.note
    assert Behaviour.load(tmp_path / "e").verdicts[NAME] == answer


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"against": "nowhere"}, "nowhere"),
        ({"against": "{other}", "intervention": "skip"}, "with one intervention"),
        ({"against": "{other}", "sigma": 0.2}, "a common sigma"),
        ({"against": "{other}", "out": "{other}"}, "is out= itself"),
    ],
)
def test_a_comparison_that_says_nothing_is_refused_before_anything_is_loaded(
    keys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    experiment("qwen2", 4).save(tmp_path / "other")
    monkeypatch.setattr("mspgt.models.load", None)
    filled = {k: v.format(other=tmp_path / "other") if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(UserError, match=said):
        mspgt.intervene(**{"out": tmp_path / "e"} | keys | filled)
