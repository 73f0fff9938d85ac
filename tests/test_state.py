"""States: merging is a union in canonical order, and files give back what was written."""

import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import mspgt.core.state
from mspgt.core.errors import DuplicateSequence, MachineError, UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table, Units, merge, stable_code
from mspgt.measure.shards import read_header, read_shard, read_state, write_shard


def state_of(keys, seed=0):
    """A state of those sequences; a sequence's rows depend on its key alone, and some sequences have none."""
    tables = {"rows": ([], []), "counts": ([], [])}
    total = torch.zeros(2, dtype=torch.float64)
    for place, key in enumerate(keys):
        rng = random.Random(f"{key}{seed}")
        for name, (owner, rows) in tables.items():
            for _ in range(rng.randint(0, 3)):
                owner.append(place)
                rows.append([rng.random() for _ in range(1 if name == "counts" else 3)])
        total += torch.tensor([1.0, rng.randint(0, 9)], dtype=torch.float64)
    return State(
        tuple(keys),
        {
            name: Table(
                torch.tensor(owner, dtype=torch.int64),
                {"value": torch.tensor(rows, dtype=torch.float32).view(len(owner), -1 if owner else width)},
            )
            for (name, (owner, rows)), width in zip(tables.items(), (3, 1), strict=True)
        },
        {"total": total},
        {stable_code(k.document): k.document for k in keys},
    )


def same(one, other):
    assert one.keys == other.keys
    assert dict(one.names) == dict(other.names)
    assert set(one.tables) == set(other.tables)
    assert set(one.totals) == set(other.totals)
    for name, table in one.tables.items():
        assert torch.equal(table.sequence, other.tables[name].sequence)
        for column, values in table.columns.items():
            assert torch.equal(values, other.tables[name].columns[column])
            assert values.dtype == other.tables[name].columns[column].dtype
    for name, value in one.totals.items():
        assert torch.equal(value, other.totals[name])


