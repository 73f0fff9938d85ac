"""Loading a model and finding its blocks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from mspgt import models
from mspgt.core.errors import UserError
from mspgt.models import pretrained
from mspgt.models.blocks import find_blocks

LLAMA = hf.LlamaConfig(
    vocab_size=30522, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def minilm() -> models.LoadedModel:
    return models.load("minilm")


@pytest.fixture
def checkpoint(tmp_path: Path, minilm: models.LoadedModel) -> Path:
    """A directory with a tiny causal language model and minilm's tokenizer."""
    torch.manual_seed(0)
    hf.LlamaForCausalLM(LLAMA).save_pretrained(tmp_path)
    minilm.tokenizer.save_pretrained(tmp_path)
    return tmp_path


class Stack(nn.Module):
    """A model that is no Hugging Face model: three blocks with experts, and a decoy list that never runs."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.decoy = nn.ModuleList(nn.Linear(8, 8) for _ in range(9))
        self.embed = nn.Embedding(16, 8)
        self.body = nn.Module()
        self.body.stack = nn.ModuleList(Mixture() for _ in range(blocks))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.embed(input_ids)
        for block in self.body.stack:
            hidden = block(hidden)
        return hidden


class Mixture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(5))

    def forward(self, hidden: Tensor) -> Tensor:
        for expert in self.experts:
            hidden = expert(hidden)
        return hidden


# ---------------------------------------------------------------------- what is loaded


def test_minilm_is_described(minilm: models.LoadedModel) -> None:
    assert (minilm.name, minilm.family, minilm.n_layers, minilm.hidden_size) == ("minilm", "bert", 6, 384)
    assert (minilm.n_heads, minilm.context_length, minilm.causal) == (12, 512, False)
    assert minilm.parameters == 22_713_216
    assert (minilm.dtype, str(minilm.device)) == ("float32", "cpu")


def test_a_directory_gives_the_body_and_keeps_the_head(checkpoint: Path) -> None:
    loaded = models.load(str(checkpoint), dtype="bfloat16")
    assert isinstance(loaded.full, hf.LlamaForCausalLM)
    assert loaded.model is loaded.full.model
    assert loaded.blocks == list(loaded.full.model.layers)
    assert (loaded.family, loaded.causal, loaded.context_length, loaded.dtype) == ("llama", True, 64, "bfloat16")


def test_a_loaded_object_is_used_as_it_is(minilm: models.LoadedModel) -> None:
    model = hf.LlamaForCausalLM(LLAMA).to(torch.bfloat16).train()
    loaded = models.load(model, minilm.tokenizer)
    assert loaded.full is model
    assert loaded.model is model.model
    assert model.training
    assert loaded.dtype == "bfloat16"
    with pytest.raises(UserError, match="give the object alone"):
        models.load(model, minilm.tokenizer, quantization="4bit")


def test_a_built_in_model_keeps_its_name_as_an_object() -> None:
    path = models.MODELS["tiny-qwen-a"].path()
    loaded = models.load(hf.AutoModelForCausalLM.from_pretrained(path), hf.AutoTokenizer.from_pretrained(path))
    assert loaded.name == "tiny-qwen-a"


@pytest.mark.parametrize(
    ("config", "causal"),
    [
        (hf.GPT2Config(vocab_size=30522, n_embd=32, n_layer=2, n_head=4, n_positions=64), True),
        (hf.BloomConfig(vocab_size=30522, hidden_size=32, n_layer=2, n_head=4), True),
        (LLAMA, True),
        (hf.BertConfig(
            vocab_size=30522, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
        ), False),
    ],
)  # fmt: skip
def test_causality_is_seen_in_what_the_model_does(
    config: hf.PreTrainedConfig, causal: bool, minilm: models.LoadedModel
) -> None:
    assert models.load(hf.AutoModel.from_config(config), minilm.tokenizer).causal is causal


def test_roberta_has_room_for_two_tokens_less_than_positions(minilm: models.LoadedModel) -> None:
    config = hf.RobertaConfig(
        vocab_size=30522, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=66, pad_token_id=1,
    )  # fmt: skip
    assert models.load(hf.RobertaModel(config), minilm.tokenizer).context_length == 64


def test_the_hash_tells_models_apart_and_is_stable(checkpoint: Path, minilm: models.LoadedModel) -> None:
    one, again = models.load(checkpoint), models.load(checkpoint)
    assert models.content_sha256(one) == models.content_sha256(again)
    with torch.no_grad():
        again.blocks[1].mlp.up_proj.weight[0, 0] += 1e-6  # type: ignore[union-attr, index]
    assert models.content_sha256(one) != models.content_sha256(again)
    assert models.content_sha256(models.load(checkpoint, dtype="float16")) != models.content_sha256(one)
    assert models.tokenizer_sha256(one) == models.tokenizer_sha256(minilm)


def test_auto_dtype_on_a_cpu_is_float32(checkpoint: Path) -> None:
    hf.LlamaForCausalLM(LLAMA).to(torch.bfloat16).save_pretrained(checkpoint)
    assert models.load(checkpoint, device_map="cpu").dtype == "float32"


# ---------------------------------------------------------------------- what cannot be loaded


def test_an_unknown_id_is_one_sentence() -> None:
    with pytest.raises(
        UserError, match=r"'no-such/model-here' is neither a directory .*Built-in models: minilm, tiny-"
    ):
        models.load("no-such/model-here", offline=True)


def test_a_misspelt_built_in_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'tiny-lama-a' is neither .* Did you mean 'tiny-llama-a'\?"):
        models.load("tiny-lama-a", offline=True)


def test_a_tokenizer_that_does_not_fit_is_one_sentence(minilm: models.LoadedModel) -> None:
    small = hf.LlamaModel(hf.LlamaConfig(vocab_size=97, hidden_size=8, num_hidden_layers=2, num_attention_heads=2))
    with pytest.raises(UserError, match=r"tokens up to number 30,521, but model .* has vectors for 97 tokens only"):
        models.load(small, minilm.tokenizer)


def test_a_missing_directory_is_one_sentence() -> None:
    with pytest.raises(UserError, match="there is no such directory"):
        models.load("./not/here")


def test_a_damaged_checkpoint_is_one_sentence(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        models.load(checkpoint)
    weights.unlink()
    with pytest.raises(UserError, match="incomplete or damaged"):
        models.load(checkpoint)
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        models.load(checkpoint)


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight: it is damaged"):
        models.load(checkpoint)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"intermediate_size": 40}, r"mis-shapes model\.layers\.0\.mlp\.\w+\.weight and \d+ more: it is damaged"),
        ({"vocab_size": 90}, r"mis-shapes lm_head\.weight and 1 more"),
        ({"num_hidden_layers": 2}, r"has, beyond the blocks of config\.json, model\.layers\.2\."),
        ({"num_hidden_layers": 4}, r"lacks model\.layers\.3\."),
        ({"num_attention_heads": 5}, r"is not a multiple of the number of attention heads"),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_named(
    checkpoint: Path, changed: dict[str, int], said: str
) -> None:
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    (checkpoint / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        models.load(checkpoint)


def test_a_path_that_is_no_checkpoint_says_what_it_is(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"model\.safetensors' is a file; give a directory"):
        models.load(checkpoint / "model.safetensors")
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert models.load(f"~/{checkpoint.name}", "minilm").n_layers == 3
    (checkpoint / "config.json").unlink()
    with pytest.raises(UserError, match=r"there is no config\.json in this directory"):
        models.load(checkpoint)


@pytest.mark.parametrize("role", ["pad", "separator"])
def test_a_control_token_that_a_model_is_given_must_have_a_vector(minilm: models.LoadedModel, role: str) -> None:
    import copy

    tokenizer = copy.deepcopy(minilm.tokenizer)
    tokenizer.add_special_tokens({"pad_token": "[FAR]"} if role == "pad" else {"sep_token": "[FAR]"})
    model = minilm.full
    if role == "pad":
        with pytest.raises(UserError, match="tokens up to number 30,522"):
            models.describe(model, tokenizer, "minilm")
    else:  # the tokenizer still adds the separator it was made with
        assert models.describe(model, tokenizer, "minilm").n_layers == 6


def test_a_model_without_a_tokenizer_is_one_sentence(checkpoint: Path) -> None:
    for file in checkpoint.glob("*token*"):
        file.unlink()
    shutil.rmtree(checkpoint / "vocab", ignore_errors=True)
    (checkpoint / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(UserError, match="give tokenizer="):
        models.load(checkpoint)
    assert models.load(checkpoint, "minilm").n_layers == 3


def test_a_model_made_from_a_configuration_needs_a_tokenizer_and_asks_no_hub() -> None:
    with pytest.raises(UserError, match="the LlamaModel given as model= does not say where its tokenizer lies"):
        models.load(
            hf.LlamaModel(hf.LlamaConfig(vocab_size=8, hidden_size=8, num_hidden_layers=2, num_attention_heads=2))
        )


@pytest.mark.parametrize("model", [None, 5, ""])
def test_what_is_no_model_is_refused_before_the_hub_is_asked(model: Any) -> None:
    with pytest.raises(UserError, match="expected a built-in name"):
        models.load(model)


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(UserError, match="is not a fast one"):
        models.load(hf.LlamaModel(LLAMA), object())


@pytest.mark.parametrize(
    ("given", "message"),
    [({"dtype": "float23"}, "Did you mean 'float32'"), ({"quantization": "3bit"}, "Available: 4bit, 8bit")],
)
def test_a_wrong_value_is_answered_with_the_allowed_ones(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        models.load("minilm", **given)  # type: ignore[arg-type]


def test_quantization_without_bitsandbytes_gives_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"quantization=4bit needs .*pip install bitsandbytes"):
        pretrained._quantization("4bit")


# ---------------------------------------------------------------------- blocks


def test_blocks_are_the_outermost_list_that_runs() -> None:
    model = Stack()
    assert find_blocks(model) == list(model.body.stack)


def test_a_model_without_blocks_is_an_error_that_lists_candidates() -> None:
    with pytest.raises(UserError, match="Linear has no blocks"):
        find_blocks(nn.Linear(3, 3))
    with pytest.raises(UserError, match=r"has no blocks.*decoy, body\.stack, body\.stack\.0\.experts"):
        find_blocks(Broken())


class Broken(Stack):
    """Nothing but the embedding runs."""

    def __init__(self) -> None:
        super().__init__(blocks=2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.embed(input_ids)


def test_a_path_names_the_blocks_relative_to_model_or_body(minilm: models.LoadedModel) -> None:
    model = hf.LlamaForCausalLM(LLAMA)
    for path in ("layers", "model.layers"):
        assert models.load(model, minilm.tokenizer, layers_path=path).blocks == list(model.model.layers)
    with pytest.raises(UserError, match=r"layers_path: 'model\.layer'.*Did you mean.*Available: layers"):
        models.load(model, minilm.tokenizer, layers_path="model.layer")


def test_a_model_that_needs_more_than_token_ids_is_refused() -> None:
    config = hf.T5Config(vocab_size=30522, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    with pytest.raises(UserError, match="does not run on token ids alone"):
        find_blocks(hf.T5Model(config))
