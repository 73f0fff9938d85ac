"""Find the blocks of a transformer by structure and by what a tiny forward pass does; no table of families."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.core.errors import UserError, first_line, unknown
from mspgt.models.forward import first_of, forward_pass, model_inputs, tiny_batch, undisturbed


def original(module: nn.Module) -> nn.Module:
    """What `torch.compile` was given, or the module itself where it is not compiled."""
    inner: nn.Module = getattr(module, "_orig_mod", module)
    return inner


def body_of(model: nn.Module) -> nn.Module:
    """The transformer without its head; a wrapped model (adapters, compiled) is looked into."""
    from transformers import PreTrainedModel

    model = original(model)
    if isinstance(model, PreTrainedModel):
        return original(model.base_model)
    inner = next((m for m in model.modules() if isinstance(m, PreTrainedModel)), None)
    return model if inner is None else original(inner.base_model)


def find_blocks(model: nn.Module, layers_path: str | None = None, full: nn.Module | None = None) -> list[nn.Module]:
    """Find the blocks of a transformer by structure.

    They are the longest `nn.ModuleList` of at least two modules of one class that the forward pass runs through:
    each once, in order, giving (sequence, token, dim). Lists inside other such lists (experts of a mixture) do
    not count. A tiny forward pass decides between several candidates.

    Parameters
    ----------
    layers_path: dotted name of the list, relative to `model` or to `full`; its modules may differ in class.

    Raises
    ------
    UserError: no blocks, or a path that does not lead to a list of modules; the candidates are listed.
    """
    lists = {name: list(m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) > 1}
    if layers_path is not None:
        return _resolve(layers_path, [model] if full is None else [model, full], lists)
    candidates = {name: alike for name, alike in lists.items() if len({type(original(block)) for block in alike}) == 1}
    if len(candidates) > 1:
        trace = _trace(model, list(candidates.values()))
        candidates = {name: alike for name, alike in candidates.items() if trace.runs_through(alike)}
    outer = {n: f for n, f in candidates.items() if not any(n.startswith(other + ".") for other in candidates)}
    if not outer:
        listed = f" Lists of modules in it: {', '.join(lists)}; layers_path= chooses one." if lists else ""
        raise UserError(
            f"{type(model).__name__} has no blocks: no list of at least two modules of one class that its forward "
            f"pass runs through.{listed}"
        )
    return max(outer.values(), key=len)


def hidden_size(model: nn.Module, blocks: list[nn.Module]) -> int:
    """The width of the residual stream, seen in a tiny forward pass; 0 where the first block did not run."""
    shape = _trace(model, [blocks[:1]]).shapes.get(id(blocks[0]), ())
    return shape[-1] if shape else 0


@dataclass
class _Trace:
    """What a tiny forward pass did to some modules."""

    order: list[int]
    """ids of the modules that ran, in order, repeats included"""
    shapes: dict[int, tuple[int, ...]]
    """id of a module -> shape of its output"""

    def runs_through(self, blocks: list[nn.Module]) -> bool:
        """Whether the pass ran each block once, in order, over one (sequence, token, dim)."""
        mine = [id(block) for block in blocks]
        ran = [module for module in self.order if module in set(mine)]
        shapes = [self.shapes.get(module, ()) for module in mine]
        return ran == mine and len(shapes[0]) == 3 and all(a == b for a, b in pairwise(shapes))


def _trace(model: nn.Module, lists: list[list[nn.Module]]) -> _Trace:
    """Run a tiny forward pass and note which of the modules ran, when, and what they gave."""
    trace = _Trace([], {})

    def note(module: nn.Module, args: Any, output: Any) -> None:
        first = first_of(output)
        trace.order.append(id(module))
        trace.shapes[id(module)] = tuple(first.shape) if isinstance(first, Tensor) else ()

    with ExitStack() as stack:
        for module in {id(block): block for blocks in lists for block in blocks}.values():
            stack.enter_context(module.register_forward_hook(note))
        _run(model, model_inputs(model, tiny_batch(model)))
    return trace


def _run(model: nn.Module, inputs: dict[str, Any]) -> None:
    try:
        with undisturbed(model), forward_pass():
            model(**inputs)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{type(model).__name__} does not run on token ids alone ({type(error).__name__}: {first_line(error)}): "
            "give a decoder or an encoder of text, of an encoder-decoder its encoder as a model object."
        ) from error


def is_causal(model: nn.Module, last: nn.Module) -> bool:
    """Change the last token: in a causal model the states before it stay the same.

    What is not finite counts as 0 here: the first batch of a corpus tells it, with its block and document.
    """
    batch = tiny_batch(model)
    inputs = model_inputs(model, batch)
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    seen: list[Tensor] = []
    with last.register_forward_hook(lambda module, args, output: seen.append(first_of(output))):
        _run(model, inputs)
        inputs["input_ids"] = inputs["input_ids"].clone()
        inputs["input_ids"][:, -1] = inputs["input_ids"][:, 0]
        _run(model, inputs)
    if len(seen) != 2:
        return False
    before, after = (states.float().nan_to_num(0, 0, 0) for states in seen)
    change = (before - after).abs().amax(-1)  # (sequence, token)
    return bool(change[:, :-1].max() <= 1e-3 * change[:, -1].max())


def _resolve(path: str, roots: list[nn.Module], lists: Mapping[str, list[nn.Module]]) -> list[nn.Module]:
    for root in roots:
        part_of: Any = root
        for part in path.split("."):
            part_of = getattr(part_of, part, None)
        if isinstance(part_of, (nn.ModuleList, nn.Sequential)) and len(part_of) > 1:
            return list(part_of)
    raise unknown("value for layers_path:", path, lists, "It must name a list of at least two blocks.")
