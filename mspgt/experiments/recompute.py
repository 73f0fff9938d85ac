"""From saved states to a result, with no model: the end of a run, `mspgt evaluate`, `mspgt merge`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mspgt.config.run import RunConfig, build
from mspgt.contracts.signal import Signal
from mspgt.core.errors import MachineError, UserError, not_fitted
from mspgt.core.options import describe
from mspgt.core.provenance import command
from mspgt.core.provenance import provenance as provenance_block
from mspgt.core.state import State
from mspgt.experiments.merging import check_mergeable, merge_runs
from mspgt.experiments.rundir import RunDir, existing, fresh
from mspgt.measure.assess import Say, data_block, evaluate_measured, make_signals
from mspgt.measure.evaluate import Evaluation, Measured
from mspgt.results.result import Result

RULE_KEYS = ("prominence", "bootstrap")
"""keys of `mspgt evaluate`, with weights.<signal>: what can change without new states"""


@dataclass(frozen=True)
class Assessment:
    """What follows from the states of a run."""

    evaluation: Evaluation
    data: dict[str, Any]
    """the block `data` of result.json"""
    notes: list[str]
    left_out: list[str]


def assess(run: RunDir, config: RunConfig, device: str, say: Say) -> Assessment:
    """Fit what is not fitted yet, and evaluate the states of a run.

    Raises
    ------
    UserError: no signal is left to evaluate.
    """
    manifest = run.manifest()
    corpora: dict[str, str] = manifest["signals"]
    readings = {corpus: run.reading(corpus) for corpus in manifest["data"]}
    left_out = run.failures()
    measured: dict[str, Measured] = {}
    for name, signal in make_signals(config, device).items():
        if name not in left_out:
            try:
                measured[name] = _measure(run, name, signal, corpora[name], readings[corpora[name]], say)
            except MachineError:
                raise
            except Exception as error:  # a plugin's own fault must not take the others down
                left_out[name] = not_fitted(name, error)
    try:
        evaluation = evaluate_measured(measured, manifest["model"]["n_layers"], config, left_out, say)
    except UserError as error:  # what was not read may be why
        raise type(error)(" ".join([str(error), *manifest["left_out"]])) from error
    return Assessment(
        evaluation,
        data_block(manifest["data"], readings),
        [*manifest["notes"], *evaluation.notes],
        [*manifest["left_out"], *left_out.values(), *evaluation.left_out],
    )


def conclude(run: RunDir, config: RunConfig, provenance: Mapping[str, Any], device: str, say: Say) -> Result:
    """Evaluate the states of a run and save the result beside them.

    Parameters
    ----------
    provenance: what the caller knows (started, seconds, device, ...); versions and hashes are added here.
    say: told what is being done.
    """
    manifest, assessed = run.manifest(), assess(run, config, device, say)
    data = {
        "schema": 1,
        "model": manifest["model"],
        "data": assessed.data,
        "signals": assessed.evaluation.signals,
        "verdicts": assessed.evaluation.verdicts,
        "bootstrap": assessed.evaluation.bootstrap,
        "provenance": provenance_block(manifest, provenance),
        "notes": assessed.notes,
        "left_out": assessed.left_out,
        "settings": config.as_dict(),
    }
    result = Result(data)
    say("drawing figures and the page")
    result.save(run.path)
    say(f"written: {run.path / 'report.html'} and, beside it, result.json, signals.csv and figures/")
    return result


def evaluate_run(path: str | Path, changes: Mapping[str, Any], say: Say) -> Result:
    """Recompute the result of a run from its states with other weights, prominence or bootstrap.

    Raises
    ------
    UserError: no such run, an unfinished one, or a key that would need new states.
    """
    run = existing(path)
    config = run.config()
    for key in changes:
        if key not in RULE_KEYS and not key.startswith("weights."):
            raise UserError(
                f"key {key!r} cannot change without new states; `mspgt evaluate` takes {', '.join(RULE_KEYS)} and "
                "weights.<signal>."
            )
    run.complete_manifest()
    given = {o.name: getattr(config.options, o.name) for o in describe(type(config.options))}
    signals = {f"{name}.{key}": value for name, options in config.signals.items() for key, value in options.items()}
    weights = {f"weights.{name}": value for name, value in config.weights.items()}
    config = build({**given, **signals, **weights, **changes})
    run.write_config(config.as_dict())
    started = time.time()
    return conclude(run, config, {"started": started, "command": command(), "device": "cpu"}, "cpu", say)


def merge(paths: list[str], out: str, overwrite: bool, say: Say) -> Result:
    """One run from several over disjoint documents, as if they had been one.

    Raises
    ------
    UserError: fewer than two runs, fingerprints that differ, shared documents.
    """
    if len(paths) < 2:
        raise UserError("merge needs at least two run directories: mspgt merge A B out=C.")
    parts = [existing(path) for path in paths]
    if Path(out).resolve() in {p.path.resolve() for p in parts}:
        raise UserError(f"out={out} is one of the runs to merge; name another directory.")
    manifests = check_mergeable(parts)
    run = fresh(out, overwrite=overwrite, stem="merged")
    with run.locked():
        run.begin()
        return _merged(parts, manifests, run, say)


def _merged(parts: list[RunDir], manifests: list[dict[str, Any]], run: RunDir, say: Say) -> Result:
    merge_runs(parts, run)
    manifest = dict(manifests[0])
    manifest["data"] = {corpus: _merge_data([m["data"][corpus] for m in manifests]) for corpus in manifests[0]["data"]}
    manifest["sequences"] = {corpus: len(run.done(corpus, 0)) for corpus in manifest["data"]}
    for key in ("notes", "left_out"):
        manifest[key] = list(dict.fromkeys(sentence for m in manifests for sentence in m[key]))
    run.write_manifest(manifest)
    config = parts[0].config()
    config = dataclasses.replace(
        config, options=dataclasses.replace(config.options, out=str(run.path), data=manifest["data"]["data"]["name"])
    )
    run.write_config(config.as_dict())
    return conclude(run, config, {"started": time.time(), "command": command(), "device": "cpu"}, "cpu", say)


def _merge_data(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": " + ".join(dict.fromkeys(p["name"] for p in parts)),
        "sha256": "+".join(dict.fromkeys(p["sha256"] or "" for p in parts)),
        "limit": parts[0].get("limit"),
        "flags": list(dict.fromkeys(f for p in parts for f in p["flags"])),
    }


def _measure(run: RunDir, name: str, signal: Signal, corpus: str, reading: State, say: Say) -> Measured:
    last = len(signal.passes) - 1
    state = complete_state(run, corpus, last, name, len(reading.keys))
    fitted = run.fitted(name, last)
    if fitted is None:
        if type(signal).fit is not Signal.fit:
            say(f"{name}: fitting")
        fitted = signal.fit(signal.passes[last], state)
        if fitted is not None:
            run.write_fitted(name, last, fitted)
    return Measured(signal, state, fitted, corpus)


def complete_state(run: RunDir, corpus: str, number: int, name: str, sequences: int) -> State:
    """The merged state of a signal after a pass over so many sequences.

    Raises
    ------
    UserError: it raised, in this session or an earlier one, and so did not see all of them.
    """
    state = run.states(corpus, number, name)
    if missing := sequences - len(state.keys):
        raise UserError(f"its state lacks {missing} of {sequences} sequences; run again with overwrite=true.")
    return state
