"""The transformer inside a module in training: how it is found, what is said of it, and that it trains on as before."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import peft
import pytest
import torch
import transformers as hf
from small_tokenizers import byte_bpe, wordpiece
from torch import Tensor, nn
from torchmetrics import MeanMetric

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.models import LoadedModel
from mspgt.models.capture import Capture, prove
from mspgt.models.forward import random_state
from mspgt.models.inside import describe_inside, find_transformer

SMALL: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "attention_dropout": 0.1,
}
IDS = torch.arange(48).reshape(4, 12) * 7 % 97

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),  # renamed in transformers
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]


def llama(**given: Any) -> Any:
    torch.manual_seed(0)
    return hf.LlamaForCausalLM(hf.LlamaConfig(**{**SMALL, **given})).train()


def bert() -> Any:
    torch.manual_seed(0)
    config = {name: value for name, value in SMALL.items() if name != "attention_dropout"}
    return hf.BertForMaskedLM(hf.BertConfig(**config)).train()


def gpt2() -> Any:
    torch.manual_seed(0)
    return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=400, n_embd=16, n_layer=3, n_head=4, n_positions=64)).train()


def lora(model: nn.Module | None = None, **given: Any) -> Any:
    """A model with adapters that already do something."""
    config = peft.LoraConfig(**{"target_modules": ["q_proj", "up_proj"], "task_type": "CAUSAL_LM", **given})
    adapted = peft.get_peft_model(llama() if model is None else model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.5)
    return adapted.train()


class Net(nn.Module):
    """A transformer that is no Hugging Face model, with a normalisation that keeps statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(400, 16)
        self.norm = nn.BatchNorm1d(16)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.head = nn.Linear(16, 400)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Any = None) -> Any:
        hidden = self.norm(self.embed(input_ids).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            hidden = nn.functional.dropout(block(hidden).relu(), 0.1, self.training)
        return (
            nn.functional.cross_entropy(self.head(hidden).flatten(0, 1), labels.flatten())
            if labels is not None
            else hidden
        )


class Training(L.LightningModule):
    """A module in training that holds others."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        self.loss = MeanMetric()
        for name, module in modules.items():
            setattr(self, name, module)


def batch_of(tokens: int) -> Batch:
    mask = torch.ones(2, tokens, dtype=torch.bool)
    mask[1, tokens // 2 :] = False
    ids = torch.arange(2 * tokens).reshape(2, tokens) % 90
    return Batch((Key("c", "d", 0), Key("c", "d", 1)), ids, mask, mask, torch.where(mask, 0, -1))


def described(module: nn.Module) -> LoadedModel:
    return describe_inside(module, "model", None, needs_tokenizer=False)


def hidden_states(module: nn.Module, attention: bool = True, tokens: int = 9) -> list[Tensor]:
    """What the layers give, in the same way as a callback asks for it."""
    loaded = described(module)
    hidden: list[Tensor] = []
    with Capture(loaded.model, loaded.blocks, attention) as capture:
        capture.run(batch_of(tokens), lambda layer: hidden.append(layer.hidden.clone()))
    return hidden


# ---------------------------------------------------------------------- what is found


def test_the_one_hugging_face_model_is_found() -> None:
    model = llama()
    for module in (Training(net=model), Training(net=nn.ModuleDict({"deep": model})), model, torch.compile(model)):
        assert find_transformer(module) is model


def test_wrappers_are_looked_into() -> None:
    for wrap in (
        torch.compile,
        lora,
        lambda model: torch.compile(lora(model)),
        lambda model: lora(torch.compile(model)),
    ):
        model = llama()
        module = Training(net=wrap(model))
        assert find_transformer(module) is model
        assert find_transformer(module, "net") is model


def test_a_model_that_is_part_of_another_or_shared_counts_once() -> None:
    model = llama()
    assert find_transformer(Training(body=model.model, model=model, again=model)) is model


def test_a_path_chooses_among_several() -> None:
    teacher, student = llama(), bert()
    module = Training(teacher=torch.compile(teacher), student=student)
    with pytest.raises(
        UserError, match=r"Training holds several Hugging Face models \(teacher, student\): give model="
    ):
        find_transformer(module)
    assert find_transformer(module, "student") is student
    for path in ("teacher", "teacher._orig_mod"):
        assert find_transformer(module, path) is teacher
    assert find_transformer(module, "teacher.model") is teacher.model
    with pytest.raises(UserError, match=r"pair holds several Hugging Face models \(pair\.one, pair\.two\)"):
        find_transformer(Training(pair=nn.ModuleDict({"one": teacher, "two": student})), "pair")


def test_a_path_leads_to_any_module() -> None:
    net = Net()
    module = Training(net=net)
    assert find_transformer(module, "net") is net
    assert find_transformer(Training(net=torch.compile(net)), "net") is net
    assert find_transformer(net, "") is net
    with pytest.raises(UserError, match=r"Training holds no Hugging Face model: give model=.* are: loss, net\.$"):
        find_transformer(module)


def test_a_misspelt_path_is_answered_with_the_nearest() -> None:
    module = Training(net=torch.compile(llama()))
    with pytest.raises(UserError, match=r"model: 'nett'\. Did you mean 'net'\? Training holds no 'nett'"):
        find_transformer(module, "nett")
    with pytest.raises(UserError, match=r"Did you mean 'net\.model'\? net holds no 'modle'. Available: net\.lm_head"):
        find_transformer(module, "net.modle.layers")


# ---------------------------------------------------------------------- what cannot be observed


@pytest.mark.parametrize("kind", ["PromptTuning", "PrefixTuning", "PromptEncoder"])
def test_virtual_tokens_are_refused(kind: str) -> None:
    config = getattr(peft, f"{kind}Config")(num_virtual_tokens=3, task_type="CAUSAL_LM")
    module = Training(model=peft.get_peft_model(llama(), config))
    for path in (None, "model", "model.base_model"):
        with pytest.raises(UserError, match=r"adds virtual tokens outside of the LlamaForCausalLM's blocks.*LoRA\.$"):
            find_transformer(module, path)


def test_adapters_that_are_steered_from_outside_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PEFT's activated LoRA is steered from outside of the LlamaForCausalLM"):
        find_transformer(Training(model=lora(alora_invocation_tokens=[3])))
    lora().save_pretrained(tmp_path)
    config = peft.XLoraConfig(hidden_size=16, adapters={"one": str(tmp_path)}, task_type="CAUSAL_LM")
    with pytest.raises(UserError, match="PEFT's X-LoRA is steered from outside"):
        find_transformer(Training(model=peft.get_peft_model(llama(use_cache=False), config)))


def test_graphs_are_refused() -> None:
    net = Net().eval()
    for graph in (torch.jit.trace(net, torch.arange(6)[None]), torch.fx.symbolic_trace(net.head)):
        with pytest.raises(UserError, match=r"is a graph made of a model .* its blocks call no hooks"):
            find_transformer(Training(model=graph), "model")


# ---------------------------------------------------------------------- what is said of it


@pytest.mark.parametrize(
    ("make", "family", "causal"), [(llama, "llama", True), (gpt2, "gpt2", True), (bert, "bert", False)]
)
def test_it_is_described_as_a_loaded_model(make: Callable[[], Any], family: str, causal: bool) -> None:
    model = make()
    loaded = describe_inside(Training(net=model), None, wordpiece() if family == "bert" else byte_bpe())
    assert loaded.full is model
    assert loaded.model is model.base_model
    assert (loaded.family, loaded.causal, loaded.n_layers, loaded.hidden_size) == (family, causal, 3, 16)
    assert (loaded.name, loaded.vocabulary) == (type(model).__name__, 400)
    assert prove(loaded.model, loaded.blocks, attention=True) == ""
    assert describe_inside(Training(net=model), "net", byte_bpe(), name="mine").name == "mine"


def test_its_own_tokenizer_is_the_one_of_its_checkpoint(tmp_path: Path) -> None:
    byte_bpe().save_pretrained(tmp_path)
    llama().save_pretrained(tmp_path)
    model = hf.LlamaForCausalLM.from_pretrained(tmp_path)
    for module in (Training(net=model), Training(net=lora(model))):
        loaded = describe_inside(module, None, None)
        assert loaded.tokenizer.get_vocab() == byte_bpe().get_vocab()
        assert loaded.name == str(tmp_path)
    with pytest.raises(UserError, match="the LlamaForCausalLM in training does not say where its tokenizer lies"):
        describe_inside(Training(net=llama()), None, None)
    with pytest.raises(UserError, match="they do not belong together"):
        describe_inside(Training(net=model), None, "minilm")


def test_a_model_of_ready_batches_has_no_tokenizer(tmp_path: Path) -> None:
    loaded = describe_inside(
        Training(net=llama(eos_token_id=[2, 5], bos_token_id=0)), None, None, needs_tokenizer=False
    )
    assert loaded.tokenizer is None
    assert (loaded.vocabulary, loaded.context_length) == (400, 64)
    assert loaded.special_ids == {0, 2, 5}
    given = describe_inside(Training(net=llama()), None, byte_bpe(), needs_tokenizer=False)
    assert given.special_ids == {given.tokenizer.eos_token_id}  # which is its unknown token too
    written = describe_inside(Training(net=bert()), None, wordpiece())
    assert written.special_ids == {*written.tokenizer.all_special_ids} - {written.tokenizer.unk_token_id}


def test_a_module_of_ones_own_is_described() -> None:
    net = Net()
    loaded = describe_inside(Training(net=net), "net", None, needs_tokenizer=False, layers_path="blocks")
    assert (loaded.model, loaded.blocks, loaded.name) == (net, list(net.blocks), "Net")
    assert (loaded.n_layers, loaded.hidden_size, loaded.special_ids) == (3, 16, frozenset())


@pytest.mark.parametrize(
    "wrapping", [{"target_modules": ["q_proj", "embed_tokens"]}, {"modules_to_save": ["embed_tokens"]}]
)
def test_the_vocabulary_is_seen_through_adapters(wrapping: dict[str, Any]) -> None:
    assert described(Training(model=lora(**wrapping))).vocabulary == 400


# ---------------------------------------------------------------------- adapters


def test_hidden_states_are_those_of_the_adapted_model() -> None:
    adapted = lora()
    active = hidden_states(Training(model=adapted))
    with adapted.disable_adapter():
        bare = hidden_states(Training(model=adapted))
    merged = hidden_states(Training(model=adapted.merge_and_unload()))
    assert torch.equal(active[0], bare[0])
    for k in (1, 2, 3):
        assert not torch.allclose(active[k], bare[k], atol=1e-2)
        torch.testing.assert_close(active[k], merged[k])


# ---------------------------------------------------------------------- training goes on as before


def checkpointed(**given: Any) -> Any:
    model = llama()
    model.gradient_checkpointing_enable(given or None)
    model.enable_input_require_grads()
    return model


def scaled(kind: str) -> Any:
    """A model with rotary frequencies that follow the length of the text."""
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    if kind == "longrope":
        factors = {"short_factor": [1.0, 1.0], "long_factor": [2.0, 3.0]}
        rope |= {**factors, "original_max_position_embeddings": 20}
    return llama(max_position_embeddings=20 if kind == "longrope" else 8, rope_parameters=rope)


MODELS: dict[str, Callable[[], Any]] = {
    "decoder": llama,
    "gpt2": gpt2,
    "encoder": bert,
    "adapters": lora,
    "checkpointing": checkpointed,
    "reentrant checkpointing": lambda: checkpointed(use_reentrant=True),
    "dynamic": lambda: scaled("dynamic"),
    "longrope": lambda: scaled("longrope"),
    "own": Net,
}
every_model = pytest.mark.parametrize("name", MODELS)


def train(name: str, watch: Callable[[nn.Module], object]) -> list[Any]:
    """Losses of some steps, and then all weights, gradients, buffers, modes and numbers."""
    torch.manual_seed(0)
    module = Training(model=MODELS[name]())
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 1e-2)
    after: list[Any] = []
    for step, length in enumerate((12, 9, 12)):
        watch(module)
        ids = IDS[:, :length].contiguous()
        out = module.model(input_ids=ids, labels=ids)
        loss = out if isinstance(out, Tensor) else out.loss
        loss.backward()
        watch(module)  # with gradients there
        optimizer.step()
        if step < 2:
            optimizer.zero_grad()
        after.append(loss)
    after += [*module.parameters(), *(p.grad for p in module.parameters()), *module.buffers()]
    for part in module.modules():
        numbers = {n: v for n, v in vars(part).items() if isinstance(v, (bool, int, float, Tensor))}
        after += [part.training, *numbers.values()]
    return after


def same(one: list[Any], other: list[Any]) -> bool:
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(one, other, strict=True))


@every_model
def test_training_is_the_same_as_without_observing(name: str) -> None:
    expected = train(name, lambda module: None)
    for tokens in (5, 15, 18):
        assert same(train(name, lambda module, n=tokens: hidden_states(module, name != "own", n)), expected)  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_observing_would_change_frequencies_that_follow_the_length(kind: str) -> None:
    """What the test above relies on."""
    model = scaled(kind)
    before = model.model.rotary_emb.inv_freq.clone()
    with torch.no_grad():
        model(input_ids=torch.arange(30)[None])
    assert not torch.equal(model.model.rotary_emb.inv_freq, before)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_frequencies_are_put_back_after_an_error(kind: str) -> None:
    model = scaled(kind)
    loaded = described(Training(model=model))
    buffers, values = dict(model.named_buffers()), [b.clone() for b in model.buffers()]

    def fail(layer: Layer) -> None:
        raise ZeroDivisionError

    with suppress(ZeroDivisionError), Capture(loaded.model, loaded.blocks, attention=True) as capture:
        capture.run(batch_of(30), fail)
    assert all(b is buffers[name] for name, b in model.named_buffers())
    assert same(list(model.buffers()), values)


def test_gradient_checkpointing_is_silent_and_shows_detached_states(caplog: pytest.LogCaptureFixture) -> None:
    module = Training(model=checkpointed())
    with warnings.catch_warnings(), caplog.at_level("WARNING"):
        warnings.simplefilter("error")
        loaded = described(module)
        prove(loaded.model, loaded.blocks, attention=True)
        hidden: list[Tensor] = []
        with Capture(loaded.model, loaded.blocks, attention=True) as capture:
            capture.run(batch_of(9), lambda layer: hidden.append(layer.hidden))
    assert not caplog.records
    assert not any(h.requires_grad for h in hidden)
    assert module.model.is_gradient_checkpointing


def test_autocast_has_nothing_in_its_cache_for_the_training_to_find() -> None:
    def gradient(watched: bool) -> list[Tensor]:
        torch.manual_seed(0)
        module = Training(model=llama(attention_dropout=0.0))
        loaded, caches = described(module), []
        with torch.autocast("cpu", torch.bfloat16):
            if watched:
                with Capture(loaded.model, loaded.blocks, attention=True) as capture:
                    capture.run(batch_of(9), lambda layer: caches.append(torch.is_autocast_cache_enabled()))
                assert not any(caches)
                assert torch.is_autocast_cache_enabled()
            module.model(input_ids=IDS, labels=IDS).loss.backward()
        return [p.grad for p in module.parameters() if p.grad is not None]

    assert same(gradient(watched=True), gradient(watched=False))


def test_modes_are_changed_without_what_train_and_eval_do_besides() -> None:
    class Merging(nn.Linear):
        """As adapters do that merge into the weights for evaluation."""

        def train(self, mode: bool = True) -> Merging:
            raise AssertionError

    net = Net()
    net.blocks[1] = Merging(16, 16)
    loaded = describe_inside(Training(net=net), "net", None, needs_tokenizer=False, layers_path="blocks")
    modes = []
    with Capture(loaded.model, loaded.blocks, attention=False) as capture:
        capture.run(batch_of(9), lambda layer: modes.extend(m.training for m in net.modules()))
    assert not any(modes)
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("raises", [False, True])
def test_no_random_number_of_the_training_is_another(raises: bool) -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))

    def seed() -> None:
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    seed()
    expected = draws()
    loaded = described(Training(model=llama()))

    def observe(layer: Layer) -> None:
        draws()
        np.random.shuffle(list(range(9)))
        if raises:
            raise ZeroDivisionError

    seed()
    with suppress(ZeroDivisionError), Capture(loaded.model, loaded.blocks, attention=False) as capture:
        capture.run(batch_of(9), observe)
    assert draws() == expected
    seed()
    with suppress(ZeroDivisionError), random_state(loaded.model):
        draws()
        if raises:
            raise ZeroDivisionError
    assert draws() == expected


def test_nothing_of_the_configuration_is_another() -> None:
    module = Training(model=llama(attn_implementation="eager"))
    before = module.model.config.to_dict()
    hidden_states(module)
    assert module.model.config.to_dict() == before
    assert module.model.config._attn_implementation == "eager"
