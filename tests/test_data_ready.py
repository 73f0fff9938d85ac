"""Ready batches: keys, what is counted, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers as hf
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mspgt.contracts.batch import Batch
from mspgt.core.errors import DuplicateSequence, UserError
from mspgt.core.key import Key
from mspgt.data import Document, Sentence
from mspgt.data.ready import Ready, is_ready
from mspgt.measure.collector import Collector
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.testing.planted import planted_batches

IDS = torch.arange(10, 22).reshape(3, 4)


def rows(ready: Ready) -> dict[Key, tuple[list[int], list[bool], list[int]]]:
    """Key -> ids, content and sentence numbers of the attended tokens."""
    found = {}
    for batch in ready.batches:
        for row, key in enumerate(batch.keys):
            mask = batch.attention_mask[row]
            found[key] = tuple(
                values[row][mask].tolist() for values in (batch.input_ids, batch.content, batch.sentence)
            )
    return found  # type: ignore[return-value]


def planted() -> list[Batch]:
    return [item.batch for item in planted_batches(labels=True)]


class Loader:
    """A collection that makes its batches anew each time, and counts how often."""

    def __init__(self, *batches: Any) -> None:
        self.made, self._batches = 0, batches

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            self.made += 1
            yield batch


# ---------------------------------------------------------------------- what is read


def test_each_row_is_a_sequence_of_one_sentence_and_without_names_a_document() -> None:
    ready = Ready([{"input_ids": IDS[:2]}, {"input_ids": IDS[2:]}])
    assert list(rows(ready)) == [Key("data", f"row {n}", 0) for n in (1, 2, 3)]
    assert rows(ready)[Key("data", "row 2", 0)] == ([14, 15, 16, 17], [False, True, True, True], [0, 0, 0, 0])
    assert ready.flags == ("every row counts as a document of its own",)
    assert ready.notes == []
    assert (ready.name, ready.tasks) == ("list of ready batches", ())


def test_rows_of_one_document_share_it_and_are_numbered() -> None:
    ready = Ready([{"input_ids": IDS, "document": ["b", "a", "b"]}, {"input_ids": IDS[:1], "document": ["a"]}])
    assert [key for batch in ready.batches for key in batch.keys] == [
        Key("data", "b", 0), Key("data", "a", 0), Key("data", "b", 1), Key("data", "a", 1)
    ]  # fmt: skip
    assert ready.flags == ()


def test_rows_of_one_document_are_different_sentences() -> None:
    ready = Ready([{"input_ids": IDS, "document": ["a", "a", "b"]}])
    assert ready.batches[0].sentence.tolist() == [[0] * 4, [1] * 4, [0] * 4]


def test_numbers_and_texts_name_documents() -> None:
    for documents in ([7, 8, 7], torch.tensor([7, 8, 7]), ("7", "8", "7")):
        ready = Ready([{"input_ids": IDS, "document": documents}])
        assert {key.document for key in ready.batches[0].keys} == {"7", "8"}


def test_a_loader_of_any_usual_kind_is_read() -> None:
    encoded = hf.BatchEncoding({"input_ids": IDS, "labels": IDS})
    expected = rows(Ready([IDS]))
    for batches in (
        [encoded],
        [IDS.to(torch.int32)],
        [[IDS]],
        DataLoader(TensorDataset(IDS), batch_size=2),
        DataLoader([{"input_ids": row} for row in IDS], batch_size=2),
    ):
        assert is_ready(batches)
        assert rows(Ready(batches)) == expected


def test_padding_the_first_token_and_special_ids_are_not_counted() -> None:
    ids = torch.tensor([[0, 0, 5, 6, 2, 7], [5, 6, 2, 7, 2, 0]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]])
    batch = Ready([{"input_ids": ids, "attention_mask": mask}], special_ids={2, 0}).batches[0]
    assert batch.attention_mask.equal(mask.bool())
    assert batch.content.int().tolist() == [[0, 0, 0, 1, 0, 1], [0, 1, 0, 1, 0, 0]]
    assert batch.sentence.tolist() == [[-1, -1, 0, 0, -1, 0], [0, 0, -1, 0, -1, -1]]


def test_a_row_of_padding_is_left_out_and_noted() -> None:
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    ready = Ready([{"input_ids": IDS, "attention_mask": mask}])
    assert [key.document for key in ready.batches[0].keys] == ["row 1", "row 3"]
    assert ready.notes == ["list of ready batches: left out 1 row of nothing but padding."]
    assert ready.counts.sequences == 2


def test_batch_objects_stay_as_they_are() -> None:
    batches = planted()
    ready = Ready(batches, corpus="other", special_ids={6})
    for given_, kept in zip(batches, ready.batches, strict=True):
        assert kept.keys == given_.keys
        assert kept.content.equal(given_.content)
        assert kept.sentence.equal(given_.sentence)
        assert kept.labels["pos"].target.equal(given_.labels["pos"].target)
    assert sorted(ready.tasks) == ["dep", "ner", "pos", "srl"]
    assert ready.flags == ()


def test_counts_are_those_of_what_was_read() -> None:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
    batch = {"input_ids": IDS, "attention_mask": mask, "document": ["a", "a", "b"]}
    counts = Ready([batch], special_ids={11}).counts
    assert (counts.documents, counts.sentences, counts.sequences) == (2, 3, 3)
    assert counts.tokens == 9
    counts = Ready(planted()).counts
    assert (counts.documents, counts.sentences, counts.sequences) == (12, 48, 24)
    assert counts.labels["pos"] == sum(len(batch.labels["pos"].target) for batch in planted())


def test_the_limit_counts_sequences_and_stops_reading() -> None:
    loader = Loader({"input_ids": IDS}, {"input_ids": IDS}, {"input_ids": IDS})
    ready = Ready(loader, limit=4)
    assert [len(batch.keys) for batch in ready.batches] == [3, 1]
    assert loader.made == 2
    with pytest.raises(UserError, match="limit=0: allowed is 1 or more sequences"):
        Ready([IDS], limit=0)


def test_the_corpus_can_be_measured() -> None:
    from mspgt.models.blocks import find_blocks
    from mspgt.models.capture import Capture

    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=97, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    model, signal = hf.LlamaModel(config), CKA()
    ready = Ready([torch.randint(5, 97, (8, 6)), torch.randint(5, 97, (8, 9))], vocabulary=97)
    collector = Collector({"cka": signal})
    with Capture(model, find_blocks(model), attention=False) as capture:
        state = collector.merged([collector.observe(capture, batch) for batch in ready.batches])["cka"]
    assert sorted(state.keys) == sorted(rows(ready))
    assert len(state.tables["rows"].sequence) == 16  # one token of each sentence, and so of each row


# ---------------------------------------------------------------------- what does not matter


@st.composite
def cuts(draw: st.DrawFn) -> tuple[list[list[int]], list[str], list[int], list[int]]:
    """Rows of ids, their documents, and two ways to cut them into batches."""
    texts = draw(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=6), min_size=1, max_size=12))
    n = len(texts)
    documents = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    sizes = st.lists(st.integers(1, n), min_size=n, max_size=n)
    return texts, documents, draw(sizes), draw(sizes)


def cut(texts: list[list[int]], documents: list[str], sizes: list[int], left: bool) -> Iterator[dict[str, Any]]:
    at = 0
    for size in sizes:
        some = texts[at : at + size]
        if some:
            width = max(map(len, some))
            ids, mask = torch.zeros(2, len(some), width, dtype=torch.int64)
            for row, text in enumerate(some):
                here = slice(width - len(text), width) if left else slice(0, len(text))
                ids[row, here], mask[row, here] = torch.tensor(text), 1
            yield {"input_ids": ids, "attention_mask": mask, "document": documents[at : at + size]}
        at += size


@given(cuts(), st.booleans())
def test_how_rows_are_padded_and_cut_into_batches_does_not_matter(case: Any, named: bool) -> None:
    texts, documents, one, other = case
    made = []
    for sizes, left in ((one, False), (other, True)):
        batches = list(cut(texts, documents, sizes, left))
        if not named:
            batches = [{name: b[name] for name in ("input_ids", "attention_mask")} for b in batches]
        made.append(Ready(batches, special_ids={3, 4}))
    assert rows(made[0]) == rows(made[1])
    assert made[0].sha256 == made[1].sha256
    assert made[0].counts == made[1].counts
    assert [ids for ids, _, _ in rows(made[0]).values()] == texts


def test_the_hash_knows_tokens_keys_and_labels() -> None:
    base = {"input_ids": IDS, "document": ["a", "b", "c"]}
    hashes = [Ready([b]).sha256 for b in (base, {**base, "input_ids": IDS + 1}, {**base, "document": ["a", "b", "d"]})]
    hashes += [Ready([base], special_ids={11}).sha256, Ready([base], corpus="labels").sha256]
    assert len(set(hashes)) == 5
    batches = planted()
    labelled = Ready(batches).sha256
    wide = [item.batch for item in planted_batches(3, labels=True)]
    assert Ready(wide).sha256 == labelled
    batches[0].labels["pos"].target[0] += 1
    assert Ready(batches).sha256 != labelled


# ---------------------------------------------------------------------- what is ready


@pytest.mark.parametrize("data", [[IDS], [{"input_ids": IDS}], DataLoader(["a text"]), (IDS,), Loader([IDS])])
def test_batches_are_told_from_texts(data: Any) -> None:
    assert is_ready(data)
    assert is_ready(planted())


@pytest.mark.parametrize(
    "data", ["grammar", b"x", ["a text"], [{"text": "a"}], [], {"input_ids": IDS}, 5, [Document("d", (Sentence("a"),))]]
)
def test_texts_are_told_from_batches(data: Any) -> None:
    assert not is_ready(data)


def test_what_can_be_read_once_is_not_touched() -> None:
    once = iter([IDS, IDS])
    assert not is_ready(once)
    assert len(Ready(once).batches) == 2


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "found no sequences in the list of ready batches, expected token ids"),
        ([{"input_ids": IDS, "attention_mask": torch.zeros_like(IDS)}], "found no sequences"),
        ([IDS, IDS.float()], "batch 2 of the list of ready batches: found float32 as input_ids, expected integers"),
        ([IDS.bool()], "found bool as input_ids"),
        ([{"input_ids": IDS[0]}], r"found input_ids of shape \(4,\), expected \(sequence, token\)"),
        ([{"input_ids": IDS.tolist()}], r"found list as input_ids.*return_tensors"),
        ([IDS, "text"], "found str, expected a Batch"),
        ([(IDS, IDS)], "found tuple, expected a Batch"),
        ([{"ids": IDS}], r"found a mapping without 'input_ids' \('ids'\), expected a Batch"),
        ([IDS - 11], r"found id -1 \(row 1, token 1\), but the model knows 0 to 96"),
        ([IDS, IDS + 76], r"batch 2 .* found id 97 \(row 3, token 4\), but the model knows 0 to 96"),
        ([{"input_ids": IDS, "attention_mask": IDS[:2]}], r"found int64 of shape \(2, 4\) as attention_mask"),
        ([{"input_ids": IDS, "attention_mask": IDS.float()}], "found float32 of shape"),
        ([{"input_ids": IDS, "attention_mask": [1]}], "found list of shape"),
        ([{"input_ids": IDS, "document": ["a"]}], "found 1 ids as 'document' for 3 rows, expected one per row"),
        ([{"input_ids": IDS, "document": "abc"}], "found str as 'document', expected a list of ids"),
        ([{"input_ids": IDS, "document": [0.5, 1, 2]}], "expected a list of ids"),
        ([{"input_ids": IDS, "document": [1, 2, 3]}, IDS], "batch 2 .*: does not name the documents of its rows"),
        ([IDS, {"input_ids": IDS, "document": [1, 2, 3]}], "batch 2 .*: names the documents of its rows"),
        ([torch.zeros(1, 20, dtype=torch.int64)], "found rows of 20 tokens, but only 16 fit into the model"),
    ],
)
def test_a_fault_is_one_sentence(batches: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        Ready(batches, vocabulary=97, longest=16)
    assert "\n" not in str(error.value)


def test_a_batch_object_with_ids_of_another_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"batch 1 .* but the model knows 0 to 4"):
        Ready(planted(), vocabulary=5)


def test_a_sequence_that_comes_twice_is_refused() -> None:
    batch = planted()[0]
    with pytest.raises(DuplicateSequence, match=r"sequence 0 of document 'document 000' \(planted\) comes twice"):
        Ready([batch, batch])


def test_tensors_are_not_shared_with_what_the_loader_fills_anew() -> None:
    buffer = IDS.clone()

    def refilled() -> Iterator[Tensor]:
        for number in range(2):
            buffer.fill_(number)
            yield buffer

    assert [batch.input_ids[0, 0].item() for batch in Ready(refilled()).batches] == [0, 1]
