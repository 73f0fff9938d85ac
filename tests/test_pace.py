"""`Pace`: when a training is evaluated, what that may take of its time, and what is told of it afterwards."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mspgt.callbacks import pace as pace_module
from mspgt.callbacks.pace import Pace
from mspgt.core.errors import UserError
from mspgt.measure.ranks import Alone

Seconds = Callable[[int], float]
jumps = st.lists(st.integers(0, 7), min_size=1, max_size=60)
"""by how much the step counter grows from one question to the next: not at all while gradients are accumulated"""


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The clock that `Pace` looks at."""
    with pytest.MonkeyPatch.context() as patch:
        made = Clock()
        patch.setattr(pace_module, "time", SimpleNamespace(perf_counter=made))
        yield made


with_clock = pytest.mark.usefixtures("clock")


def follow(
    pace: Pace, clock: Clock, steps: int, a_step: Seconds, evaluation: Seconds = lambda _: 4.0, start: int = 0
) -> list[tuple[int, float]]:
    """Train from one step to another; answers (step, share up to now) for each evaluation, without a last one."""
    found = []

    def evaluate(step: int) -> None:
        clock.now += evaluation(step)
        pace.evaluated(step, evaluation(step))
        found.append((step, pace.overhead.share or 0.0))

    pace.start()
    if pace.at_start(start):
        evaluate(start)
    for step in range(start + 1, steps + 1):
        clock.now += a_step(step)
        if pace.due(step, Alone()):
            evaluate(step)
    return found


def at(found: Sequence[tuple[int, float]]) -> list[int]:
    return [step for step, _ in found]


# ---------------------------------------------------------------------- steps


@with_clock
@given(st.integers(1, 20), st.integers(0, 100))
def test_multiples_are_due_and_nothing_else(every: int, steps: int) -> None:
    pace = Pace(every, None)
    assert pace.at_start(0)
    pace.evaluated(0, 1.0)
    due = [step for step in range(1, steps + 1) if pace.due(step, Alone())]
    assert due == list(range(every, steps + 1, every))
    assert all(map(pace.is_multiple, due))


@with_clock
@given(st.integers(1, 12), jumps)
def test_a_counter_that_jumps_over_a_multiple_is_evaluated_where_it_lands(every: int, grown: list[int]) -> None:
    pace, step = Pace(every, None), 0
    pace.at_start(0)
    for jump in grown:
        passed = any(at % every == 0 for at in range(step + 1, step + jump + 1))
        step += jump
        assert pace.due(step, Alone()) == passed


@with_clock
@given(st.integers(1, 12), jumps, st.data())
def test_a_training_cut_anywhere_is_evaluated_at_the_same_steps(every: int, grown: list[int], data: Any) -> None:
    """A checkpoint may be written before the callback is asked about a step, or after."""
    cut, before = data.draw(st.integers(0, len(grown) - 1)), data.draw(st.booleans())

    def evaluated(resume: bool) -> list[int]:
        pace, step, found = Pace(every, None), 0, []

        def note(due: bool) -> None:
            if due:
                pace.evaluated(step, 1.0)
                found.append(step)

        def again() -> Pace:
            made = Pace(every, None)
            made.load_state_dict(pickle.loads(pickle.dumps(pace.state_dict())))
            return made

        note(pace.at_start(0))
        for number, jump in enumerate(grown):
            step += jump
            here = resume and number == cut
            if here and before:
                pace = again()
                note(pace.at_start(step))
                continue
            note(pace.due(step, Alone()))
            if here:
                pace = again()
                note(pace.at_start(step))
        return found

    assert evaluated(resume=True) == evaluated(resume=False)


def test_a_step_that_was_skipped_for_its_cost_is_not_made_up_for_when_the_training_goes_on(clock: Clock) -> None:
    pace, again = Pace(5, 0.1), Pace(5, 0.1)
    assert at(follow(pace, clock, 10, lambda _: 1.0)) == [0]
    pace.stop()
    again.load_state_dict(pace.state_dict())
    again.start()
    assert not again.at_start(10)


