"""Conditions: scales, windows and controls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mspgt.core.errors import UserError
from mspgt.generate.conditions import ExperimentPlan, drawn, paper_boundaries, plan, scales, thirds
from mspgt.stats.paired.conditions import Condition, Conditions, Group

layered = st.integers(3, 40).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n - 1), min_size=2, max_size=2, unique=True).map(sorted))
)


def planned(
    boundaries: tuple[int, int], n: int, sigmas: list[float], dose: str = "paper", controls: bool = True
) -> ExperimentPlan:
    return plan(scales(boundaries, n), n, sigmas, intervention="gaussian", dose=dose, controls=controls)


def blocks_of(boundaries: tuple[int, int], n: int) -> dict[str, tuple[int, ...]]:
    return {group.name: group.blocks for group in scales(boundaries, n)}


@given(layered)
def test_scales_share_out_the_blocks(case: tuple[int, list[int]]) -> None:
    n, (a, b) = case
    found = blocks_of((a, b), n)
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
    sizes = [len(blocks) for blocks in blocks_of(thirds(n), n).values()]
    assert max(sizes) - min(sizes) <= 1


def test_two_blocks_have_no_three_scales() -> None:
    with pytest.raises(UserError, match="2 blocks has no three scales"):
        thirds(2)


def test_the_paper_s_dose_disturbs_whole_scales() -> None:
    conditions, notes = planned((5, 9), 12, [0.1], controls=False)
    assert [c.name for c in conditions] == ["baseline", "local", "intermediate", "global"]
    assert [c.sigma for c in conditions] == [0, 0.1, 0.1, 0.1]
    assert [drawn(c, 7, 0) for c in conditions] == [(), (1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12)]
    assert notes == ()


def test_names_of_all_conditions() -> None:
    conditions, _ = planned((5, 9), 12, [0.1, 0.05], "both")
    names = [c.name for c in conditions]
    kinds = [f"{s}{kind}" for kind in ("", "-matched") for s in ("local", "intermediate", "global")]
    disturbed = kinds + [f"{kind}@0.05" for kind in kinds]
    controls = [f"{kind}-control" for kind in kinds] + [f"{kind}-control@0.05" for kind in kinds]
    assert names == ["baseline", *disturbed, *controls]
    assert all(c.group and c.name.startswith(c.group) for c in conditions[1:])
    assert all(c.sigma == (0.05 if "@" in c.name else 0.1) for c in conditions[1:])
    assert all(c.dose == ("matched" if "-matched" in c.name else "paper") for c in conditions)
    assert all(c.control == (c.name.replace("-control", "") if "-control" in c.name else "") for c in conditions)
    assert {c.intervention for c in conditions[1:]} == {"gaussian"}
    assert conditions[0] == Condition("baseline")


def test_conditions_are_told_apart_by_structure() -> None:
    made = Conditions(planned((5, 9), 12, [0.1, 0.05], "both").conditions)
    scales = ("local", "intermediate", "global")
    assert made.main == {s: s for s in scales}
    assert made.matched == {s: f"{s}-matched" for s in scales}
    assert made.strengths("local") == {0.1: "local", 0.05: "local@0.05"}
    assert made.controls["local-matched@0.05"] == "local-matched-control@0.05"
    assert made.sizes == {"local": 5, "intermediate": 4, "global": 3}
    kinds = [("", 0.1), ("matched", 0.1), ("strength", 0.05), ("matched", 0.05)]
    kinds += [("control", 0.1), ("matched-control", 0.1), ("control", 0.05), ("matched-control", 0.05)]
    assert [(v.kind, v.sigma) for v in made.variants] == kinds
    assert [v.label for v in made.variants[:4]] == ["sigma 0.1", "matched", "sigma 0.05", "matched, sigma 0.05"]
    assert made.variants[5].conditions == {s: f"{s}-matched-control" for s in scales}


def test_a_matched_dose_alone_is_what_was_asked_for() -> None:
    made = Conditions(planned((5, 9), 12, [0.1], "matched").conditions)
    assert (made.main["local"], made.matched, made.sizes["local"]) == ("local", {}, 3)
    assert [v.kind for v in made.variants] == ["", "control"]


def test_groups_may_be_others_than_the_three_scales() -> None:
    groups = (Group("early", (1, 2)), Group("late-control@0.5", (5, 6, 7)))
    made = Conditions(plan(groups, 8, [0.3], intervention="skip", dose="both").conditions)
    assert made.main == {"early": "early", "late-control@0.5": "late-control@0.5"}
    assert made.matched == {"early": "early-matched", "late-control@0.5": "late-control@0.5-matched"}
    assert made.strengths("local") == {}
    assert Conditions([Condition("baseline")]).main == {}


@given(layered, st.integers(0, 50), st.integers(0, 5))
def test_matched_conditions_disturb_equally_many_blocks_of_their_scale(
    case: tuple[int, list[int]], sample: int, seed: int
) -> None:
    n, (a, b) = case
    whole = blocks_of((a, b), n)
    for condition in planned((a, b), n, [0.1], "matched", controls=False).conditions[1:]:
        found = drawn(condition, sample, seed)
        assert len(found) == min(map(len, whole.values()))
        assert found == tuple(range(found[0], found[0] + len(found)))
        assert set(found) <= set(whole[condition.group])


@given(layered, st.integers(0, 50), st.integers(0, 5))
def test_controls_are_windows_outside_the_scale_as_large_as_fits(
    case: tuple[int, list[int]], sample: int, seed: int
) -> None:
    n, (a, b) = case
    whole = blocks_of((a, b), n)
    conditions, notes = planned((a, b), n, [0.1])
    room = {"local": n - a, "intermediate": max(a, n - b), "global": b}
    for control in conditions[4:]:
        found = drawn(control, sample, seed)
        assert found == tuple(range(found[0], found[0] + len(found)))
        assert not set(found) & set(whole[control.group])
        assert len(found) == min(len(whole[control.group]), room[control.group])
        assert (len(found) < len(whole[control.group])) == any(note.startswith(control.name) for note in notes)


def test_a_control_that_does_not_fit_is_noted() -> None:
    _, notes = planned((1, 11), 12, [0.1])
    (note,) = notes
    assert note.startswith("intermediate-control disturbs 1 block where intermediate disturbs 10")


def test_every_window_is_equally_likely() -> None:
    condition = Condition("control", sigma=0.1, blocks=(1, 2, 3, 7, 8, 9, 10), window=2)
    found = Counter(drawn(condition, sample, 3) for sample in range(5_000))
    assert set(found) == {(1, 2), (2, 3), (7, 8), (8, 9), (9, 10)}
    assert chisquare(list(found.values())).pvalue > 1e-3


def test_windows_depend_on_sample_and_seed_but_not_on_strength() -> None:
    weak, strong = (Condition(str(s), sigma=s, blocks=tuple(range(1, 30)), window=3) for s in (0.05, 0.2))
    draws = [drawn(weak, sample, seed) for sample in range(20) for seed in range(5)]
    assert draws == [drawn(strong, sample, seed) for sample in range(20) for seed in range(5)]
    assert len(set(draws)) > 20


@pytest.mark.parametrize("strengths", [[], [0.1, 0.1]])
def test_strengths_are_different_ones(strengths: list[float]) -> None:
    with pytest.raises(UserError, match="sigma="):
        planned((5, 9), 12, strengths)


def test_an_unknown_dose_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'matched'"):
        planned((5, 9), 12, [0.1], "match")
