"""CKA of neighbouring blocks by mspgt and by public packages: time, peak memory, error from the exact value.

    python benchmarks/cka_packages.py [--sentences 2048] [--batch 64]
    pip install torch_cka==0.21 ckatorch==1.0.3      # what it compares with; a missing one is left out and said so

The built-in all-MiniLM-L6-v2 reads sentences of the built-in grammar, each cut to 12 tokens so that no package meets
padding, in the same shuffled batches for all. A row is the last token of a sentence: torch_cka would otherwise
flatten a sequence into one row, and ckatorch compare the tokens of one sequence with one another. Both are given
these rows by a thin module around the model, run through their documented calls with their own minibatch estimators,
and take one epoch. Exact values are computed in float64 from all rows at once. Time includes the forward passes
and leaves out imports and loading. Peak memory is that of a fresh process, less that of one which runs the model alone.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mspgt import data, models
from mspgt.contracts.batch import Batch
from mspgt.core.key import Key
from mspgt.core.state import Units, merge
from mspgt.models.capture import Capture
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.plugins.signals.cka.hsic import cka, hsic_debiased, linear_gram

LENGTH = 12
THREADS = 1


class Corpus:
    """Sentences of equal length in shuffled batches, and the model that reads them."""

    def __init__(self, sentences: int, size: int) -> None:
        self.loaded = models.load("minilm", device_map="cpu")
        self.size = size
        found: list[tuple[str, list[int]]] = []
        for document in data.load("grammar", limit=4 * sentences).documents():
            for sentence in document.sentences:
                ids = self.loaded.tokenizer(sentence.text)["input_ids"][:LENGTH]
                if len(ids) == LENGTH:
                    found.append((document.id, ids))
        order = np.random.default_rng(0).permutation(len(found))[:sentences]
        self.documents = [found[i][0] for i in order]
        self.ids = torch.tensor([found[i][1] for i in order])

    def loader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The batches as the packages take them."""
        return DataLoader(TensorDataset(self.ids), batch_size=self.size)

    def batches(self) -> list[Batch]:
        """The same batches as mspgt takes them; only the last token counts."""
        made = []
        for first in range(0, len(self.ids), self.size):
            ids = self.ids[first : first + self.size]
            rows = range(first, first + len(ids))
            content = torch.zeros_like(ids, dtype=torch.bool)
            content[:, -1] = True
            keys = tuple(Key("grammar", self.documents[i], i) for i in rows)
            sentence = torch.tensor(list(rows))[:, None].expand_as(ids)
            made.append(Batch(keys, ids, torch.ones_like(content), content, sentence))
        return made


class LastTokens(nn.Module):
    """The model with one module per block whose output is a row for each sentence."""

    def __init__(self, body: nn.Module, blocks: int, as_one_batch: bool) -> None:
        super().__init__()
        self.body, self.as_one_batch = body, as_one_batch
        self.rows = nn.ModuleList(nn.Identity() for _ in range(blocks))

    def forward(self, input_ids: Tensor) -> None:
        """Pass the last token of every block through its module."""
        hidden = self.body(input_ids=input_ids, output_hidden_states=True).hidden_states[1:]
        for row, block in zip(self.rows, hidden, strict=True):
            row(block[:, -1][None] if self.as_one_batch else block[:, -1])


def forward_only(corpus: Corpus) -> dict[str, list[float]]:
    """The model alone: what memory is compared with."""
    with torch.no_grad():
        for (ids,) in corpus.loader():
            corpus.loaded.model(input_ids=ids)
    return {}


def by_mspgt(corpus: Corpus, estimator: str) -> dict[str, list[float]]:
    """Capture, state, prepare, report."""
    signal, states = CKA(estimator=estimator), []
    with Capture(corpus.loaded.model, corpus.loaded.blocks, False) as capture:
        for batch in corpus.batches():
            recorder = signal.recorder("observe", batch, None)
            capture.run(batch, recorder.layer)
            states.append(recorder.rows())
    state = merge(states)
    series = signal.report(signal.prepare(state, None, Units.of(state.keys))).series
    return {name: series[of].tolist() for name, of in (("value", "cka"), ("rows", "row_debiased")) if of in series}


