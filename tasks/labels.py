"""LabelStage: a grey PNG for each image, and which of them are fit for training; what every kind of labels shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.ops.types import Grey
from tasks.core import files
from tasks.core.cache import Draft, Entry
from tasks.core.stage import KnobsT
from tasks.core.workers import Place
from tasks.image_stage import ImageStage
from tasks.intake.photo_index import Photo

KEPT = "kept.csv"


class LabelStage(ImageStage[KnobsT]):
    """Labels with too few crack pixels are not trained on, unless the answer for their photo is no."""

    def least_pixels(self) -> int:
        """So many crack pixels make a label fit for training."""
        least: int = self.knobs.min_crack_pixels  # type: ignore[attr-defined]
        return least

    def masks_used(self) -> int:
        """How many masks of training images go into the labels, beyond the yes/no answers that they give."""
        return 0

    def make(self, draft: Draft) -> str:
        super().make(draft)
        return write_kept(draft, self.photos(), self.least_pixels(), empty_fits=self.knows_empty())

    def knows_empty(self) -> bool:
        """Whether photos answered "no" have empty labels, which are fit as they are."""
        return False

    def maps(self) -> LabelMaps:
        return LabelMaps(self.entry.folder)


def write_kept(draft: Draft, photos: Sequence[Photo], min_crack_pixels: int, *, empty_fits: bool = False) -> str:
    """kept.csv: crack pixels of every label, and whether they suffice; returns the result in a few words."""
    maps, rows = LabelMaps(draft.folder), []
    for photo in photos:
        pixels = int(np.count_nonzero(maps.of(photo)))
        fits = pixels >= min_crack_pixels or (empty_fits and photo.label == 0)
        rows.append({"id": photo.id, "crack_pixels": pixels, "kept": fits})
    files.write_rows(draft.path(KEPT), rows, ["id", "crack_pixels", "kept"])
    dropped = sum(not row["kept"] for row in rows)
    return f"{len(rows)} labels, {dropped} with fewer than {min_crack_pixels} crack pixels left out"


def kept(entry: Entry) -> dict[str, bool]:
    """Image id → whether its label is trained on."""
    return {str(row["id"]): bool(row["kept"]) for row in files.read_rows(entry.checked(KEPT))}


@dataclass(frozen=True)
class LabelMaps:
    """The labels of a finished stage; also the job of decoding them."""

    folder: Path

    def of(self, photo: Photo) -> Grey:
        """uint8 H×W: confidence 0 … 255."""
        return files.read_png(self.folder / f"{photo.id}.png").astype(np.uint8, copy=False)

    def shape(self, photo: Photo) -> tuple[int, ...]:
        return photo.shape_hw

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        return self.of


@dataclass(frozen=True)
class MaskPixels:
    """The job of decoding masks as targets; only for photos that have one."""

    def shape(self, photo: Photo) -> tuple[int, ...]:
        return photo.shape_hw

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        return lambda photo: photo.checked_mask().astype(np.uint8) * np.uint8(255)
