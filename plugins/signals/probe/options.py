"""Options of `probe`, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.core.options import option


@dataclass(frozen=True)
class ProbeOptions:
    """Options of `probe`."""

    tasks: tuple[str, ...] = option(
        ("pos", "dep", "ner", "srl"), "tasks to probe", choices=("pos", "dep", "ner", "srl")
    )
    seeds: int = option(5, "probes trained per layer and task, averaged", low=1)
    hidden: int = option(128, "hidden units of the probe", low=1)
    epochs: int = option(6, "passes over the training rows, the same for every probe", low=1)
    learning_rate: float = option(
        3e-3, "of Adam at the start (less for more than 1,024 inputs); falls to 0 as a cosine", low=0
    )
    weight_decay: float = option(0.0, "L2 penalty of Adam", low=0)
    batch_size: int = option(256, "instances in a training step of one probe", low=1)
    debias: bool = option(True, "subtract the noise variance from the squared jumps; false: |dP|/P as in the paper")
    control: bool = option(True, "train a control probe on random labels of word types and report selectivity")
    spans: str = option(
        "conll",
        "entity spans: conll, as conlleval reads tags; strict: an I- tag that continues nothing is no span",
        choices=("conll", "strict"),
    )
    rows: str = option("bf16", "precision in which labelled rows are stored", choices=("bf16", "fp32"))
