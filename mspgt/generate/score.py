"""Teacher-forced scores of generated texts: how likely they are to the undisturbed model, and how far it is moved.

Texts are padded on the right, where a causal model cannot see it, and logits are computed for few rows at a time: of
32 texts of 128 tokens, over a vocabulary of 150,000, they would take 2.3 GiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from mspgt.generate.decode import Continuation, check_generates, takes
from mspgt.generate.disturb import Disturbance
from mspgt.generate.prompts import Prompt
from mspgt.models import LoadedModel
from mspgt.models.forward import evaluation
from mspgt.stats.paired.conditions import BASELINE, Condition

LOGITS_BYTES = 512 << 20
"""float32 logits of the texts that are scored at a time take no more, unless one text alone does"""

Scores = dict[tuple[int, str], dict[str, float]]
"""(sample, condition) -> score -> value"""


@torch.inference_mode()
def score(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    continuations: Sequence[Continuation],
    conditions: Sequence[Condition],
    disturbance: Disturbance,
    *,
    batch_size: int = 32,
) -> Scores:
    """Score what a model wrote under each condition.

    "nll" is the mean negative log-likelihood, in nats per token, of a condition's own continuation given its prompt,
    under the undisturbed model: the logarithm of its perplexity. Conditions that wrote the same text get the same
    number to the last bit, wherever batches end.

    "kl" is the Kullback-Leibler divergence KL(undisturbed || disturbed) of the next token's distribution over the
    whole vocabulary, in nats, averaged over the positions of the *baseline's* continuation. Every condition is given
    that same text, so that only the model differs; the baseline's own is 0. It is NaN where the disturbed model's
    logits are.

    Parameters
    ----------
    conditions: those whose divergence is wanted; all continuations get their likelihood.
    disturbance: what it adds here counts in its `added` too: give it one of its own.
    batch_size: most texts in a forward pass; fewer where their logits would take more than `LOGITS_BYTES`.

    Returns
    -------
    Scores of each text; "nll" is absent where a continuation has no tokens, "kl" where the baseline's has none.

    Raises
    ------
    UserError: an encoder, or a model without a head.
    """
    check_generates(model)
    of_sample = {prompt.sample: prompt.ids for prompt in prompts}
    texts = [_Text(c.sample, c.condition, of_sample[c.sample], c.ids) for c in continuations if c.ids]
    scores: Scores = {}
    known: dict[tuple[int, tuple[int, ...]], float] = {}  # a text that several conditions wrote is scored once

    def note(text: _Text, condition: str, name: str, value: float) -> None:
        scores.setdefault((text.sample, condition), {})[name] = value

    with evaluation(model.full):
        for batch in _batches(model, [t for t in texts if t.condition == BASELINE], batch_size):
            reference = [log_softmax(logits.float(), -1) for logits in batch.logits(model)]
            for text, log_p in zip(batch.texts, reference, strict=True):
                known[text.sample, text.continuation] = _negative_log_likelihood(log_p, text)
                note(text, BASELINE, "kl", 0.0)
            for condition in (c for c in conditions if c.name != BASELINE):
                with disturbance.rows([condition] * len(batch.texts), batch.samples, batch.prompt_lengths):
                    disturbance.step(batch.positions)
                    disturbed = batch.logits(model)
                for text, log_p, logits in zip(batch.texts, reference, disturbed, strict=True):
                    note(text, condition.name, "kl", _divergence(log_p, logits))
        others = {(t.sample, t.continuation): t for t in texts if (t.sample, t.continuation) not in known}
        for batch in _batches(model, list(others.values()), batch_size):
            for text, logits in zip(batch.texts, batch.logits(model), strict=True):
                known[text.sample, text.continuation] = _negative_log_likelihood(logits, text)
        for text in texts:
            note(text, text.condition, "nll", known[text.sample, text.continuation])
    return scores


@dataclass(frozen=True)
class _Text:
    sample: int
    condition: str
    prompt: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def given(self) -> tuple[int, ...]:
        """What the model is shown: nothing follows the last token."""
        return self.prompt + self.continuation[:-1]


@dataclass(frozen=True)
class _Padded:
    """Texts that go through the model together."""

    texts: list[_Text]

    @property
    def samples(self) -> Tensor:
        """(row,) int64."""
        return torch.tensor([text.sample for text in self.texts])

    @property
    def prompt_lengths(self) -> Tensor:
        """(row,) int64."""
        return torch.tensor([len(text.prompt) for text in self.texts])

    @property
    def positions(self) -> Tensor:
        """(row, token) int64, -1 for padding."""
        lengths = torch.tensor([len(text.given) for text in self.texts])
        position = torch.arange(int(lengths.max()))
        return torch.where(position < lengths[:, None], position, -1)

    @property
    def predicting(self) -> range:
        """The positions at which a token of some continuation is predicted."""
        return range(min(len(t.prompt) for t in self.texts) - 1, max(len(t.given) for t in self.texts))

    def logits(self, model: LoadedModel) -> Iterator[Tensor]:
        """Run the model now, and yield the logits of each continuation: (token, vocabulary)."""
        kept, positions = self.predicting, self.positions
        ids = torch.zeros_like(positions)
        for row, text in zip(ids, self.texts, strict=True):
            row[: len(text.given)] = torch.tensor(text.given)
        inputs, cut = {"input_ids": ids, "attention_mask": (positions >= 0).long()}, takes(model, "logits_to_keep")
        if cut:
            inputs["logits_to_keep"] = torch.tensor(kept)
        options = {"use_cache": False} if takes(model, "use_cache") else {}
        output = model.full(**{name: value.to(model.device) for name, value in inputs.items()}, **options)
        logits = output.logits if cut else output.logits[:, kept.start :]
        starts = [len(text.prompt) - 1 - kept.start for text in self.texts]
        return (row[a : a + len(t.continuation)] for row, a, t in zip(logits, starts, self.texts, strict=True))


def _batches(model: LoadedModel, texts: list[_Text], batch_size: int) -> Iterator[_Padded]:
    """Texts of similar length together, as many as `LOGITS_BYTES` allow."""
    embedding = model.full.get_input_embeddings()  # type: ignore[operator]
    per_token = 4 * int(getattr(embedding, "num_embeddings", 1 << 17))
    left = sorted(texts, key=lambda text: len(text.given))
    while left:
        size = min(batch_size, len(left))
        while size > 1 and size * len(_Padded(left[:size]).predicting) * per_token > LOGITS_BYTES:
            size -= 1
        yield _Padded(left[:size])
        left = left[size:]


def _negative_log_likelihood(logits: Tensor, text: _Text) -> float:
    """Nats per token; logits: (token, vocabulary), normalised or not."""
    target = torch.tensor(text.continuation, device=logits.device)
    return float(cross_entropy(logits.float(), target, reduction="none").double().mean())


def _divergence(log_p: Tensor, logits: Tensor) -> float:
    """Mean over tokens of KL(p || softmax(logits)), in nats; both (token, vocabulary)."""
    from torchmetrics.functional.regression import kl_divergence

    low = torch.finfo(torch.float32).min  # in place of -inf, of which two would give NaN
    log_q = log_softmax(logits.float(), -1).clamp_min_(low)
    per_token = kl_divergence(log_p.clamp_min(low), log_q, log_prob=True, reduction=None)
    return float(per_token.double().clamp_min(0).mean())
