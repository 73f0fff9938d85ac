"""What a drift callback looks at: a model in training, and the corpora that are held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from mspgt import data
from mspgt.batch import Batch
from mspgt.capture import prove
from mspgt.config import RunConfig, plain_value
from mspgt.data.ready import Ready, is_ready
from mspgt.errors import UserError
from mspgt.evaluate import Evaluation
from mspgt.inside import describe_inside
from mspgt.models import LoadedModel
from mspgt.passes import Measurement, Passes, Ranks
from mspgt.recompute import data_block, evaluate_measured, make_signals

Batches = Sequence[Batch]


@dataclass(frozen=True)
class Outcome:
    """One evaluation, in the first process."""

    evaluation: Evaluation
    data: dict[str, Any]
    """the block `data`"""
    notes: list[str]
    left_out: list[str]


class Watch:
    """A model and its corpora, ready to be measured as often as wanted. The same in every process.

    Parameters
    ----------
    config: settings of the analysis; its model and machine are not looked at.
    data, labels: corpora, or loaders of ready batches.
    module: what is trained; `path` leads to the transformer in it.
    tokenizer: id, folder or object; the model's own where None.
    device: where signals may do heavy arithmetic.

    Raises
    ------
    UserError: no transformer, no tokenizer, an unusable corpus; the same in every process.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Any,
        labels: Any,
        module: nn.Module,
        path: str | None,
        tokenizer: Any,
        device: str,
        ranks: Ranks,
    ) -> None:
        self._config, self._ranks = config, ranks
        error, digest = None, ""
        try:
            self._signals = make_signals(config, device)
            labelled = labels is not None and any("labels" in s.needs for s in self._signals.values())
            sources = {"data": data} | ({"labels": labels} if labelled else {})
            self.model = self._describe(module, path, tokenizer, sources)
            self.notes = self._prove()
            self.corpora = {name: self._read(name, source) for name, source in sources.items()}
            digest = _digest(self.corpora)
        except Exception as raised:  # the other processes wait for an answer
            error = raised
        told = ranks.exchange((None if error is None else str(error), digest))
        if error is not None:
            raise error
        for rank, (why, other) in enumerate(told):
            if why is not None:
                raise UserError(why)
            if other != digest:
                raise UserError(
                    f"data= gives other batches on rank {rank} than on rank {ranks.rank}: give every rank the same "
                    "held-out corpus, without a sampler that deals it or shuffles; the callback deals it itself."
                )
        self._passes = Passes(
            self._signals, self._homes(), {name: batches for name, (batches, _) in self.corpora.items()}, ranks
        )

    def evaluate(self) -> Outcome | None:
        """Measure the model as it is now; None in all processes but the first.

        Raises
        ------
        UserError: it cannot be measured; in every process, or, where evaluation fails, in the first.
        """
        measurement = self._passes(self.model)
        return None if measurement is None else self._evaluate(measurement)

    def manifest(self) -> dict[str, Any]:
        """What is watched, as the manifest of a run has it."""
        return {
            "model": self.model.facts,
            "data": {name: entry for name, (_, entry) in self.corpora.items()},
            "fingerprint": {"seed": self._config.options.seed, "model_sha256": None},
            "world_size": self._ranks.world,
        }

    def _evaluate(self, found: Measurement) -> Outcome:
        nothing: list[str] = []
        evaluation = evaluate_measured(
            found.measured, self.model.n_layers, self._config, found.failures, nothing.append
        )
        return Outcome(
            evaluation,
            data_block(self.manifest()["data"], found.readings),
            [*found.notes, *evaluation.notes],
            [*found.failures.values(), *evaluation.left_out],
        )

    def _describe(self, module: nn.Module, path: str | None, tokenizer: Any, sources: Mapping[str, Any]) -> LoadedModel:
        need = not all(map(is_ready, sources.values()))
        return describe_inside(
            module, path, tokenizer, needs_tokenizer=need, layers_path=self._config.options.layers_path
        )

    def _prove(self) -> list[str]:
        attention = any("attention" in s.needs for s in self._signals.values())
        note = prove(self.model.model, self.model.blocks, attention=attention).note
        return [note] if note else []

    def _read(self, name: str, source: Any) -> tuple[Batches, dict[str, Any]]:
        """A corpus in memory, and what a manifest says of it."""
        o = self._config.options
        if is_ready(source):
            m = self.model
            ready = Ready(
                source,
                corpus=name,
                special_ids=m.special_ids,
                vocabulary=m.vocabulary,
                longest=m.context_length,
                limit=o.limit,
            )
            entry = {"name": ready.name, "sha256": ready.sha256, "limit": o.limit, "flags": list(ready.flags)}
            self.notes += ready.notes
            return ready.batches, entry
        corpus = data.load(source, limit=o.limit, seed=o.seed, corpus=name)
        reading = data.Reading(
            corpus,
            self.model.tokenizer,
            max_length=min(o.max_length, self.model.context_length or o.max_length),
            batch_tokens=o.batch_tokens,
            context=o.context,
        )
        labelled = any("labels" in s.needs for s in self._signals.values())
        batches = list(reading.batches(corpus.tasks if labelled else ()))
        self.notes += reading.notes
        entry = {
            "name": plain_value(corpus.name),
            "sha256": corpus.sha256,
            "limit": corpus.limit,
            "flags": list(corpus.flags),
        }
        return batches, entry

    def _homes(self) -> dict[str, str]:
        """The corpus of each signal: labelled signals go to `labels` where it is given."""
        labels = "labels" if "labels" in self.corpora else "data"
        return {name: labels if "labels" in s.needs else "data" for name, s in self._signals.items()}


def _digest(corpora: Mapping[str, tuple[Batches, Any]]) -> str:
    """Hash of keys and tokens of all batches, in order."""
    digest = hashlib.sha256()
    for batches, _ in corpora.values():
        for batch in batches:
            digest.update(repr(batch.keys).encode())
            digest.update(batch.input_ids.numpy().tobytes())
    return digest.hexdigest()
