"""What evaluation makes of trained probes: counts by resampling unit, and the report of the point estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mspgt.contracts.series import Lines, Series
from mspgt.contracts.signal import Fitted, Report
from mspgt.core.state import Units, stable_code
from mspgt.plugins.signals.probe.f1 import label_counts, macro_f1, micro_f1
from mspgt.plugins.signals.probe.jumps import EPSILON, Jumps, jumps
from mspgt.plugins.signals.probe.options import ProbeOptions
from mspgt.plugins.signals.probe.spans import Scheme, span_counts
from mspgt.plugins.signals.probe.tasks import why_left_out

STILL_FALLING = 1e-3
"""relative fall of the validation loss in the last epoch above which training was too short; one epoch shows none"""

SERIES = (
    Series("score", "block", summary="F1, mean of tasks and seeds"),
    Series("s2_raw", summary="|dP|/P, the paper's"),
    Series("s2_debiased", summary="without the part that noise explains"),
    Series("standard_error", summary="of S2, over documents and seeds"),
    Series("f1", "block", columns="task", summary="micro-averaged F1 on documents held out", folded=False),
    Series("f1_macro", "block", columns="task", summary="mean F1 of classes"),
    Series("f1_seed_sd", "block", columns="task", summary="standard deviation of F1 over seeds", optional=True),
    Series("v_information", "block", "nat", columns="task", summary="entropy of classes less cross-entropy"),
    Series("codelength_bits", "block", "bit", columns="task", summary="to send the training labels online"),
    Series("compression", "block", columns="task", summary="uniform codelength over codelength"),
    Series("control_f1", "block", columns="task", summary="F1 on random labels of word types", optional=True),
    Series("selectivity", "block", columns="task", summary="F1 less that of the control task", optional=True),
    Series("validation_loss", "epoch", "nat", columns="task", summary="mean of layers and seeds"),
)
_CAPTION = "F1 of the probes on documents that they were not trained on."
FIGURES = (
    Lines("probe-f1", ("f1",), "What probes read from each block", "F1 on held-out documents", (0.0, 1.0), _CAPTION),
)


@dataclass(frozen=True)
class PreparedProbe:
    """All that a curve needs, and what is reported that does not depend on weights."""

    counts: Tensor
    """(task, layer, seed, unit, 3) float64: tp, n_pred, n_gold of the test documents"""
    tasks: Mapping[str, Mapping[str, Any]]
    """task -> its single values, plain"""
    series: Mapping[str, Mapping[str, Tensor]]
    """series -> task -> (layer,), or (epoch,) of the validation loss"""
    left_out: Mapping[str, str]
    """task -> the sentence that says why it is not measured"""


def prepare(fitted: Fitted, names: Mapping[int, str], units: Units, options: ProbeOptions) -> PreparedProbe:
    """Count by unit; a test document that `units` does not know is absent.

    Parameters
    ----------
    fitted: as from `Probe.fit`.
    names: stable code -> class name.
    """
    asked = [key.removesuffix(".sizes") for key in fitted if key.endswith(".sizes")]
    counts, details, left_out = [], {}, {}
    series: dict[str, dict[str, Tensor]] = {}
    for task in sorted(asked, key=options.tasks.index):
        reason = why_left_out(task, fitted[f"{task}.sizes"])
        if reason is not None:
            left_out[task] = reason
            continue
        own = {key.removeprefix(f"{task}."): value for key, value in fitted.items() if key.startswith(f"{task}.")}
        scored, control = _count(task, own, names, units, options)
        counts.append(scored.sum(-2))
        details[task], of_task = _of_task(own, scored.sum(2), None if control is None else control.sum(2))
        for name, values in of_task.items():
            series.setdefault(name, {})[task] = values
    return PreparedProbe(torch.stack(counts), details, series, left_out)


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

    def count(truth: Tensor, predicted: Tensor) -> Tensor:
        flat = predicted.flatten(0, 1)
        if task == "ner":
            counted = span_counts(truth, flat, sentence, unit, units.count, Scheme.of(tags), options.spans)
        else:
            counted = label_counts(truth, flat, len(tags), unit, units.count)
        return counted.view(*predicted.shape[:2], *counted.shape[1:])

    scored = count(gold[0], predictions[:, : options.seeds])
    return scored, count(gold[1], predictions[:, options.seeds :]) if len(gold) > 1 else None


def _of_task(own: Fitted, counts: Tensor, control: Tensor | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Single values of one task, and its series; counts, control: (layer, seed, class, 3), all documents."""
    seeds, classes = counts.shape[1], len(own["classes"])
    train, validation, test, _ = own["sizes"].tolist()
    micro = micro_f1(counts)  # (layer, seed)
    bits = own["online"][:, :seeds].mean(1) / math.log(2)
    share = torch.bincount(own["gold"][0].long()).double() / test
    loss = own["validation"][:, :, :seeds].double().mean((0, 2))  # (epoch,)
    details = {
        "instances": {"train": train, "validation": validation, "test": test},
        "dropped": int(own["dropped"]) if "dropped" in own else 0,
        "classes": classes,
        "converged": len(loss) > 1 and bool(loss[-2] - loss[-1] <= STILL_FALLING * loss[-1]),
    }
    series = {
        "f1": micro.mean(1),
        "f1_macro": macro_f1(counts).mean(1),
        "v_information": torch.special.entr(share).sum() - own["cross_entropy"][:, :seeds].mean(1),
        "codelength_bits": bits,
        "compression": train * math.log2(classes) / bits,
        "validation_loss": loss,
    }
    if seeds > 1:
        series["f1_seed_sd"] = micro.std(1)
    if control is not None:
        chance = micro_f1(control).mean(1)
        series |= {"control_f1": chance, "selectivity": micro.mean(1) - chance}
    return details, series


def report(prepared: PreparedProbe, options: ProbeOptions) -> Report:
    """Flags, details and series of the point estimate."""
    point = jumps(prepared.counts, torch.ones(1, prepared.counts.shape[3], dtype=torch.float64))
    details = {
        "tasks": dict(prepared.tasks),
        "left_out": dict(prepared.left_out),
        "conditional_on": "the training documents: weights and intervals are those of the test documents and seeds",
    }
    series = {
        "score": point.score[0],
        "s2_raw": point.raw[0],
        "s2_debiased": point.debiased[0],
        "standard_error": point.error[0],
        **prepared.series,
    }
    flags = {
        "not_converged": not all(task["converged"] for task in prepared.tasks.values()),
        "score_near_zero": bool((point.score[:, :-1] < EPSILON).any()),
        "seed_noise_unknown": prepared.counts.shape[2] == 1,
        "tasks_left_out": bool(prepared.left_out),
    }
    raised = tuple(flag for flag, holds in flags.items() if holds)
    return Report(raised, details, series, _noise_share(point, options))


def _noise_share(point: Jumps, options: ProbeOptions) -> float:
    """The largest standard error over the curve's maximum; 1 where the curve is nothing but zeros."""
    curve = point.debiased if options.debias else point.raw
    if not curve.numel() or not curve.max() > 0:
        return 1.0
    return float(point.error.max() / curve.max())