def by_torch_cka(corpus: Corpus) -> dict[str, list[float]]:
    """torch_cka 0.21."""
    from torch_cka import CKA as Theirs

    count = len(corpus.loaded.blocks)
    model = LastTokens(corpus.loaded.model, count, as_one_batch=False)
    names = [f"rows.{i}" for i in range(count)]
    theirs = Theirs(model, model, model1_layers=names, model2_layers=names)
    with torch.no_grad():
        theirs.compare(corpus.loader())
    return {"value": theirs.export()["CKA"].diagonal(1).tolist()}


def by_ckatorch(corpus: Corpus) -> dict[str, list[float]]:
    """ckatorch 1.0.3."""
    from ckatorch import CKA as Theirs

    count = len(corpus.loaded.blocks)
    model = LastTokens(corpus.loaded.model, count, as_one_batch=True)
    theirs = Theirs(model, model, layers=[f"rows.{i}" for i in range(count)])
    return {"value": theirs(corpus.loader(), epochs=1).diagonal(1).tolist()}


WAYS: dict[str, Callable[[Corpus], dict[str, list[float]]]] = {
    "forward": forward_only,
    "mspgt": lambda corpus: by_mspgt(corpus, "debiased"),
    "mspgt minibatch": lambda corpus: by_mspgt(corpus, "minibatch"),
    "torch_cka": by_torch_cka,
    "ckatorch": by_ckatorch,
}


def exact(corpus: Corpus) -> Tensor:
    """Song's CKA over all rows at once, float64: (transition,)."""
    with torch.no_grad():
        hidden = [
            corpus.loaded.model(input_ids=ids, output_hidden_states=True).hidden_states[1:]
            for (ids,) in corpus.loader()
        ]
    grams = [linear_gram(torch.cat([part[k][:, -1] for part in hidden])) for k in range(len(hidden[0]))]
    own = torch.stack([hsic_debiased(gram, gram) for gram in grams])
    between = torch.stack([hsic_debiased(a, b) for a, b in pairwise(grams)])
    return cka(between, own[:-1], own[1:])


def run(way: str, corpus: Corpus) -> dict[str, object]:
    """One way in this process: seconds of the second of two runs (wall clock and processor), peak resident MiB, CKA."""
    for _ in range(2):
        start, cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            found = WAYS[way](corpus)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **found}


def fresh(way: str, options: argparse.Namespace) -> dict[str, object]:
    """The same in a fresh process."""
    sizes = ["--sentences", str(options.sentences), "--batch", str(options.batch)]
    command = [sys.executable, __file__, "--way", way, *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    corpus = Corpus(options.sentences, options.batch)
    if options.way:
        print(json.dumps(run(options.way, corpus)))
        return
    console = Console(width=110)
    missing = [name for name in ("torch_cka", "ckatorch") if importlib.util.find_spec(name) is None]
    if missing:
        console.print(f"left out: {', '.join(missing)}; pip install torch_cka==0.21 ckatorch==1.0.3", style="yellow")
    found = {way: fresh(way, options) for way in WAYS if way not in missing}
    truth = exact(corpus)
    table = Table(
        title=f"CKA of neighbouring blocks of MiniLM, {len(corpus.ids)} rows, batches of {options.batch}, "
        f"{THREADS} thread; exact: " + " ".join(f"{v:.4f}" for v in truth)
    )
    for name in ("", "time, s", "CPU, s", "memory over forward, MiB", "max error", "document intervals"):
        table.add_column(name, justify="left" if not name else "right")
    base = float(str(found["forward"]["mib"]))
    for way, result in found.items():
        values = result.get("rows") or result.get("value")
        error = f"{float((torch.tensor(values, dtype=torch.float64) - truth).abs().max()):.1e}" if values else "-"
        intervals = "yes" if way == "mspgt" else "no" if values else "-"
        table.add_row(
            way, f"{result['seconds']:.2f}", f"{result['cpu']:.2f}", f"{result['mib'] - base:+.0f}", error, intervals
        )
    console.print(table)
    console.print("mspgt's error is that of its row-level value, which has the same definition as the exact one.")
    shift = (torch.tensor(found["mspgt"]["value"], dtype=torch.float64) - truth).abs().max()
    console.print(
        f"Its default value leaves out pairs within documents, and differs from it by at most {float(shift):.1e} here."
    )


if __name__ == "__main__":
    main()
