"""Checkpoints of a training run are found, put in the order of their steps, and loaded with the weights they hold."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
from collections import UserList
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint
from small_tokenizers import byte_bpe
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mspgt.config.run import RunOptions
from mspgt.core.errors import UserError
from mspgt.models import checkpoints, weights
from mspgt.models.checkpoints import Checkpoint, common, require_same
from mspgt.models.checkpoints.finding import _number

VOCABULARY = 300
TOKENIZER = byte_bpe(vocabulary=VOCABULARY)
IDS = torch.arange(12).reshape(2, 6)


def llama(seed: int = 0, blocks: int = 2, width: int = 16, **more: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    shape = {"intermediate_size": 2 * width, "num_attention_heads": 2, "max_position_embeddings": 64}
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=blocks, **shape, **more)
    return LlamaForCausalLM(config)


def save(model: Any, folder: Path, step: int | None = None, log: list[dict[str, Any]] | None = None) -> Path:
    """Write a folder as transformers' Trainer does; with its state where a step is given."""
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    if step is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": log or []}))
    return folder


def ckpt(path: Path, state: Mapping[str, Any], step: int = 3, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": dict(state), "global_step": step, "epoch": 0, **more}, path)
    return path


def prefixed(prefix: str, model: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in model.state_dict().items()}


def options(model: Any = None, **more: Any) -> RunOptions:
    return replace(RunOptions(), model=model, **more)


def found(*sources: Path | str) -> tuple[list[tuple[int, str]], list[str]]:
    """(step, name) of each checkpoint, and the notes."""
    notes: list[str] = []
    return [(c.step, c.name) for c in checkpoints.find([str(s) for s in sources], notes.append)], notes


def refused(call: Callable[[], object]) -> str:
    """The message of a refusal: one sentence on one line."""
    with pytest.raises(UserError) as error:
        call()
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def load(path: Path, model: Any = None, **more: Any) -> Any:
    (one,) = checkpoints.find([str(path)], lambda note: None)
    return checkpoints.load(one, options(model, **more))


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model before training."""
    return save(llama(99), tmp_path_factory.mktemp("base"))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """What transformers' Trainer leaves after 1,000 steps."""
    folder = tmp_path / "output"
    log = [{"step": 100, "loss": 6.0}, {"step": 200, "loss": 4.0}, {"step": 200, "eval_loss": 9.0}]
    save(llama(1), folder / "checkpoint-200", 200, log)
    save(llama(2), folder / "checkpoint-1000", 1000, [*log, {"step": 600, "loss": 3.0}, {"step": 1000, "loss": 1.0}])
    (folder / "runs").mkdir()
    return folder


# ------------------------------------------------------------------------------------------- a training with Lightning


class Trains(L.LightningModule):
    """Trains the model under `self.model`; another one stands under `self.net.inner`."""

    def __init__(self, model: nn.Module, inner: nn.Module) -> None:
        super().__init__()
        self.save_hyperparameters({"folder": Path("data"), "width": 16})
        self.model = model
        self.net = nn.Module()
        self.net.inner = inner
        self.head = nn.Linear(4, 4)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return self.model(input_ids=batch[0], labels=batch[0]).loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)


