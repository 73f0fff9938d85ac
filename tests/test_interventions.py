"""Every registered intervention obeys every law and does what its formula says; the suite sees a law broken."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from mspgt.contracts import registry
from mspgt.core.errors import UserError
from mspgt.plugins.interventions.gaussian import Gaussian
from mspgt.plugins.interventions.mean_ablate import MeanAblate
from mspgt.plugins.interventions.resample import Resample
from mspgt.plugins.interventions.scale import Scale
from mspgt.plugins.interventions.skip import Skip
from mspgt.testing.interventions import InterventionConformance
from mspgt.testing.scene import planted_scene

pytest_plugins = ["pytester"]

OPTIONS = {"gaussian": [{}, {"per_dim": True}]}
"""what each is tried with; others as they stand"""

for _name in registry.plugins(registry.INTERVENTION):
    for _options in OPTIONS.get(_name, [{}]):
        _title = "_".join([_name, *_options])
        globals()[f"Test_{_title}"] = type(
            f"Test_{_title}", (InterventionConformance,), {"intervention": _name, "options": _options}
        )


# --------------------------------------------------------------------------------------------------- what each does


@pytest.fixture
def scene():
    return planted_scene(dim=33, lengths=(40,) * 30)


def noise_of(scene, layer=3, **settings):
    return scene.apply(Gaussian(**settings), layer).double() - scene.hidden.double()


def test_gaussian_noise_has_the_planted_size(scene):
    added = noise_of(scene, strength=0.1) / (0.1 * scene.statistics.std)
    assert stats.kstest(added.flatten().numpy(), "norm").pvalue > 1e-3
    by_dim = noise_of(scene, strength=0.1, per_dim=True) / (0.1 * scene.statistics.std_dim)
    assert all(stats.kstest(by_dim[..., d].flatten().numpy(), "norm").pvalue > 1e-4 for d in range(33))


def test_gaussian_noise_grows_with_the_strength_and_keeps_its_direction(scene):
    torch.testing.assert_close(noise_of(scene, strength=0.4), 4 * noise_of(scene, strength=0.1), atol=1e-5, rtol=0)


def test_gaussian_noise_is_unrelated_between_blocks_and_seeds(scene):
    one = noise_of(scene, strength=1).flatten().numpy()
    for settings in ({"layer": 4, "strength": 1}, {"strength": 1, "seed": 1}):
        assert stats.pearsonr(one, noise_of(scene, **settings).flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_mean_ablation_leaves_the_rest_of_the_deviation(scene, share):
    made = scene.apply(MeanAblate(strength=share)).double().numpy()
    mean = scene.statistics.mean.double().numpy()
    np.testing.assert_allclose(made - mean, (1 - share) * (scene.hidden.double().numpy() - mean), atol=1e-6)


def test_mean_ablation_at_one_is_the_mean(scene):
    assert torch.equal(scene.apply(MeanAblate(strength=1)), scene.statistics.mean.expand_as(scene.hidden))


def drawn_rows(made, bank):
    """Which row of the bank each token is."""
    match = (made.flatten(0, 1)[:, None] == bank).all(-1)
    assert (match.sum(1) == 1).all()
    return match.int().argmax(1)


def test_resampling_puts_rows_of_the_bank(scene):
    drawn = drawn_rows(scene.apply(Resample(strength=1)), scene.statistics.bank)
    assert stats.chisquare(drawn.bincount(minlength=50).numpy()).pvalue > 1e-3


def test_resampling_takes_the_same_row_at_every_block(scene):
    bank = scene.statistics.bank
    elsewhere = dataclasses.replace(scene, statistics=dataclasses.replace(scene.statistics, bank=bank * 2 + 1))
    here = drawn_rows(scene.apply(Resample(strength=1), 2), bank)
    assert torch.equal(here, drawn_rows(elsewhere.apply(Resample(strength=1), 9), bank * 2 + 1))
    assert not torch.equal(here, drawn_rows(scene.apply(Resample(strength=1, seed=1), 2), bank))


def test_resampling_by_half_lies_in_the_middle(scene):
    half, full = (scene.apply(Resample(strength=s)) for s in (0.5, 1.0))
    torch.testing.assert_close(half, (scene.hidden + full) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_skipped_block_does_nothing(scene, dtype):
    given = scene.to(dtype)
    assert torch.equal(given.apply(Skip(strength=1)), given.incoming)


def test_skipping_a_share_leaves_the_rest_of_the_update(scene):
    update = scene.hidden.double() - scene.incoming.double()
    left = scene.apply(Skip(strength=0.3)).double() - scene.incoming.double()
    torch.testing.assert_close(left, 0.7 * update, atol=1e-6, rtol=0)


@pytest.mark.parametrize("strength", [-1, -0.5, 0.1, 3])
def test_scaling_multiplies(scene, strength):
    np.testing.assert_allclose(scene.apply(Scale(strength=strength)), scene.hidden.numpy() * (1 + strength), rtol=1e-6)


@pytest.mark.parametrize(
    ("made", "strength", "allowed"),
    [
        (Gaussian, -0.1, "gaussian is at least 0"),
        (MeanAblate, 1.5, "mean_ablate is from 0 to 1"),
        (Resample, -1, "resample is from 0 to 1"),
        (Skip, float("nan"), "skip is from 0 to 1"),
        (Scale, -1.01, "scale is at least -1"),
    ],
)
def test_a_wrong_strength_is_answered_with_the_limits(made, strength, allowed):
    with pytest.raises(UserError, match=f"sigma={strength:g}.*{allowed}"):
        made(strength=strength)


def test_a_wrong_option_is_answered_with_a_suggestion():
    with pytest.raises(UserError, match="per_dim"):
        Gaussian(strength=1, per_dims=True)


def test_the_registry_says_of_each_what_the_class_says():
    for entry in registry.BUILT_IN[registry.INTERVENTION].values():
        assert entry.summary == entry.load().summary
        assert entry.option_class() is entry.load().Options


def test_options_are_declared_without_torch():
    code = "import sys, mspgt.plugins.interventions.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --------------------------------------------------------------------------------------- the suite sees broken laws

SOUND = """
import torch
from mspgt import Intervention, gaussian
from mspgt.testing import InterventionConformance

