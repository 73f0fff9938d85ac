"""How a model is called: the inputs of one forward pass, and the care that leaves the model as it was."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mspgt.contracts.batch import Batch
from mspgt.core.key import Key


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
def forward_pass() -> Iterator[None]:
    """How every pass is made: without gradients, by the model's original code, and leaving autocast's cache alone.

    Compiled code would not call hooks, or be compiled once more for them. In older versions of torch (before its pull
    request 165068) a training step that finds a weight in autocast's cache, cast without gradients, gives it none.
    """
    # The compiler is slow to import, and before it is imported nothing is compiled.
    compiler = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    caches = torch.is_autocast_cache_enabled()
    with torch.no_grad(), compiler:
        torch.set_autocast_cache_enabled(False)
        try:
            yield
        finally:
            torch.set_autocast_cache_enabled(caches)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and advice off the terminal."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards modes, buffers, counters and random number generators are what they were."""
    with random_state(model), evaluation(model), held_buffers(model):
        yield


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to what each module was.

    The modes are set one by one: `train` and `eval` of some modules do more (adapters that merge into the weights).
    """
    before = [(module, module.training) for module in model.modules()]
    for module, _ in before:
        module.training = False
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def held_buffers(model: nn.Module) -> Iterator[None]:
    """Leave the buffers of a model, and the numbers and tensors that are attributes of its modules, as they were.

    Rotary embeddings that scale with the length (dynamic, longrope) write frequencies for the longest sequence so far;
    ours must not be the one that a training step then finds.
    """
    held = [(module, dict(module._buffers), _plain(module)) for module in model.modules()]
    buffers = {id(b): b for _, named, _ in held for b in named.values() if b is not None and not b.is_inference()}
    values = [(buffer, buffer._version, buffer.detach().clone()) for buffer in buffers.values()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, version, value in values:
                if buffer._version != version:
                    buffer.copy_(value)
        for module, named, plain in held:
            for name, now in named.items():
                if module._buffers.get(name) is not now:
                    module._buffers[name] = now
            for name, then in plain.items():
                if vars(module).get(name) is not then:
                    vars(module)[name] = then


def _plain(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if isinstance(value, (int, float, Tensor))}


@contextmanager
def random_state(model: nn.Module) -> Iterator[None]:
    """Leave the generators of torch (CPU and the model's CUDA devices), Python and NumPy (global) as they were."""
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    pythons, numpys = random.getstate(), np.random.get_state(legacy=False)
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)


def vocabulary_size(model: nn.Module) -> int | None:
    """How many tokens a model has vectors for, adapters around its embedding or not; None where it does not say."""
    embed = getattr(model, "get_input_embeddings", lambda: None)()
    rows = getattr(embed, "num_embeddings", None)
    if rows is None and isinstance(weight := getattr(embed, "weight", None), Tensor):
        rows = weight.shape[0]
    return None if rows is None else int(rows)


def tiny_batch(model: nn.Module) -> Batch:
    """Two sequences of five tokens, the second with two tokens of padding on its right."""
    vocabulary = vocabulary_size(model) or 16
    ids = (torch.arange(10).reshape(2, 5) + 3) % vocabulary
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    keys = (Key("tiny", "0", 0), Key("tiny", "0", 1))
    return Batch(keys, ids, mask, mask, torch.where(mask, 0, -1))


def first_of(output: Any) -> Any:
    """The first output of a module that gives several, or its only one."""
    return output[0] if isinstance(output, (tuple, list)) and output else output


def plain_output(model: nn.Module, batch: Batch) -> Tensor:
    """The first output of a forward pass without gradients and dropout: (sequence, token, dim)."""
    with undisturbed(model), forward_pass():
        output = model(**model_inputs(model, batch))
    first: Tensor = output if isinstance(output, Tensor) else output[0]
    return first
