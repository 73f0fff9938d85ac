"""Prediction 3.2: planted runs, the interval of their distance, and what chance would give."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from example_drift import example_drift, read
from hypothesis import given, settings
from hypothesis import strategies as st

from mspgt.core.codec import dumps, plain, structure
from mspgt.core.errors import UserError
from mspgt.results.prediction_3_2 import POTENTIALLY, Apart, prediction_3_2
from mspgt.stats.chance import chance, exceeds
from mspgt.stats.distance import Ended, distance
from mspgt.stats.paired.answers import Prediction

L = 28
SIDES = ("local_intermediate", "intermediate_global")


def run(upper, *, spread=0.0, seed=0, lacking=0.0, status="ok", replicates=400, rule="mspgt", n_layers=L, **options):
    """A drift whose last point has its I-G boundary after block `upper`, and replicates around it.

    Parameters
    ----------
    upper: None for a point without boundaries.
    spread: standard deviation of the replicates, in layers.
    lacking: share of the replicates without two peaks.
    options: replaced in the block that has the key.
    """
    data = example_drift(n_layers, 2, seed=seed).as_dict()
    point = data["points"][-1]
    verdict = point["verdicts"][rule]
    verdict["accepted"], verdict["status"] = status == "ok", status
    rng = np.random.default_rng(seed)
    drawn = np.rint((upper or 0) + spread * rng.standard_normal(replicates)).astype(int)
    drawn[: round(lacking * replicates)] = 0
    for side, layer in zip(SIDES, (2, upper), strict=True):
        if upper is None:
            verdict[side] = None
        else:
            verdict[side] |= {"layer": layer, "relative": layer / n_layers}
    point["replicates"][rule] = {SIDES[0]: np.where(drawn > 0, 2, 0).tolist(), SIDES[1]: drawn.tolist()}
    data["bootstrap"]["replicates"] = replicates
    for block in (data["model"], data["data"], data["provenance"], data["bootstrap"], point):
        block.update({key: options.pop(key) for key in list(options) if key in block})
    verdict.update(options)
    return read(data)


def said(prediction):
    return " ".join(prediction.reasons)


# ---------------------------------------------------------------------------------------------------- verdicts


def test_runs_far_apart_support():
    found = prediction_3_2([run(8, spread=0.4, seed=1), run(20, spread=0.4, seed=2)], names=["a", "b"])
    assert found.verdict == "supported"
    assert found.numbers.difference == 12 / 28
    assert 0.3 < found.numbers.low <= 12 / 28 <= found.numbers.high
    assert found.reasons[0].startswith("supported: Prediction 3.2")
    assert "42.9 % apart (95 % interval " in found.reasons[0]
    assert "a after block 8 and b after block 20 of 28" in found.reasons[0]


def test_runs_near_each_other_contradict():
    found = prediction_3_2([run(18, spread=0.4, seed=1), run(20, spread=0.4, seed=2)])
    assert found.verdict == "contradicted"
    assert found.reasons[0].startswith("contradicted: ")
    assert 0 <= found.numbers.low <= 2 / 28 <= found.numbers.high <= 0.3


@pytest.mark.parametrize("upper", [8, 11, 14])
def test_an_interval_on_both_sides_of_the_threshold_is_undecided(upper):
    found = prediction_3_2([run(upper, spread=3, seed=1), run(20, spread=3, seed=2)])
    assert found.numbers.low <= 0.3 < found.numbers.high
    assert found.verdict == "undecided"
    assert "neither shown nor excluded" in found.reasons[0]


def test_the_order_of_the_runs_does_not_matter():
    runs = [run(upper, spread=1, seed=upper) for upper in (8, 14, 20)]
    keys = ("difference", "low", "high", "share", "paired")
    one, other = prediction_3_2(runs), prediction_3_2(runs[::-1])
    assert one.verdict == other.verdict
    assert [getattr(one.numbers, key) for key in keys] == [getattr(other.numbers, key) for key in keys]


@pytest.mark.parametrize(("n_layers", "at", "verdict"), [(20, (6, 12), "contradicted"), (20, (6, 13), "supported")])
def test_exactly_thirty_per_cent_is_not_more(n_layers, at, verdict):
    found = prediction_3_2([run(upper, n_layers=n_layers, seed=upper) for upper in at])
    assert found.numbers.low == found.numbers.high == (at[1] - at[0]) / n_layers
    assert found.verdict == verdict


def test_of_three_runs_the_farthest_two_count():
    near, far = run(19, spread=0.4, seed=3), run(8, spread=0.4, seed=2)
    runs = [run(20, spread=0.4, seed=1), near, run(18, spread=0.4, seed=2)]
    assert prediction_3_2(runs).verdict == "contradicted"
    found = prediction_3_2([*runs, far])
    assert found.verdict == "supported"
    assert found.numbers.difference == 12 / 28
    assert [one.layer for one in found.numbers.runs] == [20, 19, 18, 8]
    assert found.numbers.chance == chance(28, 4)
    assert "the farthest two of 4 runs" in said(found)


@pytest.mark.parametrize(("at", "drawn"), [(20, 21), (21, 20)])
def test_the_point_estimates_must_lie_on_the_side_of_the_interval(at, drawn):
    data = run(at, seed=1).as_dict()
    data["points"][-1]["replicates"]["mspgt"]["intermediate_global"] = [drawn] * 400
    found = prediction_3_2([run(12, seed=2), read(data)])
    assert (found.numbers.low, found.numbers.difference) == ((drawn - 12) / 28, (at - 12) / 28)
    assert found.verdict == "undecided"


def test_runs_that_may_have_the_same_boundary_lie_no_distance_apart_at_least():
    found = prediction_3_2([run(20, spread=1, seed=1), run(20, spread=1, seed=2)])
    assert found.numbers.low == 0
    assert found.numbers.high > 0


def test_the_interval_has_the_highest_confidence_of_the_runs():
    runs = [run(8, spread=2, seed=1, confidence=0.8), run(20, spread=2, seed=2)]
    found, strict = prediction_3_2(runs), prediction_3_2([run(8, spread=2, seed=1), runs[1]])
    assert found.numbers.confidence == 0.95
    assert found.numbers.high == strict.numbers.high


# --------------------------------------------------------------------------------------------------- undecided


UNDECIDED = {
    "no boundary": ({"upper": None, "status": "one_peak"}, "b has no I-G boundary by mspgt's rule (one_peak)"),
    "not accepted": ({"status": "unstable"}, "the boundaries of b are not accepted by mspgt's rule (unstable)"),
    "few with two peaks": ({"lacking": 0.06}, "94.0 % of the draws have two peaks in every run; 95 % are needed"),
    "no replicate with two peaks": ({"lacking": 1.0}, "0.0 % of the draws have two peaks in every run"),
    "no replicates": ({"replicates": 0}, "b has no bootstrap replicates"),
    "other weights": ({"weights": {"cka": 1.0, "attn": 0.6}}, "different signals, weights or prominence"),
    "other prominence": ({"prominence": 0.5}, "different signals, weights or prominence"),
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_what_cannot_be_judged_is_undecided_and_keeps_its_numbers(case):
    options, reason = UNDECIDED[case]
    other = run(**{"upper": 20, "seed": 2} | options)
    found = prediction_3_2([run(8, seed=1), other], names=["a", "b"])
    assert found.verdict == "undecided"
    assert found.reasons[0].startswith("undecided: ")
    assert reason in found.reasons[0]
    assert found.numbers.runs[0] == Ended("a", 50, 8, 8 / 28, found.numbers.runs[0].ci, True)
    if case == "no boundary":
        assert found.numbers.runs[1] == Ended("b", 50, None, None, None, False)
        assert found.numbers.difference is found.numbers.low is found.numbers.high is None
    else:
        assert found.numbers.difference == 12 / 28
        assert "the I-G boundaries lie 42.9 % apart" in found.reasons[0]
    dumps(plain(found))


def test_every_reason_is_given():
    one, other = run(8, seed=1, status="unstable"), run(20, seed=2, lacking=0.5)
    first = prediction_3_2([one, other], names=["a", "b"]).reasons[0]
    assert "a are not accepted" in first
    assert "50.0 % of the draws" in first


def test_an_interval_of_many_runs_needs_more_replicates():
    few = [run(upper, seed=upper, replicates=100) for upper in (8, 12, 20)]
    found = prediction_3_2(few)
    assert found.verdict == "undecided"
    assert "95 % intervals of 3 runs need more replicates" in found.reasons[0]
    many = [run(upper, seed=upper, replicates=120) for upper in (8, 12, 20)]
    assert prediction_3_2(many).verdict == "supported"


def test_shallow_models_have_numbers_without_a_baseline():
    found = prediction_3_2([run(None, n_layers=5, seed=seed, status="too_shallow") for seed in (1, 2)])
    assert found.numbers.chance["uniform"] == 0
    assert math.isnan(found.numbers.chance["two_peaks"])
    assert "too few for two peaks" in said(found)


# ----------------------------------------------------------------------------------------------------- replicates


def test_replicates_of_the_same_documents_are_paired():
    found = prediction_3_2([run(8, spread=2, seed=1), run(20, spread=2, seed=1, name="other")])
    assert found.numbers.paired is True
    assert found.numbers.low == found.numbers.high == 12 / 28  # the same draws shift both boundaries
    assert "The replicates are paired" in said(found)


@pytest.mark.parametrize(
    "other",
    [
        {"data_sha256": {"data": "0" * 64}},
        {"data_sha256": {"data": None}},
        {"documents": 59},
        {"units": {"data": 59}},
        {"replicates": 401},
    ],
    ids=str,
)
def test_replicates_of_other_documents_are_drawn_independently(other):
    runs = [run(8, spread=2, seed=1), run(20, spread=2, seed=1, **other)]
    found = prediction_3_2(runs)
    assert found.numbers.paired is False
    assert "drawn independently" in said(found)
    assert ("different corpora" in said(found)) == (other.get("data_sha256", {"data": None})["data"] is not None)
    one, two = (r.points[-1].replicates["mspgt"].intermediate_global for r in runs)
    every = sorted(b - a for a in one.tolist() for b in two.tolist())
    k = math.ceil(0.025 * len(every))
    assert (found.numbers.low, found.numbers.high) == (every[k - 1] / 28, every[-k] / 28)


def test_replicates_of_unknown_corpora_are_drawn_independently():
    runs = [run(upper, seed=1, data_sha256={"data": None}) for upper in (8, 20)]
    assert prediction_3_2(runs).numbers.paired is False


def test_other_seeds_of_the_bootstrap_are_drawn_independently():
    other = run(20, spread=2, seed=1)
    data = other.as_dict()
    data["bootstrap"]["seed"] = 99
    assert prediction_3_2([run(8, spread=2, seed=1), read(data)]).numbers.paired is False


def test_independent_draws_multiply_their_shares():
    one, other = run(8, seed=1, lacking=0.03), run(20, seed=1, lacking=0.04, data_sha256={"data": "0" * 64})
    found = prediction_3_2([one, other])
    assert found.numbers.share == pytest.approx(0.97 * 0.96)
    assert found.verdict == "undecided"


def sampled(true, rng, *, paired, documents=40, replicates=200, noise=8.0, shared=0.5):
    """Layers of boundaries that are means over documents, under document weights: (replicate,) of each run."""
    own = rng.standard_normal((documents, len(true)))
    of_document = noise * (math.sqrt(shared) * rng.standard_normal((documents, 1)) + math.sqrt(1 - shared) * own)
    runs = []
    drawn = rng.multinomial(documents, np.full(documents, 1 / documents), size=replicates) / documents
    for number, at in enumerate(true):
        if not paired:
            drawn = rng.multinomial(documents, np.full(documents, 1 / documents), size=replicates) / documents
        runs.append(np.rint(at + 50 + drawn @ of_document[:, number]).astype(np.int64))
    return runs


RUNS = 300
TRUE = [(0, 0), (0, 6), (0, 7), (0, 0, 0), (0, 3, 6), (0, 7, 7), (0, 0, 0, 6, 6, 6)]


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("true", TRUE, ids=str)
def test_the_interval_covers_the_true_distance_and_the_verdicts_are_rarely_wrong(true, paired):
    rng = np.random.default_rng(0)
    found = [distance(sampled(true, rng, paired=paired), 0.95, paired=paired) for _ in range(RUNS)]
    real = max(true) - min(true)
    slack = 3 * math.sqrt(0.05 * 0.95 / RUNS)
    assert np.mean([one.low <= real <= one.high for one in found]) > 0.95 - slack
    above, below = (np.mean(wrong) for wrong in zip(*[(one.low > 6, one.high <= 6) for one in found], strict=True))
    assert (below if real > 6 else above) < 0.05 + slack


def test_a_planted_distance_is_found():
    rng = np.random.default_rng(1)
    found = [distance(sampled((0, 14), rng, paired=True), 0.95, paired=True) for _ in range(100)]
    assert np.mean([one.low > 6 for one in found]) > 0.95


def test_percentiles_of_the_distance_itself_would_support_what_is_not_so():
    rng = np.random.default_rng(2)
    runs = [sampled((0, 0, 0, 6, 6, 6), rng, paired=True) for _ in range(100)]
    naive = np.mean([np.quantile(np.ptp(one, axis=0), 0.025, method="inverted_cdf") > 6 for one in runs])
    ours = np.mean([distance(one, 0.95, paired=True).low > 6 for one in runs])
    assert naive > 0.2
    assert ours < 0.05


# -------------------------------------------------------------------------------------------------------- runs


def test_folders_and_files_are_loaded(tmp_path):
    for name, upper in (("a", 8), ("b", 20)):
        run(upper, seed=upper).save_data(tmp_path / name)
    found = prediction_3_2([tmp_path / "a", str(tmp_path / "b" / "drift.json")])
    assert found.verdict == "supported"
    assert [one.name for one in found.numbers.runs] == [str(tmp_path / "a"), str(tmp_path / "b" / "drift.json")]


def test_runs_of_one_model_are_numbered():
    names = [one.name for one in prediction_3_2([run(8, seed=1), run(20, seed=2)]).numbers.runs]
    assert names == ["example-12 (1)", "example-12 (2)"]


def test_the_papers_rule_has_its_own_boundaries():
    runs = [run(8, seed=1, rule="paper"), run(20, seed=2, rule="paper")]
    found = prediction_3_2(runs, rule="paper")
    assert (found.verdict, found.numbers.rule, found.numbers.difference) == ("supported", "paper", 12 / 28)
    assert prediction_3_2(runs).numbers.difference == 0


def test_runs_that_ended_at_other_steps_are_said_to():
    assert "at the steps 50 and 900;" in said(prediction_3_2([run(8), last_step(run(20), 900)]))
    assert "at the steps" not in said(prediction_3_2([run(8), run(20)]))


def last_step(drift, step):
    data = drift.as_dict()
    data["points"][-1]["step"] = data["changes"][-1]["to"] = data["overall"]["to"] = step
    return read(data)


@pytest.mark.parametrize(
    ("key", "value"), [("family", "qwen2"), ("n_layers", 32), ("hidden_size", 64), ("n_heads", 16)]
)
def test_another_architecture_is_refused(key, value):
    other = run(20, seed=2, n_layers=value) if key == "n_layers" else run(20, seed=2, **{key: value})
    with pytest.raises(UserError, match=rf"{key} is .* in a and {value} in b") as error:
        prediction_3_2([run(8), other], names=["a", "b"])
    assert str(error.value).count(".") == 2  # one sentence, and the dot of 3.2


@pytest.mark.parametrize("runs", [[], [run(8)]], ids=["none", "one"])
def test_one_run_is_refused(runs):
    with pytest.raises(UserError, match=f"needs 2 or more; got {len(runs)}"):
        prediction_3_2(runs)


def test_one_path_is_not_many_runs(tmp_path):
    run(8).save_data(tmp_path)
    with pytest.raises(UserError, match="got 1"):
        prediction_3_2(str(tmp_path))


def test_the_same_run_twice_is_refused():
    with pytest.raises(UserError, match="b and c are the same result"):
        prediction_3_2([run(8), run(20), run(20)], names=["a", "b", "c"])


def test_names_must_be_as_many_as_runs():
    with pytest.raises(UserError, match="2 results have 1 names"):
        prediction_3_2([run(8), run(20)], names=["a"])


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="available: mspgt, paper"):
        prediction_3_2([run(8), run(20)], rule="theirs")


# ----------------------------------------------------------------------------------------------------- answers


def test_an_answer_is_plain_json_and_reads_in_one_line():
    found = prediction_3_2([run(8, spread=1, seed=1), run(20, spread=1, seed=2)])
    block = json.loads(dumps(plain(found)))
    assert structure(block, Prediction, "f") == found
    assert isinstance(found.numbers, Apart)
    assert str(found) == found.reasons[0]
    assert repr(found) == f"<{found}>"
    assert "\n" not in repr(found)


def test_reasons_name_chance_and_the_papers_potentially():
    found = prediction_3_2([run(8), run(20)])
    assert "with probability 0.44 if every position is as likely, 0.29 for the upper of two" in said(found)
    assert found.reasons.count(POTENTIALLY) == 1
    assert said(found).count("potentially") == 1


def test_a_drift_compares_itself_with_others():
    assert run(8).against(run(20)).verdict == "supported"


# ------------------------------------------------------------------------------------------------------- chance


def brute_force(n_layers, runs):
    """By listing every outcome, with 30 % compared in whole numbers."""

    def apart(places):
        outcomes = list(product(places, repeat=runs))
        far = sum(10 * (max(outcome) - min(outcome)) > 3 * n_layers for outcome in outcomes)
        return Fraction(far, len(outcomes)) if outcomes else None

    positions = range(2, n_layers - 1)
    upper = [b for a, b in combinations(positions, 2) if b - a > 1]
    return {"uniform": apart(positions), "two_peaks": apart(upper)}


@pytest.mark.parametrize("runs", [2, 3])
@pytest.mark.parametrize("n_layers", range(1, 11))
def test_chance_is_the_share_of_all_outcomes(n_layers, runs):
    expected = brute_force(n_layers, runs)
    for name, p in chance(n_layers, runs).items():
        assert math.isnan(p) if expected[name] is None else p == float(expected[name])


def test_chance_agrees_with_random_draws():
    rng = np.random.default_rng(0)
    positions, draws, runs = np.arange(2, 31), 40_000, 3
    peaks = rng.choice(positions, (4 * draws, runs, 2))
    peaks = peaks[(np.abs(np.diff(peaks, axis=2)) > 1).all(axis=(1, 2))]
    found = {"uniform": peaks[:, :, 0], "two_peaks": peaks.max(axis=2)}
    for name, p in chance(32, runs).items():
        layers = rng.choice(positions, (draws, runs)) if name == "uniform" else found[name]
        assert np.mean(10 * np.ptp(layers, axis=1) > 3 * 32) == pytest.approx(p, abs=0.01)


def integral(density, below, threshold, runs):
    """P(range > threshold) = 1 - runs * integral of density(x) (below(x + t) - below(x))^(runs - 1), x the smallest."""
    x = (np.arange(200_000) + 0.5) / 200_000
    inside = below(np.minimum(x + threshold, 1)) - below(x)
    return 1 - runs * float(np.mean(density(x) * inside ** (runs - 1)))


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_chance_tends_to_the_continuous_integrals(runs):
    """A random position has density 1; the upper of two has density 2 x, below it lies x squared."""
    far = chance(20_000, runs)
    assert far["uniform"] == pytest.approx(integral(np.ones_like, lambda x: x, 0.3, runs), abs=1e-3)
    assert far["two_peaks"] == pytest.approx(integral(lambda x: 2 * x, np.square, 0.3, runs), abs=1e-3)


def test_chance_of_two_runs_tends_to_its_closed_forms():
    d = 0.3
    far = chance(100_000)
    assert far["uniform"] == pytest.approx((1 - d) ** 2, abs=1e-4)
    assert far["two_peaks"] == pytest.approx(1 - 8 * d / 3 + 2 * d**2 - d**4 / 3, abs=1e-4)


@given(st.integers(12, 80), st.integers(2, 8))
@settings(deadline=None, max_examples=40)
def test_more_runs_lie_farther_apart_by_chance(n_layers, runs):
    fewer, more = chance(n_layers, runs), chance(n_layers, runs + 1)
    assert all(0 < fewer[name] < more[name] < 1 for name in fewer)
    assert fewer["two_peaks"] < fewer["uniform"]


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_thirty_per_cent_is_compared_in_whole_numbers(n_layers, layers):
    assert exceeds(layers, n_layers) == (10 * layers > 3 * n_layers)
