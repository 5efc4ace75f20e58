"""Tables as text: Markdown for a file, aligned columns for a console. Numbers have four decimals, nan is a dash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def markdown(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The named columns of a table as a Markdown table; numbers with four decimals."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in table.to_dict("records")]
    return "\n".join(lines) + "\n"


def aligned(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The named columns as text for a console."""
    cells = [list(columns.values())] + [[_cell(row[name]) for name in columns] for row in table.to_dict("records")]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4f}"
    return str(value) or "–"
