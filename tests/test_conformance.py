"""Every registered signal obeys every law, with each of its main options; and the suite sees a law broken."""

from mspgt.contracts import registry
from mspgt.testing import SignalConformance

pytest_plugins = ["pytester"]

OPTIONS = {
    "cka": [{}, {"estimator": "biased"}, {"estimator": "full"}, {"estimator": "minibatch"}, {"unit": "sentence_mean"}],
    "probe": [{"seeds": 2, "hidden": 16}],
    "attn": [{}, {"sink": "drop"}, {"heads": "index"}, {"heads": "matched"}],
}
"""what each built-in is tried with; a third party's signal is tried as it stands"""

for _name in registry.signals():
    for _options in OPTIONS.get(_name, [{}]):
        _title = "_".join([_name, *_options, *map(str, _options.values())])
        globals()[f"Test_{_title}"] = type(
            f"Test_{_title}", (SignalConformance,), {"signal": _name, "options": _options}
        )


SOUND = """
import torch
from mspgt import HeatMap, Lines, Report, Series, SumSignal
from mspgt.testing import SignalConformance

class Travel(SumSignal):
    summary = "mean squared distance between neighbouring blocks"

    def sums(self, lower, upper, content):
        squared = torch.where(content, (upper - lower).square().sum(-1), 0.0)
        return torch.stack([squared.sum(1), content.sum(1)], dim=1)

    def value(self, sums):
        return sums[..., 0] / sums[..., 1]

class TestSound(SignalConformance):
    signal = Travel
"""

CHANGED = """
class Changed_{name}(Travel):
    {body}

class Test_{name}(SignalConformance):
    signal = Changed_{name}
"""

RECORDER = """
    def recorder(self, name, batch, fitted):
        inner, hidden = super().recorder(name, batch, fitted), []
        class Recorder:
            def layer(self, layer):
                {layer}
            def rows(self):
                {rows}
                return inner.rows()
        return Recorder()
"""

BROKEN = {
    "batch_size_does_not_matter": "def sums(self, a, b, content): return super().sums(a - a.mean((0, 1)), b, content)",
    "order_does_not_matter": "def sums(self, a, b, content): return super().sums(a[:1].expand_as(a), b, content)",
    "padding_does_not_matter": "def sums(self, a, b, content): return super().sums(a, b, content | True)",
    "merge_equals_one_pass": """
    seen = 0
    def sums(self, a, b, content):
        self.seen += 1
        return super().sums(a, b * self.seen, content)
""",
    "a_document_of_weight_zero_is_as_if_absent": """
    def curve(self, prepared, weights, rng): return super().curve(prepared, weights + 1, rng)
""",
    "save_then_load_changes_nothing": """
    def recorder(self, name, batch, fitted):
        self.saw = True
        return super().recorder(name, batch, fitted)
    def value(self, sums): return super().value(sums) * (2 if hasattr(self, "saw") else 1)
""",
    "an_empty_shard_is_the_identity": """
    def prepare(self, state, fitted, units):
        self.times = getattr(self, "times", 0) + 1
        return super().prepare(state, fitted, units)
    def value(self, sums): return super().value(sums) * self.times
""",
    "inputs_are_left_alone": RECORDER.format(layer="inner.layer(layer); layer.hidden.mul_(2)", rows="pass"),
    "nothing_of_a_layer_is_kept_by_reference": RECORDER.format(
        layer="hidden.append(layer)", rows="[inner.layer(layer) for layer in hidden]"
    ),
    "bf16_lands_near_fp32": """
    def sums(self, a, b, content): return super().sums(a.bfloat16().float(), a, content)
""",
    "the_curve_has_its_shape": "def value(self, sums): return super().value(sums).float()",
    "replicates_do_not_touch_each_other": """
    def value(self, sums): return super().value(sums) - super().value(sums).mean(0)
""",
    "bootstrap_replicates_are_reproducible": """
    def curve(self, prepared, weights, rng):
        return super().curve(prepared, weights, rng) * (1 if rng is None else torch.rand(()))
""",
    "two_runs_give_the_same": """
    def sums(self, a, b, content): return super().sums(a, b, content) + torch.rand(len(a), 2)
""",
    "keys_are_those_of_the_batch": """
    def recorder(self, name, batch, fitted):
        return super().recorder(name, batch.select(range(len(batch.keys) - 1)), fitted)
""",
    "the_report_is_plain": """
    def report(self, prepared):
        return Report((), {"tensor": prepared})
""",
    "series_are_reported_as_declared": "series = (Series('tokens'),)",
    "figures_show_declared_series": "figures = (HeatMap('tokens', 'tokens', 'Tokens'),)",
    "the_declaration_is_sane": "summary = ''",
}


