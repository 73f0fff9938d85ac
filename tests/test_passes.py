"""All passes in memory: the same as a run, alone or shared among processes, whatever raises in one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import drift_training as t
import pytest
import torch
from ranks_in_threads import shared
from torch import Tensor

import mspgt
from mspgt import data, models
from mspgt.config.run import RunConfig, build
from mspgt.contracts.batch import Batch
from mspgt.contracts.signal import Fitted, Signal, SumSignal
from mspgt.core.errors import UserError
from mspgt.core.state import State
from mspgt.measure import memory
from mspgt.measure.assess import evaluate_measured, make_signals
from mspgt.measure.corpora import CorpusIdentity, corpus_facts
from mspgt.measure.evaluate import Measured
from mspgt.measure.memory import InMemory
from mspgt.measure.passes import Homes, make_passes, measured
from mspgt.measure.ranks import Alone
from mspgt.models import LoadedModel
from mspgt.results.result import Result

BATCH_TOKENS = 1300
"""two batches of the corpus"""
SETTINGS: dict[str, dict[str, Any]] = {
    "cka and attn": {"plugins": "cka,attn"},
    "probe": {"plugins": "probe", "probe.seeds": 1, "probe.epochs": 1, "probe.tasks": "pos,dep"},
    "two passes": {"plugins": "cka,attn", "cka.estimator": "full", "attn.heads": "matched"},
    "both kinds": {"plugins": "cka,attn", "attn.heads": "matched"},
}


# ---------------------------------------------------------------------- a model, a corpus, and ranks


def model(blocks: int = 4) -> LoadedModel:
    """A small untrained model; each rank has its own."""
    torch.manual_seed(0)
    return models.describe(t.llama(blocks).eval(), t.TOKENIZER, "tiny")


@cache
def corpus(batch_tokens: int = BATCH_TOKENS, labels: bool = True) -> tuple[Batch, ...]:
    """Twelve documents as batches, with their labels or without."""
    read = data.load(t.LABELLED, limit=None, seed=0, corpus="data")
    reading = data.Reading(read, t.TOKENIZER, max_length=128, batch_tokens=batch_tokens, context="document")
    return tuple(reading.batches(read.tasks if labels else ()))


def config(**keys: Any) -> RunConfig:
    return build({"bootstrap": 100, "batch_tokens": BATCH_TOKENS, **keys})


Signals = Callable[[], Mapping[str, Signal]]


def of(name: str) -> Signals:
    """Built-in signals with their settings."""
    return lambda: make_signals(config(**SETTINGS[name]), "cpu")


@cache
def alone(name: str) -> Measurement | None:
    """What one process measures."""
    return measure(of(name))


@dataclass(frozen=True)
class Measurement:
    """All that passes give to the first of the processes."""

    measured: Mapping[str, Measured]
    failures: Mapping[str, str]
    notes: Sequence[str]
    censuses: Mapping[str, State]


Corpora = Mapping[str, Sequence[Batch]]


def take(homes: Homes, net: LoadedModel, corpora: Corpora, ranks: Any) -> Measurement | None:
    """All passes, and all fits; None in all processes but the first."""
    held, notes = InMemory(corpora, ranks), list[str]()
    failures = make_passes(homes, net, held, held, notes)
    if not held.first:
        return None
    return Measurement(measured(homes, held, failures, lambda _: None), failures, notes, held.censuses)


def at_home(signals: Mapping[str, Signal]) -> Homes:
    """All signals are measured on one corpus."""
    return Homes.given(signals, "corpus", None)


def measure(signals: Signals, batches: Sequence[Batch] | None = None, ranks: Any = None) -> Measurement | None:
    """All passes over one corpus."""
    return take(at_home(signals()), model(), {"data": corpus() if batches is None else batches}, ranks or Alone())


def of_first(answers: Sequence[Any]) -> Measurement:
    """The first rank's answer; the others have none."""
    assert isinstance(answers[0], Measurement), answers
    assert answers[1:] == [None] * (len(answers) - 1)
    return answers[0]


