"""SignalConformance: the laws that every signal obeys, as a pytest class to subclass.

    from mspgt.testing import SignalConformance

    class TestMine(SignalConformance):
        signal = "mine"

A signal that cannot obey a law says why in `exceptions`, and the law is skipped with that reason.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from mspgt.contracts import registry
from mspgt.contracts.series import Lines, series_of
from mspgt.contracts.signal import Report, Signal, check_needs
from mspgt.core.state import State, merge
from mspgt.measure.shards import read_shard, write_shard
from mspgt.testing.drive import PlantedMeasurement, measure, observe, split, tensors_of
from mspgt.testing.laws import check_declaration, law, once, skip_excepted, unchanged
from mspgt.testing.planted import PlantedCorpus, planted_corpus

LAWS = (
    "batch_size",
    "order",
    "padding",
    "merge",
    "weight_zero",
    "save_load",
    "empty_shard",
    "inputs_untouched",
    "bf16",
)
"""names of the laws, for `Signal.exceptions`"""


class SignalConformance:
    """Laws and contract of one signal, on a planted corpus.

    Set `signal` to a registered name or a Signal class, and `options` to what it is built with. Tolerances are
    relative to the largest value of the curve.
    """

    signal: ClassVar[str | type[Signal]]
    options: ClassVar[Mapping[str, Any]] = {}
    tolerance: ClassVar[float] = 1e-4
    """fp32 arithmetic in another order"""
    bf16_tolerance: ClassVar[float] = 0.05
    """hidden states that arrive in bf16"""

    # ------------------------------------------------------------------------------------ what a subclass may change

    def corpus(self) -> PlantedCorpus:
        """The corpus that the laws are tried on; override to give a signal what it needs."""
        return planted_corpus()

    def make(self) -> Signal:
        """A fresh signal."""
        signal_class = registry.signal(self.signal).load() if isinstance(self.signal, str) else self.signal
        return signal_class(seed=0, **self.options)

    # ------------------------------------------------------------------------------------ fixtures

    @pytest.fixture
    def planted(self) -> PlantedCorpus:
        """The corpus, made once for the class."""
        return once(type(self), "_planted", self.corpus)

    @pytest.fixture
    def measured(self, planted: PlantedCorpus) -> PlantedMeasurement:
        """The signal's way through the corpus, taken once for the class; laws compare with it."""
        return once(type(self), "_measured", lambda: measure(self.make(), planted.batches()))

    @pytest.fixture(autouse=True)
    def _excepted(self, request: pytest.FixtureRequest) -> None:
        skip_excepted(request, self.make().exceptions)

    # ------------------------------------------------------------------------------------ laws

    @law("batch_size")
    @pytest.mark.parametrize("size", [1, 1000])
    def test_batch_size_does_not_matter(self, planted: PlantedCorpus, measured: PlantedMeasurement, size: int) -> None:
        """The same sequences in batches of another size."""
        self.same_curve(measure(self.make(), planted.batches(size)), measured)

    @law("order")
    def test_order_does_not_matter(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """The same sequences in another order, in other batches."""
        order = np.random.default_rng(1).permutation(len(planted.sequences)).tolist()
        shuffled = measure(self.make(), planted.batches(order=order))
        assert shuffled.state.keys == measured.state.keys, "the merged state is not in canonical order"
        self.same_curve(shuffled, measured)

    @law("padding")
    @pytest.mark.parametrize(("side", "extra"), [("right", 4), ("left", 0)])
    def test_padding_does_not_matter(
        self, planted: PlantedCorpus, measured: PlantedMeasurement, side: str, extra: int
    ) -> None:
        """Other content of the padding, more of it, and on the other side."""
        batches = planted.batches(side=side, extra=extra, garbage=7)
        self.same_curve(measure(self.make(), batches), measured)

    @law("merge")
    def test_merge_equals_one_pass(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """States of disjoint documents, observed apart and merged, are what one pass gives."""
        parts = [observe(self.make(), part.batches(), fitted=measured.before) for part in split(planted)]
        state = merge(reversed(parts))
        assert state.keys == measured.state.keys
        assert state.nbytes == measured.state.nbytes
        self.same_curve(dataclasses.replace(measured, state=state), measured)

    @law("weight_zero")
    def test_a_document_of_weight_zero_is_as_if_absent(
        self, planted: PlantedCorpus, measured: PlantedMeasurement
    ) -> None:
        """With the same `fitted`, leaving a document out and giving it weight zero are the same."""
        documents = planted.documents()
        left_out = documents[len(documents) // 2]
        rest = planted.of([d for d in documents if d != left_out])
        state = observe(self.make(), rest.batches(), fitted=measured.before)
        weights = torch.ones(1, measured.units.count, dtype=torch.float64)
        weights[0, measured.units.of_document[left_out]] = 0
        without = measured.replicates(weights)[0]
        self.close(without, dataclasses.replace(measured, state=state).curve(), self.tolerance)

    @law("save_load")
    def test_save_then_load_changes_nothing(self, measured: PlantedMeasurement, tmp_path: Path) -> None:
        """A state and what was fitted survive their files bit by bit."""
        write_shard(tmp_path / "shard.safetensors", {"signal": measured.state})
        state = read_shard(tmp_path / "shard.safetensors")["signal"]
        fitted = None if measured.fitted is None else load(save(measured.fitted))
        assert state.keys == measured.state.keys
        assert dict(state.names) == dict(measured.state.names)
        self.close(PlantedMeasurement(self.make(), state, measured.before, fitted).curve(), measured.curve(), 0.0)

    @law("empty_shard")
    def test_an_empty_shard_is_the_identity(self, measured: PlantedMeasurement, tmp_path: Path) -> None:
        """A rank that saw nothing writes a state that changes nothing."""
        write_shard(tmp_path / "empty.safetensors", {"signal": State()})
        empty = read_shard(tmp_path / "empty.safetensors")["signal"]
        state = merge([empty, measured.state, State()])
        assert state.keys == measured.state.keys
        self.close(dataclasses.replace(measured, state=state).curve(), measured.curve(), 0.0)

    @law("inputs_untouched")
    def test_inputs_are_left_alone(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """No tensor of the batch or of a layer is changed: the model computes on with them."""
        batches = planted.batches()
        before = [tensors_of(one) for one in batches]
        signal = self.make()
        for name, fitted in {signal.passes[0]: None, signal.passes[-1]: measured.before}.items():
            observe(signal, batches, name, fitted)
        for old, new in zip(before, map(tensors_of, batches), strict=True):
            unchanged(old, new)

    @law("inputs_untouched")
    def test_nothing_of_a_layer_is_kept_by_reference(
        self, planted: PlantedCorpus, measured: PlantedMeasurement
    ) -> None:
        """A layer is valid inside the call only: what it held may be overwritten afterwards."""
        state = observe(self.make(), planted.batches(), fitted=measured.before, spoil=True)
        self.same_curve(dataclasses.replace(measured, state=state), measured)

    @law("bf16")
    def test_bf16_lands_near_fp32(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """Hidden states in bf16 give the curve of fp32 within `bf16_tolerance`."""
        half = measure(self.make(), planted.batches(dtype=torch.bfloat16))
        self.close(half.curve(), measured.curve(), self.bf16_tolerance)

    # ------------------------------------------------------------------------------------ contract

    def test_the_curve_has_its_shape(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """(replicate, transition) float64, finite, one value for each pair of neighbouring blocks."""
        curve = measured.replicates(torch.ones(3, measured.units.count, dtype=torch.float64))
        assert curve.shape == (3, planted.blocks - 1)
        assert curve.dtype == torch.float64
        assert bool(torch.isfinite(curve).all())

    def test_replicates_do_not_touch_each_other(self, measured: PlantedMeasurement) -> None:
        """A replicate's curve is the same alone and beside others; ones are the point estimate."""
        units = measured.units.count
        weights = torch.ones(3, units, dtype=torch.float64)
        weights[1:] += torch.from_numpy(np.random.default_rng(2).integers(0, 3, (2, units)))
        together = measured.replicates(weights)
        for row, curve in zip(weights, together, strict=True):
            self.close(measured.replicates(row[None])[0], curve, 1e-9)
        self.close(together[0], measured.curve(), 1e-9)

    def test_bootstrap_replicates_are_reproducible(self, measured: PlantedMeasurement) -> None:
        """Resampling is the generator's doing alone."""
        units = measured.units.count
        drawn = np.random.default_rng(3).multinomial(units, np.full(units, 1 / units), 4)
        first, second = (measured.replicates(torch.from_numpy(drawn).double(), np.random.default_rng(4)) for _ in "12")
        assert first.shape == (4, len(measured.curve()))
        assert torch.equal(first, second)

    def test_two_runs_give_the_same(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """Nothing is drawn but from the seed."""
        self.close(measure(self.make(), planted.batches()).curve(), measured.curve(), 0.0)

    def test_keys_are_those_of_the_batch(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """Every sequence observed stands in the state, with rows or without."""
        assert measured.state.keys == tuple(sorted(s.key for s in planted.sequences))

    def test_the_report_is_plain(self, measured: PlantedMeasurement) -> None:
        """Flags are words; details are JSON."""
        report = measured.report()
        assert isinstance(report, Report)
        assert all(isinstance(f, str) and f and " " not in f for f in report.flags)
        json.dumps(dict(report.details), allow_nan=False)

    def test_series_are_reported_as_declared(self, planted: PlantedCorpus, measured: PlantedMeasurement) -> None:
        """Each has the rows of its axis; none is missing that is not optional, and none comes undeclared."""
        signal, reported = measured.signal, measured.report().series
        declared = {series.name: series for series in signal.series}
        assert len(declared) == len(signal.series), "two series have one name"
        assert set(reported) <= set(declared), "a series is reported and not declared"
        missing = {name for name, series in declared.items() if not series.optional} - set(reported)
        assert not missing, f"declared and not reported: {', '.join(sorted(missing))}"
        for name, values in reported.items():
            declared[name].of(values, planted.blocks)

    def test_figures_show_declared_series(self) -> None:
        """A figure's series are the signal's own; lines share one axis, colours need several columns."""
        signal = self.make()
        declared = {series.name: series for series in signal.series}
        assert len({plot.name for plot in signal.figures}) == len(signal.figures), "two figures have one name"
        for plot in signal.figures:
            shown = [declared[name] for name in series_of(plot)]
            assert len({series.axis for series in shown}) == 1
            assert isinstance(plot, Lines) or shown[0].columns

    def test_the_declaration_is_sane(self) -> None:
        """What the class says of itself can be shown and used."""
        signal_class = type(self.make())
        check_needs(signal_class)
        assert math.isfinite(signal_class.weight)
        assert signal_class.weight > 0
        check_declaration(signal_class, LAWS)

    # ------------------------------------------------------------------------------------ comparison

    def same_curve(self, one: PlantedMeasurement, other: PlantedMeasurement) -> None:
        """Compare two measurements within `tolerance`."""
        self.close(one.curve(), other.curve(), self.tolerance)

    @staticmethod
    def close(one: Tensor, other: Tensor, tolerance: float) -> None:
        """Compare curves relative to the greatest value of the second."""
        assert one.shape == other.shape
        assert bool(torch.isfinite(one).all()), f"not finite: {one.tolist()}"
        difference = float((one - other).abs().max() / other.abs().max())
        assert difference <= tolerance, f"curves differ by {difference:.2g} of their maximum:\n{one}\n{other}"
