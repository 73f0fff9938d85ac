"""Every mistake is answered by one sentence and the right exit code, through the command line."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from mspgt.cli.main import main

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(tiny_llama: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Run with the tiny model and give back exit code and the last line of standard error."""

    def run(*keys: str) -> tuple[int, str]:
        base = {"model": str(tiny_llama), "limit": "250", "bootstrap": "100", "accelerator": "cpu", "plugins": "cka",
                "out": str(tmp_path / "out")}  # fmt: skip
        given = dict(key.split("=", 1) for key in keys)
        code = main(["run", *(f"{k}={v}" for k, v in (base | given).items())])
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return code, " ".join(error.strip().split())

    return run


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.txt", None, "gone.txt"),
        ("empty.txt", b"", "empty"),
        ("blank.conllu", b"\n\n\n", "no sentence"),
        ("latin.txt", "caf\xe9 au lait.".encode("latin-1"), "UTF-8"),
        ("bad.jsonl", b'{"id": 1}\n', "text"),
        ("bad.conllu", b"1\tonly\tthree\n\n", "column"),
        ("strange.pdf", b"%PDF", "pdf"),
    ],
)
def test_a_bad_corpus_is_named(say: Say, tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    code, error = say(f"data={path}")
    assert code == 2
    assert name in error
    assert said.lower() in error.lower()
    assert not (tmp_path / "out" / "result.json").exists()
    assert say()[0] in (0, 3)  # nothing was computed, so the directory is free for the corrected command


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["plugins=cak"], "Did you mean 'cka'"),
        (["limt=5"], "Did you mean 'limit'"),
        (["model=no/such-model"], "no/such-model"),
        (["model=./nowhere"], "nowhere"),
        (["devices=many"], "devices=many"),
        (["accelerator=warp"], "accelerator=warp"),
        (["layers_path=model.nothing"], "layers_path"),
        (["resume=true", "out="], "out"),
        (["plugins=probe", "data={raw}"], "label"),
    ],
)
def test_a_bad_setting_is_one_sentence(say: Say, tmp_path: Path, keys: list[str], said: str) -> None:
    raw = tmp_path / "raw.txt"
    raw.write_text("\n\n".join("It rained all day. The dog slept." for _ in range(30)), encoding="utf-8")
    code, error = say(*(k.format(raw=raw) for k in keys))
    assert code == 2, error
    assert said in error


def test_a_sentence_longer_than_the_context_is_left_out_and_told(say: Say, tmp_path: Path) -> None:
    long = "The dog " + "and the cat " * 200 + "slept."
    corpus = tmp_path / "c.txt"
    corpus.write_text("\n\n".join(["It rained all day. The dog slept."] * 30 + [long]), encoding="utf-8")
    code, _ = say(f"data={corpus}")
    assert code == 3
    found = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert any("long" in sentence for sentence in found["left_out"])


def test_fewer_than_ten_documents_give_no_intervals(say: Say, tmp_path: Path) -> None:
    code, _ = say("limit=100")
    assert code == 3
    found = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert set(found["signals"]["cka"]["low"]) == {None}
    assert any("10" in sentence and "documents" in sentence for sentence in found["left_out"])


def test_activations_that_are_not_finite_name_layer_and_document(say: Say, tiny_llama: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from transformers import AutoModelForCausalLM

    broken = tmp_path / "broken"
    shutil.copytree(tiny_llama, broken)
    model = AutoModelForCausalLM.from_pretrained(broken)
    with torch.no_grad():
        model.model.layers[4].mlp.down_proj.weight[0, 0] = float("nan")
    model.save_pretrained(broken)
    code, error = say(f"model={broken}")
    assert code == 2
    assert "block 5" in error
    assert "document" in error


def test_a_plugin_that_raises_is_left_out_and_named(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mspgt.plugins.signals.attention.attention import AttentionDrift

    def recorder(*_: object) -> object:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr(AttentionDrift, "recorder", recorder)
    code, _ = say("plugins=cka,attn")
    assert code == 3
    found = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert set(found["signals"]) == {"cka"}
    assert any("attn" in s and "a fault of its own" in s for s in found["left_out"])


def test_a_full_disk_is_one_sentence_and_nothing_saved_is_lost(say: Say) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # bytes of a file: settings fit, states do not
    try:
        code, error = say()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert "could not write" in error
    assert "free some space, then run the same command with resume=true" in error
    assert say("resume=true")[0] == 0


def test_an_existing_folder_is_not_touched(say: Say, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x", encoding="utf-8")
    code, error = say()
    assert code == 2
    assert "no run directory" in error


@pytest.mark.parametrize(
    "arguments",
    [["runn"], ["merge", "a", "out=b"], ["evaluate"], ["evaluate", "/nowhere"], ["ls", "cak"], ["ls", "a=b"]],
)
def test_other_verbs_answer_mistakes_too(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("mspgt: ")
    assert "Traceback" not in said
