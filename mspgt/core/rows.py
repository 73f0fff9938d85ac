"""Rows of plain values as a CSV text or a pandas DataFrame."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mspgt.core.errors import UserError

Fields = Mapping[str, Any]


def to_csv(rows: Iterable[Fields], columns: Sequence[str]) -> str:
    """Rows under a header, numbers in full precision; what is None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_dataframe(rows: Iterable[Fields], columns: Sequence[str]) -> Any:
    """Rows as a pandas DataFrame; UserError if pandas is not installed."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        raise UserError("to_dataframe needs pandas; install it with: pip install pandas") from None
    return pandas.DataFrame(list(rows), columns=list(columns))
