"""What the checkpoints of one training run have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mspgt.core.errors import UserError
from mspgt.models import LoadedModel


def common(model: LoadedModel) -> dict[str, Any]:
    """What is the same in all checkpoints of a training run."""
    vocabulary = json.dumps(model.tokenizer.get_vocab(), sort_keys=True)
    return {
        "blocks": model.n_layers,
        "width": model.hidden_size,
        "vocabulary": hashlib.sha256(vocabulary.encode()).hexdigest(),
    }


def require_same(name: str, common: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another architecture or vocabulary than those before it.

    Raises
    ------
    UserError: blocks, width or vocabulary differ.
    """
    for key, what in (("blocks", "blocks"), ("width", "as the width of its blocks")):
        if common[key] != known[key]:
            raise UserError(
                f"{name} has {common[key]:,} {what}, those before it have {known[key]:,}: checkpoints of one training "
                "run have the same architecture."
            )
    if common["vocabulary"] != known["vocabulary"]:
        raise UserError(
            f"the tokenizer of {name} has another vocabulary than those before it, and the corpus is read with one: "
            "give tokenizer=."
        )
