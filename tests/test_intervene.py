"""`mspgt intervene` and `mspgt.intervene` end to end, on a small checkpoint: what is written, and what it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mspgt
from mspgt.cli.main import main
from mspgt.core.errors import PluginError
from mspgt.grammar import documents
from mspgt.results.intervention import Behaviour
from mspgt.show.figures import figures
from mspgt.show.intervention import prose

METRICS = "ttr,self_bleu,repetition,perplexity,divergence"
BASE = {"samples": 12, "new_tokens": 8, "bootstrap": 100, "swaps": 99, "accelerator": "cpu", "boundaries": "4,8"}
SCALES = ("local", "intermediate", "global")
FEW = list(documents(60, 0))
Intervene = Callable[..., Behaviour]


@pytest.fixture(scope="module")
def ran(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over 60 sentences of the grammar; it accepted no boundaries."""
    out = tmp_path_factory.mktemp("runs") / "run"
    mspgt.run(model=str(tiny_llama), limit=60, bootstrap=100, accelerator="cpu", plugins=("cka", "attn"), out=out)
    return out


@pytest.fixture(scope="module")
def reference(ran: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One experiment on that run through the command line, for others to be compared with."""
    out = tmp_path_factory.mktemp("experiments") / "reference"
    keys = BASE | {"run": ran, "metrics": METRICS, "out": out}
    assert main(["intervene", *(f"{k}={v}" for k, v in keys.items())]) == 0
    return out


@pytest.fixture
def intervene(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intervene:
    """`mspgt.intervene` on that run, undrawn, into `tmp_path / "e"`, with further keys; None takes one away."""
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})
    monkeypatch.setattr("mspgt.show.saving.page", lambda *_: "")

    def call(**keys: Any) -> Behaviour:
        given = {"run": ran, "metrics": "ttr", "out": tmp_path / "e", "overwrite": True} | BASE | keys
        return mspgt.intervene(**{k: v for k, v in given.items() if v is not None})

    return call


def generations(folder: Path) -> list[dict[str, Any]]:
    """The lines of generations.jsonl."""
    return [json.loads(line) for line in (folder / "generations.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def texts(folder: Path) -> dict[str, list[str]]:
    """condition -> texts in the order of the samples."""
    found: dict[str, list[str]] = {}
    for line in generations(folder):
        found.setdefault(line["condition"], []).append(line["text"])
    return found


def numbers(data: Any) -> dict[str, Any]:
    """interventions.json without what depends on when and where it was made."""
    kept = {k: v for k, v in data.items() if k not in ("provenance", "settings")}
    return kept | {"run": {k: v for k, v in data["run"].items() if k != "path"}}


# ------------------------------------------------------------------------------------------- what is written


def test_an_experiment_leaves_what_it_promises(reference: Path) -> None:
    for name in ("config.yaml", "interventions.json", "interventions.csv", "generations.jsonl", "report.html",
                 "run.log", "state/run.json"):  # fmt: skip
        assert (reference / name).stat().st_size > 0, name
    assert {p.name for p in (reference / "figures").iterdir()} == {"changes.svg", "changes.png"}
    assert "interventions.json" in (reference / "run.log").read_text(encoding="utf-8")
    rows = (reference / "interventions.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) > len(METRICS.split(",")) * 4


def test_interventions_json_has_the_schema(reference: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in interventions.json")

    found = json.loads((reference / "interventions.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert {*found} == {"kind", "schema", "model", "provenance", "run", "settings", "bootstrap", "noise", "conditions",
                        "metrics", "effects", "verdicts", "not_measured", "notes", "examples"}  # fmt: skip
    assert (found["kind"], found["schema"]) == ("intervention", 2)
    names = [condition["name"] for condition in found["conditions"]]
    assert names == ["baseline", *SCALES]
    assert all({"name", "group", "sigma", "intervention", "control"} <= {*one} for one in found["conditions"])
    assert {*found["run"]} == {"path", "boundaries", "source", "accepted", "groups"}
    assert found["run"]["boundaries"] == [4, 8]
    blocks = ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12])
    assert found["run"]["groups"] == [{"name": s, "blocks": of} for s, of in zip(SCALES, blocks, strict=True)]
    settings = {"intervention": "gaussian", "sigma": [0.1], "apply": "all", "dose": "paper", "samples": 12,
                "prompt_tokens": 16, "new_tokens": 8, "decoding": "sample", "dtype": "float32", "seed": 0}  # fmt: skip
    assert settings.items() <= found["settings"].items()
    assert [row["layer"] for row in found["noise"]] == list(range(1, 13))
    assert all({"std", "std_all", "added"} <= {*row} for row in found["noise"])
    assert {*found["metrics"]} == {*METRICS.split(",")}
    for block in found["metrics"].values():
        assert block["level"] in ("sample", "corpus")
        assert block["direction"] in ("higher", "lower", "none")
        assert {*block["values"]} == {*names}
        assert all({*value} == {"mean", "low", "high", "n"} for value in block["values"].values())
    assert {(e["metric"], e["condition"]) for e in found["effects"]} == {
        (m, c) for m in found["metrics"] for c in SCALES
    }
    for effect in found["effects"]:
        assert {"difference", "percent", "undefined", "d_z", "tests"} <= {*effect}
        assert (effect["percent"] is None) == bool(effect["undefined"])
        assert all({"statistic", "p", "p_holm"} == {*test} for test in effect["tests"].values())
    assert {v["verdict"] for v in found["verdicts"].values()} <= {"supported", "contradicted", "undecided"}
    for verdict in found["verdicts"].values():
        not_measured = "was not measured" in verdict["reasons"][0]
        assert (verdict["numbers"] is None) == not_measured
    assert found["not_measured"] == {}
    assert {*found["examples"][0]["texts"]} == {*names}
    assert found["provenance"]["sequences_resumed"] == 0


def test_there_is_one_line_per_sample_and_condition(reference: Path) -> None:
    lines = generations(reference)
    assert all([*line] == ["sample", "condition", "prompt", "text"] for line in lines)
    assert [(line["sample"], line["condition"]) for line in lines] == [
        (sample, condition) for sample in range(12) for condition in ("baseline", *SCALES)
    ]
    prompts = {line["sample"]: line["prompt"] for line in lines}
    assert all(line["prompt"] == prompts[line["sample"]] for line in lines)
    assert len({*prompts.values()}) == 12
    assert not any(line["text"].startswith(line["prompt"]) for line in lines)


def test_python_and_the_command_line_give_the_same(reference: Path, intervene: Intervene, tmp_path: Path) -> None:
    found = intervene(metrics=METRICS.split(","), boundaries=(4, 8))
    assert isinstance(found, Behaviour)
    assert numbers(found.as_dict()) == numbers(Behaviour.load(reference).as_dict())
    assert texts(tmp_path / "e") == texts(reference)


def test_boundaries_that_were_not_accepted_are_marked_wherever_they_are_shown(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = BASE | {"run": ran, "metrics": "ttr", "out": tmp_path / "e"}
    assert main(["intervene", *(f"{k}={v}" for k, v in keys.items())]) == 0
    assert "boundaries not accepted" in capsys.readouterr().out
    assert "not accepted" in (tmp_path / "e" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "e" / "interventions.json").read_text())["run"]["accepted"] is False


# ------------------------------------------------------------------------------------------- what texts are


def test_greedy_texts_of_the_baseline_are_those_of_transformers(
    intervene: Intervene, tiny_llama: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    intervene(decoding="greedy", samples=4)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)
    for line in (line for line in generations(tmp_path / "e") if line["condition"] == "baseline"):
        ids = tokenizer(line["prompt"], return_tensors="pt")
        whole = model.generate(**ids, max_new_tokens=8, do_sample=False)[0]
        assert line["prompt"] + line["text"] == tokenizer.decode(whole, skip_special_tokens=True)


@pytest.mark.parametrize("decoding", ["greedy", "sample"])
def test_batch_size_does_not_matter(intervene: Intervene, tmp_path: Path, decoding: str) -> None:
    one = intervene(decoding=decoding, batch_size=1, metrics="ttr,divergence")
    alone = texts(tmp_path / "e")
    many = intervene(decoding=decoding, batch_size=32, metrics="ttr,divergence")
    assert texts(tmp_path / "e") == alone
    assert len({*alone["baseline"]}) > 1
    for name in ("local", "global"):
        ours, theirs = (b.metrics["divergence"].values[name].mean for b in (one, many))
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("name", ["gaussian", "mean_ablate", "resample", "skip", "scale"])
def test_strength_zero_is_the_baseline_and_a_half_is_not(intervene: Intervene, tmp_path: Path, name: str) -> None:
    found = intervene(intervention=name, sigma=(0.5, 0), metrics="ttr,self_bleu,perplexity", decoding="greedy")
    written = texts(tmp_path / "e")
    assert all(row.added > 0 for row in found.noise)
    for scale in SCALES:
        assert written[f"{scale}@0"] == written["baseline"] != written[scale]
        for metric in found.metrics:
            effect = found.effect(metric, f"{scale}@0")
            assert effect.difference.value == effect.difference.low == effect.difference.high == 0
            assert effect.undefined if effect.percent is None else effect.percent.value == 0
        assert found.effect("perplexity", f"{scale}@0").reported.value == 0


def test_noise_is_as_large_as_was_asked_for(intervene: Intervene) -> None:
    for row in intervene(sigma=0.2, samples=12).noise:
        assert row.added == pytest.approx(0.2 * row.std, rel=0.05)


def test_disturbing_generated_tokens_alone_leaves_the_first_one(intervene: Intervene, tmp_path: Path) -> None:
    keys = {"decoding": "greedy", "sigma": 1.0, "new_tokens": 1}
    for apply, same in {"generated": True, "all": False}.items():
        intervene(apply=apply, **keys)
        written = texts(tmp_path / "e")
        assert all(written[scale] == written["baseline"] for scale in SCALES) is same
    intervene(apply="generated", decoding="greedy", sigma=1.0)
    written = texts(tmp_path / "e")
    assert all(written[scale] != written["baseline"] for scale in SCALES)


def test_prompts_come_from_another_corpus_where_it_is_given(intervene: Intervene, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(f"{who} slept all day." for who in ("A dog", "The cat", "We")), encoding="utf-8")
    found = intervene(prompts=corpus, samples=3, prompt_tokens=3)
    assert all(
        e.prompt and text.startswith(e.prompt)
        for e, text in zip(found.examples, corpus.read_text(encoding="utf-8").split("\n\n"), strict=True)
    )


# ------------------------------------------------------------------------------------------- conditions


def test_doses_controls_and_strengths_are_conditions(intervene: Intervene) -> None:
    found = intervene(sigma=(0.1, 0.2, 0.05), dose="both", controls=True, boundaries="2,6", metrics="perplexity")
    kinds = ("", "-matched")
    disturbed = [f"{s}{k}{at}" for at in ("", "@0.2", "@0.05") for k in kinds for s in SCALES]
    controls = [f"{s}{k}-control{at}" for at in ("", "@0.2", "@0.05") for k in kinds for s in SCALES]
    assert [c.name for c in found.conditions] == ["baseline", *disturbed, *controls]
    assert set(figures(found)) == {"changes", "dose-response", "doses"}
    answer = found.verdicts["prediction_3_1"].numbers.metrics["perplexity"]
    assert [slope.sigma for slope in answer.gamma] == [0.05, 0.1, 0.2]
    assert np.isfinite(answer.kappa.change.value)
    baseline, disturbed = (found.metrics["perplexity"].values[name].mean for name in ("baseline", "local@0.2"))
    assert answer.gamma[2].change.value == pytest.approx((disturbed - baseline) / 0.2)


def test_a_slope_on_the_square_needs_three_strengths(intervene: Intervene) -> None:
    found = intervene(sigma=(0.1, 0.05), dose="matched")
    answer = found.verdicts["prediction_3_1"].numbers.metrics["ttr"]
    assert answer.kappa is None
    assert "3 strengths" in answer.kappa_reason
    assert [c.name for c in found.conditions] == ["baseline", *SCALES, *(f"{s}@0.05" for s in SCALES)]


# ------------------------------------------------------------------------------------------- boundaries and models


@pytest.fixture
def accepting(ran: Path, tmp_path: Path) -> Path:
    """The run, as if it had accepted boundaries after blocks 3 and 7."""
    import shutil

    shutil.copytree(ran, tmp_path / "accepting")
    path = tmp_path / "accepting" / "result.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    verdict = result["verdicts"]["mspgt"]
    verdict |= {"accepted": True, "status": "ok"}
    for key, layer in {"local_intermediate": 3, "intermediate_global": 7}.items():
        verdict[key] = {"layer": layer, "relative": layer / 12, "prominence": 1.0, "ci": None, "ci_width": None,
                        "hpd": [layer], "support": 1.0}  # fmt: skip
    path.write_text(json.dumps(result), encoding="utf-8")
    return tmp_path / "accepting"


def test_boundaries_that_a_run_accepted_are_taken_from_it(intervene: Intervene, accepting: Path) -> None:
    found = intervene(run=accepting, boundaries=None)
    assert found.accepted
    assert found.run.boundaries == (3, 7)
    assert "not accepted" not in prose.describe_scales(found)


def test_boundaries_accepted_for_other_weights_do_not_count_as_accepted(
    intervene: Intervene, accepting: Path, tiny_llama: Path
) -> None:
    model, tokenizer = loaded(tiny_llama)
    assert intervene(run=accepting, boundaries=None, model=model, tokenizer=tokenizer).accepted
    with torch.no_grad():
        model.model.layers[3].mlp.down_proj.weight += 0.01
    found = intervene(run=accepting, boundaries=None, model=model, tokenizer=tokenizer)
    assert not found.accepted
    assert found.run.boundaries == (3, 7)


@pytest.mark.parametrize(("given", "blocks"), [("thirds", (4, 8)), ("paper", (5, 6)), ("2, 9", (2, 9))])
def test_a_model_needs_no_run_where_boundaries_are_given(
    intervene: Intervene, tiny_llama: Path, given: str, blocks: tuple[int, int]
) -> None:
    found = intervene(run=None, model=tiny_llama, boundaries=given, samples=4, prompts=FEW)
    assert found.run.boundaries == blocks
    assert found.run.path is None
    assert not found.accepted


def test_the_model_is_loaded_as_the_run_loaded_it(tiny_llama: Path, intervene: Intervene, tmp_path: Path) -> None:
    mspgt.run(model=str(tiny_llama), dtype="bfloat16", limit=60, bootstrap=100, accelerator="cpu", plugins=("attn",),
              out=tmp_path / "bf16")  # fmt: skip
    found = intervene(run=tmp_path / "bf16", samples=4)
    assert found.settings.dtype == found.model.dtype == "bfloat16"
    assert intervene(run=tmp_path / "bf16", samples=4, dtype="float32").model.dtype == "float32"


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("broken", [None, "intervention", "metric", "interrupt"])
def test_a_model_object_is_left_as_it_was(
    intervene: Intervene, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    from mspgt.core.errors import Interrupted
    from mspgt.plugins.interventions.gaussian import Gaussian
    from mspgt.plugins.metrics.ttr import TypeTokenRatio

    def fail(*_: object) -> None:
        raise KeyboardInterrupt if broken == "interrupt" else RuntimeError("a fault of its own")

    model, tokenizer = loaded(tiny_llama)
    model.train()
    model.model.layers[2].eval()

    def look() -> tuple[object, ...]:
        modules = list(model.modules())
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)
        return [m.training for m in modules], hooks, model.config._attn_implementation, model.device

    before, weights = look(), {name: value.clone() for name, value in model.state_dict().items()}
    if broken is not None:
        monkeypatch.setattr(*((TypeTokenRatio, "measure") if broken == "metric" else (Gaussian, "apply")), fail)
    expected = {"intervention": PluginError, "interrupt": Interrupted}.get(broken or "")
    if expected is None:
        found = intervene(run=None, model=model, tokenizer=tokenizer, prompts=FEW)
        assert [*found.not_measured] == (["ttr"] if broken else [])
    else:
        said = "'gaussian' of mspgt raised RuntimeError: a fault" if broken == "intervention" else "resume=true"
        with pytest.raises(expected, match=said):
            intervene(run=None, model=model, tokenizer=tokenizer, prompts=FEW)
    assert look() == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
