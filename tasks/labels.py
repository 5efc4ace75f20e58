"""What pseudo labels and CRF labels share: a PNG per image, and which of them are fit for training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from tasks.cams import Cams
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.dataset import Dataset, Photo, target_of
from tasks.patch_maps import PatchMaps

KEPT = "kept.csv"


class LabelStage(Stage):
    """A stage that labels every image of a split; labels with too few crack pixels are not trained on."""

    arch = Choice(models.CLASSIFIERS, "arch", default="")
    split = Choice(SPLITS, "split", default="train")
    images_of: Any = ""  # the data set that is labelled; '' = the one trained on, always where a stage says no more
    axis_names = ("split",)
    resumable = True

    def target_dataset(self) -> Dataset:
        return target_of(self, self.images_of)

    def cams(self) -> Cams:
        return self.sibling(Cams, arch=self.arch, split=self.split, images_of=self.images_of)

    def patch_maps(self) -> PatchMaps:
        return self.sibling(PatchMaps, arch=self.arch, split=self.split, images_of=self.images_of)

    def photos(self) -> tuple[Photo, ...]:
        return self.target_dataset().some_photos(self.split)

    def label_of(self, photo: Photo) -> NDArray[np.uint8]:
        """uint8 H×W: confidence 0 … 255."""
        raise TypeError(f"{self.stage()} has no label_of(); write one")

    def make(self, draft: Draft) -> str:
        import pandas as pd

        photos = {photo.id: photo for photo in self.photos()}

        def work(name: str) -> None:
            files.write_png(draft.path(f"{name}.png"), self.label_of(photos[name]))

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        kept = pd.DataFrame([self._row(name, files.read_png(draft.folder / f"{name}.png")) for name in photos])
        files.write_table(draft.path(KEPT), kept)
        dropped = int((~kept["kept"]).sum())
        return f"{len(kept)} labels, {dropped} with fewer than {self.knobs.min_crack_pixels} crack pixels left out"

    def _row(self, name: str, label: NDArray[np.uint8]) -> dict[str, Any]:
        pixels = int(np.count_nonzero(label))
        return {"id": name, "crack_pixels": pixels, "kept": pixels >= self.knobs.min_crack_pixels}

    def label(self, name: str) -> NDArray[np.uint8]:
        return files.read_png(self.entry.folder / f"{name}.png")

    def kept(self) -> dict[str, bool]:
        """Image id → whether its label is trained on."""
        table = files.read_table(self.entry.checked(KEPT))
        return {str(name): bool(kept) for name, kept in zip(table["id"], table["kept"], strict=True)}


def localization_stages(stage: LabelStage) -> Mapping[str, Stage]:
    return {"dataset": stage.target_dataset(), "patch_maps": stage.patch_maps(), "cams": stage.cams()}
