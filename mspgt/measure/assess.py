"""From measured signals to an evaluation, as the settings of a run say."""

from __future__ import annotations

from collections.abc import Mapping

from mspgt.config.run import RunConfig
from mspgt.contracts import registry
from mspgt.contracts.signal import Signal
from mspgt.core.errors import UserError
from mspgt.measure.evaluate import Evaluation, Measured, Rule, Say, evaluate


def make_signals(config: RunConfig, device: str) -> dict[str, Signal]:
    """The signals of a run, built with its seed and options."""
    seed = config.options.seed
    return {
        name: registry.create_signal(name, config.signals.get(name, {}), seed=seed, device=device)
        for name in config.options.plugins
    }


def evaluate_measured(
    measured: Mapping[str, Measured], n_layers: int, config: RunConfig, left_out: Mapping[str, str], say: Say
) -> Evaluation:
    """Evaluate what was measured as the settings of the run say.

    Parameters
    ----------
    left_out: signal that failed -> why.

    Raises
    ------
    UserError: nothing was measured.
    """
    if not measured:
        raise UserError(f"no signal is left to evaluate. {' '.join(left_out.values())}")
    options = config.options
    return evaluate(measured, n_layers, Rule(config.weights, options.prominence, options.bootstrap, options.seed), say)
