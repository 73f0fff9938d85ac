"""From states to curves and verdicts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal as assert_same

from mspgt.contracts.signal import Report, SumSignal
from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, Table, Units
from mspgt.measure.evaluate import Bootstrap, Measured, Rule, evaluate
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.stats.bootstrap import evaluate_curves, multinomial_weights, ones, percentile_interval
from mspgt.stats.boundaries import MSPGT, PAPER, Curves, decide
from mspgt.testing import planted_cka_layers, planted_steps

RULE = Rule({}, None, 200, 0)


class Ratio(SumSignal):
    """The ratio of two sums."""

    details: dict = {}  # noqa: RUF012

    def value(self, sums):
        return sums[..., 0] / sums[..., 1]

    def report(self, prepared):
        return Report(("a_flag",), self.details)


class Frozen(Ratio):
    document_intervals = False


class Broken(Ratio):
    def curve(self, prepared, weights, rng):
        raise RuntimeError("no luck")


class Misshapen(Ratio):
    def curve(self, prepared, weights, rng):
        return super().curve(prepared, weights, rng)[:, 1:]


def state(n_layers=16, documents=30, at=(5, 11), height=8.0, seed=0, corpus="text", noise=0.05):
    """A state of sums whose ratio has bumps at the given transitions."""
    rng = np.random.default_rng(seed)
    level = 10 + rng.standard_normal(n_layers - 1)
    for layer in at:
        level[layer - 1] += height
    counts = rng.integers(5, 20, (2 * documents, 1)).astype(float) * np.ones(n_layers - 1)
    values = counts * (level + noise * rng.standard_normal(counts.shape))
    sums = torch.from_numpy(np.stack([values, counts], axis=-1))
    keys = tuple(Key(corpus, f"{i // 2:04d}", i % 2) for i in range(2 * documents))
    return State(keys, {"sums": Table(torch.arange(len(sums)), {"sums": sums})})


def three(kind=Ratio, **kwargs):
    return {name: Measured(kind(), state(seed=i, **kwargs), None, "text") for i, name in enumerate(("a", "b", "c"))}


def test_the_planted_sixteen_layers_are_found():
    evaluation = evaluate(three(), 16, RULE)
    for rule in ("paper", "mspgt"):
        verdict = evaluation.verdicts[rule]
        assert verdict.accepted
        assert verdict.status == "ok"
        assert verdict.layers == (5, 11)
        assert verdict.p_two_peaks == 1.0
    assert evaluation.left_out == []


def test_planted_cka_is_found_at_5_and_11_and_not_accepted_alone():
    # CKA of neighbouring layers is 1 - s^2 exactly; s is larger at the two boundaries.
    layers, exact = planted_cka_layers(planted_steps(16, (5, 11)), rows=1500, dim=64)
    keys = tuple(Key("text", f"{i // 25:04d}", i) for i in range(1500))
    rows = {"rows": Table(torch.arange(1500), {"hidden": layers[1:].transpose(0, 1).contiguous()})}
    cka = Measured(CKA(), State(keys, rows), None, "text")
    alone = evaluate({"cka": cka}, 16, RULE)
    np.testing.assert_allclose(1 / alone.signals["cka"].value, exact[1:].numpy(), atol=0.02)
    together = evaluate({"cka": cka, **three()}, 16, RULE)
    for evaluation, accepted in ((alone, False), (together, True)):
        for verdict in evaluation.verdicts.values():
            assert verdict.layers == (5, 11)
            assert [boundary.ci_width for boundary in verdict.boundaries] == [0, 0]
            assert verdict.p_two_peaks == 1.0
            assert verdict.accepted == accepted


def test_evaluation_is_what_the_parts_give():
    measured = three()
    evaluation = evaluate(measured, 16, RULE)
    units = Units.of(measured["a"].state.keys)
    weights = multinomial_weights(units, RULE.bootstrap, RULE.seed, "text")
    points, replicates = [], []
    for entry in measured.values():
        prepared = entry.signal.prepare(entry.state, None, units)
        points.append(evaluate_curves(entry.signal, prepared, ones(units), None, 15)[0])
        replicates.append(evaluate_curves(entry.signal, prepared, weights, None, 15))
    for name, point, drawn in zip(measured, points, replicates, strict=True):
        block = evaluation.signals[name]
        low, high = percentile_interval(drawn, 0.95)
        for part, expected in (("value", point), ("low", low), ("high", high)):
            np.testing.assert_allclose(getattr(block, part), expected, rtol=1e-12)
    curves = Curves(tuple(measured), np.full(3, 0.5), np.stack(points), np.stack(replicates))
    for rule in (PAPER, MSPGT):
        decision = decide(curves, rule)
        verdict = evaluation.verdicts[rule.name]
        np.testing.assert_allclose(verdict.evidence.value, decision.case.evidence, rtol=1e-12)
        np.testing.assert_allclose(verdict.evidence.low, decision.low, rtol=1e-12)
        assert verdict.prominence == pytest.approx(0.125 * 1.5)


def test_curves_are_records_that_become_plain_json():
    evaluation = evaluate(three(), 16, RULE)
    json.dumps(plain([evaluation.signals, evaluation.verdicts, evaluation.bootstrap]), allow_nan=False)
    curve = evaluation.signals["a"]
    assert curve.transition.tolist() == list(range(1, 16))
    assert curve.weight == 0.5
    assert "a_flag" in curve.flags
    assert 0 < curve.details["contribution"] < 0.5
    assert evaluation.bootstrap == Bootstrap(200, "document", {"text": 30}, 0, 0.95)


def test_the_same_seed_gives_the_same_numbers():
    first, second = (plain(evaluate(three(), 16, RULE)) for _ in range(2))
    assert [first[part] for part in ("signals", "verdicts")] == [second[part] for part in ("signals", "verdicts")]
    other = plain(evaluate(three(), 16, Rule({}, None, 200, 1)).signals["a"])
    assert first["signals"]["a"]["value"] == other["value"]
    assert first["signals"]["a"]["low"] != other["low"]


def test_weights_and_prominence_can_be_given():
    evaluation = evaluate(three(), 16, Rule({"a": 2.0, "b": 0.0}, 0.7, 50, 0))
    assert evaluation.verdicts["mspgt"].weights == {"a": 2.0, "b": 0.0, "c": 0.5}
    assert evaluation.verdicts["mspgt"].prominence == 0.7
    with pytest.raises(UserError, match=r"weights\.a=-1"):
        evaluate(three(), 16, Rule({"a": -1.0}, None, 50, 0))
    with pytest.raises(UserError, match="weight 0"):
        evaluate(three(), 16, Rule({"a": 0.0, "b": 0.0, "c": 0.0}, None, 50, 0))


def test_signals_on_one_corpus_share_their_replicates():
    shared = {name: Measured(Ratio(), state(seed=5), None, "text") for name in ("a", "b")}
    evaluation = evaluate(shared, 16, RULE)
    assert_same(evaluation.signals["a"].low, evaluation.signals["b"].low)
    apart = shared | {"b": Measured(Ratio(), state(seed=5, corpus="labels"), None, "labels")}
    evaluation = evaluate(apart, 16, RULE)
    assert_same(evaluation.signals["a"].value, evaluation.signals["b"].value)
    assert not np.array_equal(evaluation.signals["a"].low, evaluation.signals["b"].low)
    assert evaluation.bootstrap.units == {"text": 30, "labels": 30}


@pytest.mark.parametrize("documents", [1, 9])
def test_fewer_than_ten_documents_give_no_intervals_and_the_reason(documents):
    evaluation = evaluate(three(documents=documents), 16, RULE)
    assert np.isnan(evaluation.signals["a"].low).all()
    assert len(evaluation.left_out) == 1
    assert f"has {documents} document" in evaluation.left_out[0]
    verdict = evaluation.verdicts["mspgt"]
    assert not verdict.accepted
    assert verdict.status == "unstable"
    assert evaluation.left_out[0] in verdict.reasons
    assert verdict.local_intermediate.ci is None
    assert verdict.p_two_peaks is None
    assert evaluation.bootstrap.replicates == 0


def test_a_signal_without_document_intervals_leaves_the_evidence_without_them_and_stops_acceptance():
    measured = three() | {"b": Measured(Frozen(), state(seed=1), None, "text")}
    evaluation = evaluate(measured, 16, RULE)
    assert np.isnan(evaluation.signals["b"].low).all()
    assert np.isfinite(evaluation.signals["a"].low).all()
    for verdict in evaluation.verdicts.values():
        assert not verdict.accepted
        assert any(reason.startswith("b cannot be resampled by document") for reason in verdict.reasons)
        assert verdict.p_two_peaks is None
        assert np.isnan(verdict.evidence.low).all()


@pytest.mark.parametrize(("kind", "said"), [(Broken, "RuntimeError (no luck)"), (Misshapen, "it returned (1, 14)")])
def test_a_signal_that_fails_is_named_and_the_others_go_on(kind, said):
    evaluation = evaluate(three() | {"bad": Measured(kind(), state(), None, "text")}, 16, RULE)
    assert set(evaluation.signals) == {"a", "b", "c"}
    assert len(evaluation.left_out) == 1
    assert "bad" in evaluation.left_out[0]
    assert said in evaluation.left_out[0]
    assert evaluation.verdicts["mspgt"].accepted


def test_nothing_left_to_evaluate_is_said():
    with pytest.raises(UserError, match=r"no signal could be evaluated.*no luck"):
        evaluate({"bad": Measured(Broken(), state(), None, "text")}, 16, RULE)
    with pytest.raises(UserError, match="it observed no sequence"):
        evaluate({"a": Measured(Ratio(), State(), None, "text")}, 16, RULE)
    with pytest.raises(UserError, match="no signal to evaluate"):
        evaluate({}, 16, RULE)
    with pytest.raises(UserError, match="at least 2"):
        evaluate(three(), 1, RULE)


def test_undefined_values_are_null_and_noted():
    measured = three()
    sums = measured["b"].state.tables["sums"].columns["sums"]
    sums[:, 3] = 0
    evaluation = evaluate(measured, 16, RULE)
    block = evaluation.signals["b"]
    assert np.isnan(block.value[3])
    assert np.isnan(block.low[3])
    assert "undefined" in block.flags
    assert any("b is undefined at 1 of 15" in note for note in evaluation.notes)
    assert np.isfinite(evaluation.verdicts["mspgt"].evidence.value).all()


def test_noise_that_could_pass_for_structure_is_a_status():
    class Noisy(Ratio):
        def report(self, prepared):
            return Report(noise_share=0.3)

    verdicts = evaluate(three() | {"b": Measured(Noisy(), state(seed=1), None, "text")}, 16, RULE).verdicts
    assert verdicts["mspgt"].status == "probe_noise"
    assert not verdicts["mspgt"].accepted
    assert verdicts["paper"].accepted


def test_an_end_is_flagged_on_the_signal():
    evaluation = evaluate(
        three() | {"b": Measured(Ratio(), state(seed=1, at=(15,), height=30), None, "text")}, 16, RULE
    )
    assert "endpoint_dominated" in evaluation.signals["b"].flags
    assert "endpoint_dominated" not in evaluation.signals["a"].flags


def test_six_blocks_give_curves_and_intervals_and_no_boundaries():
    evaluation = evaluate(three(n_layers=6, at=(2, 4)), 6, RULE)
    assert np.isfinite(evaluation.signals["a"].low).all()
    for verdict in evaluation.verdicts.values():
        assert verdict.status == "too_shallow"
        assert not verdict.accepted
        assert verdict.local_intermediate is None


def test_two_blocks_have_one_transition_and_no_error():
    evaluation = evaluate(three(n_layers=2, at=()), 2, RULE)
    assert len(evaluation.signals["a"].value) == 1
    assert evaluation.verdicts["mspgt"].status == "too_shallow"


def test_no_replicates_means_no_intervals():
    evaluation = evaluate(three(), 16, Rule({}, None, 0, 0))
    assert np.isnan(evaluation.signals["a"].low).all()
    assert evaluation.verdicts["mspgt"].status == "unstable"
    assert evaluation.left_out == []


def test_progress_is_told():
    said: list[str] = []
    evaluation = evaluate(three(), 16, RULE, said.append)
    assert said[0] == "a: preparing"
    assert said[-1] == "boundaries"
    assert set(evaluation.seconds) == {"prepare", "replicates", "boundaries"}


def test_many_documents_are_resampled_in_groups():
    evaluation = evaluate(three(documents=700), 16, Rule({}, None, 20, 0))
    assert evaluation.bootstrap.units["text"] <= 512
    assert any("700 documents" in note for note in evaluation.notes)


def test_replicates_are_those_of_the_intervals():
    measured = {"a": Measured(Ratio(), state(), None, "text"), "b": Measured(Ratio(), state(seed=1), None, "text")}
    found = evaluate(measured, 16, RULE)
    for name, block in found.signals.items():
        low, high = percentile_interval(found.replicates.curves[name], 0.95)
        assert block.low.tolist() == low.tolist()
        assert block.high.tolist() == high.tolist()
    for rule, pairs in found.replicates.pairs.items():
        assert pairs.shape == (RULE.bootstrap, 2)
        assert np.all((pairs[:, 0] > 0) == (pairs[:, 1] > 0))
        assert np.mean(pairs[:, 0] > 0) == found.verdicts[rule].p_two_peaks


def test_a_fused_signal_that_stands_still_leaves_no_pairs_to_compare():
    measured = {"a": Measured(Ratio(), state(), None, "text"), "b": Measured(Frozen(), state(seed=1), None, "text")}
    found = evaluate(measured, 16, RULE)
    assert [*found.replicates.curves] == ["a"]
    assert found.replicates.pairs == {}
    weightless = evaluate(measured, 16, Rule({"b": 0.0}, None, 200, 0))
    assert {*weightless.replicates.pairs} == {"paper", "mspgt"}
