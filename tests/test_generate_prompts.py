"""Prompts: the first tokens of documents, then of later sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import processors

from mspgt.data import Document, Sentence, load
from mspgt.errors import UserError
from mspgt.generate.prompts import take_prompts
from mspgt.testing.tokenizers import byte_bpe, metaspace

TEXTS = (
    ("a", ("The quick brown fox.", "It walks around them slowly.", "Nobody re-read it.")),
    ("b", ("In 1997 Ms. O'Neill paid.", "The quick brown fox.")),
    ("c", ("The", "quick brown fox. It walks around the dogs.")),
)
CORPUS = [Document(name, tuple(Sentence(text) for text in sentences)) for name, sentences in TEXTS]


@pytest.fixture(scope="module", params=[byte_bpe, metaspace])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.param()


def expected(tokenizer: Any, tokens: int) -> list[tuple[str, tuple[int, ...]]]:
    """All prompts by the definition: whole texts are tokenised, then cut."""
    wholes = [(name, " ".join(sentences)) for name, sentences in TEXTS]
    later = [(name, sentence) for name, sentences in TEXTS for sentence in sentences[1:]]
    found: list[tuple[str, tuple[int, ...]]] = []
    for name, text in wholes + later:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][:tokens]
        start = [tokenizer.bos_token_id] if tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id else []
        if (*start, *ids) not in [known for _, known in found]:
            found.append((name, (*start, *ids)))
    return found


@pytest.mark.parametrize("tokens", [1, 2, 4, 9, 1000])
def test_prompts_are_the_beginnings_of_documents_then_of_later_sentences(tokenizer: Any, tokens: int) -> None:
    truth = expected(tokenizer, tokens)
    prompts = take_prompts(load(CORPUS), tokenizer, len(truth), tokens)
    assert [(p.document, p.ids) for p in prompts] == truth
    assert [p.sample for p in prompts] == list(range(len(truth)))
    for samples in range(1, len(truth)):
        assert take_prompts(load(CORPUS), tokenizer, samples, tokens) == prompts[:samples]


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

    from mspgt.data import Corpus

    assert len(take_prompts(Corpus(Endless()), byte_bpe(), 7, 5)) == 7
    assert len(read) == 7


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