def run(pytester, changes, *chosen):
    """Run the suite on a sound signal, and on one for each change: {(class, test): outcomes}."""
    classes = [CHANGED.format(name=name, body=body.strip("\n").removeprefix("    ")) for name, body in changes.items()]
    path = pytester.makepyfile(SOUND + "".join(classes))
    result = pytester.inline_run("-p", "no:cacheprovider", "-q", "--tb=no", *(f"{path}::{node}" for node in chosen))
    outcomes = {}
    for report in result.getreports("pytest_runtest_logreport"):
        if report.when == "call" or report.outcome != "passed":
            _, group, test = report.nodeid.split("[")[0].split("::")
            outcomes.setdefault((group, test.removeprefix("test_")), set()).add(report.outcome)
    return outcomes


def test_a_sound_signal_passes(pytester):
    outcomes = run(pytester, {}, "TestSound")
    assert {test for _, test in outcomes} == set(BROKEN), "every test of the suite is shown a signal that breaks it"
    assert all(found == {"passed"} for found in outcomes.values())


def test_the_suite_sees_each_broken_law(pytester):
    outcomes = run(pytester, BROKEN, *(f"Test_{law}::test_{law}" for law in BROKEN))
    assert {test for (_, test), found in outcomes.items() if "failed" in found} == set(BROKEN)


SERIES = {
    "undeclared": "def report(self, prepared): return Report(series={'steps': [0.0] * prepared.shape[1]})",
    "of_other_rows": """
    series = (Series('steps'),)
    def report(self, prepared): return Report(series={'steps': [0.0] * (prepared.shape[1] + 1)})
""",
    "of_unnamed_columns": """
    series = (Series('steps', columns='task'),)
    def report(self, prepared): return Report(series={'steps': [0.0] * prepared.shape[1]})
""",
    "named_twice": "series = (Series('steps', optional=True), Series('steps', 'block', optional=True))",
}


def test_the_suite_sees_each_wrong_series(pytester):
    law = "series_are_reported_as_declared"
    outcomes = run(pytester, SERIES, *(f"Test_{name}::test_{law}" for name in SERIES))
    assert outcomes == {(f"Test_{name}", law): {"failed"} for name in SERIES}


FIGURES = {
    "of_two_axes": """
    series = (Series('steps', optional=True), Series('norms', 'block', optional=True))
    figures = (Lines('both', ('steps', 'norms'), 'Both'),)
""",
    "of_one_column": """
    series = (Series('steps', optional=True),)
    figures = (HeatMap('steps', 'steps', 'Steps'),)
""",
}


def test_the_suite_sees_each_wrong_figure(pytester):
    law = "figures_show_declared_series"
    outcomes = run(pytester, FIGURES, *(f"Test_{name}::test_{law}" for name in FIGURES))
    assert outcomes == {(f"Test_{name}", law): {"failed"} for name in FIGURES}


def test_a_declared_exception_is_skipped(pytester):
    body = BROKEN["bf16_lands_near_fp32"] + "\n    exceptions = {'bf16': 'looks at what rounding leaves'}"
    outcomes = run(pytester, {"excepted": body}, "Test_excepted")
    assert [test for (_, test), found in outcomes.items() if found == {"skipped"}] == ["bf16_lands_near_fp32"]
    assert all(found <= {"passed", "skipped"} for found in outcomes.values())