def told(found: Measurement | None, **keys: Any) -> dict[str, Any]:
    """What follows from a measurement, as the record of a run has it."""
    assert found is not None
    evaluation = evaluate_measured(found.measured, 4, config(**keys), found.failures, lambda _: None)
    return {
        "signals": evaluation.signals,
        "verdicts": evaluation.verdicts,
        "bootstrap": evaluation.bootstrap,
        "notes": [*found.notes, *evaluation.notes],
        "left_out": [*found.failures.values(), *evaluation.left_out],
        "data": corpus_facts({"data": CorpusIdentity("data", None, None, ())}, found.censuses),
    }


def the_same(one: Measurement | None, other: Measurement | None) -> None:
    """Two measurements are equal to the last bit."""
    assert one is not None
    assert other is not None
    assert (one.failures, one.notes) == (other.failures, other.notes)
    assert states(one).keys() == states(other).keys()
    for name, state in states(one).items():
        assert state.keys == states(other)[name].keys
    assert not list(t.differences(numbers(one), numbers(other)))


def states(found: Measurement) -> dict[str, State]:
    measured = {name: m.state for name, m in found.measured.items()}
    return measured | {f"census of {name}": state for name, state in found.censuses.items()}


def numbers(found: Measurement) -> dict[str, Any]:
    """All tensors of a measurement."""
    kept = {
        name: {
            "totals": state.totals,
            "tables": {n: {"sequence": x.sequence, **x.columns} for n, x in state.tables.items()},
        }
        for name, state in states(found).items()
    }
    return {"states": kept, "fitted": {name: m.fitted for name, m in found.measured.items()}}


# ---------------------------------------------------------------------- the same as a run


@pytest.mark.parametrize("name", SETTINGS)
def test_one_process_finds_what_a_run_finds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Result, "save", lambda self, folder: folder)  # figures take longer than all else
    run = mspgt.run(
        model=model().full,
        tokenizer=t.TOKENIZER,
        data=t.LABELLED,
        bootstrap=100,
        batch_tokens=BATCH_TOKENS,
        accelerator="cpu",
        out=tmp_path / "run",
        **SETTINGS[name],
    )
    found = told(measure(of(name), corpus(labels=name == "probe")), **SETTINGS[name])
    for part in ("signals", "verdicts", "bootstrap"):
        assert not list(t.differences(getattr(run, part), found[part])), part
    assert list(run.left_out) == found["left_out"]
    assert replace(found["data"], name=run.data.name, flags=run.data.flags) == run.data
    assert set(found["notes"]) <= set(run.notes)


def test_signals_with_more_passes_than_others_have_all_of_them() -> None:
    found = measure(lambda: dict(reversed(of("both kinds")().items())))
    assert found is not None
    assert [(name, m.signal.passes) for name, m in found.measured.items()] == [
        ("attn", ("match", "observe")),  # in the order given, not in that of being done
        ("cka", ("observe",)),
    ]
    others = alone("cka and attn")
    assert others is not None
    keys = tuple(sorted(key for batch in corpus() for key in batch.keys))
    assert all(state.keys == keys for state in states(found).values())
    assert not list(t.differences(numbers(found)["states"]["cka"], numbers(others)["states"]["cka"]))


def test_each_signal_is_measured_on_its_own_corpus_and_a_corpus_without_signals_is_read() -> None:
    small, large = corpus()[:1], corpus()
    made = of("cka and attn")()
    corpora = {"data": large, "labels": small}
    found = take(Homes(made, corpora, {"cka": "labels", "attn": "labels"}), model(), corpora, Alone())
    assert found is not None
    assert {m.corpus for m in found.measured.values()} == {"labels"}
    assert len(found.measured["cka"].state.keys) == len(small[0].keys)
    assert len(found.censuses["data"].keys) == sum(len(batch.keys) for batch in large)


def test_signals_that_need_labels_go_where_labels_are() -> None:
    signals = of("cka and attn")() | of("probe")()
    assert Homes.given(signals, "a", None).of == dict.fromkeys(signals, "data")
    two = Homes.given(signals, "a", "b")
    assert (two.sources, two.of) == ({"data": "a", "labels": "b"}, {"cka": "data", "attn": "data", "probe": "labels"})
    assert (two.labelled("data"), two.labelled("labels")) == (False, True)
    assert Homes.given(of("cka and attn")(), "a", "b").sources == {"data": "a"}  # nobody needs the other


