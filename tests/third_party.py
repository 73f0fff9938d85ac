"""A package of somebody else, as an installer lays it out: a signal that imports from `mspgt` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mspgt.contracts import registry

TURN = '''
import torch
from mspgt import Lines, Report, Series, SumSignal


class Turn(SumSignal):
    """How far a block turns the residual stream: mean cosine distance between neighbouring blocks."""

    summary = "mean cosine distance between neighbouring blocks"
    series = (
        Series("growth", summary="norm of a block's output over that of the block before"),
        Series("stages", axis="stage", summary="mean of the curve by part of the depth"),
    )
    figures = (
        Lines("turn-growth", ("growth",), "Growth of the residual stream", "ratio of norms"),
        Lines("turn-stages", ("stages",), "Turning by stage", "cosine distance"),
    )

    def sums(self, lower, upper, content):
        distance = 1 - torch.cosine_similarity(lower, upper, dim=-1)  # (sequence, token)
        growth = upper.norm(dim=-1) / lower.norm(dim=-1)
        return torch.stack([(distance * content).sum(1), (growth * content).sum(1), content.sum(1)], dim=1)

    def value(self, sums):
        return sums[..., 0] / sums[..., -1]

    def report(self, prepared):
        sums = prepared.sum(0)  # (transition, field)
        turn, middle = sums[:, 0] / sums[:, 2], len(sums) // 2
        stages = {"early": turn[:middle].mean(), "late": turn[middle:].mean()}
        growth = sums[:, 1] / sums[:, 2]
        return Report(details={"tokens": int(sums[0, -1])}, series={"growth": growth, "stages": stages})
'''
"""a whole third-party signal"""
BROKEN = (
    TURN
    + '''

class Broken(Turn):
    """A signal with a fault."""

    def sums(self, lower, upper, content):
        raise RuntimeError("no luck")
'''
)
"""with another signal beside it, that raises"""


def lay_out(
    folder: Path,
    signals: Mapping[str, str],
    *,
    source: str = TURN,
    module: str = "mine_package",
    name: str = "mine-package",
    version: str = "0.3",
) -> None:
    """A module, and the metadata that importlib reads.

    Parameters
    ----------
    signals: entry points, name -> "module:Class".
    """
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    points = "".join(f"{plugin} = {target}\n" for plugin, target in signals.items())
    (info / "entry_points.txt").write_text(f"[{registry.SIGNAL.group}]\n{points}", encoding="utf-8")
