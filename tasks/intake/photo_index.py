"""The index of a data set: one line for every photo, and what can be asked of the lines."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import knobs
from pipeline.layouts.on_disk import SPLITS, UNLABELLED
from tasks.core import files
from tasks.intake import gate


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the index. `label` is what the mask says, or else the data set; −1 where neither does."""

    id: str
    part: str  # the data set it comes from, where several are combined
    image: str
    mask: str
    label: int
    split: str
    group: str
    width: int
    height: int
    pixels_sha256: str


@dataclass(frozen=True, slots=True)
class Photo:
    """One row of the index, with the means to load it."""

    id: str
    split: str
    image_path: Path
    mask_path: Path | None
    label: int
    rules: knobs.DatasetKnobs
    shape_hw: tuple[int, int]

    def image(self) -> NDArray[np.uint8]:
        return gate.load_image(self.image_path, self.rules)

    def mask(self) -> NDArray[np.bool_] | None:
        """bool H×W, True for crack; None where the data set has no mask for this photo."""
        if self.mask_path is None:
            return None
        return gate.load_mask(self.mask_path, self.rules, shape_hw=self.shape_hw, warn=lambda _: None)


def write(path: Path, records: list[Record]) -> None:
    _write(path, map(dataclasses.asdict, records), [field.name for field in dataclasses.fields(Record)])


def write_reasons(path: Path, reasons: list[tuple[str, str]]) -> None:
    _write(path, ({"path": gate.shown(name), "reason": reason} for name, reason in reasons), ["path", "reason"])


def _write(path: Path, rows: Iterable[dict[str, Any]], names: list[str]) -> None:
    """CSV with every text in quotes, so that a name may contain whatever a file system allows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, stream.getvalue())


def read(path: Path) -> list[Record]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [_record(row) for row in csv.DictReader(stream)]


def _record(row: dict[str, str]) -> Record:
    numbers = {name: int(row[name]) for name in ("label", "width", "height")}
    return Record(**{**row, **numbers})  # type: ignore[arg-type]


def sizes(records: list[Record]) -> dict[str, int]:
    sizes = dict.fromkeys((*SPLITS, UNLABELLED), 0)
    for record in records:
        sizes[record.split] += 1
    return sizes


def same_pixels(records: list[Record]) -> list[str]:
    """Images whose decoded pixels are in several splits."""
    first: dict[str, Record] = {}
    twice: dict[str, None] = {}
    for record in records:
        if record.split in SPLITS:
            other = first.setdefault(record.pixels_sha256, record)
            if other.split != record.split:
                twice.update({other.image: None, record.image: None})
    return list(twice)
