"""Options of `cka`, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.core.options import option


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
