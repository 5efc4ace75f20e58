"""ThresholdMaps: which pixels are dark in every window that sees them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks import files
from tasks.base import SPLITS, Choice, Stage
from tasks.cache import Draft
from tasks.dataset import Dataset


class ThresholdMaps(Stage):
    split = Choice(SPLITS, "split", default="train")
    axis_names = ("split",)
    resumable = True

    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.sibling(Dataset)}

    def make(self, draft: Draft) -> str:
        from pipeline.images_to_threshold_maps import threshold_map

        photos = {photo.id: photo for photo in self.sibling(Dataset).photos(self.split)}

        def work(name: str) -> None:
            files.write_png(draft.path(f"{name}.png"), threshold_map(photos[name].image(), self.knobs))

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"

    def map(self, name: str) -> NDArray[np.bool_]:
        """bool H×W, True for dark."""
        dark: NDArray[np.bool_] = files.read_png(self.entry.folder / f"{name}.png") > 0
        return dark