class Remembers(L.Callback):
    """Keeps the model as it was after each step."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, Tensor]] = {}

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *rest: Any) -> None:
        self.states[trainer.global_step] = copy.deepcopy(module.model.state_dict())


def train(folder: Path, module: L.LightningModule, steps: int = 3) -> dict[int, dict[str, Tensor]]:
    keep, remembers = ModelCheckpoint(every_n_train_steps=1, save_top_k=-1, save_last=True), Remembers()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        default_root_dir=folder, max_steps=steps, accelerator="cpu", callbacks=[keep, remembers], **quiet
    )
    trainer.fit(module, DataLoader(TensorDataset(torch.randint(0, VOCABULARY, (8, 8))), batch_size=2))
    return remembers.states


@pytest.fixture(scope="module")
def lightning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, dict[str, Tensor]], nn.Module]:
    """The folder of three steps, the states of the model after them, and the other model of three blocks."""
    folder, inner = tmp_path_factory.mktemp("lightning"), llama(5, blocks=3)
    return folder, train(folder, Trains(llama(4), inner)), inner


# ------------------------------------------------------------------------------------------- finding


def test_folders_of_the_trainer_come_in_the_order_of_their_steps(trained: Path) -> None:
    assert found(trained)[0] == [(200, "checkpoint-200"), (1000, "checkpoint-1000")]


def test_a_directory_a_glob_and_a_list_in_any_order_mean_the_same(trained: Path) -> None:
    folders = [trained / "checkpoint-1000", trained / "checkpoint-200"]
    assert found(trained)[0] == found(trained / "checkpoint-*")[0] == found(*folders)[0]


def test_one_checkpoint_stands_for_itself(trained: Path) -> None:
    assert found(trained / "checkpoint-200")[0] == [(200, "checkpoint-200")]


def test_what_is_named_twice_or_linked_is_found_once(trained: Path) -> None:
    (trained / "newest").symlink_to(trained / "checkpoint-1000")
    expected = [(200, "checkpoint-200"), (1000, "checkpoint-1000")]
    assert found(trained, trained / "checkpoint-*", trained / "checkpoint-200")[0] == expected


def test_the_state_of_the_trainer_counts_more_than_the_name(tmp_path: Path) -> None:
    save(llama(), tmp_path / "checkpoint-7", 450)
    assert found(tmp_path)[0] == [(450, "checkpoint-7")]


def test_the_loss_is_the_mean_of_what_was_logged_since_the_checkpoint_before(trained: Path) -> None:
    losses = [c.loss for c in checkpoints.find([str(trained)], print)]
    assert losses == [5.0, 2.0]  # (100 x 6 + 100 x 4) / 200, (400 x 3 + 400 x 1) / 800


def test_without_anything_logged_there_is_no_loss(tmp_path: Path) -> None:
    save(llama(), tmp_path / "a-10", 10)
    save(llama(), tmp_path / "b-20")
    assert [c.loss for c in checkpoints.find([str(tmp_path)], print)] == [None, None]


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=8, unique=True))
def test_the_number_in_a_name_is_the_step(steps: list[int]) -> None:
    for step in steps:
        assert _number(f"checkpoint-{step}") == step
        assert _number(f"epoch=1-step={step}-v2") == step
        assert _number(f"stage1-step{step}-tokens3B") == step


def test_without_numbers_the_order_is_that_of_time_and_said(tmp_path: Path) -> None:
    for time, name in enumerate(("late", "early", "middle")):
        for file in save(llama(), tmp_path / name).iterdir():
            os.utime(file, (1_000 - 100 * time,) * 2)
    steps, notes = found(tmp_path)
    assert steps == [(1, "middle"), (2, "early"), (3, "late")]
    assert len(notes) == 1
    assert "early, late, middle" in notes[0]
    assert "time" in notes[0]


def test_two_of_one_step_are_named(trained: Path) -> None:
    shutil.copytree(trained / "checkpoint-200", trained / "copy-200")
    message = refused(lambda: found(trained))
    assert "checkpoint-200" in message
    assert "copy-200" in message
    assert "step 200" in message


def test_the_last_weights_saved_once_more_beside_the_folders_are_left_aside(trained: Path) -> None:
    save(llama(2), trained, 1000)
    steps, notes = found(trained)
    assert steps == [(200, "checkpoint-200"), (1000, "checkpoint-1000")]
    assert [note for note in notes if "1,000" in note and "left aside" in note]


def test_weights_beside_the_folders_of_a_later_step_are_one_more_checkpoint(trained: Path) -> None:
    save(llama(3), trained, 1200)
    assert found(trained)[0] == [(200, "checkpoint-200"), (1000, "checkpoint-1000"), (1200, "output")]


def test_a_folder_without_weights_is_left_aside_and_said(trained: Path) -> None:
    (trained / "checkpoint-300").mkdir()
    shutil.copy(trained / "checkpoint-200" / "config.json", trained / "checkpoint-300")
    steps, notes = found(trained)
    assert [step for step, _ in steps] == [200, 1000]
    assert len(notes) == 1
    assert "checkpoint-300" in notes[0]


def test_lightnings_folder_is_found_with_last_left_aside(lightning: tuple[Path, Any, Any]) -> None:
    folder, *_ = lightning
    steps, notes = found(folder)
    assert steps == [(i + 1, f"epoch=0-step={i + 1}.ckpt") for i in range(3)]
    assert len(notes) == 1
    assert "last.ckpt" in notes[0]
    assert found(folder / "checkpoints") == (steps, notes)
    assert found(folder / "checkpoints" / "epoch*.ckpt") == (steps, [])


def test_last_alone_is_a_checkpoint(lightning: tuple[Path, Any, Any]) -> None:
    assert found(lightning[0] / "checkpoints" / "last.ckpt")[0] == [(3, "last.ckpt")]


def test_the_step_in_a_file_of_lightning_counts_more_than_its_name(tmp_path: Path) -> None:
    ckpt(tmp_path / "step=9.ckpt", prefixed("model.", llama()), step=70)
    ckpt(tmp_path / "best.ckpt", prefixed("model.", llama()), step=8)
    assert found(tmp_path)[0] == [(8, "best.ckpt"), (70, "step=9.ckpt")]


def test_models_and_files_of_lightning_together_are_refused(trained: Path) -> None:
    ckpt(trained / "a.ckpt", prefixed("model.", llama()))
    message = refused(lambda: found(trained))
    assert "a.ckpt (a file of Lightning)" in message
    assert "a Hugging Face model" in message


def test_a_folder_with_nothing_or_with_others_things_is_refused(tmp_path: Path) -> None:
    assert "found nothing" in refused(lambda: found(tmp_path))
    (tmp_path / "notes.txt").touch()
    assert "found notes.txt" in refused(lambda: found(tmp_path))


def test_a_path_or_a_glob_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    assert "no such directory" in refused(lambda: found(tmp_path / "runs"))
    assert "matches nothing" in refused(lambda: found(tmp_path / "checkpoint-*"))
    (tmp_path / "checkpoint-1").mkdir()
    assert "matches checkpoint-1, none of which" in refused(lambda: found(tmp_path / "checkpoint-*"))


@pytest.mark.parametrize(
    "part",
    ["step=3.ckpt/.metadata", "checkpoint-3/zero_to_fp32.py", "checkpoint-3/pytorch_model_fsdp_0/__0_0.distcp"],
)
def test_weights_in_parts_are_refused_with_the_way_to_join_them(tmp_path: Path, part: str) -> None:
    (tmp_path / part).parent.mkdir(parents=True)
    (tmp_path / part).touch()
    for source in (tmp_path, tmp_path / part.partition("/")[0]):
        assert "consolidate_checkpoint" in refused(lambda source=source: found(source))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"global_step": "many"}', '{"global_step": 1, "log_history": [3]}'])
def test_a_damaged_state_of_the_trainer_is_refused(tmp_path: Path, text: str) -> None:
    save(llama(), tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-1" / "trainer_state.json").write_text(text)
    assert "trainer_state.json cannot be read" in refused(lambda: found(tmp_path))


def test_a_damaged_file_goes_by_its_name(
    lightning: tuple[Path, dict[int, dict[str, Tensor]], nn.Module], tmp_path: Path
) -> None:
    """It is left out when its turn comes; the others are measured."""
    for file in lightning[0].rglob("*step=*.ckpt"):
        shutil.copy(file, tmp_path)
    before, _ = found(tmp_path)
    path = tmp_path / before[1][1]
    path.write_bytes(path.read_bytes()[:-100])
    assert found(tmp_path)[0] == before
    message = refused(lambda: load(path, llama(1), tokenizer=TOKENIZER))
    assert message.startswith(f"{path} is damaged, or no checkpoint of Lightning (")
    assert ". " not in message


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    assert "a.ckpt is damaged" in refused(lambda: found(tmp_path))


def test_a_file_cut_off_in_the_middle_is_refused(tmp_path: Path) -> None:
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama()))
    file.write_bytes(file.read_bytes()[:5000])
    assert "a.ckpt is damaged" in refused(lambda: found(tmp_path))


def test_a_file_of_weights_alone_is_refused(tmp_path: Path) -> None:
    torch.save(llama().state_dict(), tmp_path / "a.ckpt")
    assert "expected a 'state_dict'" in refused(lambda: found(tmp_path))
    torch.save([1, 2], tmp_path / "a.ckpt")
    assert "found list" in refused(lambda: found(tmp_path))


# ------------------------------------------------------------------------------------------- loading folders


@pytest.mark.parametrize("more", [{}, {"tie_word_embeddings": True}], ids=["untied", "tied"])
def test_a_folder_gives_the_weights_that_were_saved(tmp_path: Path, more: dict[str, Any]) -> None:
    model = llama(7, **more)
    loaded = load(save(model, tmp_path / "checkpoint-1"))
    assert same(loaded.full, model)
    assert (loaded.n_layers, loaded.hidden_size) == (2, 16)


def test_weights_in_several_safetensors_are_one_model(tmp_path: Path) -> None:
    model = llama(7)
    model.save_pretrained(tmp_path / "checkpoint-1", max_shard_size="10KB")
    TOKENIZER.save_pretrained(tmp_path / "checkpoint-1")
    assert len([*tmp_path.glob("checkpoint-1/model-*.safetensors")]) > 1
    assert same(load(tmp_path / "checkpoint-1").full, model)


def test_bfloat16_keeps_its_values(tmp_path: Path) -> None:
    model = llama(7).to(torch.bfloat16)
    folder = save(model, tmp_path / "checkpoint-1")
    assert same(load(folder, dtype="bfloat16").full, model)
    assert same(load(folder, dtype="float32").full, copy.deepcopy(model).float())


def test_a_folder_without_tokenizer_takes_that_of_the_model_given(tmp_path: Path, base: Path) -> None:
    llama(7).save_pretrained(tmp_path / "checkpoint-1")
    assert "tokenizer=" in refused(lambda: load(tmp_path / "checkpoint-1"))
    assert same(load(tmp_path / "checkpoint-1", str(base)).full, llama(7))
    assert same(load(tmp_path / "checkpoint-1", tokenizer=TOKENIZER).full, llama(7))


def test_damaged_weights_in_a_folder_are_refused(tmp_path: Path) -> None:
    folder = save(llama(), tmp_path / "checkpoint-1")
    (folder / "model.safetensors").write_bytes(b"cut off")
    assert "checkpoint-1" in refused(lambda: load(folder))


# ------------------------------------------------------------------------------------------- loading files of Lightning


def test_each_step_of_a_training_gives_the_weights_of_that_step(lightning: tuple[Path, Any, Any], base: Path) -> None:
    folder, states, _ = lightning
    for one in checkpoints.find([str(folder)], lambda note: None):
        loaded = checkpoints.load(one, options(str(base)))
        state = loaded.full.state_dict()
        assert all(torch.equal(state[name], states[one.step][name]) for name in state)
    assert not torch.equal(states[1]["lm_head.weight"], states[3]["lm_head.weight"])


def test_the_architecture_given_says_which_model_is_meant(lightning: tuple[Path, Any, Any]) -> None:
    folder, _, inner = lightning
    last = folder / "checkpoints" / "last.ckpt"
    assert same(load(last, llama(1, blocks=3), tokenizer=TOKENIZER).full, inner)


def test_a_compiled_model_is_found_by_its_own_names(tmp_path: Path, base: Path) -> None:
    module = Trains(torch.compile(llama(4), backend="eager"), nn.Identity())
    train(tmp_path, module, steps=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert any("_orig_mod." in name for name in torch.load(last, weights_only=False)["state_dict"])
    assert same(load(last, str(base)).full, module.model._orig_mod)


@pytest.mark.parametrize("prefix", ["", "model.", "net.inner.", "_orig_mod.model.", "a.b._fsdp_wrapped_module.c."])
def test_the_names_around_a_model_do_not_matter(tmp_path: Path, base: Path, prefix: str) -> None:
    model = llama(7)
    others = {"head.weight": torch.ones(3), "model_ema_decay": torch.tensor(0.9), "loss.scale": torch.ones(2)}
    assert same(load(ckpt(tmp_path / "a.ckpt", prefixed(prefix, model) | others), str(base)).full, model)


@pytest.mark.parametrize("wrapper", sorted(weights.WRAPPERS))
def test_wrappers_around_the_blocks_do_not_matter(tmp_path: Path, base: Path, wrapper: str) -> None:
    state = {name.replace("layers.1.", f"layers.1.{wrapper}."): v for name, v in prefixed("model.", llama(7)).items()}
    assert any(wrapper in name for name in state)
    assert same(load(ckpt(tmp_path / "a.ckpt", state), str(base)).full, llama(7))


def test_a_model_object_stays_as_it_is(tmp_path: Path) -> None:
    given_, file = llama(1), ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7)))
    loaded = load(file, given_, tokenizer=TOKENIZER)
    assert same(loaded.full, llama(7))
    assert same(given_, llama(1))


def test_a_folder_with_a_configuration_alone_is_an_architecture(tmp_path: Path) -> None:
    llama().config.save_pretrained(tmp_path / "architecture")
    TOKENIZER.save_pretrained(tmp_path / "architecture")
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7)))
    assert same(load(file, str(tmp_path / "architecture")).model, llama(7).model)


def test_a_body_without_its_head_is_enough(tmp_path: Path, base: Path) -> None:
    model = llama(7)
    assert same(load(ckpt(tmp_path / "a.ckpt", prefixed("encoder.", model.model)), str(base)).model, model.model)


@pytest.mark.parametrize("left", ["both", "one"])
def test_tied_weights_may_be_saved_once_or_twice(tmp_path: Path, left: str) -> None:
    model = llama(7, tie_word_embeddings=True)
    state = prefixed("model.", model)
    if left == "one":
        del state["model.lm_head.weight"]
    loaded = load(ckpt(tmp_path / "a.ckpt", state), llama(1, tie_word_embeddings=True), tokenizer=TOKENIZER)
    assert same(loaded.full, model)
    assert loaded.full.lm_head.weight is loaded.full.model.embed_tokens.weight


def test_a_head_of_its_own_does_not_matter_where_the_architecture_ties_it(tmp_path: Path) -> None:
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7)))
    assert same(load(file, llama(1, tie_word_embeddings=True), tokenizer=TOKENIZER).model, llama(7).model)


def test_different_values_for_weights_that_the_model_shares_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model[1].weight = model[0].weight
    message = refused(lambda: weights.fill(model, model, state, "a.ckpt"))
    assert "1.weight unlike 0.weight, with which the model shares it" in message


def test_bfloat16_in_a_file_keeps_its_values(tmp_path: Path, base: Path) -> None:
    half = llama(7).to(torch.bfloat16)
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", half))
    assert same(load(file, str(base), dtype="bfloat16").full, half)
    assert same(load(file, str(base), dtype="float32").full, copy.deepcopy(half).float())


def test_missing_weights_are_named(tmp_path: Path, base: Path) -> None:
    state = prefixed("model.", llama(7))
    del state["model.model.layers.1.mlp.up_proj.weight"]
    message = refused(lambda: load(ckpt(tmp_path / "a.ckpt", state), str(base)))
    assert "lacks model.model.layers.1.mlp.up_proj.weight" in message


def test_weights_of_another_shape_are_named_with_both_shapes(tmp_path: Path, base: Path) -> None:
    state = prefixed("model.", llama(7)) | {"model.model.norm.weight": torch.ones(8)}
    message = refused(lambda: load(ckpt(tmp_path / "a.ckpt", state), str(base)))
    assert "model.model.norm.weight of shape (8,) instead of (16,)" in message


@pytest.mark.parametrize(("trained_blocks", "given_blocks", "said"), [(3, 2, "also has"), (2, 3, "lacks")])
def test_a_deeper_or_a_shallower_model_is_refused(
    tmp_path: Path, trained_blocks: int, given_blocks: int, said: str
) -> None:
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7, blocks=trained_blocks)))
    message = refused(lambda: load(file, llama(1, blocks=given_blocks), tokenizer=TOKENIZER))
    assert said in message
    assert "layers.2" in message


def test_another_kind_of_model_is_refused(tmp_path: Path, base: Path) -> None:
    file = ckpt(tmp_path / "a.ckpt", nn.Sequential(nn.Linear(2, 2)).state_dict())
    assert "holds no weights of a LlamaForCausalLM" in refused(lambda: load(file, str(base)))


def test_two_models_of_one_shape_are_listed(tmp_path: Path, base: Path) -> None:
    state = prefixed("student.", llama(7)) | prefixed("teacher.", llama(8))
    message = refused(lambda: load(ckpt(tmp_path / "a.ckpt", state), str(base)))
    assert "'student.'" in message
    assert "'teacher.'" in message


def test_two_names_of_the_same_weights_are_one_model(tmp_path: Path, base: Path) -> None:
    state = prefixed("model.", llama(7)) | prefixed("net.inner.", llama(7))
    assert same(load(ckpt(tmp_path / "a.ckpt", state), str(base)).full, llama(7))


def test_a_file_of_lightning_needs_an_architecture(tmp_path: Path) -> None:
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7)))
    assert "give model=" in refused(lambda: load(file))


# ------------------------------------------------------------------------------------------- no code is run


class Plants:
    """Creates a file when it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    return tmp_path / "planted"


