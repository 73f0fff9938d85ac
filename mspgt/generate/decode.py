"""Paired decoding: all prompts under all conditions in one batch, with one stream of randomness per prompt."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mspgt.core.errors import UserError
from mspgt.generate.disturb import Disturbance
from mspgt.generate.draw import Decoding, Draw
from mspgt.generate.prompts import Prompt
from mspgt.models import LoadedModel
from mspgt.models.forward import counts_positions, evaluation, random_state
from mspgt.stats.paired.conditions import Condition

__all__ = ["Continuation", "Decoding", "check_generates", "check_length", "end_tokens", "generate"]

_ENDED_SHARE = 1 / 8
"""of the rows of a batch must have ended before they are dropped from it: fewer do not pay for the copy of the cache"""


@dataclass(frozen=True)
class Continuation:
    """What a model wrote for one prompt under one condition."""

    sample: int
    """number of the prompt"""
    condition: str
    """name of the condition"""
    ids: tuple[int, ...]
    """without the prompt and without the token that ends a text"""
    ended: bool
    """whether the model closed the text, rather than being cut off"""


def generate(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    conditions: Sequence[Condition],
    decoding: Decoding,
    disturbance: Disturbance,
    *,
    cache: bool = True,
) -> list[Continuation]:
    """Continue all prompts under all conditions, in one batch.

    A prompt's random choices are the same under all conditions and on any batch layout: the token is the one with the
    largest sum of log-probability and Gumbel noise keyed by (seed, sample, step), which is a draw from the model's
    probabilities. The model is left as it was.

    Parameters
    ----------
    cache: keep keys and values of earlier tokens; without, every step computes them anew.

    Returns
    -------
    list: for each prompt, for each condition, in the order given.

    Raises
    ------
    UserError: a model that cannot generate, texts that it cannot hold, or logits that overflow.
    """
    if not prompts or not conditions:
        return []
    check_generates(model)
    check_length(model, max(len(prompt.ids) for prompt in prompts), decoding.new_tokens)
    pairs = [(prompt, condition) for prompt in prompts for condition in conditions]
    samples = torch.tensor([prompt.sample for prompt, _ in pairs])
    texts = _Growing(len(pairs), end_tokens(model))
    with torch.inference_mode(), random_state(model.full), evaluation(model.full):
        batch = _Running(model, [prompt.ids for prompt, _ in pairs], decoding.new_tokens, cache)
        draw = Draw(decoding, samples, model.device)
        with disturbance.rows([condition for _, condition in pairs], samples, batch.lengths):
            for step in range(decoding.new_tokens):
                disturbance.step(batch.positions)
                tokens = draw.tokens(batch.logits(), step)
                if (broken := texts.append(tokens.tolist())) is not None:
                    raise _overflow(model, pairs[broken][1])
                going = texts.going
                if not going or step + 1 == decoding.new_tokens:
                    break
                batch.append(tokens, going)
                if batch.can_drop and len(going) <= (1 - _ENDED_SHARE) * len(tokens):
                    kept = torch.tensor(going)
                    for part in (batch, disturbance, draw, texts):
                        part.keep(kept)
    return [
        Continuation(prompt.sample, condition.name, tuple(ids), ended)
        for (prompt, condition), ids, ended in zip(pairs, texts.ids, texts.ended, strict=True)
    ]


def check_generates(model: LoadedModel) -> None:
    """Prove that a model can continue a text.

    Raises
    ------
    UserError: an encoder, or a model without a head.
    """
    advice = "give a causal language model with its head"
    if not model.causal:
        raise UserError(f"{model.name} is an encoder and cannot continue a text: {advice}.")
    head = getattr(model.full, "get_output_embeddings", None)
    if model.full is model.model or (head is not None and head() is None):
        raise UserError(f"{model.name} was loaded without a language-modelling head: {advice}.")


def check_length(model: LoadedModel, prompt_tokens: int, new_tokens: int) -> None:
    """Prove that a model holds a prompt and its continuation.

    Raises
    ------
    UserError: it does not; says how many new tokens fit.
    """
    limit = model.context_length
    if limit is None or prompt_tokens + new_tokens <= limit:
        return
    if prompt_tokens >= limit:
        raise UserError(
            f"a prompt of {prompt_tokens} tokens leaves no room: {model.name} holds {limit} tokens; give fewer "
            "prompt_tokens."
        )
    raise UserError(
        f"new_tokens={new_tokens}: {model.name} holds {limit} tokens, which with prompts of {prompt_tokens} leaves "
        f"new_tokens={limit - prompt_tokens} at most."
    )


def end_tokens(model: LoadedModel) -> frozenset[int]:
    """Ids that end a text, as the generation configuration says, or else the configuration."""
    full, body = model.full, model.model
    for holder, name in ((full, "generation_config"), (full, "config"), (body, "config")):
        ends = getattr(getattr(holder, name, None), "eos_token_id", None)
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


def takes(model: LoadedModel, name: str) -> bool:
    """Whether the forward pass takes an argument; a wrapper that takes anything hands it on to the body."""
    taken = inspect.signature(model.full.forward).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values())
    return name in taken or (anything and name in inspect.signature(model.model.forward).parameters)


def _overflow(model: LoadedModel, condition: Condition) -> UserError:
    advice = ["a smaller sigma"] if condition.sigma else []
    if not model.dtype.startswith("float32"):
        advice.append("dtype=float32")
    disturbed = f", disturbed with sigma={condition.sigma:g}," if condition.sigma else ""
    return UserError(
        f"{condition.name}: the logits of {model.name}{disturbed} are not finite in {model.dtype}: give "
        f"{' or '.join(advice) or 'another model'}."
    )


class _Growing:
    """What was written so far.

    Attributes
    ----------
    ids: of each text.
    ended: whether the model closed it.
    """

    def __init__(self, count: int, ends: frozenset[int]) -> None:
        self._ends = ends
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.ended = [False] * count
        self._of_row = list(range(count))

    @property
    def going(self) -> list[int]:
        """Rows of the batch whose text goes on."""
        return [row for row, text in enumerate(self._of_row) if not self.ended[text]]

    def append(self, tokens: list[int]) -> int | None:
        """Add one token per row to the texts that go on; the first text of them that has none (-1) is given back."""
        for row in self.going:
            text, token = self._of_row[row], tokens[row]
            if token < 0:
                return text
            if token in self._ends:
                self.ended[text] = True
            else:
                self.ids[text].append(token)
        return None

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows: (row,)."""
        self._of_row = [self._of_row[row] for row in rows.tolist()]


