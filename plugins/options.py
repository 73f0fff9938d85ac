"""Options of the built-in signals, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.options import option


@dataclass(frozen=True)
class CKAOptions:
    """Options of `cka`."""

    estimator: str = option(
        "debiased",
        "debiased: document-bootstrapped, pairs within a document left out; biased: the V-statistic; full: every "
        "token, in two streaming passes; minibatch: unbiased per batch, no document intervals",
        choices=("debiased", "biased", "full", "minibatch"),
    )
    unit: str = option(
        "token", "what a row is: one token of a sentence, or the sentence's mean", choices=("token", "sentence_mean")
    )
    rows_per_sentence: int = option(1, "tokens drawn from each sentence", low=1)
    scale: str = option(
        "none", "none, or zscore: divide each dimension by its standard deviation", choices=("none", "zscore")
    )


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


@dataclass(frozen=True)
class AttentionOptions:
    """Options of `attn`."""

    heads: str = option(
        "mean",
        "mean: head-averaged attention; index: head h against head h; matched: heads paired by least drift",
        choices=("mean", "index", "matched"),
    )
    sink: str = option("keep", "keep the first key, or drop it and renormalise", choices=("keep", "drop"))
