"""From measured signals to an evaluation, as the settings of a run say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mspgt.config.run import RunConfig
from mspgt.contracts import registry
from mspgt.contracts.signal import Signal
from mspgt.core.errors import UserError
from mspgt.core.state import State
from mspgt.measure.evaluate import Evaluation, Measured, Rule, evaluate

Say = Callable[[str], None]


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
    weights = {name: config.weights.get(name, type(m.signal).weight) for name, m in measured.items()}
    return evaluate(measured, n_layers, Rule(weights, options.prominence, options.bootstrap, options.seed), say)


def data_block(corpora: Mapping[str, Mapping[str, Any]], readings: Mapping[str, State]) -> dict[str, Any]:
    """The block `data` of result.json: what was read; the main corpus, and labels where they are another."""
    main = readings["data"]
    counts = {k: int(v.sum()) for k, v in main.tables["sequences"].columns.items()}
    labelled = readings.get("labels", main).tables["sequences"].columns
    block = {
        "name": corpora["data"]["name"],
        "documents": len({k.document for k in main.keys}),
        "sentences": counts["sentences"],
        "sequences": len(main.keys),
        "tokens": counts["tokens"],
        "tokens_masked": counts["tokens"] - counts["content"],
        "tokens_massive": counts["massive"],
        "labels": {k.removeprefix("labels_"): int(v.sum()) for k, v in labelled.items() if k.startswith("labels_")},
        "flags": corpora["data"]["flags"],
    }
    if "labels" in corpora:
        block["labels_name"] = corpora["labels"]["name"]
        block["labels_documents"] = len({k.document for k in readings["labels"].keys})
    return block
