"""Conditions: scales, windows and controls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mspgt.core.errors import UserError
from mspgt.generate.conditions import Condition, paper_boundaries, plan, scales, thirds

layered = st.integers(3, 40).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n - 1), min_size=2, max_size=2, unique=True).map(sorted))
)


@given(layered)
def test_scales_share_out_the_blocks(case: tuple[int, list[int]]) -> None:
    n, (a, b) = case
    found = scales((a, b), n)
    assert list(found) == ["local", "intermediate", "global"]
    assert sum(found.values(), ()) == tuple(range(1, n + 1))
    assert (len(found["local"]), len(found["global"])) == (a, n - b)


@pytest.mark.parametrize("boundaries", [(0, 3), (3, 3), (5, 3), (4, 12), (-1, 5)])
def test_a_scale_without_blocks_is_refused(boundaries: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=r"boundaries=-?\d+,\d+: with 12 blocks.* 1 to 11"):
        scales(boundaries, 12)


def test_paper_boundaries_are_those_of_table_1_where_the_family_has_one_position() -> None:
    assert paper_boundaries(32) == (13, 16)
    assert paper_boundaries(12, "llama") == (5, 6)


def test_paper_boundaries_of_qwen_are_the_means_of_table_3() -> None:
    assert paper_boundaries(1000, "qwen2") == (67, 482)
    assert paper_boundaries(40, "qwen2") == (3, 19)


@given(st.integers(3, 200))
def test_relative_boundaries_leave_no_scale_empty(n: int) -> None:
    for boundaries in (thirds(n), paper_boundaries(n), paper_boundaries(n, "qwen3")):
        scales(boundaries, n)
    sizes = [len(blocks) for blocks in scales(thirds(n), n).values()]
    assert max(sizes) - min(sizes) <= 1


def test_two_blocks_have_no_three_scales() -> None:
    with pytest.raises(UserError, match="2 blocks has no three scales"):
        thirds(2)


def test_the_paper_s_dose_disturbs_whole_scales() -> None:
    conditions, notes = plan((5, 9), 12, [0.1], "paper", controls=False)
    assert [c.name for c in conditions] == ["baseline", "local", "intermediate", "global"]
    assert [c.strength for c in conditions] == [0, 0.1, 0.1, 0.1]
    assert [c.blocks(7, 0) for c in conditions] == [(), (1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12)]
    assert notes == ()


def test_names_of_all_conditions() -> None:
    conditions, _ = plan((5, 9), 12, [0.1, 0.05], "both", controls=True)
    names = [c.name for c in conditions]
    kinds = [f"{s}{kind}" for kind in ("", "-matched") for s in ("local", "intermediate", "global")]
    disturbed = kinds + [f"{kind}@0.05" for kind in kinds]
    controls = [f"{kind}-control" for kind in kinds] + [f"{kind}-control@0.05" for kind in kinds]
    assert names == ["baseline", *disturbed, *controls]
    assert all(c.scale and c.name.startswith(c.scale) for c in conditions[1:])
    assert all(c.strength == (0.05 if "@" in c.name else 0.1) for c in conditions[1:])


@given(layered, st.integers(0, 50), st.integers(0, 5))
def test_matched_conditions_disturb_equally_many_blocks_of_their_scale(
    case: tuple[int, list[int]], sample: int, seed: int
) -> None:
    n, (a, b) = case
    whole = scales((a, b), n)
    for condition in plan((a, b), n, [0.1], "matched", controls=False).conditions[1:]:
        drawn = condition.blocks(sample, seed)
        assert len(drawn) == min(map(len, whole.values()))
        assert drawn == tuple(range(drawn[0], drawn[0] + len(drawn)))
        assert set(drawn) <= set(whole[condition.scale])


@given(layered, st.integers(0, 50), st.integers(0, 5))
def test_controls_are_windows_outside_the_scale_as_large_as_fits(
    case: tuple[int, list[int]], sample: int, seed: int
) -> None:
    n, (a, b) = case
    whole = scales((a, b), n)
    conditions, notes = plan((a, b), n, [0.1], "paper", controls=True)
    room = {"local": n - a, "intermediate": max(a, n - b), "global": b}
    for control in conditions[4:]:
        drawn = control.blocks(sample, seed)
        assert drawn == tuple(range(drawn[0], drawn[0] + len(drawn)))
        assert not set(drawn) & set(whole[control.scale])
        assert len(drawn) == min(len(whole[control.scale]), room[control.scale])
        assert (len(drawn) < len(whole[control.scale])) == any(note.startswith(control.name) for note in notes)


def test_a_control_that_does_not_fit_is_noted() -> None:
    _, notes = plan((1, 11), 12, [0.1], "paper", controls=True)
    (note,) = notes
    assert note.startswith("intermediate-control disturbs 1 block where intermediate disturbs 10")


def test_every_window_is_equally_likely() -> None:
    condition = Condition("control", 0.1, (1, 2, 3, 7, 8, 9, 10), window=2)
    drawn = Counter(condition.blocks(sample, 3) for sample in range(5_000))
    assert set(drawn) == {(1, 2), (2, 3), (7, 8), (8, 9), (9, 10)}
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def test_windows_depend_on_sample_and_seed_but_not_on_strength() -> None:
    weak, strong = (Condition(str(s), s, tuple(range(1, 30)), window=3) for s in (0.05, 0.2))
    draws = [weak.blocks(sample, seed) for sample in range(20) for seed in range(5)]
    assert draws == [strong.blocks(sample, seed) for sample in range(20) for seed in range(5)]
    assert len(set(draws)) > 20


@pytest.mark.parametrize("strengths", [[], [0.1, 0.1]])
def test_strengths_are_different_ones(strengths: list[float]) -> None:
    with pytest.raises(UserError, match="sigma="):
        plan((5, 9), 12, strengths)


def test_an_unknown_dose_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'matched'"):
        plan((5, 9), 12, [0.1], "match")
