"""MetricConformance: the laws that every metric obeys, as a pytest class to subclass.

    from mspgt.testing import MetricConformance

    class TestMine(MetricConformance):
        metric = "mine"

A metric that cannot obey a law says why in `exceptions`, and the law is skipped with that reason; so are all laws where
it cannot be measured, with the sentence it gives.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from mspgt.contracts import registry
from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.core.errors import UserError
from mspgt.testing.laws import check_declaration, law, once, skip_excepted

METRIC_LAWS = ("alone", "order", "empty", "again", "swap", "companions", "inputs_untouched", "scores")
"""names of the laws, for `Metric.exceptions`"""

PASSAGES = (
    "The river rose in the night. By morning the bridge was gone, and nobody in the village could say where it went.",
    "She opened the letter, read it twice, and put it away. It was not for her. It had never been for her at all.",
    "The river rose in the night. Nobody slept. The dogs barked until the water came into the yard and then they left",
    "and the and the and the and the and the and the and the and the and the and the and the and the and the and the",
    "Rain.",
    "",
    'He said: "We don\'t know yet." Then, after a while: "Ask Łucja – she was there, in 1989!" 東京 was far away.',
    "...!?",
    "The committee met on Tuesday, and on Wednesday, and again on Friday; it decided nothing. The river rose anyway.",
    "A short one. Another short one. A third, somewhat longer than the two before it. The last of them ends here.",
    "She opened the letter. It was not for her. Rain fell on the bridge, and on the village, and on the river itself.",
    "The river rose in the night. By morning the bridge was gone, and nobody in the village could say where it went.",
)
"""prose, loops, a text twice, a single word, nothing, no words, other scripts"""


class MetricConformance:
    """Laws and contract of one metric, on a dozen texts.

    Set `metric` to a registered name or a Metric class, and `options` to what it is built with. One metric is built for
    the class, and closed after it.
    """

    metric: ClassVar[str | type[Metric]]
    options: ClassVar[Mapping[str, Any]] = {}
    tolerance: ClassVar[float] = 1e-6
    """relative; arithmetic in another order, as in batches of another size"""

    # ------------------------------------------------------------------------------------ what a subclass may change

    def make(self) -> Metric:
        """A fresh metric; override to point it to a model or a server."""
        metric_class = registry.metric(self.metric).load() if isinstance(self.metric, str) else self.metric
        return metric_class(seed=0, **self.options)

    def texts(self) -> list[Generated]:
        """The texts that the laws are tried on; override to give a metric what it needs."""
        words = [max(1, len(text.split())) for text in PASSAGES]
        return [
            Generated(i, f"It was said on day {i} that", text, {"nll": 2 + 3 / n, "kl": 0.1 + 1 / n})
            for i, (text, n) in enumerate(zip(PASSAGES, words, strict=True))
        ]

    # ------------------------------------------------------------------------------------ fixtures

    @pytest.fixture
    def measured(self, request: pytest.FixtureRequest) -> tuple[Metric, list[Generated], Values]:
        """The metric, the texts, and their values, taken once for the class."""
        measured = once(type(self), "_measured", self._measure)
        if isinstance(measured, UserError):
            pytest.skip(str(measured))
        skip_excepted(request, measured[0].exceptions)
        return measured

    def _measure(self) -> tuple[Metric, list[Generated], Values] | UserError:
        metric, texts = self.make(), self.texts()
        try:
            return metric, texts, metric.measure(list(texts))
        except UserError as error:
            metric.close()
            return error

    @classmethod
    def teardown_class(cls) -> None:
        """Close the metric."""
        measured = cls.__dict__.get("_measured")
        if isinstance(measured, tuple):
            measured[0].close()

    # ------------------------------------------------------------------------------------ laws
    # `measured` is asked for by every law, and holds the skips; a law without one in `exceptions` is the contract.

    def test_there_is_one_finite_value_or_nan_for_each_text(self, measured: Any) -> None:
        """(sample,) float64 without infinities, for any number of texts; some text has a value."""
        metric, texts, values = measured
        for chosen, measures in [(texts, values), (texts[:1], metric.measure(texts[:1])), ([], metric.measure([]))]:
            assert isinstance(measures, np.ndarray)
            assert measures.dtype == np.float64
            assert measures.shape == (len(chosen),)
            assert not np.isinf(measures).any()
        assert np.isfinite(values).any(), "no law says anything of a metric without a value: override texts()"

    @law("alone")
    def test_a_text_stands_alone(self, measured: Any) -> None:
        """A value of a sample-level metric is the same whatever stands beside its text."""
        metric, texts, values = measured
        if metric.level == "corpus":
            pytest.skip("a value depends on all texts of the condition")
        self.same(np.concatenate([metric.measure([text]) for text in texts]), values)

    @law("order")
    def test_the_order_of_texts_permutes_the_values(self, measured: Any) -> None:
        """A text keeps its value wherever it stands."""
        metric, texts, values = measured
        order = np.random.default_rng(1).permutation(len(texts))
        self.same(metric.measure([texts[i] for i in order]), values[order])

    @law("empty")
    def test_texts_without_content_do_not_raise(self, measured: Any) -> None:
        """Empty texts and white space, among others, alone, and nothing else, give NaN or a number."""
        metric, texts, _ = measured
        for blank in ("", " \n\t "):
            some = [replace(texts[0], text=blank, scores={}), *texts[1:]]
            none = [replace(text, text=blank, scores={}) for text in texts]
            for chosen in (some, none, none[:1]):
                values = metric.measure(chosen)
                assert values.shape == (len(chosen),)
                assert not np.isinf(values).any()
                metric.companions(chosen)

    @law("again")
    def test_measuring_again_gives_the_same(self, measured: Any) -> None:
        """Nothing is left over from an earlier measurement."""
        metric, texts, values = measured
        metric.measure(texts[:3])
        np.testing.assert_array_equal(metric.measure(texts), values)

    @law("swap")
    def test_swapping_is_measuring_the_swapped_sides(self, measured: Any) -> None:
        """`swapped` gives the sides' means: as they are with no swap, exchanged with all, and anything between."""
        metric, texts, _ = measured
        other = _others(texts)
        swapped, anew = metric.swapped(texts, other), Metric.swapped(metric, texts, other)
        none, every = np.zeros(len(texts), np.bool_), np.ones(len(texts), np.bool_)
        sides = [np.nanmean(metric.measure(texts)), np.nanmean(metric.measure(other))]
        self.same(swapped(none), sides)
        self.same(swapped(every), sides[::-1])
        rng = np.random.default_rng(2)
        for swap in rng.random((8, len(texts))) < 0.5:
            before = swap.copy()
            self.same(swapped(swap), anew(swap))
            np.testing.assert_array_equal(swap, before)

    @law("companions")
    def test_companions_are_plain_finite_numbers(self, measured: Any) -> None:
        """Names and Python floats; what is undefined is left out."""
        metric, texts, _ = measured
        blank = [replace(text, text="", scores={}) for text in texts]
        for chosen in (texts, texts[:1], blank, []):
            for name, value in metric.companions(chosen).items():
                assert type(name) is str
                assert type(value) is float, f"{name} is {type(value).__name__}"
                assert np.isfinite(value), f"{name} is {value}: leave it out"

    @law("inputs_untouched")
    def test_inputs_are_left_alone(self, measured: Any) -> None:
        """Texts, their order and their scores are as before."""
        metric, texts, _ = measured
        given, other = copy.deepcopy(texts), copy.deepcopy(_others(texts))
        metric.measure(given)
        metric.companions(given)
        metric.swapped(given, other)(np.arange(len(given)) % 2 == 0)
        assert given == texts
        assert other == _others(texts)

    @law("scores")
    def test_scores_matter_where_they_are_needed(self, measured: Any) -> None:
        """Without scores, a metric that needs them has no value, and any other has the same."""
        metric, texts, values = measured
        bare = metric.measure([replace(text, scores={}) for text in texts])
        if "scores" in metric.needs:
            assert np.isnan(bare).all()
        else:
            np.testing.assert_array_equal(bare, values)

    def test_the_declaration_is_sane(self, measured: Any) -> None:
        """A summary, meanings only where neither side is better, options that `--help` can show, known laws."""
        metric = measured[0]
        assert metric.means is None or (metric.direction == "none" and len(metric.means) == 2)
        assert metric.needs <= {"scores"}
        check_declaration(type(metric), METRIC_LAWS)

    def same(self, actual: Any, expected: Any) -> None:
        """Equal to within the tolerance, NaN where NaN is."""
        np.testing.assert_allclose(actual, expected, rtol=self.tolerance, atol=1e-12, equal_nan=True)


def _others(texts: Sequence[Generated]) -> list[Generated]:
    """What another condition may have given for the same prompts: each prompt gets the text of the one before it."""
    return [
        replace(text, text=before.text, scores=before.scores)
        for text, before in zip(texts, [*texts[-1:], *texts[:-1]], strict=True)
    ]
