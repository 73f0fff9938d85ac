"""Capture: the context manager that owns every hook on a model, and the proof that capturing works.

Hidden states are the raw outputs of the blocks. Attention is observed without giving up the fast kernel: the
model's attention call is routed through a function that runs the same kernel and notes queries, keys and mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.contracts.batch import Batch, Layer
from mspgt.core.errors import UserError
from mspgt.models.attention import AttentionSource, Recomputed, View, Weights, is_causal_mask, mean_rows
from mspgt.models.forward import first_of, forward_pass, model_inputs, plain_output, quiet, tiny_batch, undisturbed

IMPLEMENTATION = "mspgt_observed_sdpa"
"""the name of our attention function in transformers' AttentionInterface"""


@dataclass
class _Pass:
    """What is remembered during one forward pass."""

    observe: Callable[[Layer], None]
    next: int = 0
    """index of the layer that is due"""
    pending: AttentionSource | None = None
    """attention seen since the last block ended"""
    previous: AttentionSource | None = None
    mean_rows: int = 0
    masks: dict[int, tuple[Tensor, bool]] = field(default_factory=dict)
    """id of a mask -> (the mask, kept so that the id stays its own, whether it is causal)"""


_pass: ContextVar[_Pass | None] = ContextVar("mspgt_pass", default=None)