def test_the_plant_works_where_code_is_run(planted: Path) -> None:
    pickle.loads(pickle.dumps(Plants(open, str(planted), "w"))).close()
    assert planted.exists()


@pytest.mark.parametrize("where", ["hyper_parameters", "state_dict"])
def test_an_object_that_runs_code_is_passed_over(tmp_path: Path, base: Path, planted: Path, where: str) -> None:
    plant, state = Plants(open, str(planted), "w"), prefixed("model.", llama(7))
    contents = {"state_dict": state, "global_step": 3}
    contents[where] = {**contents.get(where, {}), "x": plant}
    torch.save(contents, tmp_path / "a.ckpt")
    assert same(load(tmp_path / "a.ckpt", str(base)).full, llama(7))
    assert not planted.exists()


def test_a_file_that_needs_the_shell_is_refused(tmp_path: Path, planted: Path) -> None:
    file = ckpt(
        tmp_path / "a.ckpt", prefixed("model.", llama(7)), hyper_parameters=Plants(os.system, f"touch {planted}")
    )
    message = refused(lambda: load(file, llama(1), tokenizer=TOKENIZER))
    assert "cannot be read without running code" in message
    assert not planted.exists()


@pytest.mark.parametrize("old", [True, False], ids=["before torch 1.6", "pickle"])
def test_other_pickles_that_run_code_are_refused(tmp_path: Path, planted: Path, old: bool) -> None:
    contents = {"state_dict": llama(7).state_dict(), "global_step": 1, "x": Plants(open, str(planted), "w")}
    file = tmp_path / "a.ckpt"
    if old:
        torch.save(contents, file, _use_new_zipfile_serialization=False)
    else:
        file.write_bytes(pickle.dumps(contents))
    refused(lambda: found(file))
    assert not planted.exists()


