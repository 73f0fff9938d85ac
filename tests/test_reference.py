"""The reference models: shipped files, tokenizer, loading, and that they are as good as their cards say."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_models as measure
import reference_recipe as recipe
import torch
import train_reference as training
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from mspgt import grammar, models
from mspgt.cli import main as cli
from mspgt.core.errors import UserError
from mspgt.data import Reading, align, load
from mspgt.models.built_in import MODELS, BuiltIn

NAMES = sorted(recipe.MEMBERS)
FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
OTHER_SEED = measure.HELD_OUT + 1
"""documents that neither training nor card has used"""

each = pytest.mark.parametrize("name", NAMES)
each_family = pytest.mark.parametrize("name", ["tiny-llama-a", "tiny-qwen-a"])


@cache
def loaded(name: str) -> models.LoadedModel:
    return models.load(name, dtype="float32", offline=True)


@cache
def card(name: str) -> dict[str, Any]:
    return read_card((MODELS[name].path() / "README.md").read_text())


def read_card(text: str) -> dict[str, Any]:
    """The numbers of a model card."""
    number, error = r"(-?[\d,.]*\d)", r"(-?[\d.]+) ± ([\d.]+)"

    def find(pattern: str) -> tuple[float, ...]:
        (found,) = re.findall(pattern, text)
        return tuple(float(x.replace(",", "")) for x in ([found] if isinstance(found, str) else found))

    return {
        "held_out": find(rf"\n- cross-entropy: {error} nats per token\n"),
        "floor": find(rf"own prequential cross-entropy on the same tokens: {error}\n"),
        "gap": find(rf"\n- gap: {error}; without"),
        "gap_without_repeated": find(rf"without repeated names {number}\n"),
        "sampled": find(rf"\n- sampled at temperature 1: {number} sentences"),
        "accepted": find(rf"{number} % accepted"),
        "topic_consistent": find(rf"of these {number} % can be drawn under a single topic"),
        "documents": find(rf"\n## Measured on {number} documents"),
        "seeds": find(rf"\(seed {number},") + find(rf"\n- seed: {number};") + find(rf"documents from seed {number},"),
        "trained": find(rf"\n- tokens: {number} in {number} steps"),
        "parts": {
            kind: find(rf"\n\| {kind} \| {number} \| {number} \| {number} \| ([-+][\d.]+) \|") for kind in measure.KINDS
        },
        "losses": [float(x) for x in re.findall(r"\n\| [\d,]+ \| ([\d.]+) \|(?=\n)", text)],
    }


@cache
def measured(name: str) -> Any:
    """A small measurement on fresh documents."""
    return measure.quality(MODELS[name].path(), recipe.MEMBERS[name], documents=30, samples=20, seed=OTHER_SEED)


# ---------------------------------------------------------------------- shipped files


def test_the_recipe_and_the_package_name_the_same_models() -> None:
    assert set(NAMES) == set(MODELS) - {"minilm"}
    for family in FAMILIES:
        one, other = (member for member in recipe.MEMBERS.values() if member.family == family)
        assert one.mixture != other.mixture
    seeds = [member.seed for member in recipe.MEMBERS.values()]
    assert len({*seeds, measure.HELD_OUT, OTHER_SEED, recipe.TOKENIZER_SEED}) == len(seeds) + 3


@each
def test_a_model_is_a_whole_checkpoint_of_at_most_4_mb(name: str) -> None:
    assert {path.name for path in MODELS[name].path().iterdir()} == {
        "README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    assert MODELS[name].nbytes <= 4_000_000
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in MODELS[name].path().iterdir())


def test_all_models_take_at_most_15_mb() -> None:
    assert sum(MODELS[name].nbytes for name in NAMES) <= 15_000_000


@each
def test_the_configuration_is_the_recipes(name: str) -> None:
    member = recipe.MEMBERS[name]
    found = json.loads((MODELS[name].path() / "config.json").read_text())
    wanted = recipe.make_model(member).config.to_dict()
    changing = {"architectures", "dtype", "transformers_version", "_name_or_path"}
    assert {k: v for k, v in found.items() if k not in changing} == {
        k: v for k, v in wanted.items() if k in found and k not in changing
    }
    assert found["architectures"] == [FAMILIES[member.family]]
    assert (found["dtype"], found["num_hidden_layers"]) == ("bfloat16", 12)
    grouped = found["num_key_value_heads"] < found["num_attention_heads"]
    assert grouped is (member.family == "qwen2")


@each
def test_weights_are_bfloat16_and_finite(name: str) -> None:
    with safe_open(MODELS[name].path() / "model.safetensors", "pt") as file:
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert all(value.isfinite().all() for value in weights.values())
    assert 1_000_000 <= sum(value.numel() for value in weights.values()) <= 2_000_000


@each
def test_transformers_and_the_package_load_the_same_model(name: str) -> None:
    ours, path = loaded(name), MODELS[name].path()
    theirs = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert type(theirs).__name__ == FAMILIES[ours.family]
    assert (ours.name, ours.n_layers, ours.hidden_size, ours.context_length) == (name, 12, 96, 512)
    assert ours.causal
    coded = tokenizer(["The doctor helped Anna.", "She was seen by the old judge."], padding=True, return_tensors="pt")
    assert coded["input_ids"].tolist() == ours.tokenizer(
        ["The doctor helped Anna.", "She was seen by the old judge."], padding=True
    )["input_ids"]  # fmt: skip
    with torch.inference_mode():
        assert torch.equal(theirs(**coded).logits, ours.full(**coded).logits)


def test_no_two_models_are_the_same() -> None:
    assert len({models.content_sha256(loaded(name)) for name in NAMES}) == len(NAMES)


def test_ls_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "models"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)


# ---------------------------------------------------------------------- tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizer_is_the_recipes(family: str) -> None:
    wanted = recipe.make_tokenizer(family)
    for name in NAMES:
        found = AutoTokenizer.from_pretrained(MODELS[name].path())
        assert found.get_vocab() == wanted.get_vocab()
        assert sorted(found.get_vocab().values()) == list(range(recipe.VOCABULARY))
        assert found.convert_ids_to_tokens([0, 1, 2]) == [found.bos_token, found.eos_token, found.pad_token]
        assert found.all_special_tokens == list(recipe.SPECIAL)
        if recipe.MEMBERS[name].family == family:
            assert found.backend_tokenizer.to_str() == wanted.backend_tokenizer.to_str()


@each_family
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60).filter(lambda text: not any(special in text for special in recipe.SPECIAL)))
def test_any_text_comes_back(name: str, text: str) -> None:
    tokenizer = loaded(name).tokenizer
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert max(ids) < recipe.VOCABULARY
    read = tokenizer.decode(ids[1:], clean_up_tokenization_spaces=False)
    assert read == (unicodedata.normalize("NFC", text) if loaded(name).family == "qwen2" else text)


def test_documents_come_back_fit_the_context_and_read_the_same_in_both_families() -> None:
    one, other = (loaded(name).tokenizer for name in ("tiny-llama-a", "tiny-qwen-a"))
    for mixture in (recipe.EVERYDAY, recipe.PROFESSIONAL):
        texts = [*map(measure.document_text, itertools.islice(grammar.documents(None, 5, mixture), 60))]
        rows = one(texts)["input_ids"]
        assert one.batch_decode(rows, skip_special_tokens=True) == texts
        assert max(map(len, rows)) + 1 <= recipe.CONTEXT
        assert other(texts)["input_ids"] == rows


@each_family
def test_words_find_their_tokens(name: str) -> None:
    tokenizer = loaded(name).tokenizer
    document = next(grammar.documents(None, 5))
    words = [word for sentence in document.sentences for word in sentence.words]
    starts = np.array(measure.word_starts(document))
    coded = tokenizer(measure.document_text(document), return_offsets_mapping=True, return_special_tokens_mask=True)
    offsets = align.Offsets(coded["offset_mapping"], np.array(coded["special_tokens_mask"], dtype=bool))
    ranges = offsets.ranges(starts, starts + [len(word) for word in words])
    assert [tokenizer.decode(coded["input_ids"][a:b]).strip() for a, b in ranges] == words
    assert (ranges[1:, 0] == ranges[:-1, 1]).all()
    assert (ranges[0, 0], ranges[-1, 1]) == (1, len(coded["input_ids"]))


@each_family
def test_a_corpus_is_read_without_loss(name: str) -> None:
    corpus = load("grammar", limit=200)
    reading = Reading(corpus, loaded(name).tokenizer, max_length=recipe.CONTEXT, batch_tokens=4096)
    assert sum(len(batch.keys) for batch in reading.batches(corpus.tasks)) == reading.counts.documents
    assert (reading.counts.sentences, reading.notes) == (200, [])
    assert all(reading.counts.labels.values())


# ---------------------------------------------------------------------- quality


@pytest.mark.slow
@each
def test_a_model_reaches_the_goals_on_fresh_documents(name: str) -> None:
    q = measured(name)
    assert -4 * q.gap.error < q.gap.value < measure.LARGEST_GAP + 2 * q.gap.error, "no model is below the grammar"
    spread = math.sqrt(measure.LEAST_ACCEPTED * (1 - measure.LEAST_ACCEPTED) / q.sampled)
    assert q.accepted > measure.LEAST_ACCEPTED - 2 * spread
    assert q.sampled > 10 * 20, "a document has ten sentences at least"


@pytest.mark.slow
@each
def test_the_card_agrees_with_what_is_measured_again(name: str) -> None:
    told, q = card(name), measured(name)
    for what in ("held_out", "floor", "gap"):
        value, error = told[what]
        again = getattr(q, what)
        assert abs(value - again.value) < 4 * math.hypot(error, again.error), what
    sentences = told["sampled"][0], q.sampled
    accepted = sentences[0] * told["accepted"][0] / 100, sentences[1] * q.accepted
    for what, counts in (("accepted", sentences), ("topic_consistent", accepted)):
        shares = told[what][0] / 100, getattr(q, what)
        pooled = np.average(shares, weights=counts)
        assert abs(shares[0] - shares[1]) < 4 * math.sqrt(pooled * (1 - pooled) * sum(1 / n for n in counts)), what


@each
def test_the_card_meets_the_goals_and_adds_up(name: str) -> None:
    told, member = card(name), recipe.MEMBERS[name]
    assert told["gap"][0] <= measure.LARGEST_GAP
    assert told["accepted"][0] >= 100 * measure.LEAST_ACCEPTED
    assert told["documents"] == (measure.DOCUMENTS,)
    assert told["seeds"] == (measure.HELD_OUT, member.seed, member.seed)
    assert told["trained"][1] == training.STEPS
    assert len(told["losses"]) == training.STEPS // training.TABLED
    assert told["losses"][-1] < told["losses"][0]
    assert told["gap"][0] == pytest.approx(told["held_out"][0] - told["floor"][0], abs=2e-4)
    tokens, model, floor, gap = np.array([told["parts"][kind] for kind in measure.KINDS]).T
    assert np.average(model, weights=tokens) == pytest.approx(told["held_out"][0], abs=1e-3)
    assert np.average(floor, weights=tokens) == pytest.approx(told["floor"][0], abs=1e-3)
    assert np.average(gap, weights=tokens) == pytest.approx(told["gap"][0], abs=2e-4)
    apart = [kind != "repeated name" for kind in measure.KINDS]
    assert np.average(gap[apart], weights=tokens[apart]) == pytest.approx(told["gap_without_repeated"][0], abs=2e-4)


@each
def test_the_card_tells_the_mixture(name: str) -> None:
    text = (MODELS[name].path() / "README.md").read_text()
    mixture = recipe.MEMBERS[name].mixture
    assert f"\n# {name}\n" in text
    for factors in (mixture.topics, mixture.schemata):
        assert all(f"{what} x{factor:g}" in text for what, factor in factors.items())


def test_a_card_tells_what_was_measured() -> None:
    estimates = [measure.Estimate(2.5, 0.01), measure.Estimate(2.4375, 0.02), measure.Estimate(0.0625, 0.003)]
    parts = {kind: measure.Part(1000 * k, 2.0, 2.0 + k / 64) for k, kind in enumerate(measure.KINDS, start=1)}
    planted = measure.Quality(50, 7, *estimates, 0.03125, parts, 1234, 0.93, 0.876)
    module = training.Training(recipe.MEMBERS["tiny-qwen-b"], None, 1500)
    module.tokens, module.losses = 7_654_321, [(500, 4.0), (600, 3.9), (1000, 3.5)]
    text = training.card("tiny-qwen-b", module, planted, threads=2)
    told = read_card(text)
    assert (told["held_out"], told["floor"], told["gap"]) == ((2.5, 0.01), (2.4375, 0.02), (0.0625, 0.003))
    assert (told["sampled"], told["accepted"], told["topic_consistent"]) == ((1234,), (93.0,), (87.6,))
    assert told["gap_without_repeated"] == (0.0312,)
    assert told["trained"] == (7_654_321, 1500)
    assert told["losses"] == [4.0, 3.5]
    assert told["parts"]["end of document"] == (4000, 2.0, 2.062, -0.0625)
    assert "A Qwen2 decoder of 12 blocks, width 96, 1.61 M parameters" in text
    assert "2 cores of" in text


# ---------------------------------------------------------------------- damage


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that stands for the built-in model."""
    folder = tmp_path / "copy"
    shutil.copytree(MODELS["tiny-llama-a"].path(), folder)
    monkeypatch.setitem(models.MODELS, "tiny-llama-a", BuiltIn(lambda: folder, "copy"))
    return folder


@pytest.mark.parametrize("kept", [0, 4, 1000, 2_000_000])
def test_a_cut_off_built_in_model_is_one_sentence(
    damaged: Path, kept: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    assert cli.main(["run", "model=tiny-llama-a", "limit=20", "accelerator=cpu", f"out={tmp_path / 'run'}"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "damaged" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_foreign_tokenizer_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"tokens up to number 30,521, but .* has vectors for 4,096 tokens only"):
        models.load("tiny-llama-a", "minilm")
