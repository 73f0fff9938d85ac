"""How reference models are measured: the grammar's floor token by token, its parts, errors of averages, the goals."""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import grammar_exact
import numpy as np
import pytest
import reference_models as measure
import reference_recipe as recipe
import torch
from scipy import special, stats

from mspgt import grammar, models
from mspgt.data import Document

MEMBER = recipe.MEMBERS["tiny-qwen-b"]


@pytest.fixture(scope="module")
def untrained() -> models.LoadedModel:
    """A reference model before its training, with larger weights so that tokens differ in their losses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "TOKENIZER_DOCUMENTS", 40)
        tokenizer = recipe.make_tokenizer(MEMBER.family)
    torch.manual_seed(0)
    model = recipe.make_model(MEMBER).eval()
    with torch.no_grad():
        model.lm_head.weight *= 20
    return models.describe(model, tokenizer, "untrained")


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return list(itertools.islice(grammar.documents(None, 5, MEMBER.mixture), 6))


# ---------------------------------------------------------------------- the floor


def test_the_chances_to_end_make_lengths_uniform() -> None:
    assert [measure.ending(length) for length in range(grammar.SHORTEST)] == [0.0] * grammar.SHORTEST
    going_on = 1.0
    for length in range(grammar.SHORTEST, grammar.LONGEST + 1):
        assert going_on * measure.ending(length) == pytest.approx(1 / 21)
        going_on *= 1 - measure.ending(length)
    assert going_on == 0.0


def test_the_floor_is_the_grammars_cross_entropy_and_the_length(
    untrained: models.LoadedModel, documents: list[Document]
) -> None:
    rows = [measure.nats(untrained, document, MEMBER.mixture) for document in documents]
    exact = grammar_exact.cross_entropy(documents, MEMBER.mixture)
    total = math.fsum(floor for row in rows for _, floor, _ in row.values())
    assert total == pytest.approx(exact.nats_per_word * exact.words + len(documents) * math.log(21))
    for kind in ("new name", "repeated name"):
        inside = sum(row[kind][1] for row in rows)
        assert inside >= exact.parts[kind][0] - 1e-9, "plus, at most, that the document went on"
        assert inside <= exact.parts[kind][0] + len(documents) * math.log(21)


def test_the_end_of_a_document_costs_what_its_length_leaves_open(
    untrained: models.LoadedModel, documents: list[Document]
) -> None:
    for document in documents:
        length = len(document.sentences)
        for cut in {grammar.SHORTEST, length}:
            part = Document(document.id, document.sentences[:cut])
            row = measure.nats(untrained, part, MEMBER.mixture)
            assert row[measure.END][1] == pytest.approx(math.log(grammar.LONGEST - cut + 1))
            assert row[measure.END][2] == 1


# ---------------------------------------------------------------------- the model


def test_tokens_of_a_model_are_those_of_its_own_loss(untrained: models.LoadedModel, documents: list[Document]) -> None:
    for document in documents[:3]:
        ids = untrained.tokenizer(measure.document_text(document))["input_ids"]
        ids = torch.tensor([[*ids, untrained.tokenizer.eos_token_id]])
        with torch.inference_mode():
            loss: Any = untrained.full(input_ids=ids, labels=ids).loss
        row = measure.nats(untrained, document, MEMBER.mixture)
        assert sum(tokens for _, _, tokens in row.values()) == ids.shape[1] - 1
        total = sum(nats for nats, _, _ in row.values())
        assert total == pytest.approx(loss.item() * (ids.shape[1] - 1), rel=1e-5)


def test_tokens_belong_to_the_kind_of_their_word(untrained: models.LoadedModel, documents: list[Document]) -> None:
    """Each word is tokenised alone: byte-level tokens never cross words here."""
    document, tokenizer = documents[0], untrained.tokenizer
    counts, nats, ids = Counter[str](), Counter[str](), [tokenizer.bos_token_id]
    kinds = []
    for scored, sentence in zip(grammar_exact.score(document, MEMBER.mixture), document.sentences, strict=True):
        for kind, word, start in zip(scored.kinds, sentence.words, sentence.starts, strict=True):
            first = len(ids) == 1
            space = "" if first or (start and sentence.text[start - 1] != " ") else " "
            pieces = tokenizer(space + word, add_special_tokens=False)["input_ids"]
            ids += pieces
            kinds += [kind] * len(pieces)
    ids.append(tokenizer.eos_token_id)
    kinds.append(measure.END)
    assert ids[:-1] == tokenizer(measure.document_text(document))["input_ids"]
    with torch.inference_mode():
        logits = untrained.full(input_ids=torch.tensor([ids])).logits[0].double().numpy()
    losses = special.logsumexp(logits, axis=-1)[:-1] - logits[np.arange(len(ids) - 1), ids[1:]]
    for kind, loss in zip(kinds, losses, strict=True):
        counts[kind] += 1
        nats[kind] += float(loss)
    assert {"new name", "repeated name"} < counts.keys()
    found = measure.nats(untrained, document, MEMBER.mixture)
    for kind in measure.KINDS:
        assert found[kind][2] == counts[kind]
        assert found[kind][0] == pytest.approx(nats[kind], rel=1e-5)


def test_a_document_longer_than_the_context_is_refused(
    untrained: models.LoadedModel, documents: list[Document]
) -> None:
    with pytest.raises(ValueError, match=rf"document {documents[0].id} has \d+ tokens, more than fit the context"):
        measure.nats(replace(untrained, context_length=50), documents[0], MEMBER.mixture)


# ---------------------------------------------------------------------- averages and goals


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 40)
    found = measure.ratio(5 * values, [5.0] * 40)
    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(stats.sem(values))


def test_the_error_of_a_ratio_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        counts = rng.integers(10, 31, 60)
        means = 2.0 + rng.normal(0, 0.5, 60) + 0.02 * (counts - 20)  # longer documents are harder
        found = measure.ratio(means * counts, counts)
        truth = 2.0 + 0.02 * np.var(np.arange(10, 31)) / 20
        inside += abs(found.value - truth) < 1.96 * found.error
    assert 0.91 < inside / 400 < 0.98


@pytest.mark.parametrize(
    ("gap", "accepted", "said"), [(0.19, 0.91, "met"), (0.21, 0.91, "missed"), (0.1, 0.8, "missed")]
)
def test_the_table_says_whether_goals_are_met(
    gap: float, accepted: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Any, ...]] = []

    def quality(name: str, *given: Any) -> Any:
        asked.append((name, *given))
        parts = dict.fromkeys(measure.KINDS, measure.Part(10, 1.5, 1.25))
        estimates = [measure.Estimate(value, 0.01) for value in (2.5, 2.5 - gap, gap)]
        return measure.Quality(2, 7, *estimates, 0.0, parts, 1234, accepted, 0.5)

    monkeypatch.setattr(measure, "quality", quality)
    monkeypatch.setenv("COLUMNS", "150")
    measure.main(["documents=5", "samples=3"])
    printed = capsys.readouterr().out
    assert asked == [(name, member, 5, 3) for name, member in recipe.MEMBERS.items()]
    assert printed.endswith(f"goal: gap of at most 0.20, 90% accepted: {said}\n")
    assert f"{gap:.3f} ± 0.010" in printed
    assert f"{100 * accepted:.1f} % of 1,234" in printed


@pytest.mark.parametrize(
    ("argument", "message"),
    [("documents=1", "at least 2"), ("samples=0", "at least 1"), ("document=5", "Did you mean 'documents'?")],
)
def test_a_mistake_is_one_sentence(
    argument: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reference_models.py", argument])
    with pytest.raises(SystemExit) as stopped:
        measure.script(measure.main)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