def test_states_merged_in_between_are_those_merged_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = corpus(300)
    assert len(batches) > 4
    at_the_end = measure(of("both kinds"), batches)
    monkeypatch.setattr(memory, "ROOM", 0)
    the_same(measure(of("both kinds"), batches), at_the_end)


def test_measuring_again_gives_the_same() -> None:
    homes, net = at_home(of("two passes")()), model()
    one, other = (take(homes, net, {"data": corpus()}, Alone()) for _ in range(2))
    the_same(one, other)


# ---------------------------------------------------------------------- shared among processes


def test_there_are_two_batches_so_that_a_third_rank_has_none() -> None:
    assert len(corpus()) == 2


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_ranks_find_together_what_one_process_finds(name: str, world: int) -> None:
    together = of_first(shared(world, lambda ranks: measure(of(name), ranks=ranks)))
    the_same(together, alone(name))
    assert not list(t.differences(told(together, **SETTINGS[name]), told(alone(name), **SETTINGS[name])))


@pytest.mark.parametrize("world", [2, 3])
def test_batches_are_dealt_in_any_order(world: int) -> None:
    """States of rows, unlike sums over batches, do not depend on who saw which batch."""
    batches = corpus(300)
    expected = measure(of("cka and attn"), batches)
    the_same(of_first(shared(world, lambda ranks: measure(of("cka and attn"), batches, ranks))), expected)


def test_all_ranks_say_the_same_of_a_batch_that_is_not_finite() -> None:
    token = next(iter(set(corpus()[1].input_ids[0].tolist()) - set(corpus()[0].input_ids.flatten().tolist())))

    def broken(ranks: Any) -> Any:
        net, made = model(), of("cka and attn")()
        with torch.no_grad():
            net.full.get_input_embeddings().weight[token] = torch.nan
        try:
            return take(at_home(made), net, {"data": corpus()}, ranks)
        finally:  # nothing is left on the model of any rank
            assert not any(block._forward_hooks or block._forward_pre_hooks for block in net.blocks)

    with pytest.raises(UserError, match="block 1 gives NaN or infinite activations in document") as expected:
        broken(Alone())
    for world in (2, 3):
        answers = shared(world, broken)
        assert [type(answer) for answer in answers] == [UserError] * world
        assert {str(answer) for answer in answers} == {str(expected.value)}


def test_a_fault_of_one_rank_is_told_by_all_of_them() -> None:
    """Where it is no plugin's fault and no user's: the model fails on one process."""

    def broken(ranks: Any) -> Any:
        net, made = model(), of("cka and attn")()
        if ranks.rank == 1:
            net.blocks[1].register_forward_pre_hook(lambda *_: 1 / 0)
        return take(at_home(made), net, {"data": corpus()}, ranks)

    answers = shared(3, broken)
    assert [type(answer) for answer in answers] == [UserError] * 3
    assert {str(answer) for answer in answers} == {"ZeroDivisionError: division by zero"}
    assert isinstance(answers[1].__cause__, ZeroDivisionError)


# ---------------------------------------------------------------------- plugins that raise


class Turn(SumSignal):
    """Mean cosine distance between neighbouring blocks."""

    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        distance = 1 - torch.cosine_similarity(lower, upper, dim=-1)
        return torch.stack([(distance * content).sum(1), content.sum(1)], dim=1)

    def value(self, sums: Tensor) -> Tensor:
        return sums[..., 0] / sums[..., 1]


class Counted(Turn):
    """Counts how often it is asked for a recorder."""

    passes = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Any:
        self.asked.append(name)
        return super().recorder(name, batch, fitted)


def last(batch: Batch) -> bool:
    """Whether a batch is the corpus's last one, which the second rank sees."""
    return batch.keys == corpus()[-1].keys


class RaisesInRecorder(Counted):
    def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Any:
        if last(batch):
            raise ValueError("no such pass")
        return super().recorder(name, batch, fitted)


class RaisesInLayer(Counted):
    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        if len(content) == len(corpus()[-1].keys):
            raise ValueError("no such layer")
        return super().sums(lower, upper, content)


