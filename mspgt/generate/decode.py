"""Paired decoding: all prompts under all conditions in one batch, with one stream of randomness per prompt."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mspgt.errors import UserError, unknown
from mspgt.forward import counts_positions, evaluation, random_state
from mspgt.generate.conditions import Condition
from mspgt.generate.disturb import Disturbance
from mspgt.generate.prompts import Prompt
from mspgt.models import LoadedModel
from mspgt.noise import gumbel

MODES = ("sample", "greedy")
_EDGE = 1e-4
"""probability near the edge of the nucleus within which the sum over sorted tokens decides"""
_ENDED_SHARE = 1 / 8
"""of the rows of a batch must have ended before they are dropped from it"""


@dataclass(frozen=True)
class Decoding:
    """How prompts are continued.

    Raises
    ------
    UserError: a value out of range.
    """

    new_tokens: int
    mode: str = "sample"
    """"sample" or "greedy" """
    temperature: float = 1.0
    top_p: float = 0.95
    """sample from the smallest set of tokens with at least this probability"""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("value for decoding:", self.mode, MODES)
        if self.new_tokens < 1:
            raise UserError(f"new_tokens={self.new_tokens}: allowed is 1 or more.")
        if not 0 < self.temperature < float("inf"):
            raise UserError(f"temperature={self.temperature:g}: allowed is more than 0; decoding=greedy takes none.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p:g}: allowed is more than 0 and at most 1 (all tokens).")


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
    UserError: a model that cannot generate, or texts that it cannot hold.
    """
    if not prompts or not conditions:
        return []
    check_generates(model)
    check_length(model, max(len(prompt.ids) for prompt in prompts), decoding.new_tokens)
    pairs = [(prompt, condition) for prompt in prompts for condition in conditions]
    ends = end_tokens(model.full)
    texts: list[list[int]] = [[] for _ in pairs]
    live = list(range(len(pairs)))  # rows of the batch -> number of the text
    open_rows = [True] * len(pairs)
    with torch.inference_mode(), random_state(model.full), evaluation(model.full):
        batch = _Batch(model, [prompt.ids for prompt, _ in pairs], decoding.new_tokens, cache)
        samples = torch.tensor([prompt.sample for prompt, _ in pairs])
        with disturbance.rows([condition for _, condition in pairs], samples, batch.lengths):
            draw = _Draw(decoding, samples, model.device)
            for step in range(decoding.new_tokens):
                disturbance.step(batch.positions)
                tokens = draw.tokens(batch.logits(), step)
                for row, token in enumerate(tokens.tolist()):
                    if open_rows[live[row]]:
                        if token in ends:
                            open_rows[live[row]] = False
                            batch.end(row)
                        else:
                            texts[live[row]].append(token)
                going = [row for row, text in enumerate(live) if open_rows[text]]
                if not going or step == decoding.new_tokens - 1:
                    break
                batch.append(tokens)
                if len(live) - len(going) >= max(1.0, _ENDED_SHARE * len(live)) and batch.can_drop:
                    kept = torch.tensor(going)
                    batch.keep(kept)
                    disturbance.keep(kept)
                    draw.keep(kept)
                    live = [live[row] for row in going]
    return [
        Continuation(prompt.sample, condition.name, tuple(ids), not is_open)
        for (prompt, condition), ids, is_open in zip(pairs, texts, open_rows, strict=True)
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
    if model.full is model.model or getattr(model.full, "get_output_embeddings", bool)() is None:
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


def end_tokens(full: nn.Module) -> frozenset[int]:
    """Ids that end a text, as the generation configuration says, or else the configuration."""
    for name in ("generation_config", "config"):
        ends = getattr(getattr(full, name, None), "eos_token_id", None)
        if ends is not None:
            return frozenset([ends] if isinstance(ends, int) else ends)
    return frozenset()


class _Batch:
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
        takes = inspect.signature(model.full.forward).parameters
        self._numbered = "position_ids" in takes and not counts_positions(model.model)
        self._fixed: dict[str, Any] = {"use_cache": cache}
        if "logits_to_keep" in takes:
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

    def end(self, row: int) -> None:
        """Take the tokens of a row from now on for padding."""
        self._positions[row, self._end :] = -1

    def append(self, tokens: Tensor) -> None:
        """Add one token to each row: (row,)."""
        self._ids[:, self._end] = tokens
        self._end += 1

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows: (row,), on the CPU."""
        self.lengths, self._positions = self.lengths[rows], self._positions[rows]
        there = rows.to(self._device)
        self._ids, self._places = self._ids[there], self._places[there]
        self._mask = None if self._mask is None else self._mask[there]
        if self._cache is not None:
            self._cache.batch_select_indices(there)


class _Draw:
    """The choice of the next token; rows of one sample share their noise."""

    def __init__(self, decoding: Decoding, samples: Tensor, device: torch.device) -> None:
        from transformers import TopPLogitsWarper

        self._decoding, self._device = decoding, device
        self._nucleus = TopPLogitsWarper(top_p=decoding.top_p)
        self._share(samples)

    def keep(self, rows: Tensor) -> None:
        """Go on with some rows: (row,), on the CPU."""
        self._share(self._samples[rows])

    def tokens(self, logits: Tensor, step: int) -> Tensor:
        """Choose (row,) tokens from (row, vocabulary) logits.

        The winner over all tokens is the winner over the nucleus where it lies in it, which takes no sorting to find
        out: the probability of less likely tokens and its own must exceed 1 - top_p.
        """
        if self._decoding.mode == "greedy":
            return logits.argmax(-1)
        scores = logits / self._decoding.temperature
        noise = gumbel(self._decoding.seed, self._distinct, step, logits.shape[-1])[self._shared]
        tokens = (scores + noise).argmax(-1)
        if self._decoding.top_p == 1:
            return tokens
        chosen = scores.gather(1, tokens[:, None])
        probabilities = scores.softmax(-1)
        mass = (probabilities * (scores < chosen)).sum(-1) + probabilities.gather(1, tokens[:, None])[:, 0]
        doubtful = (mass <= 1 - self._decoding.top_p + _EDGE).nonzero()[:, 0]
        if len(doubtful):
            inside = self._nucleus(None, scores[doubtful])
            tokens[doubtful] = (inside + noise[doubtful]).argmax(-1)
        return tokens

    def _share(self, samples: Tensor) -> None:
        self._samples = samples
        distinct, shared = torch.unique(samples, return_inverse=True)
        self._distinct, self._shared = distinct.to(self._device), shared.to(self._device)
