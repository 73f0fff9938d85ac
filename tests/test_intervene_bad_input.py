"""Every mistake in an experiment is answered by one sentence and the right exit code, a faulty metric by its name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import mspgt
from mspgt.cli.main import main
from mspgt.grammar import documents
from mspgt.results.intervention import Behaviour

Say = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def ran(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over 60 sentences of the grammar; it accepted no boundaries."""
    out = tmp_path_factory.mktemp("runs") / "run"
    mspgt.run(model=str(tiny_llama), limit=60, bootstrap=100, accelerator="cpu", plugins=("attn",), out=out)
    return out


@pytest.fixture
def say(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Experiment on the run into `tmp_path / "e"`; gives exit code and standard error. `key=` takes a key away."""
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})

    def call(*keys: str) -> tuple[int, str]:
        base = {"run": str(ran), "boundaries": "4,8", "samples": "6", "new_tokens": "8", "bootstrap": "100",
                "swaps": "99", "accelerator": "cpu", "metrics": "ttr", "out": str(tmp_path / "e")}  # fmt: skip
        given = base | dict(key.split("=", 1) for key in keys)
        code = main(["intervene", *(f"{k}={v}" for k, v in given.items() if v)])
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return code, " ".join(error.split())

    return call


# ------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["metrics=trr"], "unknown metric 'trr'. Did you mean 'ttr'?"),
        (["metrics=gaussian"], "unknown metric 'gaussian'"),
        (["resume=true", "overwrite=true"], "give one of them"),
        (["metrics=ttr,ttr"], "names one twice"),
        (["intervention=gausian"], "Did you mean 'gaussian'?"),
        (["sample=5"], "Did you mean 'samples'?"),
        (["gaussian.perdim=true"], "Did you mean 'gaussian.per_dim'?"),
        (["self_bleu.order=2"], "self_bleu is not among the plugins"),
        (["decoding=beam"], "decoding"),
        (["dose=high"], "dose"),
        (["apply=prompt"], "apply"),
        (["samples=1"], "samples=1: allowed is at least 2"),
        (["sigma=lots"], "sigma='lots'"),
        (["sigma=-0.1"], "sigma=-0.1: the strength of gaussian is at least 0"),
        (["sigma=nan"], "sigma=nan"),
        (["sigma=inf"], "sigma=inf"),
        (["sigma=0.1,0.1"], "several different ones"),
        (["sigma=0.12345678,0.12345679"], "several different ones"),
        (["intervention=skip", "sigma=1.5"], "sigma=1.5: the strength of skip is from 0 to 1"),
        (["top_p=0"], "top_p=0"),
        (["boundaries=paper,thirds"], "boundaries=paper,thirds: give boundaries=5,9"),
        (["boundaries=4"], "boundaries=4: give"),
        (["run="], "give run=DIRECTORY, or model="),
        (["run=", "boundaries=", "model=tiny-llama-a"], "model=tiny-llama-a needs boundaries="),
        (["accelerator=warp"], "accelerator=warp"),
        (["devices=many"], "devices=many"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_sentence(say: Say, tmp_path: Path, keys: list[str], said: str) -> None:
    code, error = say(*keys)
    assert code == 2, error
    assert said in error
    assert not (tmp_path / "e" / "generations.jsonl").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["boundaries=9,5"], "boundaries=9,5: with 12 blocks, allowed are two rising numbers from 1 to 11"),
        (["boundaries=4,12"], "two rising numbers from 1 to 11"),
        (["boundaries=0,4"], "two rising numbers from 1 to 11"),
        (["boundaries=paper"], "places no two boundaries in the run"),
        (["samples=500"], "samples=500: grammar"),
        (["new_tokens=200"], "new_tokens=112 at most"),
        (["prompt_tokens=500", "prompts={long}", "samples=2"], "give fewer prompt_tokens"),
        (["model=minilm"], "minilm has 6 blocks, but the run"),
        (["model=minilm", "run="], "minilm is an encoder and cannot continue a text"),
        (["prompts=nowhere.txt"], "nowhere.txt"),
        (["prompts={empty}"], "empty"),
    ],
)  # fmt: skip
def test_what_does_not_fit_model_or_corpus_is_one_sentence(
    say: Say, tmp_path: Path, keys: list[str], said: str
) -> None:
    long, empty = tmp_path / "long.txt", tmp_path / "empty.txt"
    long.write_text(
        ("The dog and the cat and " * 60).strip() + ".\n\nA " + "man and a " * 90 + "dog.", encoding="utf-8"
    )
    empty.write_text("", encoding="utf-8")
    code, error = say(*(key.format(long=long, empty=empty) for key in keys))
    assert code == 2, error
    assert said in error
    assert say()[0] == 0  # nothing was computed, so the directory is free for the corrected command


def test_a_run_without_accepted_boundaries_names_the_three_ways(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from mspgt import models

    monkeypatch.setattr(models, "load", None)  # it is said before the model is loaded
    code, error = say("boundaries=")
    assert code == 2
    assert "accepted no boundaries" in error
    assert all(f"boundaries={way}" in error for way in ("5,9", "paper", "thirds"))


def test_what_is_no_run_directory_is_named(say: Say, ran: Path, tmp_path: Path) -> None:
    import shutil

    (tmp_path / "folder").mkdir()
    shutil.copytree(ran, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "result.json").unlink()
    assert say()[0] == 0
    for run, expected in {
        "gone": "no such run directory",
        "folder": "folder has no states",
        "unfinished": "unfinished",
        "e": "e holds an experiment, not a run",
    }.items():
        code, error = say(f"run={tmp_path / run}", f"out={tmp_path / 'other'}")
        assert code == 2, error
        assert expected in error


def test_weights_that_changed_since_the_run_are_noticed(say: Say, tiny_llama: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    mspgt.run(model=str(folder), limit=60, bootstrap=100, accelerator="cpu", plugins=("attn",), out=tmp_path / "r")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight += 0.1
    model.save_pretrained(folder)
    code, error = say(f"run={tmp_path / 'r'}")
    assert code == 2
    assert "no longer those of the run" in error
    assert say(f"run={tmp_path / 'r'}", f"model={folder}")[0] == 0


def test_a_run_of_objects_needs_them_again(tiny_llama: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)
    corpus, run = list(documents(60, 0)), tmp_path / "r"
    mspgt.run(model=model, tokenizer=tokenizer, data=corpus, bootstrap=100, accelerator="cpu", plugins=("attn",),
              out=run)  # fmt: skip
    keys: dict[str, Any] = {"run": run, "boundaries": "thirds", "samples": 4, "new_tokens": 4, "metrics": "ttr",
                            "bootstrap": 100, "accelerator": "cpu"}  # fmt: skip
    with pytest.raises(mspgt.UserError, match=r"its model as an object \(<LlamaForCausalLM>\): give model="):
        mspgt.intervene(**keys)
    with pytest.raises(mspgt.UserError, match=r"its data as an object \(<list>\): give prompts="):
        mspgt.intervene(**keys, model=model, tokenizer=tokenizer)
    found = mspgt.intervene(**keys, model=model, tokenizer=tokenizer, prompts=corpus)
    assert [c.name for c in found.conditions] == ["baseline", "local", "intermediate", "global"]


# ------------------------------------------------------------------------------------------- metrics


class Faulty:
    """What can be wrong with `TypeTokenRatio.measure`."""

    faults: ClassVar[dict[str, Callable[..., Any]]] = {
        "raised ZeroDivisionError: division by zero": lambda self, texts: 1 / 0,
        "gave values of shape (2,) for 6 texts": lambda self, texts: np.zeros(2),
        "gave values of shape (6, 1) for 6 texts": lambda self, texts: np.zeros((len(texts), 1)),
        "raised ValueError: could not convert": lambda self, texts: ["good"] * len(texts),
        "raised SystemExit: 7": lambda self, texts: sys.exit(7),
    }


@pytest.mark.parametrize("reason", Faulty.faults)
def test_a_metric_that_fails_is_left_out_with_its_reason(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr("mspgt.plugins.metrics.ttr.TypeTokenRatio.measure", Faulty.faults[reason])
    code, _ = say("metrics=ttr,repetition")
    assert code == 3
    found = Behaviour.load(tmp_path / "e")
    assert [*found.metrics] == ["repetition"]
    assert reason in found.not_measured["ttr"]
    assert "not measured" in (tmp_path / "e" / "report.html").read_text(encoding="utf-8").lower()
    assert (tmp_path / "e" / "generations.jsonl").stat().st_size > 0


def test_an_experiment_of_which_nothing_can_be_measured_still_has_its_texts(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mspgt.plugins.metrics.languagetool.PAUSE_SECONDS", 0.0)
    code, error = say("metrics=grammaticality", "grammaticality.server=http://localhost:9")
    assert code == 3
    assert error.index("as it is now, grammaticality will not be measured") < error.index("comparing conditions")
    found = Behaviour.load(tmp_path / "e")
    assert found.metrics == {}
    assert "server" in found.not_measured["grammaticality"]
    assert (tmp_path / "e" / "generations.jsonl").stat().st_size > 0


@pytest.mark.parametrize("when", ["values", "swaps"])
def test_a_corpus_metric_that_fails_when_it_is_measured_anew_is_left_out(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    from mspgt.plugins.metrics.self_bleu import SelfBLEU

    measure, swapped = SelfBLEU.measure, SelfBLEU.swapped

    def on_all_alone(self: SelfBLEU, texts: Any) -> Any:
        if len(texts) < 12:
            raise RuntimeError("too few for me")
        return measure(self, texts)

    def for_a_while(self: SelfBLEU, one: Any, other: Any) -> Any:
        left, inner = iter(range(20)), swapped(self, one, other)

        def values(swap: Any) -> Any:
            if next(left, None) is None:
                raise RuntimeError("too few for me")
            return inner(swap)

        return values

    monkeypatch.setattr(SelfBLEU, "measure" if when == "values" else "swapped",
                        on_all_alone if when == "values" else for_a_while)  # fmt: skip
    code, _ = say("metrics=ttr,self_bleu", "samples=12")
    assert code == 3
    found = json.loads((tmp_path / "e" / "interventions.json").read_text(encoding="utf-8"))
    assert [*found["metrics"]] == ["ttr"]
    assert {effect["metric"] for effect in found["effects"]} == {"ttr"}
    assert found["not_measured"] == {"self_bleu": "the metric of mspgt raised RuntimeError: too few for me"}


def test_a_metric_that_cannot_let_go_spoils_nothing(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def close(self: object) -> None:
        closed.append(self)
        raise OSError("no such process")

    monkeypatch.setattr("mspgt.contracts.metric.Metric.close", close)
    assert say("metrics=ttr,repetition")[0] == 0
    assert len(closed) == 2
    assert [*Behaviour.load(tmp_path / "e").metrics] == ["ttr", "repetition"]


def test_empty_texts_and_single_sentences_break_no_metric(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mspgt.experiments import generation
    from mspgt.generate.decode import Continuation

    def written(*given: Any) -> list[Continuation]:
        found = generation_of(*given)
        return [Continuation(c.sample, c.condition, () if c.sample % 2 else c.ids, True) for c in found]

    generation_of = generation.generate
    monkeypatch.setattr(generation, "generate", written)
    names = "ttr,self_bleu,perplexity,divergence"
    assert say(f"metrics={names},repetition,length_variance,coherence", "new_tokens=2")[0] == 3
    found = Behaviour.load(tmp_path / "e")
    assert [*found.metrics] == names.split(",")
    assert found.metrics["perplexity"].values["local"].n == 3
    assert "3 of 6 texts are empty under local." in found.notes
    none = "it has no value for any of the 24 texts, 12 of which are empty."  # each is two tokens of one sentence
    assert found.not_measured == dict.fromkeys(("repetition", "length_variance", "coherence"), none)


def test_a_weight_that_is_no_number_names_block_and_document(say: Say, tiny_llama: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        model.model.layers[4].mlp.down_proj.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "broken")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "broken")
    code, error = say(f"model={tmp_path / 'broken'}", "run=")
    assert code == 2
    assert "block 5" in error
    assert "document" in error


def test_a_disturbance_that_overflows_is_one_sentence(say: Say) -> None:
    code, error = say("sigma=1e38")
    assert code == 2
    assert "give a smaller sigma" in error
