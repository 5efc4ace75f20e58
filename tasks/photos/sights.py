"""A first look at a folder of photos: what can be read, how large it is, what is there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.knobs import DatasetKnobs
from pipeline.layouts import csv_table, on_disk
from tasks.core.workers import Place
from tasks.intake import photo_decoding
from tasks.photos.photo_folder import FoundPhoto, PhotoFolder


@dataclass(frozen=True)
class Sight:
    """What one photo turned out to be; `refused` says why it cannot be read, "" where it can."""

    name: str
    width: int = 0
    height: int = 0
    turned: bool = False  # by its EXIF
    pixels_sha256: str = ""
    refused: str = ""


@dataclass(frozen=True)
class SightJob:
    rules: DatasetKnobs

    def open(self, place: Place) -> Callable[[FoundPhoto], Sight]:
        return self.look

    def look(self, photo: FoundPhoto) -> Sight:
        try:
            image = photo_decoding.load_image(photo.path, self.rules)
        except photo_decoding.RefusedError as error:
            return Sight(photo.name, refused=str(error))
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        return Sight(photo.name, image.shape[1], image.shape[0], photo_decoding.is_turned(photo.path), digest)


def twice(sights: Sequence[Sight]) -> list[list[str]]:
    """Names of photos with the same pixels."""
    same: dict[str, list[str]] = {}
    for sight in sights:
        if not sight.refused:
            same.setdefault(sight.pixels_sha256, []).append(sight.name)
    return [names for names in same.values() if len(names) > 1]


def layout_of(folder: PhotoFolder) -> str:
    """How its answers or masks lie, as far as names tell: classes, folders, csv, or answers yet to be given."""
    names = [photo.name for photo in folder.photos]
    if csv_table.TABLE in folder.others:
        return "csv"
    if len({row.label for row in on_disk.classes(names).rows}) == 2:
        return "classes"
    if any(row.mask for row in on_disk.folders([*names, *folder.others]).rows):
        return "folders"
    return "answers"
