"""What a file of results says of the corpora that were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mspgt.config.keys import plain_value
from mspgt.core.state import State
from mspgt.data import Corpus


@dataclass(frozen=True)
class CorpusIdentity:
    """Which corpus was read; `limit` sentences of it at most, all where None."""

    name: str
    sha256: str | None
    limit: int | None
    flags: tuple[str, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> CorpusIdentity:
        """Which corpus is open."""
        return cls(plain_value(corpus.name), corpus.sha256, corpus.limit, tuple(corpus.flags))


@dataclass(frozen=True)
class CorpusFacts:
    """What was read.

    Attributes
    ----------
    tokens_masked: tokens that do not count in statistics, massive ones among them.
    tokens_massive: tokens left out because their activations are massive.
    labels: probe task -> labelled instances.
    labels_name, labels_documents: of the second corpus, where labels come from one.
    """

    name: str
    documents: int
    sentences: int
    sequences: int
    tokens: int
    tokens_masked: int
    tokens_massive: int
    labels: Mapping[str, int]
    flags: tuple[str, ...]
    labels_name: str | None = None
    labels_documents: int | None = None


def corpus_facts(sources: Mapping[str, CorpusIdentity], censuses: Mapping[str, State]) -> CorpusFacts:
    """What was read of the main corpus, and of `labels` where that is another.

    Parameters
    ----------
    censuses: corpus -> tokens, sentences and labelled instances of its sequences, as the Collector keeps them.
    """
    main = censuses["data"]
    counts = {k: int(v.sum()) for k, v in main.tables["sequences"].columns.items()}
    second = censuses.get("labels", main)
    labelled = second.tables["sequences"].columns
    return CorpusFacts(
        name=sources["data"].name,
        documents=len({k.document for k in main.keys}),
        sentences=counts["sentences"],
        sequences=len(main.keys),
        tokens=counts["tokens"],
        tokens_masked=counts["tokens"] - counts["content"],
        tokens_massive=counts["massive"],
        labels={k.removeprefix("labels_"): int(v.sum()) for k, v in labelled.items() if k.startswith("labels_")},
        flags=sources["data"].flags,
        labels_name=sources["labels"].name if "labels" in sources else None,
        labels_documents=len({k.document for k in second.keys}) if "labels" in sources else None,
    )