KEYS = st.lists(
    st.builds(Key, st.sampled_from(["data", "labels"]), st.sampled_from("abcde"), st.integers(0, 5)),
    unique=True,
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(keys=KEYS, cuts=st.lists(st.integers(0, 12), max_size=4), shuffle=st.randoms(use_true_random=False))
def test_any_partition_in_any_order_merges_to_one_pass(keys, cuts, shuffle):
    whole = merge([state_of(sorted(keys))])
    shuffle.shuffle(keys)
    edges = [0, *sorted(c for c in cuts if c < len(keys)), len(keys)]
    parts = [state_of(keys[a:b]) for a, b in pairwise(edges)]
    shuffle.shuffle(parts)
    same(merge(parts), whole)


@settings(max_examples=30, deadline=None)
@given(keys=KEYS)
def test_merging_is_associative_and_the_empty_state_its_identity(keys):
    third = max(1, len(keys) // 3)
    a, b, c = state_of(keys[:third]), state_of(keys[third : 2 * third]), state_of(keys[2 * third :])
    same(merge([merge([a, b]), c]), merge([a, merge([b, c])]))
    same(merge([State(), a, State()]), merge([a]))
    same(merge([merge([a])]), merge([a]))


def test_the_merge_of_nothing_is_empty():
    same(merge([]), State())


def test_rows_stand_in_canonical_order_of_their_sequences():
    keys = [Key("data", "b", 1), Key("data", "a", 10), Key("data", "a", 9)]
    state = State(tuple(keys), {"t": Table(torch.tensor([0, 0, 1, 2]), {"x": torch.tensor([1.0, 2.0, 3.0, 4.0])})})
    merged = merge([state])
    assert [(k.document, k.sequence) for k in merged.keys] == [("a", 9), ("a", 10), ("b", 1)]
    assert merged.tables["t"].columns["x"].tolist() == [4, 3, 1, 2]
    assert [merged.keys[i].document for i in merged.tables["t"].sequence] == ["a", "a", "b", "b"]


def test_a_sequence_seen_twice_is_an_error_that_names_it():
    keys = [Key("data", "one", 0), Key("data", "two", 3)]
    with pytest.raises(DuplicateSequence, match=r"sequence 3 of document 'two' \(data\)"):
        merge([state_of(keys), state_of(keys[1:])])
    with pytest.raises(DuplicateSequence):
        State((keys[0], keys[0]))


def test_columns_of_other_shapes_do_not_merge():
    def one(document, width):
        rows = Table(torch.tensor([0]), {"x": torch.zeros(1, width)})
        return State((Key("data", document, 0),), {"t": rows})

    with pytest.raises(UserError, match=r"table 't' differ.*\(2,\).*\(3,\)"):
        merge([one("a", 2), one("b", 3)])


def test_large_columns_spill_to_mapped_files_and_stay_the_same(tmp_path, monkeypatch):
    keys = [Key("data", d, i) for d in "abc" for i in range(4)]
    parts = [state_of(keys[5:]), state_of(keys[:5])]
    in_memory = merge(parts)
    monkeypatch.setattr(mspgt.core.state, "SPILL_BYTES", 16)
    asked = []
    mapped = torch.from_file
    monkeypatch.setattr(torch, "from_file", lambda name, **kw: asked.append(name) or mapped(name, **kw))
    same(merge(parts, spill=tmp_path), in_memory)
    assert asked
    assert all(str(tmp_path) in name for name in asked)
    assert list(tmp_path.iterdir()) == []  # the files go with the tensors
    same(merge(parts), in_memory)  # without a folder nothing spills


# ------------------------------------------------------------------------------- files


@settings(max_examples=20, deadline=None)
@given(keys=KEYS)
def test_what_is_written_is_read(tmp_path_factory, keys):
    path = tmp_path_factory.mktemp("state") / "0.safetensors"
    states = {"one": state_of(keys, seed=1), "two": state_of(keys[::-1], seed=2), "none": State()}
    write_shard(path, states)
    found = read_shard(path)
    assert set(found) == set(states)
    for name, state in states.items():
        same(found[name], state)
    assert read_header(path)["two"]["keys"] == tuple(keys[::-1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int32, torch.uint8, torch.bool])
def test_dtypes_survive(tmp_path, dtype):
    table = Table(torch.tensor([0, 0]), {"x": torch.tensor([[0, 1], [1, 1]]).to(dtype)})
    state = State((Key("c", "d", 0),), {"t": table}, {"n": torch.tensor(3, dtype=dtype)})
    write_shard(tmp_path / "s.safetensors", {"signal": state})
    same(read_shard(tmp_path / "s.safetensors")["signal"], state)


def test_columns_that_share_memory_can_be_written(tmp_path):
    rows = torch.arange(12.0).view(4, 3)
    table = Table(torch.arange(2), {"a": rows[:2], "b": rows[2:], "c": rows[:2].T.contiguous().T})
    write_shard(tmp_path / "s.safetensors", {"signal": State((Key("c", "d", 0), Key("c", "d", 1)), {"t": table})})
    found = read_shard(tmp_path / "s.safetensors")["signal"].tables["t"].columns
    assert all(torch.equal(found[c], table.columns[c]) for c in "abc")


def test_documents_may_have_any_name(tmp_path):
    keys = (Key("data", 'quote " slash / nul\\0 newline \n é 漢字', 0),)
    write_shard(tmp_path / "s.safetensors", {"signal": state_of(keys)})
    same(read_shard(tmp_path / "s.safetensors")["signal"], state_of(keys))


def test_shards_of_a_folder_merge_signal_by_signal(tmp_path):
    keys = [Key("data", d, 0) for d in "abcd"]
    write_shard(tmp_path / "1.safetensors", {"one": state_of(keys[2:]), "two": state_of(keys[2:], seed=2)})
    write_shard(tmp_path / "0.safetensors", {"one": state_of(keys[:2])})
    same(read_state(tmp_path, "one"), merge([state_of(keys)]))
    same(read_state(tmp_path, "two"), merge([state_of(keys[2:], seed=2)]))
    same(read_state(tmp_path, "three"), State())


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "0.safetensors"
    write_shard(path, {"signal": state_of([Key("data", "a", 0)])})
    whole = path.read_bytes()
    for content in (b"", whole[:5], whole[: len(whole) // 2], b"\xff" * 100):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"0\.safetensors is damaged.*resume=true"):
            read_shard(path)


def test_another_programs_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not a state file"):
        read_header(tmp_path / "model.safetensors")


def test_a_refused_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "0.safetensors"
    before = state_of([Key("data", "a", 0)])
    write_shard(path, {"signal": before})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mspgt.core.state.os, "fsync", full)
    with pytest.raises(MachineError, match=r"No space left.*resume=true") as caught:
        write_shard(path, {"signal": state_of([Key("data", "b", 0)])})
    assert caught.value.exit_code == 1
    same(read_shard(path)["signal"], before)
    assert [p.name for p in tmp_path.iterdir()] == ["0.safetensors"]


# ------------------------------------------------------------------------------- units


def test_documents_are_the_units_of_a_small_corpus():
    keys = [Key("data", d, i) for d in ("b", "a", "c") for i in range(2)]
    units = Units.of(keys)
    assert units.count == 3
    assert units.index(keys).tolist() == [1, 1, 0, 0, 2, 2]


def test_a_large_corpus_has_512_units_that_do_not_depend_on_the_other_documents():
    keys = [Key("data", f"d{i}", 0) for i in range(600)]
    units = Units.of(keys)
    assert units.count == 512
    assert torch.equal(units.index(keys[:550]), Units.of(keys[:550]).index(keys[:550]))
    assert 300 < len(set(units.of_document.values())) <= 512


def test_stable_codes_never_change():
    assert stable_code("NOUN") == 1146967948251465746
    assert len({stable_code(str(i)) for i in range(10_000)}) == 10_000
