"""The registry: built-ins and what entry points add, in one lookup."""

import subprocess
import sys

import pytest

from mspgt.contracts import registry
from mspgt.contracts.intervention import Intervention
from mspgt.contracts.metric import Metric
from mspgt.contracts.signal import Signal
from mspgt.core.errors import PluginError, UserError

SIGNALS = list(registry.BUILT_IN[registry.SIGNAL].values())
BUILT_IN = [entry for kind in registry.KINDS for entry in registry.BUILT_IN[kind].values()]


def _contract(found):
    return next(c for c in found.__mro__ if c in (Signal, Intervention, Metric))


def test_the_built_ins_are_there_and_first():
    assert list(registry.signals())[:3] == ["cka", "probe", "attn"]


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda e: e.name)
def test_a_built_in_loads_as_declared(entry):
    found = entry.load()
    assert entry.kind.base == f"{_contract(found).__module__}:{_contract(found).__name__}"
    assert found.Options is entry.option_class()
    assert found.summary == entry.summary


def test_the_paper_weights_are_the_defaults():
    assert {e.name: e.load().weight for e in SIGNALS} == {"cka": 1.0, "probe": 0.8, "attn": 0.6}


def test_built_ins_are_declared_as_entry_points_too():
    from importlib.metadata import entry_points

    for kind in registry.KINDS:
        declared = {p.name: p.value for p in entry_points(group=kind.group)}
        assert {e.name: e.target for e in registry.BUILT_IN[kind].values()}.items() <= declared.items()


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    with pytest.raises(UserError, match=r"unknown signal 'atn'\. Did you mean 'attn'\? .*Available: attn, cka, probe"):
        registry.signal("atn")


def test_a_signal_is_built_with_its_options_and_the_seed():
    signal = registry.create_signal("attn", {"heads": "index"}, seed=3)
    assert signal.options.heads == "index"
    assert signal.seed == 3


def test_a_wrong_option_is_the_users_error():
    with pytest.raises(UserError, match="Available: index, matched, mean"):
        registry.create_signal("attn", {"heads": "median"})


def test_a_target_that_is_no_signal_is_named():
    entry = registry.Entry("odd", "mspgt.core.errors:UserError", "odd-package 1.2")
    with pytest.raises(PluginError, match=r"'odd' of odd-package 1\.2.*is not a mspgt\.Signal class"):
        entry.load()


def test_listing_plugins_and_their_options_imports_no_torch():
    code = (
        "import sys; from mspgt.contracts import registry\n"
        "for kind in registry.KINDS: [entry.option_class() for entry in registry.plugins(kind).values()]\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