def test_a_training_before_what_was_evaluated_last_went_back(clock: Clock) -> None:
    pace = Pace(5, None)
    assert not pace.went_back(0)
    follow(pace, clock, 12, lambda _: 1.0)
    assert pace.last == 10
    assert pace.went_back(9)
    assert not pace.went_back(10)
    pace.forget()
    assert not pace.went_back(0)
    assert pace.at_start(0)
    assert pace.due(5, Alone())


# ---------------------------------------------------------------------- what it may take


@with_clock
@given(
    st.integers(1, 6),
    st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.9]),
    st.lists(st.integers(1, 50), min_size=80, max_size=80),
    st.integers(1, 60),
)
def test_no_evaluation_but_the_first_takes_the_share_above_what_is_allowed(
    every: int, cap: float, durations: list[int], cost: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(pace_module, "time", SimpleNamespace(perf_counter=clock))
        pace = Pace(every, cap)
        found = follow(pace, clock, 80, lambda step: durations[step - 1], lambda _: cost)
        assert all(share <= cap + 1e-9 for _, share in found[1:])
        assert all(step % every == 0 for step in at(found))
        assert len(found) + pace.overhead.skipped == 1 + 80 // every


@with_clock
@given(st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.5]))
def test_an_evaluation_that_may_be_made_is_made(cost: int, cap: float) -> None:
    """Whatever is skipped would have taken the share above what is allowed."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(pace_module, "time", SimpleNamespace(perf_counter=clock))
        made = set(at(follow(Pace(1, cap), clock, 100, lambda _: 1.0, lambda _: cost)))
    count = 1
    for step in range(1, 101):
        affordable = (count + 1) * cost <= cap * (step + (count + 1) * cost)
        assert (step in made) == affordable
        count += affordable


def test_a_cap_makes_the_interval_longer_and_keeps_to_multiples(clock: Clock) -> None:
    free, capped = Pace(5, None), Pace(5, 0.1)
    assert at(follow(free, clock, 400, lambda _: 1.0)) == list(range(0, 401, 5))
    assert free.overhead.share == pytest.approx(81 * 4 / (400 + 81 * 4))
    found = at(follow(capped, clock, 400, lambda _: 1.0))
    assert {b - a for a, b in pairwise(found[1:])} == {
        35,
        40,
    }  # 4 s of 40: every 36 steps, if it were not for multiples of 5


def test_a_cap_that_costs_nothing_to_keep_changes_nothing(clock: Clock) -> None:
    pace = Pace(10, 0.5)
    assert at(follow(pace, clock, 100, lambda _: 1.0)) == list(range(0, 101, 10))
    assert pace.overhead.skipped == 0


def test_the_interval_follows_the_time_of_a_step(clock: Clock) -> None:
    def seconds(step: int) -> float:
        return 1.0 if step <= 200 else 4.0

    found = at(follow(Pace(1, 0.1), clock, 400, seconds))
    fast, slow = (
        [b - a for a, b in pairwise(found) if low <= a and b <= high] for low, high in ((36, 200), (201, 400))
    )
    assert set(fast) == {36}
    assert set(slow) == {9}


def test_the_interval_follows_the_time_of_an_evaluation(clock: Clock) -> None:
    """What an evaluation will take is known by the latest one only: where they grow, the share is made up for."""
    found = follow(Pace(1, 0.1), clock, 1000, lambda _: 1.0, lambda step: 4.0 if step < 300 else 12.0)
    assert {b - a for a, b in pairwise(at(found)) if a >= 400} == {108}
    assert found[-1][1] <= 0.1


def test_the_whole_time_may_be_taken_where_that_is_allowed(clock: Clock) -> None:
    assert at(follow(Pace(1, 1.0), clock, 20, lambda _: 0.0)) == list(range(21))


class First(Alone):
    """Ranks whose first one answers as told; keeps what this one would have said."""

    def __init__(self, answer: bool) -> None:
        self.answer, self.asked = answer, []  # type: ignore[var-annotated]

    def broadcast(self, value: Any) -> Any:
        self.asked.append(value)
        return self.answer


@pytest.mark.parametrize("answer", [True, False])
def test_the_clock_of_the_first_rank_decides_for_all(clock: Clock, answer: bool) -> None:
    for elapsed, own in ((1.0, False), (1000.0, True)):
        pace, ranks = Pace(2, 0.1), First(answer)
        pace.start()
        pace.at_start(0)
        pace.evaluated(0, 4.0)
        clock.now += 4.0 + elapsed
        assert not pace.due(1, ranks)
        assert ranks.asked == []  # ranks exchange something only where a step is due, which all of them know
        assert pace.due(2, ranks) is answer
        assert ranks.asked == [own]


def test_without_a_cap_nothing_is_exchanged(clock: Clock) -> None:
    ranks = First(False)
    assert Pace(2, None).due(2, ranks)
    assert ranks.asked == []


# ---------------------------------------------------------------------- what is told


def test_the_share_is_that_of_evaluations_and_preparation_in_all_the_time_since_training_began(clock: Clock) -> None:
    pace = Pace(5, None)
    assert pace.overhead.share is None
    pace.spent(3.0)  # preparation, before training begins
    clock.now += 500.0  # what others do in between is none of the training's time
    follow(pace, clock, 10, lambda _: 2.0)
    told = pace.overhead
    assert (told.seconds, told.share) == (15.0, 15.0 / (3.0 + 20.0 + 12.0))
    assert (told.every_n_steps, told.max_overhead, told.skipped) == (5, None, 0)
    clock.now += 35.0
    assert pace.overhead.share == 15.0 / 70.0


def test_time_stands_still_after_training(clock: Clock) -> None:
    pace = Pace(5, None)
    follow(pace, clock, 10, lambda _: 2.0)
    pace.stop()
    told = pace.overhead
    clock.now += 1000.0
    assert pace.overhead == told
    pace.stop()
    assert pace.overhead == told


@pytest.mark.parametrize("interrupted", [False, True])
def test_sessions_add_up_to_one_training(clock: Clock, interrupted: bool) -> None:
    """A checkpoint is written while training goes on; the time between two sessions counts in none of them."""
    whole, pace = Pace(5, 0.2), Pace(5, 0.2)
    expected = follow(whole, clock, 90, lambda _: 1.0)
    whole.stop()
    found = follow(pace, clock, 32, lambda _: 1.0)
    for start, stop in ((32, 61), (61, 90)):
        if not interrupted:
            pace.stop()
        state = pickle.loads(pickle.dumps(pace.state_dict()))
        pace = Pace(5, 0.2)
        pace.load_state_dict(state)
        clock.now += 10_000.0
        found += follow(pace, clock, stop, lambda _: 1.0, start=start)
    assert found == expected
    assert pace.overhead == whole.overhead
    assert pace.last == whole.last


def test_the_state_is_plain_and_stays_as_it_was_taken(clock: Clock) -> None:
    pace = Pace(5, 0.2)
    follow(pace, clock, 32, lambda _: 1.0)
    state = pace.state_dict()
    before = dict(state)
    assert all(type(value) in (int, float) for value in state.values())
    clock.now += 50.0
    pace.evaluated(33, 9.0)
    assert state == before
    assert pace.state_dict() != before


# ---------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize("every", [0, -1, True, "x", 2.0, None])
def test_an_interval_that_is_no_number_of_steps_is_refused_in_one_sentence(every: Any) -> None:
    with pytest.raises(UserError) as refused:
        Pace(every, None)
    assert str(refused.value) == f"every_n_steps={every!r}: give a whole number of optimizer steps, from 1 up."


@pytest.mark.parametrize("cap", [0, 2, -0.1, 5, True, "x", float("nan"), [0.1]])
def test_a_cap_that_is_no_share_is_refused_in_one_sentence(cap: Any) -> None:
    with pytest.raises(UserError) as refused:
        Pace(1, cap)
    assert str(refused.value) == (f"max_overhead={cap!r}: give a share of the training's time above 0, at most 1.")


def test_another_training_does_not_inherit_what_the_one_before_took(clock: Clock) -> None:
    pace = Pace(2, 0.5)
    follow(pace, clock, 6, lambda _: 1.0)
    pace.stop()
    pace.start()
    pace.forget()
    assert pace.overhead.seconds == pace.overhead.skipped == 0
    assert pace.at_start(0)
    pace.evaluated(0, 1.0)
    clock.now += 4.0
    assert pace.overhead.share == 0.25
