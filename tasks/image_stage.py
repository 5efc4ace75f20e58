"""What threshold maps and edge maps share: a yes/no map of every image of a split, one PNG each."""

from __future__ import annotations

import abc
from collections.abc import Mapping

import luigi
import numpy as np
from numpy.typing import NDArray

from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.dataset import Dataset, Photo, target_of


class ImageMaps(Stage):
    """A stage that needs nothing but the images."""

    images_of = luigi.Parameter(default="", positional=False, description="a data set; '' = the experiment's own")
    split = Choice(SPLITS, "split", default="train")
    axis_names = ("split",)
    resumable = True

    def target_dataset(self) -> Dataset:
        return target_of(self, self.images_of)

    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.target_dataset()}

    @abc.abstractmethod
    def map_of(self, photo: Photo) -> NDArray[np.bool_]:
        """bool H×W, made anew."""

    def make(self, draft: Draft) -> str:
        photos = {photo.id: photo for photo in self.target_dataset().some_photos(self.split)}

        def work(name: str) -> None:
            files.write_png(draft.path(f"{name}.png"), self.map_of(photos[name]))

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"

    def map(self, name: str) -> NDArray[np.bool_]:
        """bool H×W, as it lies in the entry."""
        found: NDArray[np.bool_] = files.read_png(self.entry.folder / f"{name}.png") > 0
        return found
