"""Progress of the metrics: a bar, or a line per metric where there is no terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class MetricBar:
    """Told which metric is measured under how many of the conditions, it shows that."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:g} of {task.total:g} conditions"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> MetricBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Go on to so many conditions of a metric."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(f"measuring {name}", total=total)
            if not self._console.is_terminal:
                self._console.print(f"measuring {name}", highlight=False)
        self._bar.update(self._tasks[name], completed=done)
