"""Spans of tag sequences, against seqeval."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from mspgt.core.errors import UserError
from mspgt.plugins.signals.probe.f1 import f1, macro_f1, micro_f1
from mspgt.plugins.signals.probe.spans import Scheme, span_counts, spans

TAGS = ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")
SCHEME = Scheme.of(TAGS)
sentences = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8), min_size=1, max_size=6)
pairs = sentences.flatmap(
    lambda gold: st.tuples(
        st.just(gold), st.tuples(*(st.lists(st.sampled_from(TAGS), min_size=len(s), max_size=len(s)) for s in gold))
    )
)


def codes(corpus) -> torch.Tensor:
    return torch.tensor([TAGS.index(tag) for sentence in corpus for tag in sentence])


def numbers(corpus) -> torch.Tensor:
    return torch.tensor([i for i, sentence in enumerate(corpus) for _ in sentence])


def found(corpus, mode: str) -> set[tuple[int, int, str]]:
    """(first word, one past the last word, type), words numbered through the corpus."""
    result = spans(codes(corpus)[None], numbers(corpus), SCHEME, mode)
    kinds = [SCHEME.types[t] for t in result.type.tolist()]
    return set(zip(result.start.tolist(), result.end.tolist(), kinds, strict=True))


@given(sentences)
@settings(max_examples=150, deadline=None)
def test_conll_spans_are_those_of_seqeval(corpus):
    expected, offset = set(), 0
    for sentence in corpus:
        expected |= {(offset + a, offset + b + 1, kind) for kind, a, b in get_entities(sentence)}
        offset += len(sentence)
    assert found(corpus, "conll") == expected


@given(sentences)
@settings(max_examples=150, deadline=None)
def test_strict_spans_are_those_of_seqeval(corpus):
    expected, offset = set(), 0
    for sentence, entities in zip(corpus, Entities(corpus, IOB2).entities, strict=True):
        expected |= {(offset + e.start, offset + e.end, e.tag) for e in entities}
        offset += len(sentence)
    assert found(corpus, "strict") == expected


@given(pairs, st.data())
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("mode", ["conll", "strict"])
def test_weighted_span_f1_is_that_of_the_resampled_corpus(mode, pair, data):
    gold, predicted = pair
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(gold), max_size=len(gold)))
    sentence = numbers(gold)  # each sentence is a document of its own
    counts = span_counts(codes(gold), codes(predicted)[None], sentence, sentence, len(gold), SCHEME, mode)
    weighted = torch.einsum("u,ucx->cx", torch.tensor(times, dtype=torch.float64), counts[0])
    twice = [[s for s, n in zip(c, times, strict=True) for _ in range(n)] for c in (gold, predicted)]
    extra = {"mode": "strict", "scheme": IOB2} if mode == "strict" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval's words on empty divisions
        if not any(tag != "O" for s in twice[0] for tag in s):
            return  # seqeval does not score a corpus without entities
        assert micro_f1(weighted) == pytest.approx(f1_score(*twice, zero_division=0, **extra), abs=1e-12)
        assert macro_f1(weighted) == pytest.approx(_macro(twice, mode), abs=1e-12)


def _macro(corpus, mode) -> float:
    """Mean F1 of the types with a gold or predicted span, from seqeval's own spans."""

    def of(side):
        if mode == "strict":
            return {(i, e.start, e.end, e.tag) for i, s in enumerate(Entities(side, IOB2).entities) for e in s}
        return {(i, a, b + 1, kind) for i, s in enumerate(side) for kind, a, b in get_entities(s)}

    gold, predicted = map(of, corpus)
    types = {e[3] for e in gold | predicted}
    scores = []
    for kind in types:
        true, guess = ({e for e in side if e[3] == kind} for side in (gold, predicted))
        scores.append(2 * len(true & guess) / (len(true) + len(guess)))
    return sum(scores) / max(1, len(scores))


def test_many_taggings_at_once_are_each_as_alone():
    generator = torch.Generator().manual_seed(0)
    gold = torch.randint(len(TAGS), (200,), generator=generator)
    predicted = torch.randint(len(TAGS), (6, 200), generator=generator)
    sentence, unit = torch.arange(200) // 9, torch.arange(200) // 45
    together = span_counts(gold, predicted, sentence, unit, 5, SCHEME)
    alone = [span_counts(gold, p[None], sentence, unit, 5, SCHEME)[0] for p in predicted]
    assert torch.equal(together, torch.stack(alone))


def test_no_span_crosses_a_sentence():
    tags = codes([["B-PER", "I-PER", "I-PER"]])[None]
    assert spans(tags, torch.tensor([0, 0, 1]), SCHEME).end.tolist() == [2, 3]
    assert spans(tags, torch.tensor([0, 0, 1]), SCHEME, "strict").end.tolist() == [2]


def test_a_perfect_tagger_scores_one():
    tags = codes([["B-PER", "I-PER", "O", "B-LOC"]])
    counts = span_counts(tags, tags[None], torch.zeros(4), torch.zeros(4, dtype=torch.int64), 1, SCHEME)
    assert f1(counts.sum((1, 2))).tolist() == [1.0]


@pytest.mark.parametrize("tag", ["PER", "S-PER", "B-", "B_PER"])
def test_a_tag_of_another_form_is_refused(tag):
    with pytest.raises(UserError, match="IOB2"):
        Scheme.of(["O", tag])
