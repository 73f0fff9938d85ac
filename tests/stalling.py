"""Commands in a process of their own that stand still at a known moment, to be killed or interrupted there."""

from __future__ import annotations

import os
import subprocess
import sys

STALLS = """
import sys, time
from mspgt.callbacks import accumulate
from mspgt.cli.main import main
folder, count, *arguments = sys.argv[1:]
accumulate.FLUSH_SECONDS = 0.0  # a shard for each batch
write, shards = accumulate.write_shard, []
def write_shard(path, states):
    write(path, states)
    if str(path.parent).endswith(folder):
        shards.append(path)
        if len(shards) == int(count):
            print("stands still", flush=True)
            time.sleep(600)
accumulate.write_shard = write_shard
sys.exit(main(arguments))
"""


def stalled(*arguments: str, folder: str, shards: int) -> subprocess.Popen[str]:
    """`mspgt` with the given arguments, once it stands still.

    Parameters
    ----------
    folder: how the path of the shards ends of which `shards` are written, each of one batch.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", STALLS, folder, str(shards), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stdout.readline()
    assert said == "stands still\n", said + process.stderr.read()
    return process
