"""What this machine can do, and the command that mends what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from mspgt.contracts import registry
from mspgt.core.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

OPTIONAL = {
    "datasets": ("Hugging Face datasets as data=", "pip install 'mspgt[datasets]'"),
    "bitsandbytes": ("quantization=8bit and 4bit", "pip install bitsandbytes"),
    "accelerate": ("device_map= and quantization=", "pip install accelerate"),
}


def examine(console: Console) -> int:
    """Print one line for each thing looked at; exit code 0 where a run can start, 1 where it cannot."""
    from rich.table import Table

    table = Table("what", "found", "to mend it", box=None, header_style="bold")
    missing = 0
    for what, state, mend in (*_machine(), *_packages(), *_plugins()):
        needed = mend is not None and mend.startswith("!")
        missing += needed
        mark = "[red]no[/] " if needed else "[yellow]–[/] " if mend else ""
        table.add_row(what, f"{mark}{state}", (mend or "").lstrip("!"))
    console.print(table)
    console.print("A run can start." if not missing else f"Missing: {missing}; a run cannot start.", highlight=False)
    return int(missing > 0)


Finding = tuple[str, str, str | None]


def _machine() -> list[Finding]:
    import torch

    lines: list[Finding] = [
        ("python", platform.python_version(), None),
        ("processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in use", None),
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    lines.append(("memory", f"{memory / 2**30:.1f} GiB" if memory else "unknown", None))
    free = shutil.disk_usage(Path.cwd()).free
    lines.append(("disk here", f"{free / 2**30:.1f} GiB free", "free some space for states" if free < 2**30 else None))
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(i)
            lines.append((f"GPU {i}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB", None))
    else:
        lines.append(("GPU", "none; runs go on the processor", None))
    java = shutil.which("java")
    lines.append(("java", java or "none", None if java else "install Java 17; needed for the metric grammaticality"))
    server = os.environ.get("LTP_PATH")
    lines.append(("LanguageTool", f"in {server} (LTP_PATH)" if server else "fetched when it is first needed", None))
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    hub = "switched off (HF_HUB_OFFLINE=1)" if offline else "asked when a model is not local"
    lines.append(("model hub", hub, None))
    return lines


def _packages() -> list[Finding]:
    lines: list[Finding] = []
    needed = [r.split(";")[0] for r in requires("mspgt") or () if "extra ==" not in r]
    for requirement in needed:
        name = requirement.split(">")[0].strip()
        try:
            lines.append((name, version(name), None))
        except PackageNotFoundError:
            lines.append((name, "not installed", f"!pip install '{requirement}'"))
    for name, (use, mend) in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        lines.append((name, version(name) if there else f"not installed; needed for {use}", None if there else mend))
    return lines


def _plugins() -> list[Finding]:
    lines: list[Finding] = []
    for kind in registry.KINDS:
        try:
            entries = registry.plugins(kind)
        except UserError as error:
            lines.append((f"{kind.word}s", str(error), "!uninstall one of the two"))
            continue
        for entry in entries.values():
            try:
                entry.load()
            except UserError as error:
                mend = f"pip install -U {entry.distribution.split()[0]}"
                lines.append((f"{kind.word} {entry.name}", str(error), mend))
            else:
                lines.append((f"{kind.word} {entry.name}", entry.distribution, None))
    return lines
