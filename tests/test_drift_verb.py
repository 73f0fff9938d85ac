"""The command `mspgt drift`: what its words mean, what it prints, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tokenizers import TEXT, byte_bpe

from mspgt.cli.main import main
from mspgt.config.drift import DriftConfig
from mspgt.core.errors import UserError
from mspgt.experiments import drift as experiment
from mspgt.models import checkpoints

TOKENIZER = byte_bpe(vocabulary=300)
KEYS = {"plugins": "cka", "bootstrap": "100", "batch_tokens": "200", "accelerator": "cpu"}
Verb = Callable[..., int]


def llama(seed: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "max_position_embeddings": 64}
    return LlamaForCausalLM(LlamaConfig(vocab_size=300, num_hidden_layers=3, **shape))


def save(folder: Path, seed: int) -> Path:
    llama(seed).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a model, Hugging Face checkpoints of it, and Lightning's."""
    folder = tmp_path_factory.mktemp("places")
    documents = ["\n".join(f"{TEXT[(i + j) % 3]} Number {i} of {j}." for j in range(3)) for i in range(12)]
    (folder / "corpus.txt").write_text("\n\n".join(documents))
    save(folder / "base", 0)
    log = []
    for seed, step in ((1, 100), (2, 1000)):
        log.append({"step": step, "loss": 2.5 / seed})
        state = {"global_step": step, "log_history": log}
        (save(folder / f"hf/checkpoint-{step}", seed) / "trainer_state.json").write_text(json.dumps(state))
        weights = {f"model.{name}": value for name, value in llama(seed).state_dict().items()}
        (folder / "pl").mkdir(exist_ok=True)
        torch.save({"state_dict": weights, "global_step": step}, folder / f"pl/epoch=0-step={step}.ckpt")
    return folder


@pytest.fixture
def verb(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verb:
    """`mspgt drift` in the folder of `places`, into `tmp_path / "d"`, drawing nothing."""
    monkeypatch.chdir(places)
    monkeypatch.setattr("mspgt.show.saving.figures", lambda _: {})
    monkeypatch.setattr("mspgt.show.saving.page", lambda *_: "")

    def call(*words: str) -> int:
        given = {"data": "corpus.txt", "out": str(tmp_path / "d"), **KEYS}
        named = {word.partition("=")[0] for word in words}
        return main(["drift", *words, *(f"{k}={v}" for k, v in given.items() if k not in named)])

    return call


def written(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "d" / "drift.json").read_text())


# ------------------------------------------------------------------------------------------- what the words mean


@pytest.mark.parametrize(
    "words",
    [
        ("hf",),
        ("checkpoints=hf",),
        ("--checkpoints", "hf"),
        ("hf/checkpoint-*",),
        ("hf/checkpoint-1000", "hf/checkpoint-100"),
        ("hf/checkpoint-1000,hf/checkpoint-100",),
        ("pl", "model=base"),
        ("pl/epoch=0-step=1000.ckpt", "pl/epoch=0-step=100.ckpt", "model=base"),
    ],
    ids=" ".join,
)
def test_words_before_the_keys_are_checkpoints(words: tuple[str, ...], verb: Verb, seen: list[Any]) -> None:
    verb(*words)
    assert [(c.step, c.path.name.partition(".")[0].removeprefix("epoch=0-")) for c in seen] in (
        [(100, "checkpoint-100"), (1000, "checkpoint-1000")],
        [(100, "step=100"), (1000, "step=1000")],
    )


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The checkpoints that a command would measure; it stops there."""
    found: list[Any] = []

    def start(settings: DriftConfig, *_: Any, **__: Any) -> None:
        found.extend(checkpoints.find(settings.options.checkpoints, print))
        raise UserError("enough")

    monkeypatch.setattr(experiment, "start", start)
    return found


def test_a_file_with_an_equals_sign_in_its_name_is_no_key(
    places: Path, verb: Verb, seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places / "pl")
    verb("epoch=0-step=100.ckpt", f"model={places / 'base'}")
    assert [c.step for c in seen] == [100]


# ------------------------------------------------------------------------------------------- what comes of it


def test_folders_of_the_trainer_give_a_table_and_a_file(
    verb: Verb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb("hf") == 0
    found = written(tmp_path)
    assert [(p["step"], p["loss"]) for p in found["points"]] == [(100, 2.5), (1000, 1.25)]
    assert found["model"]["name"] == "hf"
    assert found["overall"] is not None
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert rows.index(["100", "2.50"]) < rows.index(["1,000", "1.25"])


def test_lightnings_files_give_the_same_numbers(verb: Verb, tmp_path: Path) -> None:
    assert verb("hf", f"out={tmp_path / 'hf'}") == 0
    assert verb("pl/epoch=0-step=100.ckpt", "pl/epoch=0-step=1000.ckpt", "model=base") == 0
    theirs = json.loads((tmp_path / "hf" / "drift.json").read_text())
    assert [p["signals"] for p in written(tmp_path)["points"]] == [p["signals"] for p in theirs["points"]]
    assert written(tmp_path)["changes"] == theirs["changes"]


def test_revisions_in_the_local_cache_are_followed_offline(
    places: Path, verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--org--name"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    for i, name in enumerate(("step100", "step1000", "main")):
        source = places / "hf" / ("checkpoint-100" if name == "step100" else "checkpoint-1000")
        (repository / "snapshots" / f"{i:040x}").symlink_to(source)
        (repository / "refs" / name).write_text(f"{i:040x}")
    assert verb("model=org/name", "revisions=step1000,step100", "offline=true") == 0
    assert [p["step"] for p in written(tmp_path)["points"]] == [100, 1000]
    assert written(tmp_path)["model"]["name"] == "org/name"


def test_what_one_point_lacks_shows_in_the_exit_code(verb: Verb, tmp_path: Path, places: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text("\n\n".join((places / "corpus.txt").read_text().split("\n\n")[:4]))
    assert verb("hf", f"data={few}") == 3
    found = written(tmp_path)
    assert not found["left_out"]
    assert all(point["left_out"] for point in found["points"])


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no checkpoints are named: give checkpoints="),
        (("hf", "checkpoints=pl"), "key 'checkpoints' is given twice ('hf' and 'pl')"),
        (("hf", "hf"), "names one twice"),
        (("hf", "limt=5"), "unknown key 'limt'. Did you mean 'limit'?"),
        (("hf", "limit=5", "pl"), "'pl' is no key=value"),
        (("hf", "revisions=a", "model=org/name"), "checkpoints= and revisions= are both given"),
        (("hf", "revision=a"), "give revisions="),
        (("nowhere",), "there is no such directory or file"),
        (("hf/*.ckpt",), "matches nothing"),
        (("corpus.txt",), "corpus.txt is damaged, or no checkpoint of Lightning"),
        (("hf,pl",), "name those of one kind"),
        (("pl",), "give model="),
        (("hf", "against=nowhere"), "nowhere"),
        (("revisions=a", "model=base"), "has no revisions"),
        (("revisions=a", "model=org/name", "offline=true"), "revision 'a' of model=org/name cannot be had"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence_and_nothing_is_written(
    words: tuple[str, ...], said: str, verb: Verb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb(*words) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("mspgt: ")
    assert said in message
    assert not (tmp_path / "d").exists()


def test_an_interruption_before_the_first_point_says_so(
    verb: Verb, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "start", start)
    assert verb("hf") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "mspgt: interrupted; nothing was computed yet."
