"""What evaluation makes of trained probes: counts by resampling unit, and the report of the point estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mspgt.contracts.signal import Fitted, Report
from mspgt.core.state import Units, stable_code
from mspgt.plugins.signals.probe.f1 import label_counts, macro_f1, micro_f1
from mspgt.plugins.signals.probe.jumps import EPSILON, Jumps, jumps
from mspgt.plugins.signals.probe.options import ProbeOptions
from mspgt.plugins.signals.probe.spans import Scheme, span_counts
from mspgt.plugins.signals.probe.tasks import why_left_out

STILL_FALLING = 1e-3
"""relative fall of the validation loss in the last epoch above which training was too short; one epoch tells none"""


@dataclass(frozen=True)
class Prepared:
    """All that a curve needs, and the details that do not depend on weights."""

    counts: Tensor
    """(task, layer, seed, unit, 3) float64: tp, n_pred, n_gold of the test documents"""
    tasks: Mapping[str, Mapping[str, Any]]
    """task -> its details, as plain values"""
    left_out: Mapping[str, str]
    """task -> the sentence that says why it is not measured"""


def prepare(fitted: Fitted, names: Mapping[int, str], units: Units, options: ProbeOptions) -> Prepared:
    """Count by unit; a test document that `units` does not know is absent.

    Parameters
    ----------
    fitted: as from `Probe.fit`.
    names: stable code -> class name.
    """
    asked = [key.removesuffix(".sizes") for key in fitted if key.endswith(".sizes")]
    asked = sorted(asked, key=lambda task: options.tasks.index(task))
    left_out, counts, details = {}, [], {}
    for task in asked:
        reason = why_left_out(task, fitted[f"{task}.sizes"])
        if reason is not None:
            left_out[task] = reason
            continue
        own = {key.removeprefix(f"{task}."): value for key, value in fitted.items() if key.startswith(f"{task}.")}
        scored, control = _count(task, own, names, units, options)
        counts.append(scored.sum(-2))
        details[task] = _task_details(own, scored.sum(2), None if control is None else control.sum(2))
    return Prepared(torch.stack(counts), details, left_out)


def _count(
    task: str, own: Fitted, names: Mapping[int, str], units: Units, options: ProbeOptions
) -> tuple[Tensor, Tensor | None]:
    """Counts of the task's probes and of its control probe: (layer, seed, unit, class, 3)."""
    unit_of = {stable_code(document): unit for document, unit in units.of_document.items()}
    unit = torch.tensor([unit_of.get(code, -1) for code in own["document"].tolist()], dtype=torch.int64)
    here = unit >= 0
    predictions = own["predictions"].long()[:, :, here]  # (layer, member, instance)
    gold, unit, sentence = own["gold"].long()[:, here], unit[here], own["sentence"][here]
    tags = [names[code] for code in own["classes"].tolist()]

    def count(truth: Tensor, found: Tensor) -> Tensor:
        flat = found.flatten(0, 1)
        if task == "ner":
            counted = span_counts(truth, flat, sentence, unit, units.count, Scheme.of(tags), options.spans)
        else:
            counted = label_counts(truth, flat, len(tags), unit, units.count)
        return counted.view(*found.shape[:2], *counted.shape[1:])

    scored = count(gold[0], predictions[:, : options.seeds])
    return scored, count(gold[1], predictions[:, options.seeds :]) if len(gold) > 1 else None


def _task_details(own: Fitted, counts: Tensor, control: Tensor | None) -> dict[str, Any]:
    """Plain values of one task; counts, control: (layer, seed, class, 3), all documents."""
    seeds, classes = counts.shape[1], len(own["classes"])
    train, validation, test, _ = own["sizes"].tolist()
    micro = micro_f1(counts)  # (layer, seed)
    bits = own["online"][:, :seeds].mean(1) / math.log(2)
    share = torch.bincount(own["gold"][0].long()).double() / test
    entropy = torch.special.entr(share).sum()
    curve = own["validation"][:, :, :seeds].double().mean((0, 2))  # (epoch,)
    details = {
        "instances": {"train": train, "validation": validation, "test": test},
        "dropped": int(own["dropped"]) if "dropped" in own else 0,
        "classes": classes,
        "f1": micro.mean(1).tolist(),
        "f1_macro": macro_f1(counts).mean(1).tolist(),
        "f1_seed_sd": micro.std(1).tolist() if seeds > 1 else None,
        "v_information": (entropy - own["cross_entropy"][:, :seeds].mean(1)).tolist(),
        "codelength_bits": bits.tolist(),
        "compression": (train * math.log2(classes) / bits).tolist(),
        "validation_loss_by_epoch": curve.tolist(),
        "converged": len(curve) > 1 and bool(curve[-2] - curve[-1] <= STILL_FALLING * curve[-1]),
    }
    if control is not None:
        chance = micro_f1(control).mean(1)
        details.update(control_f1=chance.tolist(), selectivity=(micro.mean(1) - chance).tolist())
    return details


def report(prepared: Prepared, options: ProbeOptions) -> Report:
    """Flags and details of the point estimate."""
    point = jumps(prepared.counts, torch.ones(1, prepared.counts.shape[3], dtype=torch.float64))
    details = {
        "score": point.score[0].tolist(),
        "s2_raw": point.raw[0].tolist(),
        "s2_debiased": point.debiased[0].tolist(),
        "standard_error": point.error[0].tolist(),
        "noise_share": _noise_share(point, options),
        "tasks": dict(prepared.tasks),
        "left_out": dict(prepared.left_out),
        "conditional_on": "the training documents: weights and intervals are those of the test documents and seeds",
    }
    flags = {
        "not_converged": not all(task["converged"] for task in prepared.tasks.values()),
        "score_near_zero": bool((point.score[:, :-1] < EPSILON).any()),
        "seed_noise_unknown": prepared.counts.shape[2] == 1,
        "tasks_left_out": bool(prepared.left_out),
    }
    return Report(tuple(flag for flag, raised in flags.items() if raised), details)


def _noise_share(point: Jumps, options: ProbeOptions) -> float:
    """The largest standard error over the curve's maximum; 1 where the curve is nothing but zeros."""
    curve = point.debiased if options.debias else point.raw
    if not curve.numel() or not curve.max() > 0:
        return 1.0
    return float(point.error.max() / curve.max())
