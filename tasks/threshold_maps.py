"""ThresholdMaps: which pixels are dark in every window that sees them."""

from __future__ import annotations

from collections.abc import Mapping

import luigi
import numpy as np
from numpy.typing import NDArray

from tasks import files
from tasks.base import SPLITS, Choice, Stage
from tasks.cache import Draft
from tasks.dataset import Dataset, target_of


class ThresholdMaps(Stage):
    images_of = luigi.Parameter(default="", positional=False, description="a data set; '' = the experiment's own")
    split = Choice(SPLITS, "split", default="train")
    axis_names = ("split",)
    resumable = True

    def target_dataset(self) -> Dataset:
        return target_of(self, self.images_of)

    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.target_dataset()}

    def make(self, draft: Draft) -> str:
        from pipeline.images_to_threshold_maps import threshold_map

        photos = {photo.id: photo for photo in self.target_dataset().photos(self.split)}

        def work(name: str) -> None:
            files.write_png(draft.path(f"{name}.png"), threshold_map(photos[name].image(), self.knobs))

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"

    def map(self, name: str) -> NDArray[np.bool_]:
        """bool H×W, True for dark."""
        dark: NDArray[np.bool_] = files.read_png(self.entry.folder / f"{name}.png") > 0
        return dark
