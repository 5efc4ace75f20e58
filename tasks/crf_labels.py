"""CrfLabels: the rival: the classifier's map refined by a dense CRF, as a binary label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.core.stage import Stage
from tasks.crf_search import CrfSearch
from tasks.dataset import Photo
from tasks.labels import LabelStage, localization_stages


class CrfLabels(LabelStage):
    def search(self) -> CrfSearch:
        """Where the parameters come from; always the training images of the experiment."""
        return self.sibling(CrfSearch, arch=self.arch)

    def merged(self) -> bool:
        return str(self.search().knobs.unary) == "merged"

    def upstream(self) -> Mapping[str, Stage]:
        search = {"search": self.search()}
        if self.merged():
            return {**search, **localization_stages(self)}
        return {**search, "dataset": self.target_dataset(), "cams": self.cams()}

    def label_of(self, photo: Photo) -> NDArray[np.uint8]:
        from pipeline.cams_to_crf_labels import crf_label, unary_map

        image_rgb, search = photo.image(), self.search()
        shape_hw = (image_rgb.shape[0], image_rgb.shape[1])
        patch_map = self.patch_maps().map(photo.id, shape_hw) if self.merged() else None
        unary = unary_map(self.cams().map(photo.id, shape_hw), patch_map, search.knobs)
        return crf_label(image_rgb, unary, search.best(), search.knobs)
