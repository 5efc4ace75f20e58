"""ImageStage: a file for every image of a split, each made by itself, so that a killed stage goes on with the rest."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.layouts.on_disk import SPLITS
from pipeline.ops.types import Mask
from tasks.core import cache, files, parameters
from tasks.core.cache import Draft
from tasks.core.stage import AnyStage, KnobsT, Stage
from tasks.core.workers import Job, Place, workers_of
from tasks.dataset import Dataset
from tasks.intake.photo_index import Photo

TRAIN = parameters.Choice(SPLITS, "split", default="train")
IMAGES_OF = parameters.name_of("the data set whose images are worked on; '' = the one trained on")

MapJob = Job[Photo, NDArray[np.generic]]


class ImageStage(Stage[KnobsT]):
    """A subclass hands out a job: all that its work on a photo needs, resolved, without Luigi."""

    split = TRAIN
    images_axis: ClassVar[str] = "images_of"  # the parameter that names the data set whose images are worked on
    axis_names: ClassVar[tuple[str, ...]] = ("split",)
    resumable = True
    networks: ClassVar[bool] = False  # whether the job computes with torch
    suffix: ClassVar[str] = ".png"

    def target_dataset(self) -> Dataset:
        return self.experiment.of(getattr(self, self.images_axis)).task(Dataset)

    def photos(self) -> tuple[Photo, ...]:
        return self.target_dataset().some_photos(self.split)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"dataset": self.target_dataset()}

    @abc.abstractmethod
    def job(self) -> MapJob:
        """What makes the map of a photo; asked for once, when everything upstream is there."""

    def make(self, draft: Draft) -> str:
        photos = self.photos()
        make_each(self, draft, photos, self.job(), suffix=self.suffix, networks=self.networks)
        return f"{len(photos)} maps"

    def path_of(self, name: str) -> Path:
        return self.entry.folder / f"{name}{self.suffix}"


def make_each(
    stage: AnyStage,
    draft: Draft,
    photos: Sequence[Photo],
    job: MapJob,
    *,
    suffix: str,
    networks: bool = False,
    below: str = "",
) -> None:
    """The file of every photo that is not in the draft (or a folder below it) yet, with progress."""
    (draft.folder / below).mkdir(parents=True, exist_ok=True)
    written = WrittenJob(job, draft.folder / below, suffix)
    missing = [photo for photo in photos if not written.path(photo).exists()]
    done, half = len(photos) - len(missing), max(len(missing) // 2, 1)
    with stage.progress() as progress:
        progress.start_at(done)
        steps = workers_of(stage.execution, networks=networks).map(written, missing)
        for number, _ in enumerate(steps, start=1):
            if number == half:
                cache.chaos(stage.stage(), "mid")
            progress(done + number, len(photos))


@dataclass(frozen=True)
class WrittenJob:
    """A job whose result is written where it belongs, whole."""

    job: MapJob
    folder: Path
    suffix: str

    def path(self, photo: Photo) -> Path:
        return self.folder / f"{photo.id}{self.suffix}"

    def open(self, place: Place) -> Callable[[Photo], None]:
        work = self.job.open(place)
        return lambda photo: files.write_map(self.path(photo), work(photo))


@dataclass(frozen=True)
class YesNoMaps:
    """The maps of a finished stage that has a black and white PNG for each image."""

    folder: Path

    def of(self, photo: Photo) -> Mask:
        """bool H×W."""
        return files.read_png(self.folder / f"{photo.id}.png") > 0