class Capture:
    """Shows the layers of a model, during its forward pass, to an observer.

    Inside the context the model is in evaluation mode and, where attention is wanted, its attention is routed
    past the observer. On leaving, after an error too, everything is as it was: hooks, attention implementation,
    training mode of every module, buffers, and the state of the random number generators. A model that is compiled,
    whole or in parts, runs its original code here, and its compiled code stays as it is.

    Parameters
    ----------
    model: the transformer body; called as ``model(input_ids=..., attention_mask=...)``.
    blocks: its blocks, in the order in which the forward pass runs through them.
    attention: whether layers show their attention.

    Attributes
    ----------
    attention_kind: "sdpa" (recomputed from queries and keys), "eager" (the model's own weights) or "none".
    reason: why attention is not observed on the fast kernel; empty where it is.
    """

    def __init__(self, model: nn.Module, blocks: Sequence[nn.Module], attention: bool) -> None:
        self.model = model
        self.blocks = list(blocks)
        self.reason = eager_reason(model) if attention else ""
        self.attention_kind = "none" if not attention else "eager" if self.reason else "sdpa"
        self._stack: ExitStack | None = None

    def __enter__(self) -> Capture:
        """Set hooks, evaluation mode and the observed attention."""
        with ExitStack() as stack:
            stack.enter_context(undisturbed(self.model))
            if self.attention_kind == "sdpa":
                _register()
                stack.enter_context(_implementation(self.model, IMPLEMENTATION))
            elif self.attention_kind == "eager":
                stack.enter_context(_implementation(self.model, "eager"))
                for block in self.blocks:
                    for module in block.modules():
                        stack.enter_context(module.register_forward_hook(_take_weights))
            for index, block in enumerate(self.blocks):
                if index == 0:
                    stack.enter_context(block.register_forward_pre_hook(self._embedded, with_kwargs=True))
                stack.enter_context(block.register_forward_hook(partial(self._ended, index + 1)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Put everything back."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    def run(self, batch: Batch, observe: Callable[[Layer], None]) -> None:
        """One forward pass; `observe` is called for layer 0 and then for each block, as the pass goes.

        Raises
        ------
        UserError: a block that did not run, or not once and in order.
        """
        if self._stack is None:
            raise RuntimeError("Capture.run works inside `with Capture(...) as capture:` only")
        state = _Pass(observe)
        token = _pass.set(state)
        try:
            with forward_pass():
                self.model(**model_inputs(self.model, batch))
        finally:
            _pass.reset(token)
        if state.next <= len(self.blocks):
            raise UserError(f"the hook of {self._name(state.next)} did not fire: {_GIVE_PATH}")

    def _embedded(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._push(0, args[0] if args else kwargs.get("hidden_states"))

    def _ended(self, index: int, module: nn.Module, args: Any, output: Any) -> None:
        self._push(index, first_of(output))

    def _push(self, index: int, hidden: Any) -> None:
        """Show the layer that is the input of the first block (0), or the output of a block, where a run asks."""
        state = _pass.get()
        if state is None:
            return
        if not isinstance(hidden, Tensor) or hidden.ndim != 3:
            source = f"output of {self._name(index)}" if index else f"input of {self._name(1)}"
            raise UserError(f"the {source} is not (sequence, token, dim): {_GIVE_PATH}")
        if state.next != index:
            raise UserError(
                f"{self._name(index)} ran when {self._name(state.next)} was due: every block must run once and in "
                f"order; {_GIVE_PATH}"
            )
        state.next += 1
        view, seen = None, state.pending
        if seen is not None:
            state.mean_rows = state.mean_rows or mean_rows(seen)
            view = View(index, seen, state.previous, state.mean_rows)
        # Under gradient checkpointing a hook on the embedding has its output require a gradient, ours too.
        state.observe(Layer(index, hidden.detach(), view))
        state.pending, state.previous = None, seen

    def _name(self, index: int) -> str:
        if index == 0:
            return "the embedding"
        if index > len(self.blocks):
            return "nothing more"
        names = {module: name for name, module in self.model.named_modules()}
        return f"block {index} ({names.get(self.blocks[index - 1], 'not part of the model')})"


_GIVE_PATH = "give layers_path= with the dotted name of the list of blocks that the model runs through."


def eager_reason(model: nn.Module) -> str:
    """Why a model's attention cannot be observed on its fast kernel, or an empty text where it can."""
    name = type(model).__name__
    can_set = getattr(model, "_can_set_attn_implementation", None)
    if can_set is None or not can_set():
        return f"{name} does not call attention through transformers' AttentionInterface"
    if not getattr(model, "_supports_sdpa", False):
        return f"{name} has no scaled-dot-product kernel"
    if any(getattr(module, "attn_logit_softcapping", None) for module in model.modules()):
        return f"{name} caps its attention scores, which the fast kernel cannot"
    return ""


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(IMPLEMENTATION, _observed_attention)
    AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)


def _observed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """Run transformers' own SDPA attention, and note what it was given.

    query: (sequence, head, token, dim); key, value: (sequence, key head, token, dim).
    """
    from transformers.integrations.sdpa_attention import create_position_bias_mask, sdpa_attention_forward

    state = _pass.get()
    if state is not None:
        if state.pending is not None:
            raise UserError(f"block {state.next} calls attention more than once: leave out signals of attention.")
        given = rest.get("is_causal")
        causal = bool(getattr(module, "is_causal", True) if given is None else given)
        mask = attention_mask
        if rest.get("position_bias") is not None:
            mask = create_position_bias_mask(rest["position_bias"], mask, causal, query, key)
        if mask is not None:
            causal = _causal(state, mask)
        scale = rest.get("scaling")
        scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
        state.pending = Recomputed(query, key, mask, causal, scale)
    output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
    return output


def _causal(state: _Pass, mask: Tensor) -> bool:
    if id(mask) not in state.masks:
        state.masks[id(mask)] = (mask, is_causal_mask(mask))
    return state.masks[id(mask)][1]


def _take_weights(module: nn.Module, args: Any, output: Any) -> None:
    """Note attention weights among a module's outputs: the one tensor (sequence, head, query, key)."""
    state = _pass.get()
    if state is None or state.pending is not None or not isinstance(output, tuple):
        return
    for tensor in output:
        if isinstance(tensor, Tensor) and tensor.ndim == 4 and tensor.shape[-1] == tensor.shape[-2]:
            state.pending = Weights(tensor)
            return


@contextmanager
def _implementation(model: nn.Module, name: str) -> Iterator[None]:
    """Switch the attention implementation of a model, and put back exactly what each configuration said."""
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    for config in list(configs.values()):
        for sub in getattr(config, "sub_configs", ()):
            if (inner := getattr(config, sub, None)) is not None:
                configs[id(inner)] = inner
    before = [(c, c._attn_implementation) for c in configs.values() if hasattr(c, "_attn_implementation")]
    try:
        with quiet():
            if getattr(model, "_can_set_attn_implementation", bool)():
                model.set_attn_implementation(name)  # type: ignore[operator]
            else:
                for config, _ in before:
                    config._attn_implementation = name
        yield
    finally:
        for config, value in before:
            config._attn_implementation_internal = value  # type: ignore[union-attr]


def prove(model: nn.Module, blocks: Sequence[nn.Module], attention: bool) -> str:
    """Prove on a tiny forward pass that capture sees what it should, and leaves nothing behind.

    Each hook fires once, shapes are right, attention rows sum to one; afterwards the model's output is the same
    bit by bit, no hook remains and the attention implementation is the one from before.

    Returns
    -------
    One sentence where the fast attention kernel had to be given up, else an empty text.

    Raises
    ------
    UserError: naming the block and what is wrong with it.
    """
    batch = tiny_batch(model)
    before, hooks = plain_output(model, batch), _count_hooks(model)
    hidden: list[Tensor] = []

    def observe(layer: Layer) -> None:
        shape = tuple(layer.hidden.shape)
        if shape[:2] != tuple(batch.input_ids.shape) or (hidden and shape != tuple(hidden[0].shape)):
            raise UserError(
                f"layer {layer.index} gives {shape}, expected (2, 5, dim) with one dim for all layers: {_GIVE_PATH}"
            )
        hidden.append(layer.hidden)
        if attention and layer.index:
            _check_attention(layer, batch.attention_mask)

    with Capture(model, blocks, attention) as capture:
        capture.run(batch, observe)
    after = plain_output(model, batch)
    if (not _same(before, after) and _same(after, plain_output(model, batch))) or _count_hooks(model) != hooks:
        raise UserError(
            f"{type(model).__name__} is not the same after capture as before it: load the model anew, and report "
            "this with its name."
        )
    return f"Attention is computed by the eager path: {capture.reason}." if capture.reason else ""


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), other.nan_to_num())


def _count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def _check_attention(layer: Layer, attention_mask: Tensor) -> None:
    if layer.view is None:
        raise UserError(
            f"block {layer.index} shows no attention (it may be of another kind, or fused): leave out signals of "
            "attention, or load the model with attn_implementation='eager'."
        )
    rows = torch.cat([chunk.sum(-1).cpu() for _, chunk in layer.attention()], dim=2)  # (sequence, head, query)
    content = attention_mask[:, None].expand_as(rows)
    if not rows[content].isfinite().all():
        raise UserError(
            f"the attention of block {layer.index} is not finite, for short texts already: the weights are damaged, or "
            "too large for their precision; give a sound checkpoint, or another dtype (float16 overflows where "
            "bfloat16 does not)."
        )
    if not torch.allclose(rows[content], torch.ones(()), atol=2e-2):
        raise UserError(
            f"the attention rows of block {layer.index} do not sum to one: load the model with "
            "attn_implementation='eager', or leave out signals of attention."
        )