def test_what_a_training_program_keeps_of_itself_is_passed_over(tmp_path: Path) -> None:
    kept = {"paths": [Path("a")], "dtype": torch.float32, "device": torch.device("cpu"), "list": UserList([1, 2])}
    file = ckpt(tmp_path / "a.ckpt", prefixed("model.", llama(7)), step=12, hyper_parameters=kept)
    assert weights.read(file).step == 12


# ------------------------------------------------------------------------------------------- of one training


def test_checkpoints_of_one_training_are_the_same_model(base: Path) -> None:
    one, other = load(base), load(base)
    require_same(other.name, common(other), common(one))


@pytest.mark.parametrize(
    ("shape", "said"),
    [({"blocks": 3}, "has 3 blocks"), ({"width": 32}, "has 32 as the width of its blocks")],
)
def test_another_depth_or_width_is_refused(tmp_path: Path, base: Path, shape: dict[str, int], said: str) -> None:
    other = load(save(llama(0, **shape), tmp_path / "checkpoint-2"))
    message = refused(lambda: require_same(other.name, common(other), common(load(base))))
    assert said in message
    assert "checkpoint-2" in message


def test_another_vocabulary_is_refused(base: Path) -> None:
    other = load(base, tokenizer=byte_bpe(["entirely other words, and others again"], 290))
    assert "tokenizer=" in refused(lambda: require_same(other.name, common(other), common(load(base))))


