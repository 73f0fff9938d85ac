"""Prompts: the first tokens of documents, then of their later sentences, dealt in rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_bpe, metaspace
from tokenizers import processors

from mspgt.core.errors import UserError
from mspgt.data import Corpus, Document, Sentence, load
from mspgt.generate.prompts import take_prompts

TEXTS = (
    ("a", ("The quick brown fox.", "It walks around them slowly.", "Nobody re-read it.")),
    ("b", ("In 1997 Ms. O'Neill paid.", "The quick brown fox.")),
    ("c", ("The", "quick brown fox. It walks around the dogs.")),
)
BYTES = byte_bpe()
CORPUS = [Document(name, tuple(Sentence(text) for text in sentences)) for name, sentences in TEXTS]


@pytest.fixture(scope="module", params=[byte_bpe, metaspace])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.param()


def expected(
    tokenizer: Any, tokens: int, texts: Sequence[tuple[str, Sequence[str]]] = TEXTS
) -> list[tuple[str, tuple[int, ...]]]:
    """All prompts by the definition: whole texts are tokenised, then cut."""
    dealt = [(name, " ".join(sentences)) for name, sentences in texts]
    for turn in range(1, max(len(sentences) for _, sentences in texts)):
        dealt += [(name, sentences[turn]) for name, sentences in texts if turn < len(sentences)]
    found: list[tuple[str, tuple[int, ...]]] = []
    for name, text in dealt:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][:tokens]
        start = [tokenizer.bos_token_id] if tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id else []
        if (*start, *ids) not in [known for _, known in found]:
            found.append((name, (*start, *ids)))
    return found


@pytest.mark.parametrize("tokens", [1, 2, 4, 9, 1000])
def test_prompts_are_the_beginnings_of_documents_then_of_later_sentences_in_rounds(tokenizer: Any, tokens: int) -> None:
    truth = expected(tokenizer, tokens)
    prompts = take_prompts(load(CORPUS), tokenizer, len(truth), tokens)
    assert [(p.document, p.ids) for p in prompts] == truth
    assert [p.sample for p in prompts] == list(range(len(truth)))
    for samples in range(1, len(truth)):
        assert take_prompts(load(CORPUS), tokenizer, samples, tokens) == prompts[:samples]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["The", "fox.", "It", "walks", "a b", "c d"]), min_size=1), min_size=1), st.data()
)
def test_rounds_are_dealt_whatever_occurs_twice(texts: list[list[str]], data: Any) -> None:
    named = [(str(number), sentences) for number, sentences in enumerate(texts)]
    corpus = load([Document(name, tuple(map(Sentence, sentences))) for name, sentences in named])
    truth = expected(BYTES, 2, named)
    samples = data.draw(st.integers(1, len(truth)))
    assert [(p.document, p.ids) for p in take_prompts(corpus, BYTES, samples, 2)] == truth[:samples]


@pytest.mark.parametrize("samples", [7, 20, 33, 55])
def test_each_document_gives_as_many_prompts_as_any_other(samples: int) -> None:
    corpus = load([Document(str(d), tuple(Sentence(f"{d} saw {k} foxes.") for k in range(50))) for d in range(10)])
    found = [prompt.document for prompt in take_prompts(corpus, BYTES, samples, 6)]
    counts = Counter(found)
    assert len(counts) == min(samples, 10)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert found == [str(i % 10) for i in range(samples)]


def test_short_documents_give_what_they_have_and_long_ones_the_rest() -> None:
    lengths = (2, 50, 1, 50)
    corpus = load([Document(str(d), tuple(Sentence(f"{d} {k}") for k in range(n))) for d, n in enumerate(lengths)])
    found = Counter(prompt.document for prompt in take_prompts(corpus, BYTES, 23, 6))
    assert found == {"0": 2, "1": 10, "2": 1, "3": 10}


def test_the_text_of_a_prompt_is_what_the_corpus_says(tokenizer: Any) -> None:
    texts = [prompt.text for prompt in take_prompts(load(CORPUS), tokenizer, 3, 5)]
    starts = [sentence for _, sentences in TEXTS for sentence in (" ".join(sentences), *sentences[1:])]
    assert all(texts)
    assert all(any(start.startswith(text) for start in starts) for text in texts)


def test_a_token_that_the_tokenizer_puts_before_a_text_counts_extra() -> None:
    tokenizer = metaspace()
    (prompt,) = take_prompts(load(CORPUS), tokenizer, 1, 4)
    assert prompt.ids[0] == tokenizer.bos_token_id
    assert len(prompt.ids) == 5
    assert "<s>" not in prompt.text


def test_a_token_that_the_tokenizer_puts_behind_a_text_is_left_out() -> None:
    plain, closing = byte_bpe(), byte_bpe()
    end = closing.eos_token
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, closing.eos_token_id)]
    )
    assert closing("The")["input_ids"][-1] == closing.eos_token_id
    for tokens in (4, 1000):
        assert take_prompts(load(CORPUS), closing, 3, tokens) == take_prompts(load(CORPUS), plain, 3, tokens)


def test_a_short_text_gives_a_short_prompt() -> None:
    tokenizer = byte_bpe()
    ids = tokenizer("The")["input_ids"]
    (prompt,) = take_prompts(load(["The"]), tokenizer, 1, 16)
    assert (prompt.ids, prompt.text) == (tuple(ids), "The")


def test_too_few_prompts_are_counted() -> None:
    tokenizer = byte_bpe()
    with pytest.raises(UserError, match=rf"samples=50: .* has {len(expected(tokenizer, 3))} different prompts"):
        take_prompts(load(CORPUS), tokenizer, 50, 3)


@pytest.mark.parametrize(("samples", "tokens"), [(0, 16), (3, 0)])
def test_numbers_below_one_are_refused(samples: int, tokens: int) -> None:
    with pytest.raises(UserError, match="=0: allowed is 1 or more"):
        take_prompts(load(CORPUS), byte_bpe(), samples, tokens)


def test_a_corpus_is_read_no_further_than_needed() -> None:
    read: list[int] = []

    class Endless:
        name, tasks, flags, sha256 = "endless", (), (), None

        def documents(self) -> Iterator[Document]:
            number = 0
            while True:
                read.append(number)
                yield Document(str(number), (Sentence(f"{number} foxes walk slowly."),) * 3)
                number += 1

    assert len(take_prompts(Corpus(Endless()), byte_bpe(), 7, 5)) == 7
    assert len(read) == 7


def test_a_second_reading_stops_when_no_later_document_can_give_a_prompt() -> None:
    read: list[str] = []

    class Hundred:
        name, tasks, flags, sha256 = "hundred", (), (), None

        def documents(self) -> Iterator[Document]:
            for number in range(100):
                read.append(str(number))
                yield Document(str(number), tuple(Sentence(f"{number} {k} foxes.") for k in range(50)))

    prompts = take_prompts(Corpus(Hundred()), byte_bpe(), 120, 8)
    assert [p.document for p in prompts] == [str(i % 100) for i in range(120)]
    assert len(read) == 100 + 21


def test_one_long_document_is_read_no_further_than_needed() -> None:
    asked: list[str] = []

    class Counting:
        def __call__(self, text: str, **options: Any) -> Any:
            asked.append(text)
            return BYTES(text, **options)

        def decode(self, ids: Any, **options: Any) -> Any:
            return BYTES.decode(ids, **options)

    document = Document("long", tuple(Sentence(f"{i} foxes jump.") for i in range(1_000)))
    assert len(take_prompts(load([document]), Counting(), 30, 6)) == 30
    assert len(asked) < 40


def test_a_long_document_is_not_tokenised_as_a_whole() -> None:
    lengths: list[int] = []
    plain = byte_bpe()

    class Counting:
        def __call__(self, text: str, **options: Any) -> Any:
            lengths.append(len(text))
            return plain(text, **options)

        def decode(self, ids: Any, **options: Any) -> Any:
            return plain.decode(ids, **options)

    document = Document("long", tuple(Sentence(f"The fox of number {i} jumps.") for i in range(10_000)))
    (prompt,) = take_prompts(load([document]), Counting(), 1, 16)
    whole = plain(" ".join(s.text for s in document.sentences[:50]))["input_ids"]
    assert prompt.ids == tuple(whole[:16])
    assert max(lengths) < 500
