"""LabelStage: a grey PNG for each image, and which of them are fit for training; what every kind of labels shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import DatasetKnobs
from pipeline.ops.types import Grey, Map
from tasks.core import files
from tasks.core.cache import Draft, Entry
from tasks.core.stage import KnobsT
from tasks.core.workers import Place
from tasks.image_stage import ImageStage, MapJob, make_each
from tasks.intake import corrections, photo_decoding
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

    def fingerprint(self) -> str:
        """Masks that were drawn by hand take the place of labels; "" where there are none."""
        return corrections.fingerprint_of(self.target_dataset().dataset)

    def drawn(self) -> dict[str, Drawn]:
        """Photo's id → the mask that somebody drew for it, of the photos of this stage."""
        dataset = self.target_dataset()
        known = corrections.corrections_of(dataset.dataset)
        rows = [row for row in dataset.rows if row.split == self.split] if known.masks else []
        return {row.id: Drawn(known, row.image, dataset.knobs) for row in rows if known.path_of(row.image)}

    def make(self, draft: Draft) -> str:
        photos, drawn = self.photos(), self.drawn()
        job = CorrectedJob(self.job(), drawn) if drawn else self.job()
        make_each(self, draft, photos, job, suffix=self.suffix, networks=self.networks)
        told = write_kept(draft, photos, self.least_pixels(), empty_fits=self.knows_empty())
        return f"{told}, {len(drawn)} drawn by hand" if drawn else told

    def knows_empty(self) -> bool:
        """Whether photos answered "no" have empty labels, which are fit as they are."""
        return False

    def maps(self) -> LabelMaps:
        return LabelMaps(self.entry.folder)


@dataclass(frozen=True)
class Drawn:
    """A mask that was drawn by hand for a photo."""

    corrections: corrections.Corrections
    name: str
    rules: DatasetKnobs

    def label(self, photo: Photo) -> Grey:
        whole = photo.shape_hw if photo.tile is None else photo_decoding.size_of(photo.image_path, self.rules)
        mask = self.corrections.mask_of(self.name, whole, self.rules)
        assert mask is not None
        left, top, right, bottom = photo.tile or (0, 0, whole[1], whole[0])
        return mask[top:bottom, left:right].astype(np.uint8) * np.uint8(255)


@dataclass(frozen=True)
class CorrectedJob:
    """Another job, but for the photos whose mask was drawn by hand."""

    job: MapJob
    drawn: Mapping[str, Drawn]

    def open(self, place: Place) -> Callable[[Photo], NDArray[np.generic]]:
        work = self.job.open(place)
        return lambda photo: self.drawn[photo.id].label(photo) if photo.id in self.drawn else work(photo)


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

    def soft(self, photo: Photo) -> Map:
        """float32 H×W: confidence 0 … 1."""
        return self.of(photo).astype(np.float32) / np.float32(255)

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
