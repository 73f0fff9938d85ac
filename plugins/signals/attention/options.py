"""Options of `attn`, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from mspgt.core.options import option


@dataclass(frozen=True)
class AttentionOptions:
    """Options of `attn`."""

    heads: str = option(
        "mean",
        "mean: head-averaged attention; index: head h against head h; matched: heads paired by least drift",
        choices=("mean", "index", "matched"),
    )
    sink: str = option("keep", "keep the first key, or drop it and renormalise", choices=("keep", "drop"))
