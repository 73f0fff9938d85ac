"""Generation in the predict loop: each step continues some prompts under every condition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import torch
from torch import Tensor

from mspgt.contracts.intervention import Intervention, LayerStatistics
from mspgt.contracts.metric import Generated
from mspgt.contracts.registry import Entry
from mspgt.core.errors import PluginError, UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table, merge
from mspgt.experiments.loop import Parcel, Step
from mspgt.generate.decode import Continuation, Decoding, generate
from mspgt.generate.disturb import Disturbance
from mspgt.generate.prompts import Prompt
from mspgt.generate.score import Scores, score
from mspgt.measure.collector import CENSUS
from mspgt.models import LoadedModel
from mspgt.stats.paired.conditions import Condition

CORPUS, TEXTS = "prompts", "texts"
SCORES = ("nll", "kl")


@dataclass(frozen=True)
class Prompts:
    """Prompts that are continued together."""

    prompts: tuple[Prompt, ...]

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """One per prompt."""
        return tuple(Key(CORPUS, prompt.document, prompt.sample) for prompt in self.prompts)

    def select(self, rows: Sequence[int]) -> Prompts:
        """Some of the prompts."""
        return Prompts(tuple(self.prompts[row] for row in rows))


def dealt(prompts: Sequence[Prompt], at_once: int) -> Iterator[Prompts]:
    """Cut prompts into batches of like lengths, in a fixed order."""
    ordered = sorted(prompts, key=lambda prompt: (len(prompt.ids), prompt.sample))
    for start in range(0, len(ordered), at_once):
        yield Prompts(tuple(ordered[start : start + at_once]))


@dataclass(frozen=True)
class Design:
    """What is done to each prompt."""

    conditions: tuple[Condition, ...]
    decoding: Decoding
    make: Callable[[float], Intervention]
    """strength -> intervention"""
    statistics: Mapping[int, LayerStatistics]
    apply: str


def named(intervention: Intervention, entry: Entry) -> Intervention:
    """Have an error in the plugin say whose it is."""
    inner = intervention.apply

    def apply(*given: Any) -> Tensor:
        try:
            return inner(*given)
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            what = " ".join(str(error).split())
            raise PluginError(
                f"the intervention {entry.name!r} of {entry.distribution} raised {type(error).__name__}: {what}"
            ) from error

    intervention.apply = apply  # type: ignore[assignment,method-assign]
    return intervention


class Continue(Step):
    """Continues prompts under all conditions and scores the texts."""

    def __init__(self, model: LoadedModel, design: Design) -> None:
        super().__init__(model, model.full)
        self._design = design
        self.notes: list[str] = []

    def predict_step(self, batch: Parcel, batch_idx: int) -> dict[str, State]:
        """The texts of some prompts; where memory is short, in halves."""
        prompts: Prompts = batch.batch
        try:
            return self._continue(prompts)
        except torch.OutOfMemoryError:
            if len(prompts.prompts) == 1:
                raise UserError(
                    f"one prompt under {len(self._design.conditions)} conditions does not fit on {self.loaded.device}: "
                    "give fewer new_tokens or values of sigma, a smaller dtype, or device_map=auto."
                ) from None
        torch.cuda.empty_cache()
        half = len(prompts.prompts) // 2
        self.notes.append(f"out of memory with {len(prompts.prompts)} prompts at once; went on with {half}.")
        parts = (prompts.select(range(half)), prompts.select(range(half, len(prompts.prompts))))
        first, second = (self.predict_step(Parcel(part), batch_idx) for part in parts)
        return {name: merge([first[name], second[name]]) for name in first}

    def _continue(self, batch: Prompts) -> dict[str, State]:
        d, model = self._design, self.loaded
        disturbance = self._disturbance()
        texts = generate(model, batch.prompts, d.conditions, d.decoding, disturbance)
        scores = score(model, batch.prompts, texts, d.conditions, self._disturbance())
        count = {"sentences": torch.full((len(batch.keys),), len(d.conditions))}
        table = Table(torch.arange(len(batch.keys)), count)
        return {
            CENSUS: State(batch.keys, {"sequences": table}),
            TEXTS: _state(batch, d.conditions, texts, scores, disturbance, model.n_layers),
        }

    def _disturbance(self) -> Disturbance:
        d = self._design
        return Disturbance(self.loaded, d.make, d.statistics, seed=d.decoding.seed, apply=d.apply)


def _state(
    batch: Prompts,
    conditions: Sequence[Condition],
    texts: Sequence[Continuation],
    scores: Scores,
    disturbance: Disturbance,
    n_layers: int,
) -> State:
    """The texts as tables, one row per text and one per token, and how much was added as totals."""
    names = [condition.name for condition in conditions]
    row = {prompt.sample: number for number, prompt in enumerate(batch.prompts)}
    ordered = sorted(texts, key=lambda t: (row[t.sample], names.index(t.condition)))
    owner = torch.tensor([row[t.sample] for t in ordered])
    condition = torch.tensor([names.index(t.condition) for t in ordered])
    lengths = torch.tensor([len(t.ids) for t in ordered])
    values: dict[str, Tensor] = {
        name: torch.tensor([scores.get((t.sample, t.condition), {}).get(name, torch.nan) for t in ordered])
        for name in SCORES
    }
    columns = {"condition": condition, "ended": torch.tensor([t.ended for t in ordered]), "length": lengths, **values}
    ids = torch.tensor([token for t in ordered for token in t.ids], dtype=torch.int64)
    squares, counts = (torch.zeros(len(names), n_layers, dtype=torch.float64) for _ in range(2))
    for (name, block), (square, count) in disturbance.added().items():
        squares[names.index(name), block - 1] += square
        counts[names.index(name), block - 1] += count
    tables = {
        "texts": Table(owner, columns),
        "tokens": Table(owner.repeat_interleave(lengths), {"id": ids}),
    }
    return State(batch.keys, tables, {"squares": squares, "counts": counts})


@dataclass(frozen=True)
class Written:
    """All texts of an experiment."""

    conditions: tuple[str, ...]
    texts: Mapping[tuple[int, str], tuple[tuple[int, ...], dict[str, float]]]
    """(sample, condition) -> token ids, scores"""
    added: Tensor
    """(condition, block) root mean square of what was added; NaN where nothing was"""

    @classmethod
    def of(cls, state: State, conditions: Sequence[Condition]) -> Written:
        """Read the merged state."""
        table = state.tables["texts"]
        columns: dict[str, list[Any]] = {name: column.tolist() for name, column in table.columns.items()}
        ids: list[int] = state.tables["tokens"].columns["id"].tolist()
        continuations, at = {}, 0
        for number, sequence in enumerate(table.sequence.tolist()):
            length = columns["length"][number]
            key = (state.keys[sequence].sequence, conditions[columns["condition"][number]].name)
            scores = {n: columns[n][number] for n in SCORES if columns[n][number] == columns[n][number]}
            continuations[key] = (tuple(ids[at : at + length]), scores)
            at += length
        names = tuple(condition.name for condition in conditions)
        return cls(names, continuations, (state.totals["squares"] / state.totals["counts"]).sqrt())

    def added_to(self, block: int) -> float:
        """Root mean square of what was added to a block, from 0, under the first condition that disturbs it, or NaN."""
        return next((value for value in self.added[:, block].tolist() if value == value), nan)

    def generated(self, prompts: Sequence[Prompt], decode: Callable[..., str]) -> dict[str, list[Generated]]:
        """condition -> texts in the order of the prompts."""
        by_condition: dict[str, list[Generated]] = {condition: [] for condition in self.conditions}
        for condition, texts in by_condition.items():
            for prompt in prompts:
                ids, scores = self.texts[prompt.sample, condition]
                texts.append(Generated(prompt.sample, prompt.text, _continuation(decode, prompt, ids), scores))
        return by_condition


def _continuation(decode: Callable[..., str], prompt: Prompt, ids: Sequence[int]) -> str:
    """The text that follows the prompt: decoded together, since a tokenizer may join what stands apart."""
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    start = decode(list(prompt.ids), **options)
    whole = decode([*prompt.ids, *ids], **options)
    return whole[len(start) :] if whole.startswith(start) else decode(list(ids), **options)
