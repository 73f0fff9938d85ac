"""How a model is called: the inputs of one forward pass, and the care that leaves the model as it was."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.batch import Batch, Key


def model_inputs(model: nn.Module, batch: Batch) -> dict[str, Any]:
    """The keyword arguments of the forward pass for a batch.

    Positions are given only for left padding, where counting from the first column would be wrong, and only to
    models that take them and do not count them from the tokens themselves.
    """
    device = input_device(model)
    mask = batch.attention_mask.to(device)
    inputs: dict[str, Any] = {"input_ids": batch.input_ids.to(device), "attention_mask": mask.long()}
    takes = inspect.signature(model.forward).parameters
    if "use_cache" in takes:
        inputs["use_cache"] = False
    if "position_ids" in takes and not bool(mask[:, 0].all()) and not counts_positions(model):
        inputs["position_ids"] = (mask.long().cumsum(1) - 1).clamp_min(0)
    return inputs


def counts_positions(model: nn.Module) -> bool:
    """Whether the model derives positions from padding ids itself (RoBERTa's way: a padding row among them)."""
    return any(
        isinstance(module, nn.Embedding) and module.padding_idx is not None and "position" in name
        for name, module in model.named_modules()
    )


def input_device(model: nn.Module) -> torch.device:
    """The device on which a model, sharded or not, takes its token ids."""
    embed = getattr(model, "get_input_embeddings", lambda: None)()
    for parameter in (embed if isinstance(embed, nn.Module) else model).parameters():
        if parameter.device.type != "meta":
            return parameter.device
    return next((p.device for p in model.parameters() if p.device.type != "meta"), torch.device("cpu"))


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to what each module was."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def random_state(model: nn.Module) -> Iterator[None]:
    """Leave the random number generators of the CPU and of the model's CUDA devices as they were."""
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        yield


def tiny_batch(model: nn.Module) -> Batch:
    """Two sequences of five tokens, the second with two tokens of padding on its right."""
    embed = getattr(model, "get_input_embeddings", lambda: None)()
    vocabulary = getattr(embed, "num_embeddings", 16)
    ids = (torch.arange(10).reshape(2, 5) + 3) % vocabulary
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    keys = (Key("tiny", "0", 0), Key("tiny", "0", 1))
    return Batch(keys, ids, mask, mask, torch.where(mask, 0, -1))


def plain_output(model: nn.Module, batch: Batch) -> Tensor:
    """The first output of a forward pass without gradients and dropout: (sequence, token, dim)."""
    with torch.no_grad(), random_state(model), evaluation(model):
        output = model(**model_inputs(model, batch))
    first: Tensor = output if isinstance(output, Tensor) else output[0]
    return first