class StatesThatDiffer(Counted):
    """Sums of one field on one batch and of two on the other: the states are sound, and cannot be merged."""

    def sums(self, lower: Tensor, upper: Tensor, content: Tensor) -> Tensor:
        both = super().sums(lower, upper, content)
        return both[:, :1] if len(content) == len(corpus()[-1].keys) else both


class RaisesInFirstFit(Counted):
    def fit(self, name: str, state: State) -> Fitted | None:
        raise ValueError(f"nothing to fit in {name}")


class RaisesInLastFit(Counted):
    def fit(self, name: str, state: State) -> Fitted | None:
        return {"seen": torch.zeros(1)} if name == "first" else super().fit(name, state) or {}["seen"]


class RefusesInFit(Counted):
    def fit(self, name: str, state: State) -> Fitted | None:
        raise UserError("too few rows to fit anything.")


OBSERVED = "plugin 'broken' raised while it observed a batch ({}); it was left out."
FITTED = "plugin 'broken' raised while it was fitted ({}); it was left out."
BROKEN = {
    RaisesInRecorder: (OBSERVED.format("ValueError: no such pass"), 1),
    RaisesInLayer: (OBSERVED.format("ValueError: no such layer"), 1),
    StatesThatDiffer: ("plugin 'broken' raised while it observed a batch (the states of table 'sums' differ", 1),
    RaisesInFirstFit: (FITTED.format("ValueError: nothing to fit in first"), 1),
    RaisesInLastFit: (FITTED.format("KeyError: 'seen'"), 2),
    RefusesInFit: ("broken was left out: too few rows to fit anything.", 1),
}
"""plugin -> how its sentence begins, and how many passes it has a part in"""


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_plugin_that_raises_is_left_out_everywhere_and_the_others_go_on(kind: type[Counted], world: int) -> None:
    asked: dict[int, list[str]] = {}

    def with_broken(ranks: Any) -> Measurement | None:
        broken = kind()
        asked[ranks.rank] = broken.asked
        return measure(lambda: {"broken": broken, **of("both kinds")()}, ranks=ranks)

    found = of_first(shared(world, with_broken)) if world > 1 else with_broken(Alone())
    assert found is not None
    sentence, passes_made = BROKEN[kind]
    assert list(found.failures) == ["broken"]
    assert found.failures["broken"].startswith(sentence)
    assert set().union(*map(set, asked.values())) == set(Counted.passes[:passes_made])
    without = alone("both kinds")
    assert without is not None
    assert not list(t.differences(numbers(found), numbers(without)))


def test_where_a_plugin_raises_on_several_ranks_all_of_them_tell_what_the_first_did() -> None:
    class RaisesByRank(Turn):
        """Says on which rank it raises."""

        rank = 0

        def recorder(self, name: str, batch: Batch, fitted: Fitted | None) -> Any:
            raise ValueError(f"no luck on {self.rank}")

    def with_broken(ranks: Any) -> Measurement | None:
        broken = RaisesByRank()
        broken.rank = ranks.rank
        return measure(lambda: {"broken": broken, **of("both kinds")()}, corpus(300), ranks)

    assert "no luck on 0" in of_first(shared(3, with_broken)).failures["broken"]


def test_where_every_plugin_raises_nothing_is_left_to_evaluate() -> None:
    found = measure(lambda: {"broken": RaisesInRecorder()})
    assert found is not None
    assert not found.measured
    with pytest.raises(UserError, match=r"no signal is left to evaluate\. plugin 'broken' raised while it observed"):
        told(found)


def test_gradients_are_there_to_fit_with_and_fits_come_without_them() -> None:
    """A training calls from where gradients are off; a probe is trained all the same."""

    class Learns(Turn):
        def fit(self, name: str, state: State) -> Fitted | None:
            weight = torch.ones(2, requires_grad=True)
            (weight**2).sum().backward()
            assert weight.grad is not None
            return {"weight": weight, "gradient": weight.grad}

    with torch.no_grad():
        found = measure(lambda: {"learns": Learns()})
    assert found is not None
    assert not found.failures
    fitted = found.measured["learns"].fitted
    assert fitted is not None
    assert fitted["gradient"].tolist() == [2.0, 2.0]
    assert not fitted["weight"].requires_grad