class _Running:
    """The texts so far, padded on the left, and the model's passes over them.

    Attributes
    ----------
    lengths: (row,) tokens of the prompts, on the CPU.
    """

    def __init__(self, model: LoadedModel, prompts: Sequence[Sequence[int]], new_tokens: int, cache: bool) -> None:
        self._full, self._device = model.full, model.device
        self.lengths = torch.tensor([len(ids) for ids in prompts])
        self._end = int(self.lengths.max())  # columns filled
        self._start = 0  # first column that the model has not seen
        padding = self._end - self.lengths
        columns = torch.arange(self._end + new_tokens)
        self._positions = (columns - padding[:, None]).clamp_min(-1)  # (row, column), on the CPU
        ids = torch.zeros_like(self._positions)
        for row, prompt in enumerate(prompts):
            ids[row, padding[row] : self._end] = torch.tensor(prompt)
        self._ids = ids.to(self._device)
        self._places = self._positions.clamp_min(0).to(self._device)  # for the model
        self._mask = (self._positions >= 0).long().to(self._device) if bool(padding.any()) else None
        self._cache: Any = None
        self._numbered = takes(model, "position_ids") and not counts_positions(model.model)
        self._fixed: dict[str, Any] = {"use_cache": cache}
        if takes(model, "logits_to_keep"):
            self._fixed["logits_to_keep"] = 1

    @property
    def positions(self) -> Tensor:
        """(row, token) of the next pass, on the CPU; -1 for padding and for rows that ended."""
        return self._positions[:, self._start : self._end]

    @property
    def can_drop(self) -> bool:
        """Whether rows can be dropped from the cache."""
        return self._cache is None or hasattr(self._cache, "batch_select_indices")

    def logits(self) -> Tensor:
        """Run the model over what it has not seen: (row, vocabulary) float32 for the next token."""
        inputs = {"input_ids": self._ids[:, self._start : self._end], **self._fixed}
        if self._mask is not None:
            inputs["attention_mask"] = self._mask[:, : self._end]
        if self._numbered:
            inputs["position_ids"] = self._places[:, self._start : self._end]
        if self._cache is not None:
            inputs["past_key_values"] = self._cache
        output = self._full(**inputs)
        if self._fixed["use_cache"]:
            self._cache, self._start = output.past_key_values, self._end
        logits: Tensor = output.logits[:, -1].float().to(self._device)
        return logits

    def append(self, tokens: Tensor, going: list[int]) -> None:
        """Add one token to each row: (row,); in rows that are not going on, it is padding."""
        ended = torch.ones(len(tokens), dtype=torch.bool)
        ended[going] = False
        self._positions[ended, self._end] = -1
        self._ids[:, self._end] = tokens.clamp_min(0)
        self._end += 1

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows: (row,), on the CPU."""
        self.lengths, self._positions = self.lengths[rows], self._positions[rows]
        there = rows.to(self._device)
        self._ids, self._places = self._ids[there], self._places[there]
        self._mask = None if self._mask is None else self._mask[there]
        if self._cache is not None:
            self._cache.batch_select_indices(there)
