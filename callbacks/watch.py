"""What a drift callback looks at: a model in training, and the corpora that are held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from mspgt import data
from mspgt.config.run import RunConfig
from mspgt.contracts.batch import Batch
from mspgt.core.errors import UserError
from mspgt.core.provenance import Provenance, provenance
from mspgt.data.ready import Ready, is_ready
from mspgt.measure.assess import evaluate_measured, make_signals
from mspgt.measure.corpora import CorpusFacts, CorpusIdentity, corpus_facts
from mspgt.measure.evaluate import Evaluation
from mspgt.measure.memory import InMemory
from mspgt.measure.passes import Homes, make_passes, measured
from mspgt.measure.ranks import Ranks, agreed
from mspgt.models.capture import prove
from mspgt.models.inside import describe_inside


@dataclass(frozen=True)
class Outcome:
    """One evaluation, in the first process."""

    evaluation: Evaluation
    data: CorpusFacts
    notes: list[str]
    left_out: list[str]


class Watch:
    """A model and its corpora, ready to be measured as often as wanted; made by every process at the same time.

    Parameters
    ----------
    config: settings of the analysis; its model and machine are not looked at.
    data, labels: corpora, or loaders of ready batches.
    module: what is trained; `path` leads to the transformer in it.
    tokenizer: id, folder or object; the model's own where None.
    device: where signals may do heavy arithmetic.

    Attributes
    ----------
    model: the transformer in `module`.
    homes: the signals, and on which of the corpora each is measured.
    corpora: name ("data", "labels") -> batches in main memory; sources: which corpora they are.
    notes: what a reader must know of them, one sentence each.

    Raises
    ------
    UserError: no transformer, no tokenizer, an unusable corpus, or not the same in every process; each raises the same.
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
        self.notes: list[str] = []
        self.corpora: dict[str, Sequence[Batch]] = {}
        self.sources: dict[str, CorpusIdentity] = {}
        with agreed(ranks):
            self.homes = homes = Homes.given(make_signals(config, device), data, labels)
            ready = {corpus: is_ready(source) for corpus, source in homes.sources.items()}
            self.model = describe_inside(
                module,
                path,
                tokenizer,
                needs_tokenizer=not all(ready.values()),
                layers_path=config.options.layers_path,
            )
            if note := prove(self.model.model, self.model.blocks, attention=homes.needs_attention):
                self.notes.append(note)
            for corpus, source in homes.sources.items():
                read = self._ready if ready[corpus] else self._read
                self.corpora[corpus], self.sources[corpus] = read(corpus, source)
        self._require_the_same()

    def evaluate(self) -> Outcome | None:
        """Measure the model as it is now; None in all processes but the first.

        Raises
        ------
        UserError: it cannot be measured or evaluated; the same in every process.
        """
        memory, notes = InMemory(self.corpora, self._ranks), list[str]()
        failures = make_passes(self.homes, self.model, memory, memory, notes)
        outcome = None
        with agreed(self._ranks):  # the others wait here: in a collective of the training they would lose patience
            if memory.first:
                outcome = self._outcome(memory, failures, notes)
        return outcome

    @property
    def data_sha256(self) -> dict[str, str | None]:
        """Corpus -> hash of what was read."""
        return {corpus: source.sha256 for corpus, source in self.sources.items()}

    def provenance(self, started: float) -> Provenance:
        """Where a drift comes from.

        Parameters
        ----------
        started: seconds since the epoch.
        """
        return provenance(
            started,
            device=str(self.model.device),
            dtype=self.model.dtype,
            seed=self._config.options.seed,
            data_sha256=self.data_sha256,
            model_sha256=None,
            world_size=self._ranks.world,
        )

    def _outcome(self, memory: InMemory, failures: dict[str, str], notes: list[str]) -> Outcome:
        by_signal = measured(self.homes, memory, failures, _silent)
        evaluation = evaluate_measured(by_signal, self.model.n_layers, self._config, failures, _silent)
        return Outcome(
            evaluation,
            corpus_facts(self.sources, memory.censuses),
            [*notes, *evaluation.notes],
            [*failures.values(), *evaluation.left_out],
        )

    def _ready(self, corpus: str, source: Any) -> tuple[Sequence[Batch], CorpusIdentity]:
        """Ready batches in memory, and which they are."""
        m, limit = self.model, self._config.options.limit
        ready = Ready(
            source,
            corpus=corpus,
            special_ids=m.special_ids,
            vocabulary=m.vocabulary,
            longest=m.context_length,
            limit=limit,
        )
        self.notes += ready.notes
        return ready.batches, CorpusIdentity(ready.name, ready.sha256, limit, tuple(ready.flags))

    def _read(self, corpus: str, source: Any) -> tuple[Sequence[Batch], CorpusIdentity]:
        """A corpus in memory, and which it is."""
        o = self._config.options
        opened = data.load(source, limit=o.limit, seed=o.seed, corpus=corpus)
        reading = data.Reading.of(opened, self.model, o)
        batches = list(reading.batches(opened.tasks if self.homes.labelled(corpus) else ()))
        if not batches:
            raise UserError(f"{corpus}= holds nothing that can be read: {' '.join(reading.notes)}")
        self.notes += reading.notes
        return batches, CorpusIdentity.of(opened)

    def _require_the_same(self) -> None:
        """Refuse processes that have read something else than the first."""
        digests = self._ranks.exchange({corpus: _digest(batches) for corpus, batches in self.corpora.items()})
        for rank, corpus in ((rank, corpus) for rank, hashes in enumerate(digests) for corpus in hashes):
            if digests[rank][corpus] != digests[0][corpus]:
                raise UserError(
                    f"{corpus}= gives other batches on rank {rank} than on rank 0: give every rank the same corpus, in "
                    "the same order, and not one that a sampler deals to them; the callback deals it itself."
                )


def _silent(sentence: str) -> None:
    """Nothing is said while a model trains."""


def _digest(batches: Sequence[Batch]) -> str:
    """Hash of everything in batches, in order."""
    digest = hashlib.sha256()
    for batch in batches:
        tensors = [batch.input_ids, batch.attention_mask, batch.content, batch.sentence]
        for task, labels in batch.labels.items():
            digest.update(task.encode())
            tensors += [labels.sequence, labels.slots, labels.target, labels.sentence, labels.word]
        digest.update(repr(batch.keys).encode())
        for tensor in tensors:
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