def add(hidden, noise):
    return (hidden.float() + noise).to(hidden.dtype)

class Nudge(Intervention):
    summary = "one random number added to all dimensions of a token"
    strength_means = "a number as large as 1"

    def noise(self, layer, positions, samples):
        return self.strength * gaussian(self.seed, samples, layer.index, positions, 1)

    def apply(self, hidden, layer, positions, samples, statistics):
        return hidden if self.strength == 0 else add(hidden, self.noise(layer, positions, samples))

class TestSound(InterventionConformance):
    intervention = Nudge
"""

CHANGED = """
class Changed_{name}(Nudge):
    {body}

class Test_{name}(InterventionConformance):
    intervention = Changed_{name}
"""

APPLY = """
    def apply(self, hidden, layer, positions, samples, statistics):
        made = super().apply(hidden, layer, positions, samples, statistics)
        {body}
"""

BROKEN = {
    "strength_zero_changes_nothing": APPLY.format(body="return made * 1.01"),
    "batch_size_does_not_matter": APPLY.format(body="return made + 0.01 * self.strength * hidden.mean((0, 1))"),
    "order_of_rows_does_not_matter": """
    def noise(self, layer, positions, samples): return super().noise(layer, positions, torch.arange(len(samples)))
""",
    "a_cache_does_not_matter": APPLY.format(body="return made + self.strength * hidden[:, :1]"),
    "padding_does_not_matter": APPLY.format(body="return made + self.strength * hidden[:, -1:].isnan()"),
    "earlier_calls_do_not_matter": """
    calls = 0
    def noise(self, layer, positions, samples):
        self.calls += 1
        return super().noise(layer, positions, samples) + self.calls
""",
    "the_seed_decides": """
    def noise(self, layer, positions, samples): return self.strength * torch.rand(*positions.shape, 1)
""",
    "random_choices_differ_between_samples_and_positions": """
    def noise(self, layer, positions, samples): return super().noise(layer, positions, torch.zeros_like(samples))
""",
    "inputs_are_left_alone": APPLY.format(body="statistics.mean.mul_(2); return made"),
    "bf16_lands_near_fp32": """
    times = []
    def noise(self, layer, positions, samples):
        self.times.append(0)  # one list for all of the class
        return len(self.times) * super().noise(layer, positions, samples)
""",
    "shape_and_precision_are_those_of_the_output": APPLY.format(body="return made.float()"),
    "a_strength_does_something": APPLY.format(body="return hidden"),
    "strengths_outside_the_limits_are_refused": "def __init__(self, **given): self.strength, self.seed = 0.5, 0",
    "the_declaration_is_sane": "strength_means = ''",
}


def run(pytester, changes, *chosen):
    """Run the suite on a sound intervention, and on one for each change: {(class, test): outcomes}."""
    classes = [CHANGED.format(name=name, body=body.strip("\n").removeprefix("    ")) for name, body in changes.items()]
    path = pytester.makepyfile(SOUND + "".join(classes))
    result = pytester.inline_run("-p", "no:cacheprovider", "-q", "--tb=no", *(f"{path}::{node}" for node in chosen))
    outcomes = {}
    for report in result.getreports("pytest_runtest_logreport"):
        if report.when == "call" or report.outcome != "passed":
            _, group, test = report.nodeid.split("[")[0].split("::")
            outcomes.setdefault((group, test.removeprefix("test_")), set()).add(report.outcome)
    return outcomes


def test_a_sound_intervention_passes(pytester):
    outcomes = run(pytester, {}, "TestSound")
    assert {test for _, test in outcomes} == set(BROKEN), "every test of the suite is shown what breaks it"
    assert all(found == {"passed"} for found in outcomes.values())


def test_the_suite_sees_each_broken_law(pytester):
    outcomes = run(pytester, BROKEN, *(f"Test_{law}::test_{law}" for law in BROKEN))
    assert {test for (_, test), found in outcomes.items() if "failed" in found} == set(BROKEN)


def test_a_result_that_shares_memory_with_statistics_is_seen(pytester):
    body = APPLY.format(body="return statistics.mean.expand_as(hidden)")
    outcomes = run(pytester, {"shared": body}, "Test_shared::test_inputs_are_left_alone")
    assert list(outcomes.values()) == [{"failed"}]


def test_a_declared_exception_is_skipped(pytester):
    body = BROKEN["batch_size_does_not_matter"] + "\n    exceptions = {'batch_size': 'it pulls a batch together'}"
    outcomes = run(pytester, {"excepted": body}, "Test_excepted::test_batch_size_does_not_matter")
    assert list(outcomes.values()) == [{"skipped"}]
