"""The index of a data set: one line for every photo, and the means to load what a line names."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.knobs import DatasetKnobs
from pipeline.layouts.answered import Tile, tile_of
from pipeline.layouts.on_disk import SPLITS, UNLABELLED, Row
from pipeline.ops.types import ImageRGB, Mask
from tasks.core import files
from tasks.core.errors import StageError
from tasks.core.workers import Place
from tasks.intake import photo_decoding

_COLUMNS = ("id", "part", "image", "mask", "label", "split", "group", "width", "height", "pixels_sha256")
_TILE = "tile"  # a column only where an answer is for a part of a photo
_NUMBERS = ("label", "width", "height")


@dataclass(frozen=True, slots=True)
class Photo:
    """One row of the index, with the means to load it."""

    id: str
    split: str
    image_path: Path
    mask_path: Path | None
    label: int
    rules: DatasetKnobs
    shape_hw: tuple[int, int]
    tile: Tile | None = None  # the part of the file that it is

    def image(self) -> ImageRGB:
        return photo_decoding.load_image(self.image_path, self.rules, self.tile)

    def mask(self) -> Mask | None:
        """bool H×W, True for crack; None where the data set has no mask for this photo."""
        if self.mask_path is None:
            return None
        return photo_decoding.load_mask(self.mask_path, self.rules, shape_hw=self.shape_hw, warn=lambda _: None)

    def checked_mask(self) -> Mask:
        """The mask of a photo that was chosen because it has one."""
        mask = self.mask()
        if mask is None:
            raise StageError(f"{self.image_path} has no mask; run the same command again")
        return mask


@dataclass(frozen=True)
class PhotoPixels:
    """The job of decoding photos."""

    def shape(self, photo: Photo) -> tuple[int, ...]:
        return (*photo.shape_hw, 3)

    def open(self, place: Place) -> Callable[[Photo], ImageRGB]:
        return Photo.image


def photo_of(row: Row, root: Path, rules: DatasetKnobs) -> Photo:
    mask = root / row.mask if row.mask else None
    shape_hw = (row.height, row.width)
    return Photo(row.id, row.split, root / row.image, mask, row.label, rules, shape_hw, tile_of(row.tile))


def write(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    columns = (*_COLUMNS, *([_TILE] if any(row.tile for row in rows) else []))
    _write(path, ({name: getattr(row, name) for name in columns} for row in rows), columns)


def write_reasons(path: Path, reasons: Iterable[tuple[str, str]]) -> None:
    _write(
        path, ({"path": photo_decoding.shown(name), "reason": reason} for name, reason in reasons), ("path", "reason")
    )


def _write(path: Path, rows: Iterable[dict[str, object]], names: tuple[str, ...]) -> None:
    """CSV with every text in quotes, so that a name may contain whatever a file system allows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, stream.getvalue())


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [_row(line) for line in csv.DictReader(stream)]


def _row(line: dict[str, Any]) -> Row:
    return Row(**{**line, **{name: int(line[name]) for name in _NUMBERS}})


def sizes(rows: Iterable[Row]) -> dict[str, int]:
    sizes = dict.fromkeys((*SPLITS, UNLABELLED), 0)
    for row in rows:
        sizes[row.split] += 1
    return sizes