# ------------------------------------------------------------------------------------------- adapters


def adapter(folder: Path, model: Any, **more: Any) -> tuple[Path, Any]:
    """Write an adapter for a model; gives the folder, and the model with the adapter in it."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(3)
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2, init_lora_weights=False, **more)
    adapted = peft.get_peft_model(model, config).eval()
    adapted.save_pretrained(folder)
    return folder, adapted


@pytest.fixture
def adapted(tmp_path: Path, base: Path) -> tuple[Path, Any]:
    """The folder of an adapter for the model in `base`, and that model with it."""
    from transformers import AutoModelForCausalLM

    return adapter(tmp_path / "checkpoint-5", AutoModelForCausalLM.from_pretrained(base))


def hidden(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return torch.stack(model(IDS, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("named", [True, False], ids=["model given", "model of the adapter"])
def test_an_adapter_acts_on_the_model_it_was_trained_on(adapted: tuple[Path, Any], base: Path, named: bool) -> None:
    folder, model = adapted
    loaded = load(folder, str(base) if named else None, tokenizer=None if named else TOKENIZER)
    assert found(folder)[0] == [(5, "checkpoint-5")]
    torch.testing.assert_close(hidden(loaded.full.eval()), hidden(model), rtol=0, atol=0)
    assert not torch.equal(hidden(loaded.full), hidden(load(base).full.eval()))
    assert (loaded.n_layers, loaded.hidden_size) == (2, 16)


def test_an_adapter_of_the_body_acts_on_a_model_with_a_head(tmp_path: Path, base: Path) -> None:
    folder, model = adapter(tmp_path / "checkpoint-5", llama(99).model)
    torch.testing.assert_close(hidden(load(folder, str(base)).full.eval()), hidden(model), rtol=0, atol=0)


def test_embeddings_trained_with_an_adapter_come_with_it(tmp_path: Path, base: Path) -> None:
    folder, model = adapter(tmp_path / "checkpoint-5", llama(99), modules_to_save=["embed_tokens"])
    with torch.no_grad():
        model.base_model.model.model.embed_tokens.modules_to_save["default"].weight.add_(1)
    model.save_pretrained(folder)
    torch.testing.assert_close(hidden(load(folder, str(base)).full.eval()), hidden(model), rtol=0, atol=0)


def test_a_model_object_is_given_no_adapter(adapted: tuple[Path, Any]) -> None:
    folder, _ = adapted
    given_ = llama(99)
    load(folder, given_, tokenizer=TOKENIZER)
    assert same(given_, llama(99))


@pytest.mark.parametrize(
    ("blocks", "width", "said"), [(2, 32, "cannot be put into"), (4, 16, "it lacks"), (2, 16, "it also has")]
)
def test_an_adapter_of_another_model_is_refused(tmp_path: Path, blocks: int, width: int, said: str) -> None:
    folder, _ = adapter(tmp_path / "checkpoint-5", llama(1, blocks=3))
    message = refused(lambda: load(folder, llama(1, blocks=blocks, width=width), tokenizer=TOKENIZER))
    assert said in message
    assert "checkpoint-5" in message
    assert "give model= the one that it was trained on" in message


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"cut off"])
def test_a_damaged_adapter_is_refused(adapted: tuple[Path, Any], base: Path, name: str, content: bytes) -> None:
    (adapted[0] / name).write_bytes(content)
    assert "checkpoint-5" in refused(lambda: load(adapted[0], str(base)))


def test_an_adapter_that_names_no_model_needs_one(adapted: tuple[Path, Any]) -> None:
    (adapted[0] / "adapter_config.json").write_text("{}")
    assert "does not say which model" in refused(lambda: load(adapted[0], tokenizer=TOKENIZER))


# ------------------------------------------------------------------------------------------- revisions


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of the Hub in the local cache, with the revisions step200, step1000, old, new and main."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    for i, name in enumerate(("step200", "step1000", "old", "new", "main", "a-step200")):
        save(llama(i), repository / "snapshots" / f"{i:040x}")
        (repository / "refs" / name).write_text(f"{i:040x}")
    return "org/name"


def revisions(hub: str, *names: str) -> tuple[list[Checkpoint], list[str]]:
    notes: list[str] = []
    return checkpoints.of_revisions(options(hub, offline=True), names, notes.append), notes


def test_revisions_come_in_the_order_of_their_steps_with_their_own_weights(hub: str) -> None:
    ordered, notes = revisions(hub, "step1000", "step200")
    assert [(c.step, c.revision) for c in ordered] == [(200, "step200"), (1000, "step1000")]
    assert notes == []
    for i, one in enumerate(ordered):
        assert same(checkpoints.load(one, options(hub, offline=True)).full, llama(i))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("minilm", "model=minilm is a built-in model and has no revisions"),
        (".", "model=. is on this machine and has no revisions"),
        (object(), "model=<object> is on this machine and has no revisions"),
    ],
)
def test_only_models_of_the_hub_have_revisions(model: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        revisions(model, "step1000")


def test_a_revision_is_read_with_its_own_tokenizer(hub: str, tmp_path: Path) -> None:
    mine = byte_bpe(["entirely other words, and others again"], 290)
    mine.save_pretrained(tmp_path / "hub/models--org--name/snapshots" / f"{1:040x}")
    found = {c.name: checkpoints.load(c, options(hub, offline=True)) for c in revisions(hub, "step200", "step1000")[0]}
    assert found["step1000"].tokenizer.get_vocab() == mine.get_vocab()
    assert found["step200"].tokenizer.get_vocab() == TOKENIZER.get_vocab()


def test_revisions_without_numbers_keep_the_order_given_and_it_is_said(hub: str) -> None:
    ordered, notes = revisions(hub, "old", "new")
    assert [(c.step, c.revision) for c in ordered] == [(1, "old"), (2, "new")]
    assert len(notes) == 1
    assert "in the order given" in notes[0]


def test_two_revisions_of_one_step_are_named(hub: str) -> None:
    message = refused(lambda: revisions(hub, "step200", "a-step200"))
    assert "step200 and a-step200" in message


def test_an_unknown_revision_is_refused(hub: str) -> None:
    assert "'step300' of model=org/name" in refused(lambda: revisions(hub, "step200", "step300"))
