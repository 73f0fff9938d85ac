"""The text metrics obey every law of the suite, with each of their main options; and the suite sees a law broken."""

import pytest

from mspgt import Metric
from mspgt.testing.metrics import MetricConformance

pytest_plugins = ["pytester"]

TRIED = {
    "self_bleu": [{}, {"order": 2}],
    "length_variance": [{}, {"cut": "keep"}],
    "ttr": [{}, {"variant": "mattr", "window": 10}],
    "repetition": [{}, {"n": 1}],
}

for _name, _tried in TRIED.items():
    for _options in _tried:
        _title = "_".join(["Test", _name, *_options, *map(str, _options.values())])
        globals()[_title] = type(_title, (MetricConformance,), {"metric": _name, "options": _options})


SOUND = """
import math
import numpy as np
from mspgt import Metric, UserError
from mspgt.testing import MetricConformance

class Length(Metric):
    summary = "characters of a text"

    def measure(self, texts):
        return np.array([len(t.text) or math.nan for t in texts], dtype=float)

    def companions(self, texts):
        return {"longest": float(max(len(t.text) for t in texts))} if texts else {}

class Surprise(Metric):
    summary = "what `nll` says"
    needs = frozenset({"scores"})

    def measure(self, texts):
        return np.array([t.scores.get("nll", math.nan) for t in texts])

class TestSound(MetricConformance):
    metric = Length

class TestSoundWithScores(MetricConformance):
    metric = Surprise
"""

CHANGED = """
class Changed_{name}({base}):
    {body}

class Test_{name}(MetricConformance):
    metric = Changed_{name}
"""

BROKEN = {
    "there_is_one_finite_value_or_nan_for_each_text": "def measure(self, texts): return super().measure(texts) / 0",
    "a_text_stands_alone": """
    def measure(self, texts):
        values = super().measure(texts)
        return values / np.nanmax(values, initial=1)
""",
    "the_order_of_texts_permutes_the_values": """
    def measure(self, texts): return super().measure(texts) + np.arange(len(texts))
""",
    "texts_without_content_do_not_raise": """
    def measure(self, texts):
        if texts and not any(t.text.strip() for t in texts): raise ValueError
        return super().measure(texts)
""",
    "measuring_again_gives_the_same": """
    times = 0
    def measure(self, texts):
        self.times += 1
        return super().measure(texts) + self.times
""",
    "swapping_is_measuring_the_swapped_sides": """
    def swapped(self, one, other):
        values = super().swapped(one, other)
        return lambda swap: values(swap if swap.all() or not swap.any() else ~swap)
""",
    "companions_are_plain_finite_numbers": "def companions(self, texts): return {'mean': math.nan}",
    "inputs_are_left_alone": """
    def companions(self, texts):
        texts.sort(key=lambda t: t.text)
        return {}
""",
    "scores_matter_where_they_are_needed": """
    def measure(self, texts): return super().measure(texts) + np.array([len(t.scores) for t in texts])
""",
    "the_declaration_is_sane": "direction, means = 'higher', ('longer', 'shorter')",
}


def run(pytester, changes, *chosen, base="Length"):
    """Run the suite on sound metrics, and on one for each change: {(class, test): outcomes}."""
    bodies = {name: body.strip("\n").removeprefix("    ") for name, body in changes.items()}
    classes = [CHANGED.format(name=name, body=body, base=base) for name, body in bodies.items()]
    path = pytester.makepyfile(SOUND + "".join(classes))
    result = pytester.inline_run("-p", "no:cacheprovider", "-q", "--tb=no", *(f"{path}::{node}" for node in chosen))
    outcomes = {}
    for report in result.getreports("pytest_runtest_logreport"):
        if report.when == "call" or report.outcome != "passed":
            _, group, test = report.nodeid.split("::")
            outcomes.setdefault((group, test.removeprefix("test_")), set()).add(report.outcome)
    return outcomes


def test_sound_metrics_pass(pytester):
    outcomes = run(pytester, {}, "TestSound", "TestSoundWithScores")
    assert {test for _, test in outcomes} == set(BROKEN), "every law of the suite is shown a metric that breaks it"
    assert all(found == {"passed"} for found in outcomes.values())


def test_the_suite_sees_each_broken_law(pytester):
    outcomes = run(pytester, BROKEN, *(f"Test_{law}::test_{law}" for law in BROKEN))
    assert {test for (_, test), found in outcomes.items() if "failed" in found} == set(BROKEN)


def test_a_value_without_the_scores_that_it_needs_is_seen(pytester):
    body = "def measure(self, texts): return np.array([t.scores.get('nll', 0.0) for t in texts])"
    outcomes = run(pytester, {"guesses": body}, "Test_guesses", base="Surprise")
    assert [test for (_, test), found in outcomes.items() if found == {"failed"}] == [
        "scores_matter_where_they_are_needed"
    ]


def test_a_corpus_metric_and_a_declared_exception_are_let_off(pytester):
    excepted = BROKEN["a_text_stands_alone"] + "\n    exceptions = {'alone': 'relative to the longest'}"
    changes = {"corpus": "level = 'corpus'", "excepted": excepted}
    outcomes = run(pytester, changes, *(f"Test_{name}::test_a_text_stands_alone" for name in changes))
    assert list(outcomes.values()) == [{"skipped"}] * 2


def test_a_metric_that_cannot_be_measured_here_is_skipped_and_closed(pytester):
    body = """
    opened = closed = 0
    def __init__(self, **options):
        super().__init__(**options)
        Changed_unavailable.opened += 1
    def measure(self, texts): raise UserError("no server")
    def close(self):
        Changed_unavailable.closed += 1
        print("made", self.opened, "let go", self.closed)
"""
    classes = CHANGED.format(name="unavailable", base="Length", body=body.strip("\n").removeprefix("    "))
    path = pytester.makepyfile(SOUND + classes)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-s", "-rs", f"{path}::Test_unavailable")
    result.assert_outcomes(skipped=len(BROKEN))
    result.stdout.fnmatch_lines(["*made 1 let go 1", "*no server*"])
    assert result.stdout.str().count("let go") == 1


def test_a_metric_is_closed_once(pytester):
    body = """
    def close(self): print("let go")
"""
    classes = CHANGED.format(name="held", base="Length", body=body.strip("\n").removeprefix("    "))
    path = pytester.makepyfile(SOUND + classes)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-s", f"{path}::Test_held")
    assert result.stdout.str().count("let go") == 1


@pytest.mark.parametrize(("field", "allowed"), [("level", "sample, corpus"), ("direction", "higher, lower, none")])
def test_a_level_or_direction_that_does_not_exist_is_refused_where_the_metric_is_written(field, allowed):
    with pytest.raises(TypeError, match=f"{field} of Odd is 'sentence', not one of {allowed}"):
        type("Odd", (Metric,), {field: "sentence"})
