"""ImageStage: a file for every image of a split, each made by itself, so that a killed stage goes on with the rest."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.layouts.on_disk import SPLITS
from pipeline.ops.types import Mask
from tasks.core import cache, files, parameters
from tasks.core.cache import Draft
from tasks.core.engines.choice import workers_of
from tasks.core.files import Record
from tasks.core.stage import AnyStage, KnobsT, Stage
from tasks.core.workers import Job, Place
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
    folder = draft.folder / below
    folder.mkdir(parents=True, exist_ok=True)
    written, there = WrittenJob(job, folder, suffix), {path.name for path in folder.iterdir()}
    missing = [photo for photo in photos if f"{photo.id}{suffix}" not in there]
    done, half = len(photos) - len(missing), max(len(missing) // 2, 1)
    with stage.progress() as progress:
        progress.start_at(done)
        found = workers_of(stage.execution, networks=networks).map(written, missing)
        for number, (photo, told) in enumerate(zip(missing, found, strict=True), start=1):
            draft.known[f"{below}/{photo.id}{suffix}".lstrip("/")] = told.record
            draft.devices.add(told.device)
            if number == half:
                cache.chaos(stage.stage(), "mid")
            progress(done + number, len(photos))


class Written(NamedTuple):
    """What is told of a file by who wrote it."""

    record: Record
    device: str


@dataclass(frozen=True)
class WrittenJob:
    """A job whose result is written where it belongs, whole."""

    job: MapJob
    folder: Path
    suffix: str

    def open(self, place: Place) -> Callable[[Photo], Written]:
        work, device = self.job.open(place), place.name()
        return lambda photo: Written(files.write_map(self.folder / f"{photo.id}{self.suffix}", work(photo)), device)


@dataclass(frozen=True)
class YesNoMaps:
    """The maps of a finished stage that has a black and white PNG for each image."""

    folder: Path

    def of(self, photo: Photo) -> Mask:
        """bool H×W."""
        return files.read_png(self.folder / f"{photo.id}.png") > 0
