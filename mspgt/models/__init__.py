"""Models: load a language model with its tokenizer, and say what it is."""

from mspgt.models.built_in import MODELS
from mspgt.models.loaded import LoadedModel, checkpoint_of, content_sha256, describe, name_of, tokenizer_sha256
from mspgt.models.loading import load
from mspgt.models.pretrained import DTYPES, load_tokenizer

__all__ = [
    "DTYPES",
    "MODELS",
    "LoadedModel",
    "checkpoint_of",
    "content_sha256",
    "describe",
    "load",
    "load_tokenizer",
    "name_of",
    "tokenizer_sha256",
]
