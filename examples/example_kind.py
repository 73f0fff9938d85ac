"""A kind of result of one's own: how many weights each block of a model has, and how large they are.

::

    python examples/example_kind.py tiny-llama-a runs/weights

A record holds what was found and declares its kind; `SHOWN` declares what it shows. All else is there: its file, the
table as CSV, Markdown and LaTeX, the figure, the page, what a terminal, a notebook and `repr` show.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from mspgt.contracts.series import Lines, Series
from mspgt.models import load
from mspgt.models.facts import ModelFacts
from mspgt.results.kinds import Kind
from mspgt.results.result import Result
from mspgt.show.grid import Column, Grid, Number, grid
from mspgt.show.parts import Drawing, FigureOf, Line, PlotOf, Section, Shown, TableOf

SIZE = Series("size", axis="block", unit="root mean square")


@dataclass(frozen=True, eq=False, repr=False)
class Weights(Result):
    """The weights of a model's blocks.

    Attributes
    ----------
    parameters: (block,) how many a block has.
    size: (block,) root mean square of them.
    """

    kind: ClassVar[Kind] = Kind(
        name="weights",
        file="weights.json",
        what="a table of weights",
        maker="`python examples/example_kind.py`",
        shown="example_kind:SHOWN",
    )

    model: ModelFacts
    parameters: tuple[int, ...]
    size: NDArray[np.float64]

    @property
    def largest(self) -> int:
        """The block of the largest weights, from 1."""
        return int(self.size.argmax()) + 1


def weights(name: str) -> Weights:
    """Look at the weights of a model: a built-in name, a Hugging Face id or a local folder."""
    model = load(name)
    blocks = [torch.cat([p.detach().double().flatten() for p in block.parameters()]) for block in model.blocks]
    sizes = np.array([float(block.square().mean().sqrt()) for block in blocks])
    return Weights(model.facts, tuple(len(block) for block in blocks), sizes)


# ------------------------------------------------------------------------------------------- what it shows


def headline(record: Weights) -> str:
    """The answer in one sentence."""
    return f"Block {record.largest} of {record.model.n_layers} has the largest weights."


def subjects(record: Weights) -> Mapping[str, str]:
    """What was looked at."""
    return {"model": f"{record.model.name}, {record.model.parameters:,} parameters"}


def table(record: Weights) -> Grid:
    """A row for each block; the largest weights stand out."""
    rows = [
        (block, parameters, Number(value=size, show="{:.3f}".format), "largest" if block == record.largest else "")
        for block, (parameters, size) in enumerate(zip(record.parameters, record.size.tolist(), strict=True), start=1)
    ]
    return grid(
        ("block", "parameters", Column("size", "root mean square"), Column("mark", " ", gives_way=1, left=True)), rows
    )


def figure(record: Weights) -> PlotOf:
    """A line over the blocks, as a description."""
    plot = Lines("size", series=("size",), title="How large the weights of each block are")
    return PlotOf(plot, {"size": SIZE.of(record.size, record.model.n_layers)})


def sections(record: Weights, drawn: Mapping[str, Drawing]) -> Iterator[Section]:
    """The page: the figure, then the table."""
    yield Section("blocks", "Blocks", (drawn["size"], table(record)))


SHOWN: Shown[Weights] = Shown(
    kicker="The weights of a model",
    headline=headline,
    subjects=subjects,
    figures={"size": FigureOf(figure, "Root mean square of the weights of each block.")},
    tables={"weights": TableOf(table, "weights.csv")},
    sections=sections,
    terminal=lambda record: (Line.of(headline(record), "strong"), table(record)),
)


if __name__ == "__main__":
    result = weights(sys.argv[1])
    result.save(sys.argv[2])
    result.show()
